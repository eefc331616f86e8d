//! How a checkpoint's answers are decoded: by the flags, else the adapter file, else the
//! checkpoint's `generation_config.json` (or the keys of its `config.json`), else the defaults.

use std::path::Path;

use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};

use super::{AdapterContext, Settings};
use crate::config::GenerationSpec;
use chartbench_nn::generation::{
    BeamSearch, EarlyStopping, GenerationConfig, GenerationSettings, LengthLimit, StoredGeneration,
};
use chartbench_nn::tokenizer::Tokenizer;

/// Most token ids that a setting lists; more of them are told by their hash.
const MAX_LISTED: usize = 64;

/// What decoding needs to know of a model.
pub(super) struct DecoderTraits<'a> {
    /// The checkpoint's folder.
    pub dir: &'a Path,
    pub tokenizer: &'a Tokenizer,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Any of these ends an answer.
    pub eos: &'a [u32],
    /// The last token of an answer that reaches its greatest length, where the file of generation
    /// settings does not say; empty: none.
    pub forced_eos: &'a [u32],
    /// Tokens of every prompt, where it has always as many.
    pub prompt: Option<usize>,
    pub limit: LengthLimit,
}

/// How answers are decoded.
pub(super) struct Decoding {
    /// The settings of the beam search; greedy decoding where there are none.
    pub beams: Option<BeamSearch>,
    /// Everything else.
    pub config: GenerationConfig,
    /// The bad words as the adapter file has them, else by their ids.
    bad_words: String,
    /// Whether the end tokens at the greatest length are those that the architecture has anyway.
    usual_forced_eos: bool,
    positions: Option<usize>,
}

impl Decoding {
    /// Puts the sources together. One line says what the checkpoint sets and is not followed.
    ///
    /// # Errors
    /// Returns an error if the checkpoint's settings cannot be read, a bad word is no token, or no
    /// answer fits the greatest length.
    pub(super) fn open(
        context: &AdapterContext<'_>,
        spec: &GenerationSpec,
        model: &DecoderTraits<'_>,
    ) -> Result<Self> {
        let stored = StoredGeneration::read(model.dir, model.vocabulary)?;
        let flags = GenerationSettings {
            max_new_tokens: context.overrides.max_new_tokens,
            ..GenerationSettings::default()
        };
        let file = file_settings(spec, model)?;
        let mut settings = flags.over(file).over(stored.settings.clone());
        if settings.early_stopping.is_none() && spec.beams.is_some() {
            settings.early_stopping = Some(EarlyStopping::Yes);
        }
        if settings.forced_eos_token_id.is_none() && !model.forced_eos.is_empty() {
            settings.forced_eos_token_id = Some(model.forced_eos.to_vec());
        }
        let beams = settings.beam_search();
        let mut config = settings.config(model.eos.to_vec(), model.limit);
        if let Some(prompt) = model.prompt {
            let longest = config
                .max_length
                .map_or(usize::MAX, |most| most.saturating_sub(prompt));
            config.max_new_tokens = config.max_new_tokens.min(longest);
        }
        ensure!(
            config.max_new_tokens > 0,
            "{}: max_length leaves no room for an answer: set generation.max_new_tokens in the adapter file, or \
             --max-new-tokens",
            model.dir.join(stored.file).display()
        );
        report_unsupported(context.name, &stored, beams.as_ref());
        Ok(Self {
            bad_words: match &spec.bad_words {
                Some(words) => words.join(" "),
                None => described_words(&config.bad_words),
            },
            usual_forced_eos: config.forced_eos == model.forced_eos,
            positions: model.limit.positions,
            beams,
            config,
        })
    }

    /// `greedy`, or the beam search in words.
    pub(super) fn describe(&self) -> String {
        describe(self.beams.as_ref())
    }

    /// The tokens that are never generated together.
    pub(super) fn bad_words(&self) -> &str {
        &self.bad_words
    }

    /// The longest answer.
    pub(super) fn describe_length(&self) -> String {
        match (self.config.max_new_tokens, self.config.max_length) {
            (usize::MAX, Some(most)) if Some(most) != self.positions => {
                format!("as many as make {most} with the prompt")
            }
            (usize::MAX, _) => "as many as the decoder has positions".to_owned(),
            (tokens, _) => tokens.to_string(),
        }
    }

