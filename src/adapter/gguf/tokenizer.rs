//! The tokenizer inside a GGUF file.
//!
//! candle reads the byte-level kind, but takes the pre-tokeniser of GPT-2 for every one it does not
//! know; here each known name gets what the model's `tokenizer.json` has, and an unknown one is an
//! error. The SentencePiece kind is rebuilt as transformers' `LlamaConverter` does: pairs of pieces
//! that form a piece are merges, in the order of the pieces' scores.

use std::cmp::Reverse;

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::utils::Sequence as Normalizers;
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Replace};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::{AddedToken, DecoderWrapper, Tokenizer};

use chartbench_core::terminal::shorten;
use chartbench_nn::tokenizer::MAX_TOKEN_BYTES;

/// SentencePiece's mark for a space.
const SPACE: &str = "▁";
/// `tokenizer.ggml.token_type`.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Rebuilds the tokenizer of a file.
///
/// # Errors
/// Returns an error if the kind is unknown, or the arrays do not fit.
pub(super) fn read(content: &mut Content) -> Result<Tokenizer> {
    check_tokens(content)?;
    let kind = content
        .metadata
        .get("tokenizer.ggml.model")
        .context("no `tokenizer.ggml.model` in it")?
        .to_string()?;
    match kind.as_str() {
        "gpt2" => byte_level(content),
        "llama" => sentencepiece(content),
        kind => bail!("tokenizer `{}` is neither gpt2 nor llama", shorten(kind)),
    }
}

/// The time and the stack that tokens take grow with their length.
fn check_tokens(content: &Content) -> Result<()> {
    for token in tokens(content)? {
        ensure!(
            token.len() <= MAX_TOKEN_BYTES,
            "token {} has {} bytes, more than the {MAX_TOKEN_BYTES} allowed",
            shorten(&token),
            token.len()
        );
    }
    Ok(())
}

fn byte_level(content: &mut Content) -> Result<Tokenizer> {
    const PRE: &str = "tokenizer.ggml.pre";
    let pre = content
        .metadata
        .get(PRE)
        .and_then(|pre| pre.to_string().ok())
        .cloned()
        .unwrap_or_default();
    let plain = ByteLevel::new(false, true, true);
    match pre.as_str() {
        "smollm" => {
            let digits_first = PreTokenizers::new(vec![Digits::new(true).into(), plain.into()]);
            let mut tokenizer = from_gguf(content)?;
            tokenizer.with_pre_tokenizer(Some(digits_first));
            Ok(tokenizer)
        }
        "gpt-2" => {
            let mut tokenizer = from_gguf(content)?;
            tokenizer.with_pre_tokenizer(Some(plain));
            Ok(tokenizer)
        }
        "qwen2" => from_gguf(content),
        "llama-bpe" | "llama-v3" | "llama3" => {
            content
                .metadata
                .insert(PRE.to_owned(), Value::String("llama3".to_owned()));
            content
                .metadata
                .insert("tokenizer.ggml.ignore_merges".to_owned(), Value::Bool(true));
            from_gguf(content)
        }
        pre => bail!(
            "pre-tokeniser `{}` is none of smollm, gpt-2, qwen2, llama-bpe",
            shorten(pre)
        ),
    }
}

fn from_gguf(content: &Content) -> Result<Tokenizer> {
    Tokenizer::from_gguf(content).context("its tokenizer")
}

