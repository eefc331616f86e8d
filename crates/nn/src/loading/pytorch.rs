//! The directory of a `pytorch_model.bin`: a zip whose `data.pkl` says how tensors lie on the files
//! `data/N`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::DType;
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{MAX_BYTES, Object, ObjectId, Pickle};
use super::{Encoding, TensorLocation};
use chartbench_core::catch_panic;
use chartbench_core::terminal::shorten;

type Zip = ZipArchive<BufReader<File>>;

/// The locations of the file's tensors.
pub(super) fn locate_tensors(path: &Path) -> Result<BTreeMap<String, TensorLocation>> {
    catch_panic("the zip reader", || read_tensors(path))
}

fn read_tensors(path: &Path) -> Result<BTreeMap<String, TensorLocation>> {
    let file = chartbench_core::input::open_content(path)?;
    let file_bytes = file.metadata()?.len();
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| {
        anyhow!("not a zip, or truncated ({error}); files of torch before 1.6 must be saved again with a newer torch")
    })?;
    let name = zip
        .file_names()
        .flatten()
        .find(|name| name.ends_with("data.pkl"))
        .map(Cow::into_owned);
    let name = name.context("a zip, but without data.pkl in it")?;
    let root = name.strip_suffix("data.pkl").unwrap_or_default();
    let bytes = read_pickle(&mut zip, &name).with_context(|| shorten(&name))?;
    let pickle = Pickle::read(&bytes).with_context(|| shorten(&name))?;
    let Object::Dict(items) = pickle.get(pickle.result()) else {
        bail!("{}: not a state dict", shorten(&name))
    };
    let mut locations = BTreeMap::new();
    for &(key, value) in items {
        let Object::Text(name) = *pickle.get(key) else {
            continue;
        };
        let mut locate = || -> Result<Option<TensorLocation>> {
            let Some(view) = StorageView::find(&pickle, value)? else {
                return Ok(None);
            };
            view.locate(&mut zip, root, path, file_bytes).map(Some)
        };
        if let Some(location) = locate().with_context(|| format!("tensor {}", shorten(name)))? {
            locations.insert(name.to_owned(), location);
        }
    }
    Ok(locations)
}

/// Reads at most the limit, whatever size the zip declares.
fn read_pickle(zip: &mut Zip, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    zip.by_name(name)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The arguments of `torch._utils._rebuild_tensor_v2`: a storage and the view on it, counted in
/// elements.
struct StorageView {
    storage: String,
    encoding: Encoding,
    /// Bytes of an element.
    width: u64,
    offset: u64,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

impl StorageView {
    /// `None` for entries that are not tensors (such as `_metadata`).
    fn find(pickle: &Pickle<'_>, mut id: ObjectId) -> Result<Option<Self>> {
        /// A parameter of a tensor of a type: torch wraps no deeper.
        const MAX_WRAPPERS: usize = 4;
        let mut call = pickle.call(id);
        for _ in 0..MAX_WRAPPERS {
            match call {
                Some(("_rebuild_tensor_v2", args)) => {
                    return Self::from_args(pickle, args).map(Some);
                }
                Some(("_rebuild_parameter", [tensor, ..])) => {
                    id = *tensor;
                    call = pickle.call(id);
                }
                Some(("_rebuild_from_type_v2", [function, _, args, ..])) => {
                    call = match (pickle.get(*function), pickle.get(*args)) {
                        (Object::Global { name, .. }, Object::Tuple(args)) => Some((name, args)),
                        _ => None,
                    };
                }
                _ => return Ok(None),
            }
        }
        bail!("a tensor within more than {MAX_WRAPPERS} others")
    }

    fn from_args(pickle: &Pickle<'_>, args: &[ObjectId]) -> Result<Self> {
        let [storage, offset, shape, stride, ..] = args else {
            bail!("its storage has an unknown form")
        };
        let Object::Storage(id) = pickle.get(*storage) else {
            bail!("its storage is not stored in the file")
        };
        let Object::Tuple(id) = pickle.get(*id) else {
            bail!("its storage has an unknown form")
        };
        let [_, class, key, ..] = id.as_slice() else {
            bail!("its storage has an unknown form")
        };
        let (Object::Global { name: class, .. }, Object::Text(key)) =
            (pickle.get(*class), pickle.get(*key))
        else {
            bail!("its storage has an unknown form")
        };
        let (encoding, width) = storage_encoding(class);
        let (shape, stride) = (integers(pickle, *shape)?, integers(pickle, *stride)?);
        ensure!(
            shape.len() == stride.len(),
            "its shape has {} sizes, its strides are {}",
            shape.len(),
            stride.len()
        );
        let offset = integer(pickle, *offset)? as u64;
        Ok(Self {
            storage: (*key).to_owned(),
            encoding,
            width,
            offset,
            shape,
            stride,
        })
    }

    /// The bytes of the tensor inside the zip file.
    fn locate(
        self,
        zip: &mut Zip,
        root: &str,
        path: &Path,
        file_bytes: u64,
    ) -> Result<TensorLocation> {
        ensure!(
            self.is_contiguous(),
            "stored with strides {} of shape {}; save a contiguous copy",
            shorten(&format!("{:?}", self.stride)),
            shorten(&format!("{:?}", self.shape))
        );
        let name = format!("{root}data/{}", self.storage);
        let shown = shorten(&name);
        let file = zip
            .by_name(&name)
            .with_context(|| format!("its storage {shown} is not in the zip"))?;
        ensure!(
            file.compression() == CompressionMethod::Stored,
            "its storage {shown} is compressed"
        );
        let start = file
            .data_start()
            .context("its storage has no place in the zip")?;
        let storage_end = start
            .checked_add(file.compressed_size())
            .filter(|&end| end <= file_bytes);
        let storage_end = storage_end
            .with_context(|| format!("its storage {shown} ends beyond the file (truncated?)"))?;
        let offset = start.saturating_add(self.offset.saturating_mul(self.width));
        let location = TensorLocation::new(path, offset, self.shape, self.encoding)?;
        ensure!(
            location.end() <= storage_end,
            "ends beyond its storage {shown} of {} bytes",
            file.compressed_size()
        );
        Ok(location)
    }

    /// Whether the elements lie one after the other, in the order of their indices. A stride of one
    /// element says nothing.
    fn is_contiguous(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let mut expected = 1usize;
        self.shape
            .iter()
            .zip(&self.stride)
            .rev()
            .all(|(&size, &stride)| {
                let fits = size == 1 || stride == expected;
                expected = expected.saturating_mul(size);
                fits
            })
    }
}

/// The encoding of a storage class and the bytes of an element.
fn storage_encoding(class: &str) -> (Encoding, u64) {
    let dtype = match class {
        "FloatStorage" => DType::F32,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "DoubleStorage" => DType::F64,
        "LongStorage" => DType::I64,
        other => return (Encoding::Unsupported(shorten(other)), 1),
    };
    (Encoding::Plain(dtype), dtype.size_in_bytes() as u64)
}

fn integer(pickle: &Pickle<'_>, id: ObjectId) -> Result<usize> {
    let Object::Int(value) = pickle.get(id) else {
        bail!("its place or shape is not a number")
    };
    usize::try_from(*value)
        .ok()
        .context("its place or shape is negative")
}

fn integers(pickle: &Pickle<'_>, id: ObjectId) -> Result<Vec<usize>> {
    let Object::Tuple(items) = pickle.get(id) else {
        bail!("its shape is not a tuple")
    };
    items.iter().map(|&item| integer(pickle, item)).collect()
}
