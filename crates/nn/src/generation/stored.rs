//! The generation settings that a checkpoint brings: `generation_config.json`, else the keys that
//! old versions of transformers wrote into `config.json`.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{EarlyStopping, GenerationSettings};
use crate::config_file::{CONFIG, GENERATION_CONFIG, OneOrMany, check_token_ids, read_json};
use chartbench_core::counts::MAX_TOKENS;
use chartbench_core::terminal::shorten;

/// Most beams of a search.
const MAX_BEAMS: usize = 64;
/// The greatest length that old versions of transformers wrote where nobody had chosen one.
const UNCHOSEN_MAX_LENGTH: usize = 20;
/// The parts of a `config.json` that may hold a decoder's keys.
const DECODERS: [&str; 3] = ["decoder", "generator", "text_config"];

/// The value of a key that changes no answer.
enum Neutral {
    False,
    Number(f64),
    /// Any value changes answers.
    Null,
}

/// Keys that change answers in transformers and that are not followed here. Those that count in
/// sampling alone (temperature, top_p, ...) stand behind `do_sample`.
const UNSUPPORTED: [(&str, Neutral); 18] = [
    ("do_sample", Neutral::False),
    ("num_beam_groups", Neutral::Number(1.0)),
    ("diversity_penalty", Neutral::Number(0.0)),
    ("penalty_alpha", Neutral::Number(0.0)),
    ("constraints", Neutral::Null),
    ("force_words_ids", Neutral::Null),
    ("sequence_bias", Neutral::Null),
    ("exponential_decay_length_penalty", Neutral::Null),
    ("encoder_repetition_penalty", Neutral::Number(1.0)),
    ("encoder_no_repeat_ngram_size", Neutral::Number(0.0)),
    ("guidance_scale", Neutral::Number(1.0)),
    ("dola_layers", Neutral::Null),
    ("renormalize_logits", Neutral::False),
    ("remove_invalid_values", Neutral::False),
    ("token_healing", Neutral::False),
    ("watermarking_config", Neutral::Null),
    ("stop_strings", Neutral::Null),
    ("max_time", Neutral::Null),
];

/// What a checkpoint says of how its answers are generated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredGeneration {
    /// The file that it stands in: `generation_config.json` or `config.json`.
    pub file: &'static str,
    /// The settings that are followed.
    pub settings: GenerationSettings,
    /// Keys that change answers in transformers and that are not followed here.
    pub unsupported: Vec<&'static str>,
}

impl StoredGeneration {
    /// Reads the settings of the checkpoint in `dir`, whose vocabulary has `vocabulary` tokens. As
    /// in transformers, `config.json` counts only where there is no `generation_config.json`; a key
    /// that is null is absent.
    ///
    /// # Errors
    /// Returns an error that names file and key if a file cannot be read, or a value is of another
    /// type or out of range.
    pub fn read(dir: &Path, vocabulary: usize) -> Result<Self> {
        let path = dir.join(GENERATION_CONFIG);
        if path.is_file() {
            let read = || -> Result<Self> {
                Self::parse(GENERATION_CONFIG, &read_json(&path)?, vocabulary)
            };
            return read().with_context(|| path.display().to_string());
        }
        let path = dir.join(CONFIG);
        let read = || -> Result<Self> {
            let mut stored = Self::parse(CONFIG, &decoder_keys(read_json(&path)?), vocabulary)?;
            let settings = &mut stored.settings;
            // Values that were written without being chosen.
            settings.max_length = settings
                .max_length
                .filter(|&length| length != UNCHOSEN_MAX_LENGTH);
            settings.early_stopping = settings
                .early_stopping
                .filter(|&rule| rule != EarlyStopping::No);
            Ok(stored)
        };
        read().with_context(|| path.display().to_string())
    }

    fn parse(file: &'static str, keys: &Map<String, Value>, vocabulary: usize) -> Result<Self> {
        let keys = Keys { keys, vocabulary };
        let one_or_many = |key| -> Result<Option<Vec<u32>>> {
            let ids: Option<OneOrMany> = keys.get(key, "a token id, or a list of them")?;
            keys.in_vocabulary(key, ids.map(Into::into))
        };
        let many = |key| -> Result<Option<Vec<u32>>> {
            keys.in_vocabulary(key, keys.get(key, "a list of token ids")?)
        };
        let forced_bos = one_or_many("forced_bos_token_id")?;
        let settings = GenerationSettings {
            num_beams: keys.beams()?,
            early_stopping: keys.early_stopping()?,
            length_penalty: keys.number("length_penalty")?,
            max_new_tokens: keys.length("max_new_tokens")?,
            max_length: keys.length("max_length")?,
            min_new_tokens: keys.length("min_new_tokens")?,
            min_length: keys.length("min_length")?,
            repetition_penalty: keys.penalty()?,
            no_repeat_ngram_size: keys.length("no_repeat_ngram_size")?,
            bad_words_ids: keys.bad_words()?,
            forced_bos_token_id: forced_bos.and_then(|ids| ids.first().copied()),
            forced_eos_token_id: one_or_many("forced_eos_token_id")?,
            suppress_tokens: many("suppress_tokens")?,
            begin_suppress_tokens: many("begin_suppress_tokens")?,
        };
        let unsupported = UNSUPPORTED.iter().filter(|(key, neutral)| {
            keys.keys
                .get(*key)
                .is_some_and(|value| !neutral.matches(value))
        });
        Ok(Self {
            file,
            settings,
            unsupported: unsupported.map(|(key, _)| *key).collect(),
        })
    }
}

