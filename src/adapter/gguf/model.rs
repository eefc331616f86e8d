//! candle-transformers' decoders of GGUF files behind one type, and how far each is right.

use std::io::{Cursor, Read, Seek};

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use candle_transformers::models::{
    quantized_gemma3, quantized_llama, quantized_phi3, quantized_qwen3,
};

use chartbench_core::terminal::shorten;

/// No model has more layers; candle would reserve memory for any number.
const MOST_LAYERS: usize = 1024;

/// A decoder with its key-value state. Clones share the weights.
///
/// Phi-3's clones share the buffer behind the state too, each knowing its own length: of two
/// clones, only one may go on at a time, and the other must start over from the common tokens.
/// [`super::prefix`] keeps to that.
#[derive(Clone)]
pub(super) struct Model {
    weights: Weights,
    device: Device,
}

#[derive(Clone)]
enum Weights {
    Llama(quantized_llama::ModelWeights),
    Qwen3(quantized_qwen3::ModelWeights),
    Gemma3(quantized_gemma3::ModelWeights),
    Phi3(quantized_phi3::ModelWeights),
}

/// How far an architecture's implementation can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModelLimits {
    /// Longest sequence, prompt and completion together.
    pub context: usize,
    /// Whether a prompt can be evaluated in several goes. candle's Gemma 3 masks what came before
    /// the last one.
    pub in_blocks: bool,
    /// Whether it is computed in single precision, from dequantised weights; else in the weights'
    /// precision, with activations in 8 bits.
    pub single_precision: bool,
}

/// The architecture named in a file's metadata.
///
/// # Errors
/// Returns an error if there is none, or this program cannot run it.
pub(super) fn architecture(content: &Content) -> Result<String> {
    let name = content
        .metadata
        .get("general.architecture")
        .context("no `general.architecture` in it")?
        .to_string()?;
    ensure!(
        ["llama", "qwen3", "gemma3", "phi3"].contains(&name.as_str()),
        "architecture `{}` is none of llama, qwen3, gemma3, phi3",
        shorten(name)
    );
    Ok(name.clone())
}

impl Model {
    /// Reads the weights, all of them, into memory.
    ///
    /// # Errors
    /// Returns an error if metadata or tensors are missing or do not fit, or if candle would
    /// compute wrong rotary frequencies.
    pub(super) fn load(
        mut content: Content,
        file: &mut (impl Read + Seek),
        device: &Device,
    ) -> Result<(Self, ModelLimits)> {
        let name = architecture(&content)?;
        let limits = limits(&content, &name)?;
        check_heads(&content, &name)?;
        check_sizes(&content, &name)?;
        check_rotary(&content, &name)?;
        check_epsilon(&content, &name)?;
        check_layers(&content, &name)?;
        // candle's Qwen 3 would compute its rotary angles in half precision, which is off by
        // radians a thousand tokens in.
        content
            .metadata
            .insert("general.dtype".to_owned(), Value::U32(0));
        // Its Phi-3 allocates its state for the whole context at once.
        content.metadata.insert(
            format!("{name}.context_length"),
            Value::U32(u32::try_from(limits.context)?),
        );
        let weights = if limits.single_precision {
            let mut file = dequantised(&mut content, file)?;
            Weights::read(&name, content, &mut file, device)?
        } else {
            Weights::read(&name, content, file, device)?
        };
        Ok((
            Self {
                weights,
                device: device.clone(),
            },
            limits,
        ))
    }

    /// Evaluates `tokens`, which stand at `position` of the sequence, behind what this state has
    /// seen; the logits that follow the last of them, `[vocabulary]`.
    ///
    /// # Errors
    /// Returns an error if the weights do not fit each other.
    pub(super) fn forward(&mut self, tokens: &[u32], position: usize) -> Result<Tensor> {
        let tokens = Tensor::new(tokens, &self.device)?.unsqueeze(0)?;
        let logits = match &mut self.weights {
            Weights::Llama(model) => model.forward(&tokens, position),
            Weights::Qwen3(model) => model.forward(&tokens, position),
            Weights::Gemma3(model) => model.forward(&tokens, position),
            Weights::Phi3(model) => model.forward(&tokens, position),
        };
        Ok(logits?.squeeze(0)?)
    }
}

impl Weights {
    fn read(
        name: &str,
        content: Content,
        file: &mut (impl Read + Seek),
        device: &Device,
    ) -> Result<Self> {
        Ok(match name {
            "llama" => Self::Llama(quantized_llama::ModelWeights::from_gguf(
                content, file, device,
            )?),
            "qwen3" => Self::Qwen3(quantized_qwen3::ModelWeights::from_gguf(
                content, file, device,
            )?),
            "gemma3" => Self::Gemma3(quantized_gemma3::ModelWeights::from_gguf(
                content, file, device,
            )?),
            _ => Self::Phi3(quantized_phi3::ModelWeights::from_gguf(
                false, content, file, device,
            )?),
        })
    }
}

/// The file again, with weights in single precision; `content` is made to describe it.
fn dequantised(content: &mut Content, file: &mut (impl Read + Seek)) -> Result<Cursor<Vec<u8>>> {
    let mut tensors = Vec::new();
    for name in content.tensor_infos.keys() {
        let tensor = content
            .tensor(file, name, &Device::Cpu)?
            .dequantize(&Device::Cpu)?;
        tensors.push((name.as_str(), QTensor::quantize(&tensor, GgmlDType::F32)?));
    }
    let tensors: Vec<(&str, &QTensor)> = tensors
        .iter()
        .map(|(name, tensor)| (*name, tensor))
        .collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &[], &tensors)?;
    file.set_position(0);
    let metadata = std::mem::take(&mut content.metadata);
    *content = Content {
        metadata,
        ..Content::read(&mut file)?
    };
    Ok(file)
}

