//! The tensors of a PEFT LoRA folder, merged into those of its base as they are read: `W + s · B A`,
//! where s is alpha / rank, or alpha / sqrt(rank) for rank-stabilized LoRA.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;

use super::lora_config::LoraConfig;
use super::wrapper_prefix::unwrap_name;
use super::{Encoding, TensorLocation, pytorch, safetensors};
use chartbench_core::terminal::shorten;

/// The files that a LoRA folder's tensors are in, the preferred first.
pub const LORA_WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];

/// An embedding table and the output matrix of a vocabulary: one is stored where both are equal.
const TIED: [[&str; 2]; 2] = [
    ["decoder.embed_tokens.weight", "decoder.lm_head.weight"],
    [
        "decoder.model.decoder.embed_tokens.weight",
        "decoder.lm_head.weight",
    ],
];

/// Segments of a name that PEFT puts around a module that is stored whole.
const WHOLE_MODULE: [&str; 3] = [
    ".modules_to_save.default",
    ".modules_to_save",
    ".base_layer",
];

/// The two factors of the change of one weight.
#[derive(Debug)]
pub(super) struct LoraFactors {
    /// [rank, in ...].
    a: TensorLocation,
    /// [out, rank], maybe with sizes of 1 behind.
    b: TensorLocation,
    rank: usize,
    scale: f64,
    /// Whether the product is the change transposed, as for an embedding.
    transposed: bool,
}

/// A LoRA folder's tensors, under the names of the base's weights.
#[derive(Debug)]
pub(super) struct LoraTensors {
    pub(super) factors: BTreeMap<String, LoraFactors>,
    /// Weights that take the place of the base's.
    whole: BTreeMap<String, TensorLocation>,
    file: PathBuf,
}

/// What a tensor of the folder is.
enum Role {
    A { transposed: bool },
    B,
    Whole,
}

/// The factors of a weight that were found so far.
#[derive(Default)]
struct FoundFactors {
    a: Option<TensorLocation>,
    b: Option<TensorLocation>,
    transposed: bool,
}

impl LoraTensors {
    /// Reads the header of the folder's tensors.
    ///
    /// # Errors
    /// Returns an error that names the file, and the tensor or key, if there is no such file, it is
    /// malformed, or a tensor is no factor of a plain LoRA.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let config = LoraConfig::read(dir)?;
        let file = lora_weights(dir)?;
        let read = || -> Result<Self> {
            let stored = match file.extension() {
                Some(extension) if extension == "bin" => pytorch::locate_tensors(&file)?,
                _ => safetensors::locate_tensors(&file)?,
            };
            Self::sort(stored, &config, &file)
        };
        read().with_context(|| file.display().to_string())
    }

    fn sort(
        stored: BTreeMap<String, TensorLocation>,
        config: &LoraConfig,
        file: &Path,
    ) -> Result<Self> {
        let mut found: BTreeMap<String, FoundFactors> = BTreeMap::new();
        let mut whole = BTreeMap::new();
        for (stored_name, location) in stored {
            let (name, role) = role(&stored_name)?;
            let replaced = match role {
                Role::A { transposed } => {
                    let factors = found.entry(name).or_default();
                    factors.transposed = transposed;
                    factors.a.replace(location)
                }
                Role::B => found.entry(name).or_default().b.replace(location),
                Role::Whole => whole.insert(name, location),
            };
            ensure!(
                replaced.is_none(),
                "tensor {} is there under another name too",
                shorten(&stored_name)
            );
        }
        for module in &config.modules_to_save {
            ensure!(
                whole.keys().any(|name| is_of_module(name, module)),
                "no tensor of {}, which is in modules_to_save",
                shorten(module)
            );
        }
        let mut factors = BTreeMap::new();
        for (name, found) in found {
            let read = LoraFactors::new(found, config);
            let read = read.with_context(|| format!("the factors of {}", shorten(&name)))?;
            factors.insert(name, read);
        }
        ensure!(
            !factors.is_empty(),
            "no factors (tensors whose names end in lora_A.weight and lora_B.weight) in it"
        );
        Ok(Self {
            factors,
            whole,
            file: file.to_owned(),
        })
    }

    /// Puts the whole weights in the place of the base's, and checks that every factor has a weight
    /// of its shape there. A weight that the base stores once for two uses is then stored for each.
    ///
    /// # Errors
    /// Returns an error that names the tensor if the base `dir` has none for it, or one of another
    /// shape.
    pub(super) fn apply(
        &mut self,
        base: &mut BTreeMap<String, TensorLocation>,
        dir: &Path,
    ) -> Result<()> {
        let touched = |name: &str| self.factors.contains_key(name) || self.whole.contains_key(name);
        for [table, output] in TIED {
            let (lacking, location) = match (base.get(table), base.get(output)) {
                (Some(location), None) => (output, location.clone()),
                (None, Some(location)) => (table, location.clone()),
                _ => continue,
            };
            if touched(table) || touched(output) {
                base.insert(lacking.to_owned(), location);
            }
        }
        for (name, location) in &self.whole {
            self.check_shape(name, &location.shape, base, dir)?;
        }
        base.append(&mut self.whole);
        for (name, factors) in &self.factors {
            self.check_shape(name, &factors.shape(), base, dir)?;
        }
        Ok(())
    }

    fn check_shape(
        &self,
        name: &str,
        shape: &[usize],
        base: &BTreeMap<String, TensorLocation>,
        dir: &Path,
    ) -> Result<()> {
        let (file, dir, shown) = (self.file.display(), dir.display(), shorten(name));
        let Some(weight) = base.get(name) else {
            bail!("{file}: its base {dir} has no tensor {shown}: it was trained on another model")
        };
        ensure!(
            weight.shape == shape,
            "{file}: {shown} has shape {} there, {} in its base {dir}: it was trained on another model",
            shorten(&format!("{shape:?}")),
            shorten(&format!("{:?}", weight.shape))
        );
        Ok(())
    }
}