impl Neutral {
    fn matches(&self, value: &Value) -> bool {
        let is_own = match self {
            Self::False => value == &Value::Bool(false),
            Self::Number(number) => value.as_f64() == Some(*number),
            Self::Null => false,
        };
        value.is_null() || is_own
    }
}

/// The keys of a `config.json`: its own, and those of the decoder in it where they are absent.
fn decoder_keys(config: Map<String, Value>) -> Map<String, Value> {
    let decoder = DECODERS
        .iter()
        .find_map(|name| config.get(*name)?.as_object().cloned());
    let mut keys: Map<String, Value> = config
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .collect();
    for (key, value) in decoder.into_iter().flatten() {
        keys.entry(key).or_insert(value);
    }
    keys
}

/// The keys of a file.
struct Keys<'a> {
    keys: &'a Map<String, Value>,
    vocabulary: usize,
}

impl Keys<'_> {
    /// The value of a key, which must be `kind`.
    fn get<T: DeserializeOwned>(&self, key: &str, kind: &str) -> Result<Option<T>> {
        let value = self.keys.get(key).filter(|value| !value.is_null());
        value
            .map(|value| {
                serde_json::from_value(value.clone())
                    .map_err(|_| anyhow!("{key} is {}: must be {kind}", shown(value)))
            })
            .transpose()
    }

    /// A number of tokens. Numbers beyond any text are the greatest one.
    fn length(&self, key: &str) -> Result<Option<usize>> {
        let length: Option<u64> = self.get(key, "a number of tokens")?;
        Ok(length.map(|length| {
            usize::try_from(length).map_or(MAX_TOKENS, |length| length.min(MAX_TOKENS))
        }))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        let number: Option<f64> = self.get(key, "a number")?;
        Ok(number.filter(|number| number.is_finite()))
    }

    fn beams(&self) -> Result<Option<usize>> {
        let beams: Option<usize> = self.get("num_beams", "a number of beams")?;
        ensure!(
            beams.is_none_or(|beams| (1..=MAX_BEAMS).contains(&beams)),
            "num_beams is {}: must be from 1 to {MAX_BEAMS}",
            beams.unwrap_or_default()
        );
        Ok(beams)
    }

    fn early_stopping(&self) -> Result<Option<EarlyStopping>> {
        let key = "early_stopping";
        let value: Option<Value> = self.get(key, "a value")?;
        value
            .map(|value| match value {
                Value::Bool(true) => Ok(EarlyStopping::Yes),
                Value::Bool(false) => Ok(EarlyStopping::No),
                Value::String(text) if text == "never" => Ok(EarlyStopping::Never),
                other => Err(anyhow!(
                    "{key} is {}: must be true, false or \"never\"",
                    shown(&other)
                )),
            })
            .transpose()
    }

    fn penalty(&self) -> Result<Option<f32>> {
        let key = "repetition_penalty";
        let penalty = self.number(key)?;
        ensure!(
            penalty.is_none_or(|penalty| penalty > 0.0 && penalty <= 1e6),
            "{key} is {}: must be above 0 and at most a million",
            penalty.unwrap_or_default()
        );
        Ok(penalty.map(|penalty| penalty as f32))
    }

    fn bad_words(&self) -> Result<Option<Vec<Vec<u32>>>> {
        let key = "bad_words_ids";
        let words: Option<Vec<Vec<u32>>> = self.get(key, "a list of lists of token ids")?;
        let ids = words.as_ref().map(|words| words.concat());
        self.in_vocabulary(key, ids)?;
        Ok(words)
    }

    fn in_vocabulary(&self, key: &str, ids: Option<Vec<u32>>) -> Result<Option<Vec<u32>>> {
        let named: Vec<(&str, u32)> = ids.iter().flatten().map(|&id| (key, id)).collect();
        check_token_ids(self.vocabulary, &named)?;
        Ok(ids)
    }
}

