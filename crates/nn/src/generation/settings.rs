//! Generation settings from several sources: each may leave some to the next one.

use super::{BeamSearch, EarlyStopping, GenerationConfig};

/// Settings of text generation, under transformers' names; what is absent is left to another source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationSettings {
    /// Beams of the search; 1 is greedy decoding.
    pub num_beams: Option<usize>,
    /// See [`BeamSearch::early_stopping`].
    pub early_stopping: Option<EarlyStopping>,
    /// See [`BeamSearch::length_penalty`].
    pub length_penalty: Option<f64>,
    /// Longest answer in tokens; it counts before `max_length`.
    pub max_new_tokens: Option<usize>,
    /// Most tokens of prompt and answer together.
    pub max_length: Option<usize>,
    /// Fewest tokens of an answer; it counts before `min_length`.
    pub min_new_tokens: Option<usize>,
    /// Fewest tokens of prompt and answer together.
    pub min_length: Option<usize>,
    /// See [`GenerationConfig::repetition_penalty`].
    pub repetition_penalty: Option<f32>,
    /// See [`GenerationConfig::no_repeat_ngram`].
    pub no_repeat_ngram_size: Option<usize>,
    /// See [`GenerationConfig::bad_words`].
    pub bad_words_ids: Option<Vec<Vec<u32>>>,
    /// See [`GenerationConfig::forced_bos`].
    pub forced_bos_token_id: Option<u32>,
    /// See [`GenerationConfig::forced_eos`].
    pub forced_eos_token_id: Option<Vec<u32>>,
    /// See [`GenerationConfig::suppress`].
    pub suppress_tokens: Option<Vec<u32>>,
    /// See [`GenerationConfig::begin_suppress`].
    pub begin_suppress_tokens: Option<Vec<u32>>,
}

/// The length of answers where no source limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthLimit {
    /// Longest answer in tokens; `None`: as many as fit.
    pub default_new_tokens: Option<usize>,
    /// The decoder's positions: most tokens of prompt and answer together, if it has a limit.
    pub positions: Option<usize>,
}

impl GenerationSettings {
    /// These settings, and those of `other` where they are absent. Limits of one kind come from one
    /// source: a greatest length of any form here leaves none to `other`.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        let longest = [self.max_new_tokens, self.max_length];
        let shortest = [self.min_new_tokens, self.min_length];
        let [max_new_tokens, max_length] =
            first_given(longest, [other.max_new_tokens, other.max_length]);
        let [min_new_tokens, min_length] =
            first_given(shortest, [other.min_new_tokens, other.min_length]);
        Self {
            num_beams: self.num_beams.or(other.num_beams),
            early_stopping: self.early_stopping.or(other.early_stopping),
            length_penalty: self.length_penalty.or(other.length_penalty),
            max_new_tokens,
            max_length,
            min_new_tokens,
            min_length,
            repetition_penalty: self.repetition_penalty.or(other.repetition_penalty),
            no_repeat_ngram_size: self.no_repeat_ngram_size.or(other.no_repeat_ngram_size),
            bad_words_ids: self.bad_words_ids.or(other.bad_words_ids),
            forced_bos_token_id: self.forced_bos_token_id.or(other.forced_bos_token_id),
            forced_eos_token_id: self.forced_eos_token_id.or(other.forced_eos_token_id),
            suppress_tokens: self.suppress_tokens.or(other.suppress_tokens),
            begin_suppress_tokens: self.begin_suppress_tokens.or(other.begin_suppress_tokens),
        }
    }

    /// The settings of the beam search; `None` is greedy decoding.
    pub fn beam_search(&self) -> Option<BeamSearch> {
        let beams = self.num_beams.filter(|&beams| beams > 1)?;
        Some(BeamSearch {
            beams,
            early_stopping: self.early_stopping.unwrap_or(EarlyStopping::No),
            length_penalty: self.length_penalty.unwrap_or(1.0),
        })
    }

    /// The settings of every decoding, for answers that `eos` end.
    pub fn config(&self, eos: Vec<u32>, limit: LengthLimit) -> GenerationConfig {
        let LengthLimit {
            default_new_tokens,
            positions,
        } = limit;
        let shorter = |length: usize| positions.map_or(length, |most| most.min(length));
        let (max_new_tokens, max_length) = match (self.max_new_tokens, self.max_length) {
            (Some(tokens), _) => (tokens, positions),
            (None, Some(length)) => (usize::MAX, Some(shorter(length))),
            (None, None) => (default_new_tokens.unwrap_or(usize::MAX), positions),
        };
        GenerationConfig {
            eos,
            max_new_tokens,
            max_length,
            min_length: self.min_length.unwrap_or(0),
            min_new_tokens: self.min_new_tokens,
            repetition_penalty: self.repetition_penalty.filter(|&penalty| penalty != 1.0),
            no_repeat_ngram: self.no_repeat_ngram_size.unwrap_or(0),
            bad_words: self.bad_words_ids.clone().unwrap_or_default(),
            forced_bos: self.forced_bos_token_id,
            forced_eos: self.forced_eos_token_id.clone().unwrap_or_default(),
            suppress: self.suppress_tokens.clone().unwrap_or_default(),
            begin_suppress: self.begin_suppress_tokens.clone().unwrap_or_default(),
        }
    }
}

/// The first pair that is not empty.
fn first_given(pair: [Option<usize>; 2], other: [Option<usize>; 2]) -> [Option<usize>; 2] {
    if pair.iter().any(Option::is_some) {
        pair
    } else {
        other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: LengthLimit = LengthLimit {
        default_new_tokens: Some(20),
        positions: Some(100),
    };

    #[test]
    fn lengths_come_from_one_source() {
        let stored = GenerationSettings {
            max_new_tokens: Some(7),
            min_length: Some(3),
            num_beams: Some(4),
            ..GenerationSettings::default()
        };
        let file = GenerationSettings {
            max_length: Some(300),
            num_beams: Some(1),
            ..GenerationSettings::default()
        };
        let both = file.over(stored.clone());
        let config = both.config(vec![2], LIMIT);
        assert_eq!(
            (config.max_new_tokens, config.max_length, config.min_length),
            (usize::MAX, Some(100), 3)
        );
        assert_eq!(both.beam_search(), None);
        let config = stored.config(vec![2], LIMIT);
        assert_eq!((config.max_new_tokens, config.max_length), (7, Some(100)));
        assert_eq!(
            stored.beam_search(),
            Some(BeamSearch {
                beams: 4,
                early_stopping: EarlyStopping::No,
                length_penalty: 1.0
            })
        );
        let config = GenerationSettings::default().config(vec![2], LIMIT);
        assert_eq!((config.max_new_tokens, config.max_length), (20, Some(100)));
    }

    #[test]
    fn a_penalty_of_one_is_none() {
        let settings = GenerationSettings {
            repetition_penalty: Some(1.0),
            ..GenerationSettings::default()
        };
        assert_eq!(settings.config(Vec::new(), LIMIT).repetition_penalty, None);
    }
}