    /// The settings besides, where they change answers: most checkpoints have none of them.
    pub(super) fn more_settings(&self) -> Settings {
        let config = &self.config;
        let mut settings = Settings::new();
        let mut add = |key: &'static str, value: Option<String>| {
            settings.extend(value.map(|value| (key, value)));
        };
        add(
            "repetition_penalty",
            config.repetition_penalty.map(|penalty| penalty.to_string()),
        );
        let ngram = Some(config.no_repeat_ngram).filter(|&size| size > 0);
        add("no_repeat_ngram_size", ngram.map(|size| size.to_string()));
        let min_new_tokens = config.min_new_tokens.filter(|&tokens| tokens > 0);
        add(
            "min_new_tokens",
            min_new_tokens.map(|tokens| tokens.to_string()),
        );
        let min_length =
            Some(config.min_length).filter(|&length| length > 0 && config.min_new_tokens.is_none());
        add("min_length", min_length.map(|length| length.to_string()));
        add(
            "forced_bos_token_id",
            config.forced_bos.map(|id| id.to_string()),
        );
        let forced_eos = Some(&config.forced_eos).filter(|_| !self.usual_forced_eos);
        add("forced_eos_token_id", forced_eos.map(|ids| listed(ids)));
        for (key, ids) in [
            ("suppress_tokens", &config.suppress),
            ("begin_suppress_tokens", &config.begin_suppress),
        ] {
            add(
                key,
                Some(ids)
                    .filter(|ids| !ids.is_empty())
                    .map(|ids| listed(ids)),
            );
        }
        settings
    }
}

/// The adapter file's settings.
fn file_settings(spec: &GenerationSpec, model: &DecoderTraits<'_>) -> Result<GenerationSettings> {
    let bad_words = spec.bad_words.as_ref().map(|words| {
        let ids = words.iter().map(|word| Ok(vec![model.tokenizer.id(word)?]));
        ids.collect::<Result<Vec<_>>>()
    });
    let early_stopping = spec.early_stopping.map(|early| match early {
        true => EarlyStopping::Yes,
        false => EarlyStopping::No,
    });
    Ok(GenerationSettings {
        num_beams: spec.beams,
        early_stopping,
        length_penalty: spec.length_penalty,
        max_new_tokens: spec.max_new_tokens,
        max_length: spec.to_last_position.then_some(usize::MAX),
        repetition_penalty: spec.repetition_penalty.map(|penalty| penalty as f32),
        no_repeat_ngram_size: spec.no_repeat_ngram_size,
        bad_words_ids: bad_words.transpose()?,
        ..GenerationSettings::default()
    })
}

/// Says what the checkpoint sets and this program does not follow.
fn report_unsupported(name: &str, stored: &StoredGeneration, beams: Option<&BeamSearch>) {
    if !stored.unsupported.is_empty() {
        chartbench_core::note!(
            "note: {name}: {} sets {}, which this program does not follow: answers are decoded with {}",
            stored.file,
            stored.unsupported.join(", "),
            describe(beams).replace("greedy", "greedy decoding")
        );
    }
}

fn describe(beams: Option<&BeamSearch>) -> String {
    let Some(search) = beams else {
        return "greedy".to_owned();
    };
    let early_stopping = match search.early_stopping {
        EarlyStopping::Yes => ", early stopping",
        EarlyStopping::No => "",
        EarlyStopping::Never => ", never stopping early",
    };
    let penalty = Some(search.length_penalty)
        .filter(|&penalty| penalty != 1.0)
        .map_or_else(String::new, |penalty| format!(", length penalty {penalty}"));
    format!("{} beams{early_stopping}{penalty}", search.beams)
}

/// Words by their token ids.
fn described_words(words: &[Vec<u32>]) -> String {
    if words.is_empty() {
        return String::new();
    }
    let texts: Vec<String> = words.iter().map(|ids| spaced(ids)).collect();
    let text = texts.join(", ");
    if words.concat().len() > MAX_LISTED {
        return format!("{} of SHA-256 {:x}", words.len(), Sha256::digest(text));
    }
    format!("ids {text}")
}

/// Token ids, or their number and hash.
fn listed(ids: &[u32]) -> String {
    let text = spaced(ids);
    if ids.len() > MAX_LISTED {
        return format!("{} of SHA-256 {:x}", ids.len(), Sha256::digest(text));
    }
    text
}

fn spaced(ids: &[u32]) -> String {
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    texts.join(" ")
}
