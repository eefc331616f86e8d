//! Beam search as transformers 5 does it (`GenerationMixin._beam_search`), over several questions
//! at once.

use anyhow::{Context, Result};
use candle_core::DType;
use rayon::prelude::*;

use super::logits::Step;
use super::{Decoder, Generated, GenerationConfig, NotFinite, Prompt};
use crate::all_finite;

/// Added to the score of a finished beam, so that it ranks behind all others.
const EXCLUDED: f32 = -1e9;

/// The settings of a beam search.
#[derive(Clone, Debug, PartialEq)]
pub struct BeamSearch {
    /// Beams per question (`num_beams`), and the most finished answers that are kept.
    pub beams: usize,
    /// The rule by which the search for a question ends.
    pub early_stopping: EarlyStopping,
    /// An answer's score is its log-probability divided by its length to this power.
    pub length_penalty: f64,
}

/// When the search for a question ends before its greatest length (`early_stopping`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyStopping {
    /// `true`: as soon as there are as many answers as beams.
    Yes,
    /// `false`: when no beam, at its present length, is better than the worst answer kept.
    No,
    /// `"never"`: when no beam could become better at any length.
    Never,
}

/// Answers the questions of a batch with the best answer found for each.
///
/// Every step feeds the beams of all unfinished questions; the prompt is read once for all beams of
/// a question. Questions do not influence each other.
///
/// # Errors
/// Returns the error of [`Decoder::step`].
pub fn beam_search<D: Decoder>(
    decoder: &D,
    prompts: Vec<Prompt<D::State>>,
    settings: &BeamSearch,
    config: &GenerationConfig,
) -> Result<Vec<Generated>>
where
    D::State: Clone + Send,
{
    let mut searches: Vec<Search<D::State>> = prompts
        .into_iter()
        .map(|prompt| Search::new(prompt, settings, config))
        .collect();
    loop {
        let mut open: Vec<&mut Search<D::State>> =
            searches.iter_mut().filter(|search| !search.over).collect();
        if open.is_empty() {
            break;
        }
        let mut batch: Vec<(&mut D::State, &[u32])> = Vec::new();
        for search in &mut open {
            let fed = search.fed;
            batch.extend(
                search
                    .running
                    .iter_mut()
                    .map(|beam| (&mut beam.state, &beam.tokens[fed..])),
            );
        }
        let logits = decoder.step(&mut batch).context("decoding step")?;
        let mut logits = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?.into_iter();
        let mut rows: Vec<Vec<Vec<f32>>> = Vec::new();
        for search in &open {
            rows.push(logits.by_ref().take(search.running.len()).collect());
        }
        open.into_par_iter()
            .zip(rows)
            .for_each(|(search, rows)| search.advance(rows));
    }
    Ok(searches.into_iter().map(Search::answer).collect())
}

/// The search for one question's answer.
struct Search<'a, S> {
    settings: &'a BeamSearch,
    config: &'a GenerationConfig,
    prompt: usize,
    /// Length of prompt and answer at which an answer is cut.
    longest: usize,
    /// Tokens of every running beam that the decoder has seen.
    fed: usize,
    /// The best first.
    running: Vec<Beam<S>>,
    /// The best first, at most `beams`.
    finished: Vec<Finished>,
    improving: bool,
    over: bool,
    /// The last scores of a beam are NaN or infinite.
    not_finite: bool,
}

struct Beam<S> {
    state: S,
    /// Prompt and answer so far.
    tokens: Vec<u32>,
    /// Summed log-probability.
    score: f32,
}

struct Finished {
    tokens: Vec<u32>,
    /// Summed log-probability over length to the power of the penalty.
    score: f32,
}

/// A beam continued by one token.
struct Candidate {
    parent: usize,
    token: u32,
    score: f32,
    done: bool,
}

impl<'a, S: Clone> Search<'a, S> {
    fn new(prompt: Prompt<S>, settings: &'a BeamSearch, config: &'a GenerationConfig) -> Self {
        let Prompt { state, tokens } = prompt;
        let longest = config.max_total_length(tokens.len());
        Self {
            settings,
            config,
            prompt: tokens.len(),
            longest,
            fed: 0,
            over: tokens.len() >= longest,
            running: vec![Beam {
                state,
                tokens,
                score: 0.0,
            }],
            finished: Vec::new(),
            improving: true,
            not_finite: false,
        }
    }