impl LoraFactors {
    fn new(found: FoundFactors, config: &LoraConfig) -> Result<Self> {
        let (Some(a), Some(b)) = (found.a, found.b) else {
            bail!("only one of lora_A and lora_B is there")
        };
        for factor in [&a, &b] {
            if let Encoding::Unsupported(dtype) = &factor.encoding {
                bail!("stored as {dtype}, which is not read here")
            }
        }
        let (a_rank, b_rank) = (a.shape.first().copied(), b.shape.get(1).copied());
        let is_matrix = b.shape.iter().skip(2).all(|&size| size == 1);
        let rank = a_rank.filter(|&rank| rank > 0 && is_matrix && b_rank == Some(rank));
        let rank = rank.with_context(|| {
            format!(
                "lora_A has shape {}, lora_B {}: these do not multiply",
                shorten(&format!("{:?}", a.shape)),
                shorten(&format!("{:?}", b.shape))
            )
        })?;
        if let Some(expected) = config.rank {
            ensure!(
                rank == expected,
                "their rank is {rank}, r in adapter_config.json is {expected}"
            );
        }
        Ok(Self {
            scale: config.scale(rank),
            transposed: found.transposed,
            a,
            b,
            rank,
        })
    }

    /// The shape of the weight that they change.
    fn shape(&self) -> Vec<usize> {
        let out = self.b.shape.first().copied().into_iter();
        let inputs = self.a.shape.iter().skip(1).copied();
        if self.transposed {
            inputs.chain(out).collect()
        } else {
            out.chain(inputs).collect()
        }
    }

    /// The weight with the change added, on the weight's device.
    ///
    /// # Errors
    /// Returns an error that names the file if a factor cannot be read whole.
    pub(super) fn merge(&self, weight: Tensor) -> Result<Tensor> {
        let matrix = |factor: &TensorLocation, rows: usize| -> Result<Tensor> {
            let values = factor
                .read()
                .with_context(|| factor.file.display().to_string())?;
            let columns = values.len() / rows.max(1);
            Ok(Tensor::from_vec(values, (rows, columns), weight.device())?)
        };
        let a = matrix(&self.a, self.rank)?;
        let b = matrix(&self.b, self.b.shape.first().copied().unwrap_or(0))?;
        let mut change = (b.matmul(&a)? * self.scale)?;
        if self.transposed {
            change = change.t()?;
        }
        Ok((&weight + change.reshape(weight.shape())?)?)
    }
}

/// The file with the tensors of a LoRA folder.
///
/// # Errors
/// Returns an error if there is none.
pub(super) fn lora_weights(dir: &Path) -> Result<PathBuf> {
    let mut files = LORA_WEIGHTS.iter().map(|name| dir.join(name));
    files.find(|file| file.is_file()).with_context(|| {
        format!(
            "{}: no weights of the adapter here (looked for {})",
            dir.display(),
            LORA_WEIGHTS.join(", ")
        )
    })
}

/// The weight that a tensor of the folder changes, and how.
fn role(stored: &str) -> Result<(String, Role)> {
    let name = unwrap_name(stored);
    let plain = name.strip_suffix(".weight").unwrap_or(name);
    let plain = plain.strip_suffix(".default").unwrap_or(plain);
    let factor = [
        (".lora_A", Role::A { transposed: false }),
        (".lora_B", Role::B),
        (".lora_embedding_A", Role::A { transposed: true }),
        (".lora_embedding_B", Role::B),
    ];
    for (suffix, role) in factor {
        if let Some(module) = plain.strip_suffix(suffix) {
            return Ok((format!("{module}.weight"), role));
        }
    }
    ensure!(
        !name.contains("lora_"),
        "tensor {} is no factor of a plain LoRA: merge the adapter into its base with PEFT",
        shorten(stored)
    );
    let whole = WHOLE_MODULE
        .iter()
        .fold(name.to_owned(), |name, segment| name.replace(segment, ""));
    Ok((whole, Role::Whole))
}

/// Whether a tensor's name is one of a module that is named by the end of its path.
fn is_of_module(name: &str, module: &str) -> bool {
    let path = name.rsplit_once('.').map_or(name, |(path, _)| path);
    path.split('.').any(|segment| segment == module)
        || path == module
        || path.ends_with(&format!(".{module}"))
}