fn sentencepiece(content: &Content) -> Result<Tokenizer> {
    let tokens = tokens(content)?;
    let scores = array(content, "tokenizer.ggml.scores")?
        .iter()
        .map(Value::to_f32);
    let scores: Vec<f32> = scores
        .collect::<Result<_, _>>()
        .context("`tokenizer.ggml.scores` are no numbers")?;
    ensure!(
        scores.len() == tokens.len(),
        "{} tokens with {} scores",
        tokens.len(),
        scores.len()
    );
    let ids: Vocab = tokens.iter().cloned().zip(0..).collect();
    let model = BPE::builder().vocab_and_merges(ids.clone(), merges(&tokens, &scores, &ids));
    let model = model
        .byte_fallback(true)
        .fuse_unk(true)
        .unk_token("<unk>".to_owned());
    let mut tokenizer = Tokenizer::new(model.build().map_err(tokenizer_error)?);
    let prefixed = content
        .metadata
        .get("tokenizer.ggml.add_space_prefix")
        .is_none_or(|value| value.to_bool().unwrap_or(true));
    let mut normalizers: Vec<NormalizerWrapper> =
        vec![Replace::new(" ", SPACE).map_err(tokenizer_error)?.into()];
    let mut decoders: Vec<DecoderWrapper> = vec![
        Replace::new(SPACE, " ").map_err(tokenizer_error)?.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ];
    if prefixed {
        normalizers.insert(0, Prepend::new(SPACE.to_owned()).into());
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    tokenizer
        .with_normalizer(Some(Normalizers::new(normalizers)))
        .map_err(tokenizer_error)?;
    tokenizer.with_decoder(Some(Decoders::new(decoders)));
    add_whole_tokens(&mut tokenizer, &tokens, content)?;
    Ok(tokenizer)
}

/// Tokens that are cut out of a text before anything else.
fn add_whole_tokens(tokenizer: &mut Tokenizer, tokens: &[String], content: &Content) -> Result<()> {
    let types: Vec<i64> = array(content, "tokenizer.ggml.token_type")?
        .iter()
        .map(integer)
        .collect::<Result<_>>()?;
    // Phi-3's tokenizer.json says of them, and GGUF has no place for it, that white space behind them
    // is dropped.
    let strips = super::model::architecture(content)? == "phi3";
    let keeps_space = |token: &str| ["<unk>", "<s>", "<|endoftext|>"].contains(&token);
    let whole = tokens
        .iter()
        .zip(&types)
        .filter(|(_, kind)| [CONTROL, USER_DEFINED].contains(kind));
    let whole: Vec<AddedToken> = whole
        .map(|(token, kind)| {
            let added = AddedToken::from(token.as_str(), *kind == CONTROL).normalized(false);
            added.rstrip(strips && *kind == CONTROL && !keeps_space(token))
        })
        .collect();
    tokenizer.add_tokens(whole).map_err(tokenizer_error)?;
    Ok(())
}

/// Every pair of pieces that form a piece, the highest score first, then the longest left and right
/// halves.
fn merges(tokens: &[String], scores: &[f32], ids: &Vocab) -> Merges {
    let mut merges = Vec::new();
    for (token, score) in tokens.iter().zip(scores) {
        let halves = token
            .char_indices()
            .skip(1)
            .map(|(at, _)| token.split_at(at));
        let mut pairs: Vec<(u32, u32, &str, &str)> = halves
            .filter_map(|(left, right)| Some((*ids.get(left)?, *ids.get(right)?, left, right)))
            .collect();
        pairs.sort_unstable();
        merges.extend(
            pairs
                .into_iter()
                .map(|(_, _, left, right)| (*score, left, right)),
        );
    }
    let length = |text: &str| Reverse(text.chars().count());
    merges.sort_by(|a, b| {
        b.0.total_cmp(&a.0)
            .then_with(|| (length(a.1), length(a.2)).cmp(&(length(b.1), length(b.2))))
    });
    merges
        .into_iter()
        .map(|(_, left, right)| (left.to_owned(), right.to_owned()))
        .collect()
}

/// The vocabulary, by id.
pub(super) fn tokens(content: &Content) -> Result<Vec<String>> {
    let tokens = array(content, "tokenizer.ggml.tokens")?
        .iter()
        .map(|token| Ok(token.to_string()?.clone()));
    tokens
        .collect::<Result<_>>()
        .context("`tokenizer.ggml.tokens` are no texts")
}

fn array<'a>(content: &'a Content, key: &str) -> Result<&'a Vec<Value>> {
    let value = content
        .metadata
        .get(key)
        .with_context(|| format!("no `{key}` in it"))?;
    value
        .to_vec()
        .with_context(|| format!("`{key}` is no array"))
}

fn integer(value: &Value) -> Result<i64> {
    match value {
        Value::I32(value) => Ok(i64::from(*value)),
        value => Ok(i64::try_from(value.to_u64()?)?),
    }
}

/// The errors of tokenizers are boxed without the bounds that anyhow asks for.
fn tokenizer_error(error: tokenizers::Error) -> anyhow::Error {
    anyhow!("its tokenizer: {error}")
}
