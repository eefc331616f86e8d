//! The directory of a `pytorch_model.bin`: a zip whose `data.pkl` says how tensors lie on the files `data/N`.
//!
//! candle's pickle reader parses the pickle into a tree and calls nothing. Every name the tree mentions is checked
//! against the few torch writes for a state dict; any other is refused, since it has no business in weights.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::DType;
use candle_core::pickle::{Object, Stack};
use zip::{CompressionMethod, ZipArchive};

use super::Entry;

type Zip = ZipArchive<BufReader<File>>;

/// Callables of a state dict, as `module.name`; storage classes (`torch.*Storage`) come on top.
const TENSOR_BUILDERS: [&str; 5] = [
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch._tensor._rebuild_from_type_v2",
    "torch.nn.parameter.Parameter",
];

/// Where each tensor of the file lies.
pub(super) fn entries(path: &Path) -> Result<BTreeMap<String, Entry>> {
    let file = BufReader::new(File::open(path)?);
    let mut zip = ZipArchive::new(file).map_err(|error| {
        anyhow!("not a zip, or truncated ({error}); files of torch before 1.6 must be saved again with a newer torch")
    })?;
    let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
    let pickle = names.iter().find(|name| name.ends_with("data.pkl")).context("a zip, but without data.pkl in it")?;
    let root = pickle.strip_suffix("data.pkl").unwrap_or_default();
    let tree = parse(&mut zip, pickle).with_context(|| pickle.clone())?;
    check_names(&tree).with_context(|| pickle.clone())?;
    let Object::Dict(items) = tree else { bail!("{pickle}: not a state dict") };
    let mut entries = BTreeMap::new();
    for (key, value) in items {
        let Object::Unicode(name) = key else { continue };
        let Some(stored) = StoredTensor::from_pickle(&value).with_context(|| format!("tensor {name}"))? else {
            continue;
        };
        let entry = stored.place(&mut zip, root, path).with_context(|| format!("tensor {name}"))?;
        entries.insert(name, entry);
    }
    Ok(entries)
}

fn parse(zip: &mut Zip, name: &str) -> Result<Object> {
    let mut reader = BufReader::new(zip.by_name(name)?);
    let mut stack = Stack::empty();
    if let Err(error) = stack.read_loop(&mut reader) {
        // candle appends a backtrace when one is asked for.
        let error = error.to_string();
        let reason = error.lines().next().unwrap_or_default();
        bail!("holds more than a state dict's tensors, or is damaged ({reason}); refused");
    }
    // What a pickle leaves under its result may be the trace of a call whose value it dropped.
    for object in stack.stack() {
        check_names(object)?;
    }
    Ok(stack.finalize()?)
}

/// Refuses every mentioned name that is not part of torch's tensor format.
fn check_names(object: &Object) -> Result<()> {
    match object {
        Object::Class { module_name, class_name } => {
            let name = format!("{module_name}.{class_name}");
            let storage = module_name == "torch" && class_name.ends_with("Storage");
            ensure!(
                storage || TENSOR_BUILDERS.contains(&name.as_str()),
                "the pickle wants to run code: it names {name}, which is not part of a tensor; refused"
            );
            Ok(())
        }
        Object::Tuple(items) | Object::List(items) => items.iter().try_for_each(check_names),
        Object::Dict(items) => items.iter().try_for_each(|(key, value)| {
            check_names(key)?;
            check_names(value)
        }),
        Object::Reduce { callable, args } | Object::Build { callable, args } => {
            check_names(callable)?;
            check_names(args)
        }
        Object::PersistentLoad(id) => check_names(id),
        _ => Ok(()),
    }
}

/// The arguments of `torch._utils._rebuild_tensor_v2`: a storage and the view on it, counted in elements.
struct StoredTensor {
    storage: String,
    dtype: DType,
    offset: u64,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

impl StoredTensor {
    /// `None` for entries that are not tensors (such as `_metadata`).
    fn from_pickle(object: &Object) -> Result<Option<Self>> {
        let Some((class, args)) = call(object) else { return Ok(None) };
        match (class, args) {
            ("_rebuild_tensor_v2", [storage, offset, shape, stride, ..]) => {
                let Object::PersistentLoad(id) = storage else { bail!("its storage is not stored in the file") };
                let Object::Tuple(id) = id.as_ref() else { bail!("its storage has an unknown form") };
                let [_, Object::Class { class_name, .. }, Object::Unicode(key), ..] = id.as_slice() else {
                    bail!("its storage has an unknown form")
                };
                Ok(Some(Self {
                    storage: key.clone(),
                    dtype: storage_dtype(class_name)?,
                    offset: integer(offset)? as u64,
                    shape: integers(shape)?,
                    stride: integers(stride)?,
                }))
            }
            ("_rebuild_parameter", [tensor, ..]) => Self::from_pickle(tensor),
            ("_rebuild_from_type_v2", [function, _, args, ..]) => Self::from_pickle(&Object::Reduce {
                callable: Box::new(function.clone()),
                args: Box::new(args.clone()),
            }),
            _ => Ok(None),
        }
    }

    /// The bytes of the tensor inside the zip file.
    fn place(self, zip: &mut Zip, root: &str, path: &Path) -> Result<Entry> {
        ensure!(self.is_contiguous(), "stored with strides {:?}; save a contiguous copy", self.stride);
        let name = format!("{root}data/{}", self.storage);
        let file = zip.by_name(&name).with_context(|| format!("its storage {name} is not in the zip"))?;
        ensure!(file.compression() == CompressionMethod::Stored, "its storage {name} is compressed");
        let start = file.data_start().context("its storage has no place in the zip")?;
        let offset = start.saturating_add(self.offset.saturating_mul(self.dtype.size_in_bytes() as u64));
        let entry = Entry::new(path, offset, self.shape, self.dtype)?;
        ensure!(entry.end() <= start + file.size(), "ends beyond its storage {name} of {} bytes", file.size());
        Ok(entry)
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1usize;
        self.shape.iter().zip(&self.stride).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected = expected.saturating_mul(size);
            fits
        })
    }
}

/// The class name and arguments of a symbolic call.
fn call(object: &Object) -> Option<(&str, &[Object])> {
    let Object::Reduce { callable, args } = object else { return None };
    match (callable.as_ref(), args.as_ref()) {
        (Object::Class { class_name, .. }, Object::Tuple(args)) => Some((class_name, args)),
        _ => None,
    }
}

fn storage_dtype(class: &str) -> Result<DType> {
    Ok(match class {
        "FloatStorage" => DType::F32,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "DoubleStorage" => DType::F64,
        "LongStorage" => DType::I64,
        other => bail!("stored as {other}, which is not read here"),
    })
}

fn integer(object: &Object) -> Result<usize> {
    let value = match object {
        Object::Int(value) => i64::from(*value),
        Object::Long(value) => *value,
        _ => bail!("its place or shape is not a number"),
    };
    usize::try_from(value).context("its place or shape is negative")
}

fn integers(object: &Object) -> Result<Vec<usize>> {
    let Object::Tuple(items) = object else { bail!("its shape is not a tuple") };
    items.iter().map(integer).collect()
}