    /// Continues the search with the logits after the last token of each running beam.
    fn advance(&mut self, logits: Vec<Vec<f32>>) {
        if !logits.iter().all(|row| all_finite(row)) {
            (self.not_finite, self.over) = (true, true);
            return;
        }
        let beams = self.settings.beams;
        let candidates = self.candidates(logits);
        let length = self.running.first().map_or(0, |beam| beam.tokens.len()) + 1;
        let answered = (length - self.prompt) as f32;
        let penalty = |length: f32| (f64::from(length).powf(self.settings.length_penalty)) as f32;
        let closed =
            self.settings.early_stopping == EarlyStopping::Yes && self.finished.len() >= beams;
        if self.improving && !closed {
            let done = candidates
                .iter()
                .take(beams)
                // A token that is ruled out ends no answer, even where no other one is left.
                .filter(|candidate| candidate.done && candidate.score > f32::NEG_INFINITY);
            let done: Vec<Finished> = done
                .map(|candidate| Finished {
                    tokens: self.tokens(candidate),
                    score: candidate.score / penalty(answered),
                })
                .collect();
            self.finished.extend(done);
            // Stable: of equal scores the older answer stays in front.
            self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
            self.finished.truncate(beams);
        }
        let all_done = candidates.iter().all(|candidate| candidate.done);
        self.continue_with(candidates);
        let reach = match self.settings.early_stopping {
            EarlyStopping::Never if self.settings.length_penalty > 0.0 => {
                (self.longest - self.prompt) as f32
            }
            _ => answered,
        };
        let best = self
            .running
            .first()
            .map_or(f32::NEG_INFINITY, |beam| beam.score)
            / penalty(reach);
        let full = self.finished.len() >= beams;
        let worst = self
            .finished
            .last()
            .filter(|_| full)
            .map_or(EXCLUDED, |answer| answer.score);
        self.improving &= best > worst;
        let early = self.settings.early_stopping == EarlyStopping::Yes && full;
        self.over = !self.improving || early || all_done;
    }

    /// The best continuations of all running beams, the best first, enough that some go on even if
    /// every beam ends.
    fn candidates(&self, logits: Vec<Vec<f32>>) -> Vec<Candidate> {
        let kept = self.settings.beams * (1 + self.config.eos.len()).max(2);
        let mut best: Vec<Candidate> = Vec::with_capacity(kept + 1);
        for (parent, (beam, mut scores)) in self.running.iter().zip(logits).enumerate() {
            log_softmax(&mut scores);
            let step = Step {
                tokens: &beam.tokens,
                prompt: self.prompt,
                longest: self.longest,
            };
            self.config.process_scores(&step, &mut scores);
            for (token, score) in scores.into_iter().enumerate() {
                let score = score + beam.score;
                if best.len() == kept && best.last().is_none_or(|last| score <= last.score) {
                    continue;
                }
                let index = best.partition_point(|other| other.score >= score);
                best.insert(
                    index,
                    Candidate {
                        parent,
                        token: token as u32,
                        score,
                        done: false,
                    },
                );
                best.truncate(kept);
            }
        }
        for candidate in &mut best {
            let length = self.running[candidate.parent].tokens.len() + 1;
            candidate.done = self.config.eos.contains(&candidate.token) || length >= self.longest;
        }
        best
    }

    fn tokens(&self, candidate: &Candidate) -> Vec<u32> {
        let mut tokens = self.running[candidate.parent].tokens.clone();
        tokens.push(candidate.token);
        tokens
    }

    /// Makes the best candidates the running beams, finished ones behind all others.
    fn continue_with(&mut self, mut candidates: Vec<Candidate>) {
        for candidate in candidates.iter_mut().filter(|candidate| candidate.done) {
            candidate.score += EXCLUDED;
        }
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        candidates.truncate(self.settings.beams);
        self.fed = self.running.first().map_or(0, |beam| beam.tokens.len());
        let tokens: Vec<Vec<u32>> = candidates.iter().map(|it| self.tokens(it)).collect();
        let parents = std::mem::take(&mut self.running).into_iter();
        let mut states: Vec<Option<S>> = parents.map(|beam| Some(beam.state)).collect();
        for (index, (candidate, tokens)) in candidates.iter().zip(tokens).enumerate() {
            let parent = candidate.parent;
            let forks = candidates[index + 1..].iter().any(|it| it.parent == parent);
            // The last of a state's beams writes into the state's own cache.
            let state = if forks {
                states[parent].clone()
            } else {
                states[parent].take()
            };
            self.running.extend(state.map(|state| Beam {
                state,
                tokens,
                score: candidate.score,
            }));
        }
    }

    fn answer(mut self) -> Generated {
        match (self.not_finite, self.finished.is_empty()) {
            (true, _) => Err(NotFinite),
            (false, true) => Ok(Vec::new()),
            (false, false) => Ok(self.finished.swap_remove(0).tokens.split_off(self.prompt)),
        }
    }
}

/// Replaces logits by log-probabilities.
fn log_softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits
        .iter()
        .map(|&logit| f64::from((logit - largest).exp()))
        .sum();
    let shift = largest + sum.ln() as f32;
    logits.iter_mut().for_each(|logit| *logit -= shift);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a forced token there are fewer tokens than beams at first: the end token is among those
    /// that fill up.
    #[test]
    fn a_token_that_is_ruled_out_ends_no_answer() {
        let settings = BeamSearch {
            beams: 3,
            early_stopping: EarlyStopping::Yes,
            length_penalty: 1.0,
        };
        let config = GenerationConfig {
            eos: vec![0],
            max_new_tokens: 9,
            forced_bos: Some(1),
            ..GenerationConfig::default()
        };
        let prompt = Prompt {
            state: (),
            tokens: vec![2],
        };
        let mut search = Search::new(prompt, &settings, &config);
        search.advance(vec![vec![1.0, 0.0, 2.0, 0.5]]);
        assert!(search.finished.is_empty() && !search.over);
        assert_eq!(search.running[0].tokens, [2, 1]);
        assert_eq!(search.running[0].score, 0.0);
        // An end that is possible counts.
        search.advance(vec![vec![5.0, 0.0, 2.0, 0.5]; 3]);
        assert_eq!(search.finished.len(), 1);
        assert_eq!(search.finished[0].tokens, [2, 1, 0]);
    }
}
