//! Logits processors: what a generation setting does to the scores of the next token, in the order
//! of transformers' `GenerationMixin._get_logits_processor`.

use super::GenerationConfig;

/// A question at the point where its next token is chosen.
pub(super) struct Step<'a> {
    /// Prompt and answer so far.
    pub tokens: &'a [u32],
    /// Tokens of the prompt.
    pub prompt: usize,
    /// The length of prompt and answer at which the answer is cut.
    pub longest: usize,
}

impl GenerationConfig {
    /// Changes the scores of the next token: logits in greedy decoding, log-probabilities in a beam
    /// search.
    pub(super) fn process_scores(&self, step: &Step<'_>, scores: &mut [f32]) {
        self.penalize_repetition(step.tokens, scores);
        self.ban_repeated_ngrams(step.tokens, scores);
        self.ban_bad_words(step.tokens, scores);
        if step.tokens.len() < self.min_total_length(step.prompt) {
            mask(scores, &self.eos);
        }
        if let Some(bos) = self.forced_bos
            && step.tokens.len() == 1
        {
            force(scores, &[bos]);
        }
        if !self.forced_eos.is_empty() && step.tokens.len() + 1 == step.longest {
            force(scores, &self.forced_eos);
        }
        mask(scores, &self.suppress);
        if step.tokens.len() == self.first_free_length(step.prompt) {
            mask(scores, &self.begin_suppress);
        }
    }

    /// Divides positive scores of tokens that are there already by the penalty, and multiplies
    /// negative ones with it: once a token, however often it is there.
    fn penalize_repetition(&self, tokens: &[u32], scores: &mut [f32]) {
        let Some(penalty) = self.repetition_penalty else {
            return;
        };
        let mut seen = tokens.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            if let Some(score) = scores.get_mut(id as usize) {
                *score = if *score < 0.0 {
                    *score * penalty
                } else {
                    *score / penalty
                };
            }
        }
    }

    fn ban_repeated_ngrams(&self, tokens: &[u32], scores: &mut [f32]) {
        let Some(before) = self.no_repeat_ngram.checked_sub(1) else {
            return;
        };
        let Some(begun) = tokens.len().checked_sub(before) else {
            return;
        };
        let begun = &tokens[begun..];
        for ngram in tokens.windows(self.no_repeat_ngram) {
            if let Some((last, start)) = ngram.split_last()
                && start == begun
            {
                mask(scores, &[*last]);
            }
        }
    }

    /// A bad word that is an end token alone is none, as in the reference.
    fn ban_bad_words(&self, tokens: &[u32], scores: &mut [f32]) {
        for word in &self.bad_words {
            let is_end = matches!(word.as_slice(), [id] if self.eos.contains(id));
            if let Some((last, before)) = word.split_last()
                && !is_end
                && tokens.ends_with(before)
            {
                mask(scores, &[*last]);
            }
        }
    }

    /// The length of prompt and answer below which no answer ends.
    fn min_total_length(&self, prompt: usize) -> usize {
        self.min_new_tokens
            .map_or(self.min_length, |tokens| prompt.saturating_add(tokens))
    }

    /// The length at which the first token is chosen that is not forced.
    fn first_free_length(&self, prompt: usize) -> usize {
        let forced = prompt <= 1 && self.forced_bos.is_some();
        prompt + usize::from(forced)
    }
}

/// Rules out some tokens.
fn mask(scores: &mut [f32], ids: &[u32]) {
    for &id in ids {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
}

/// Rules out all tokens but some, which are certain.
fn force(scores: &mut [f32], ids: &[u32]) {
    scores.fill(f32::NEG_INFINITY);
    for &id in ids {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: f32 = f32::NEG_INFINITY;

    /// The scores of five tokens after the prompt [4, 0] and the answer [1, 0].
    fn processed(config: &GenerationConfig, longest: usize) -> Vec<f32> {
        let mut scores = vec![2.0, -1.0, 0.5, 0.0, 4.0];
        let step = Step {
            tokens: &[4, 0, 1, 0],
            prompt: 2,
            longest,
        };
        config.process_scores(&step, &mut scores);
        scores
    }

    #[test]
    fn each_processor_by_hand() {
        let none = GenerationConfig {
            eos: vec![3],
            ..GenerationConfig::default()
        };
        assert_eq!(processed(&none, 9), [2.0, -1.0, 0.5, 0.0, 4.0]);
        let with = |change: &dyn Fn(&mut GenerationConfig)| {
            let mut config = none.clone();
            change(&mut config);
            processed(&config, 5)
        };
        // Tokens 0, 1 and 4 are there.
        assert_eq!(
            with(&|config| config.repetition_penalty = Some(2.0)),
            [1.0, -2.0, 0.5, 0.0, 2.0]
        );
        // After 0 came 1.
        assert_eq!(
            with(&|config| config.no_repeat_ngram = 2),
            [2.0, NONE, 0.5, 0.0, 4.0]
        );
        assert_eq!(
            with(&|config| config.no_repeat_ngram = 1),
            [NONE, NONE, 0.5, 0.0, NONE]
        );
        assert_eq!(
            with(&|config| config.no_repeat_ngram = 9),
            [2.0, -1.0, 0.5, 0.0, 4.0]
        );
        assert_eq!(
            with(&|config| config.bad_words = vec![vec![3], vec![1, 0, 2], vec![1, 4]]),
            [2.0, -1.0, NONE, 0.0, 4.0]
        );
        for (min_length, min_new_tokens, ends) in [
            (5, None, false),
            (4, None, true),
            (0, Some(3), false),
            (9, Some(2), true),
        ] {
            let scores = with(&|config| {
                (config.min_length, config.min_new_tokens) = (min_length, min_new_tokens);
            });
            assert_eq!(scores[3] == 0.0, ends, "{min_length} {min_new_tokens:?}");
        }
        assert_eq!(
            with(&|config| config.forced_eos = vec![1, 3]),
            [NONE, 0.0, NONE, 0.0, NONE]
        );
        // The prompt has two tokens: nothing begins with a forced one.
        assert_eq!(
            with(&|config| config.forced_bos = Some(1)),
            [2.0, -1.0, 0.5, 0.0, 4.0]
        );
        // Suppressed tokens are ruled out after the end was forced.
        assert_eq!(
            with(&|config| (config.forced_eos, config.suppress) = (vec![3], vec![3, 900])),
            [NONE; 5]
        );
        assert_eq!(
            with(&|config| config.begin_suppress = vec![0]),
            [2.0, -1.0, 0.5, 0.0, 4.0]
        );
    }

    #[test]
    fn the_first_token_is_forced_and_the_next_one_free() {
        let config = GenerationConfig {
            forced_bos: Some(1),
            begin_suppress: vec![0],
            ..GenerationConfig::default()
        };
        let scores = |tokens: &[u32]| {
            let mut scores = vec![2.0, 1.0, 0.0];
            let step = Step {
                tokens,
                prompt: 1,
                longest: 9,
            };
            config.process_scores(&step, &mut scores);
            scores
        };
        assert_eq!(scores(&[2]), [NONE, 0.0, NONE]);
        assert_eq!(scores(&[2, 1]), [NONE, 1.0, 0.0]);
        assert_eq!(scores(&[2, 1, 1]), [2.0, 1.0, 0.0]);
    }
}