fn limits(content: &Content, name: &str) -> Result<ModelLimits> {
    let context = number(content, &format!("{name}.context_length"))?;
    // Windows of attention are not applied beyond the prompt: up to their length there is no
    // difference.
    let window = number(content, &format!("{name}.attention.sliding_window")).unwrap_or(usize::MAX);
    let context = match name {
        "llama" => context.min(quantized_llama::MAX_SEQ_LEN),
        "gemma3" => context.min(quantized_gemma3::MAX_SEQ_LEN).min(window),
        "phi3" => context.min(window),
        _ => context,
    };
    ensure!(context > 0, "`{name}.context_length` is 0");
    // candle multiplies by these one scalar after the other, slower by far than in single
    // precision.
    let slow = [
        GgmlDType::Q4_1,
        GgmlDType::Q5_0,
        GgmlDType::Q5_1,
        GgmlDType::Q8_1,
    ];
    let single_precision = content
        .tensor_infos
        .values()
        .any(|tensor| slow.contains(&tensor.ggml_dtype));
    Ok(ModelLimits {
        context: context.min(1 << 20),
        in_blocks: name != "gemma3",
        single_precision,
    })
}

/// The counts that candle divides by.
fn check_heads(content: &Content, name: &str) -> Result<()> {
    let heads = number(content, &format!("{name}.attention.head_count"))?;
    let kv_heads = number(content, &format!("{name}.attention.head_count_kv"))?;
    let width = number(content, &format!("{name}.embedding_length"))?;
    let fit = heads > 0 && kv_heads > 0 && heads.is_multiple_of(kv_heads) && width >= heads;
    ensure!(
        fit,
        "{heads} heads, {kv_heads} key-value heads and an embedding of {width} do not fit"
    );
    Ok(())
}

/// The counts that candle allocates by before it looks at a tensor.
fn check_sizes(content: &Content, name: &str) -> Result<()> {
    /// Far beyond any model's heads, experts or rotary dimensions.
    const MOST: usize = 1 << 16;
    let sizes = [
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.value_length",
        "rope.dimension_count",
        "expert_count",
        "expert_used_count",
    ];
    for key in sizes.map(|key| format!("{name}.{key}")) {
        let size = number(content, &key).unwrap_or(0);
        ensure!(
            size <= MOST,
            "{key} is {size}, more than the {MOST} allowed"
        );
    }
    Ok(())
}

/// Checks the epsilon that norms add before they take a root.
fn check_epsilon(content: &Content, name: &str) -> Result<()> {
    let key = format!("{name}.attention.layer_norm_rms_epsilon");
    if let Some(epsilon) = content
        .metadata
        .get(&key)
        .and_then(|value| value.to_f32().ok())
    {
        ensure!(
            epsilon > 0.0 && epsilon < 1.0,
            "`{key}` is {epsilon}: must be above 0 and below 1, e.g. 1e-6"
        );
    }
    Ok(())
}

/// Refuses weights of more layers than the metadata says: answers without them would be another
/// model's.
fn check_layers(content: &Content, name: &str) -> Result<()> {
    let key = format!("{name}.block_count");
    let count = number(content, &key)?;
    ensure!(
        (1..=MOST_LAYERS).contains(&count),
        "`{key}` is {count}: must be from 1 to {MOST_LAYERS}"
    );
    let layer = |tensor: &&String| {
        tensor
            .strip_prefix("blk.")?
            .split('.')
            .next()?
            .parse::<usize>()
            .ok()
    };
    let beyond = content
        .tensor_infos
        .keys()
        .filter(|tensor| layer(tensor).is_some_and(|layer| layer >= count))
        .min();
    if let Some(tensor) = beyond {
        bail!(
            "`{key}` is {count}, but there are layers beyond that (tensor {tensor}): the file is damaged"
        );
    }
    Ok(())
}

/// Scaled rotary frequencies (Llama 3.1 and later, long-context Phi-3) are not applied by candle's
/// models.
fn check_rotary(content: &Content, name: &str) -> Result<()> {
    let scaled = [
        "rope_freqs.weight",
        "rope_factors_long.weight",
        "rope_factors_short.weight",
    ];
    let scaling = content
        .metadata
        .get(&format!("{name}.rope.scaling.type"))
        .and_then(|value| value.to_string().ok());
    let is_scaled = scaling.is_some_and(|scaling| scaling != "none") && name != "gemma3";
    if is_scaled
        || scaled
            .iter()
            .any(|tensor| content.tensor_infos.contains_key(*tensor))
    {
        bail!(
            "its rotary frequencies are scaled, which this program cannot do: choose another model"
        );
    }
    Ok(())
}

/// An unsigned number of the metadata.
pub(super) fn number(content: &Content, key: &str) -> Result<usize> {
    let value = content
        .metadata
        .get(key)
        .with_context(|| format!("no `{key}` in it"))?;
    let value = value
        .to_u64()
        .with_context(|| format!("`{key}` is no number"))?;
    Ok(usize::try_from(value)?)
}
