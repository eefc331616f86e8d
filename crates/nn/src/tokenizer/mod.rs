//! Text to token ids and back, through a checkpoint's `tokenizer.json`.

mod check;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

pub use check::MAX_TOKEN_BYTES;

use chartbench_core::catch_panic;
use chartbench_core::terminal::shorten;

/// The library's name in errors.
const LIBRARY: &str = "the tokenizers library";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Model files of the slow tokenizers: the MatCha family's, Donut's.
const SENTENCEPIECE: [&str; 2] = ["spiece.model", "sentencepiece.bpe.model"];

/// The replacements of transformers' `clean_up_tokenization_spaces`, in its order.
const CLEAN_UP: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// A checkpoint's tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    path: PathBuf,
    inner: tokenizers::Tokenizer,
    clean_up: bool,
}

impl Tokenizer {
    /// Loads `tokenizer.json` of a checkpoint's folder.
    ///
    /// # Errors
    /// Returns an error if the file is missing or malformed. For a folder with `spiece.model` alone
    /// it says how to convert it.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(TOKENIZER);
        if !path.is_file() {
            if let Some(slow) = SENTENCEPIECE.iter().find(|name| dir.join(name).is_file()) {
                bail!(
                    "{0}: there is {slow} but no {TOKENIZER}; convert it with transformers: python -c \
                     \"from transformers import AutoTokenizer; AutoTokenizer.from_pretrained('{0}').save_pretrained('{0}')\"",
                    dir.display()
                );
            }
            bail!("{}: no {TOKENIZER} here", dir.display());
        }
        let inner = read(&path).with_context(|| path.display().to_string())?;
        let clean_up = clean_up(dir)?;
        Ok(Self {
            path,
            inner,
            clean_up,
        })
    }

    /// Refuses a tokenizer that can produce ids the model has no embedding for. Special added
    /// tokens beyond the embedding (the 100 `<extra_id_*>` of the MatCha family) are harmless: no
    /// text or model yields them.
    ///
    /// # Errors
    /// Returns an error that names both counts; `config` is the file that gives the embedding's
    /// size.
    pub fn check_embedding(&self, rows: usize, config: &Path) -> Result<()> {
        let added = self.inner.get_added_tokens_decoder();
        let vocabulary = self.inner.get_vocab(true);
        let beyond =
            |id: u32| id as usize >= rows && !added.get(&id).is_some_and(|token| token.special);
        let ordinary = vocabulary.iter().filter(|(_, id)| beyond(**id));
        if let Some((piece, id)) = ordinary.min_by_key(|(_, id)| **id) {
            bail!(
                "{}: the tokenizer has {} ids, but the embedding has {rows} rows ({}); the first piece without a row is \
                 {:?}, id {id}: these files are of different models",
                self.path.display(),
                vocabulary.len(),
                config.display(),
                shorten(piece)
            );
        }
        Ok(())
    }

    /// The text of token ids without special tokens, equal to transformers'
    /// `decode(ids, skip_special_tokens=True)`.
    ///
    /// # Errors
    /// Returns an error if the tokenizer's own decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.decoded(ids, true)
    }

    /// The text of token ids, special tokens written out: transformers' `decode(ids)`.
    ///
    /// # Errors
    /// Returns an error if the tokenizer's own decoder fails.
    pub fn decode_with_special(&self, ids: &[u32]) -> Result<String> {
        self.decoded(ids, false)
    }

    fn decoded(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let decode = || {
            self.inner
                .decode(ids, skip_special)
                .map_err(|error| anyhow!("{error}"))
        };
        let mut text =
            catch_panic(LIBRARY, decode).with_context(|| self.path.display().to_string())?;
        if self.clean_up {
            for (from, to) in CLEAN_UP {
                text = text.replace(from, to);
            }
        }
        Ok(text)
    }

    /// The token ids of a prompt, no special tokens added; those written in it are recognised.
    ///
    /// # Errors
    /// Returns an error if the tokenizer's own model fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encode = || {
            self.inner
                .encode(text, false)
                .map_err(|error| anyhow!("{error}"))
        };
        let encoding =
            catch_panic(LIBRARY, encode).with_context(|| self.path.display().to_string())?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The id of one token, by its text.
    ///
    /// # Errors
    /// Returns an error if there is no such token.
    pub fn id(&self, token: &str) -> Result<u32> {
        self.inner
            .token_to_id(token)
            .with_context(|| format!("{}: has no token {:?}", self.path.display(), shorten(token)))
    }
}

fn read(path: &Path) -> Result<tokenizers::Tokenizer> {
    let json = chartbench_core::input::read(path, chartbench_core::input::MAX_DOCUMENT_BYTES)?;
    check::check(&json)?;
    let read = || {
        tokenizers::Tokenizer::from_bytes(&json)
            .map_err(|error| anyhow!("{}", shorten(&error.to_string())))
    };
    let mut tokenizer = catch_panic(LIBRARY, read)?;
    // transformers turns both off for a single text, whatever the file says.
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| anyhow!("{error}"))?;
    Ok(tokenizer)
}

/// Whether `tokenizer_config.json` asks for cleaned-up spaces; without the file or key it does not.
fn clean_up(dir: &Path) -> Result<bool> {
    #[derive(Deserialize)]
    struct Stored {
        #[serde(default)]
        clean_up_tokenization_spaces: Option<bool>,
    }
    let path = dir.join(TOKENIZER_CONFIG);
    if !path.is_file() {
        return Ok(false);
    }
    let read = || -> Result<Stored> {
        Ok(serde_json::from_slice(&chartbench_core::input::read(
            &path,
            chartbench_core::input::MAX_DOCUMENT_BYTES,
        )?)?)
    };
    let stored = read().with_context(|| path.display().to_string())?;
    Ok(stored.clean_up_tokenization_spaces.unwrap_or(false))
}