/// A value in an error.
fn shown(value: &Value) -> String {
    shorten(&value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(files: &[(&str, &Value)]) -> Result<StoredGeneration> {
        let dir = tempfile::tempdir()?;
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content.to_string())?;
        }
        StoredGeneration::read(dir.path(), 10)
    }

    #[test]
    fn every_key_is_read() {
        let file = json!({
            "num_beams": 3, "early_stopping": "never", "length_penalty": 2, "max_new_tokens": 9, "max_length": 1000,
            "min_new_tokens": 2, "min_length": 1, "repetition_penalty": 1.5, "no_repeat_ngram_size": 4,
            "bad_words_ids": [[3], [4, 5]], "forced_bos_token_id": 6, "forced_eos_token_id": [1, 2], "suppress_tokens": [7],
            "begin_suppress_tokens": [8], "do_sample": false, "temperature": 0.2, "eos_token_id": [1, 2], "top_k": null
        });
        let config = json!({"num_beams": 8, "decoder": {"min_length": 5}});
        let stored = read(&[("generation_config.json", &file), ("config.json", &config)]).unwrap();
        assert_eq!(
            stored,
            StoredGeneration {
                file: "generation_config.json",
                settings: GenerationSettings {
                    num_beams: Some(3),
                    early_stopping: Some(EarlyStopping::Never),
                    length_penalty: Some(2.0),
                    max_new_tokens: Some(9),
                    max_length: Some(1000),
                    min_new_tokens: Some(2),
                    min_length: Some(1),
                    repetition_penalty: Some(1.5),
                    no_repeat_ngram_size: Some(4),
                    bad_words_ids: Some(vec![vec![3], vec![4, 5]]),
                    forced_bos_token_id: Some(6),
                    forced_eos_token_id: Some(vec![1, 2]),
                    suppress_tokens: Some(vec![7]),
                    begin_suppress_tokens: Some(vec![8]),
                },
                unsupported: Vec::new(),
            }
        );
    }

    #[test]
    fn keys_of_config_json_count_where_they_were_chosen() {
        let old = json!({
            "max_length": null, "num_beams": null,
            "decoder": {"max_length": 20, "num_beams": 4, "early_stopping": false, "num_beam_groups": 1, "do_sample": false}
        });
        let stored = read(&[("config.json", &old)]).unwrap();
        let settings = GenerationSettings {
            num_beams: Some(4),
            ..GenerationSettings::default()
        };
        assert_eq!((stored.file, stored.settings), ("config.json", settings));
        assert!(stored.unsupported.is_empty());
        let chosen = json!({"max_length": 50, "text_config": {"max_length": 20}});
        let stored = read(&[("config.json", &chosen)]).unwrap();
        assert_eq!(stored.settings.max_length, Some(50));
        // An empty generation_config.json counts too.
        let stored = read(&[
            ("config.json", &chosen),
            ("generation_config.json", &json!({})),
        ]);
        assert_eq!(stored.unwrap().settings, GenerationSettings::default());
    }

    #[test]
    fn what_is_not_followed_is_named() {
        let file = json!({
            "do_sample": true, "num_beam_groups": 2, "diversity_penalty": 0.0, "penalty_alpha": 0.6, "sequence_bias": [],
            "guidance_scale": 1, "stop_strings": null, "renormalize_logits": false
        });
        let stored = read(&[("generation_config.json", &file)]).unwrap();
        assert_eq!(
            stored.unsupported,
            [
                "do_sample",
                "num_beam_groups",
                "penalty_alpha",
                "sequence_bias"
            ]
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_its_key() {
        for (file, message) in [
            (
                json!({"num_beams": 0}),
                "num_beams is 0: must be from 1 to 64",
            ),
            (
                json!({"num_beams": "4"}),
                "num_beams is \"4\": must be a number of beams",
            ),
            (
                json!({"max_length": -1}),
                "max_length is -1: must be a number of tokens",
            ),
            (
                json!({"early_stopping": 1}),
                "early_stopping is 1: must be true, false or \"never\"",
            ),
            (
                json!({"repetition_penalty": 0}),
                "repetition_penalty is 0: must be above 0",
            ),
            (
                json!({"bad_words_ids": [3]}),
                "bad_words_ids is [3]: must be a list of lists",
            ),
            (
                json!({"suppress_tokens": [10]}),
                "suppress_tokens is 10: the vocabulary has 10 tokens",
            ),
            (
                json!({"forced_eos_token_id": "</s>"}),
                "forced_eos_token_id is \"</s>\": must be a token id",
            ),
            (json!([]), "generation_config.json"),
        ] {
            let error = format!(
                "{:#}",
                read(&[("generation_config.json", &file)]).unwrap_err()
            );
            assert!(
                error.contains(message) && error.contains("generation_config.json"),
                "{error}"
            );
        }
        assert!(read(&[]).is_err());
    }
}
