//! Answers of adapters, and the identity of what gives them, as plain data.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::question::Prediction;

/// The identity of an adapter: everything that can change its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The leaderboard row, e.g. `matcha-base`.
    pub id: String,
    /// Everything that decides the answers (weights hash, prompt, preprocessing, generation), as
    /// ordered key-value pairs: written to the manifest, hashed into the fingerprint.
    pub settings: Vec<(String, String)>,
}

/// SHA-256 over key-value pairs in order, in lower-case hex.
pub fn settings_sha256<'a>(settings: impl IntoIterator<Item = &'a (String, String)>) -> String {
    let mut hasher = Sha256::new();
    for text in settings.into_iter().flat_map(|(key, value)| [key, value]) {
        // Length prefixes keep ("a", "bc") and ("ab", "c") apart.
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    format!("{:x}", hasher.finalize())
}

/// SHA-256 of some bytes, in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// One raw answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The raw text, which alone is scored; empty where the model gives no answer.
    pub prediction: Prediction,
    /// The generated token ids, end-of-sequence token included; empty where the adapter has no
    /// tokens.
    pub token_ids: Vec<u32>,
    /// The whole completions of a language model, one per sample, where the prediction is only a
    /// part of them.
    pub completions: Vec<String>,
    /// Usage of a metered service.
    pub usage: Option<Usage>,
    /// Why a language model's text ends, as its service names it (`stop`, `length`).
    pub finish_reason: Option<String>,
    /// Whether the text before the answer is missing in the completion, so that all of it is the
    /// answer.
    pub marker_missing: bool,
}

impl Answer {
    /// An answer that consists of its text alone.
    pub fn from_text(prediction: impl Into<String>) -> Self {
        Self {
            prediction: Prediction(prediction.into()),
            ..Self::default()
        }
    }
}

/// The usage of a metered service by one answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens read, as the service counted them.
    pub prompt_tokens: u64,
    /// Tokens written, as the service counted them.
    pub completion_tokens: u64,
    /// In US dollars, from the adapter file's prices; absent where that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

impl Usage {
    /// The sum of both; the cost is known where both costs are.
    pub fn plus(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self
                .completion_tokens
                .saturating_add(other.completion_tokens),
            cost_usd: self.cost_usd.zip(other.cost_usd).map(|(a, b)| a + b),
        }
    }
}
