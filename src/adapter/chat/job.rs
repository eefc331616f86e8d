//! Jobs of an endpoint: questions about charts, and prompts.

use anyhow::Result;

use super::image::SharedPicture;
use super::pool::{Failure, Pool};
use super::served::Served;
use super::turns::Turns;
use super::{Chat, batch};
use crate::adapter::Answer;
use crate::adapter::language_model::{Completion, Sampling};
use chartbench_core::answer::sha256;
use chartbench_core::question::Question;

/// One thing that is asked for, with as many requests as that takes.
pub(super) trait Job: Sync {
    type Answer: Send;

    /// A name that no other job of the row has, and that is the same in a run started again.
    fn owner(&self) -> String;

    /// Notes that it is about to be asked for, before any job of the same pass.
    fn prepare(&self) {}

    /// Asks for it.
    ///
    /// # Errors
    /// Returns an error of the job or of the endpoint, or that the answer comes with a batch.
    fn ask(&self, chat: &Chat, turns: &Turns) -> Result<Self::Answer, Failure>;
}

/// A question about a chart's picture.
pub(super) struct ChartJob<'a> {
    pub picture: &'a SharedPicture<'a>,
    pub question: &'a Question,
}

impl Job for ChartJob<'_> {
    type Answer = Answer;

    fn owner(&self) -> String {
        self.question.id.clone()
    }

    fn prepare(&self) {
        self.picture.expect_question();
    }

    fn ask(&self, chat: &Chat, turns: &Turns) -> Result<Answer, Failure> {
        let image = self.picture.get().map_err(Failure::from);
        let asked = image.and_then(|image| chat.about_chart(&image, self.question, turns));
        self.picture.finish_question();
        asked
    }
}

/// A prompt that is to be completed.
pub(super) struct PromptJob<'a> {
    pub prompt: &'a str,
    /// How many prompts before it in the call are the same.
    pub same_before: usize,
    pub sampling: &'a Sampling,
}

impl Job for PromptJob<'_> {
    type Answer = Vec<Completion>;

    fn owner(&self) -> String {
        format!("{}-{}", sha256(self.prompt.as_bytes()), self.same_before)
    }

    fn ask(&self, chat: &Chat, turns: &Turns) -> Result<Vec<Completion>, Failure> {
        chat.about_prompt(self.prompt, self.sampling, turns)
    }
}

impl Chat {
    /// Asks for every job on several threads, after a first connection; where requests go in
    /// batches, as often as it takes until all have their replies.
    pub(super) fn ask_all<J: Job>(
        &self,
        jobs: &[J],
        report: &mut dyn FnMut(usize, Result<J::Answer>),
    ) -> Result<()> {
        let abort = self.endpoint.abort_signal();
        if abort.check().is_ok()
            && let Err(reason) = self.reach()
        {
            abort.raise(reason);
        }
        let asked = match self.endpoint.batches() {
            None => {
                let places: Vec<usize> = (0..jobs.len()).collect();
                self.ask_once(jobs, &places, &|| self.contact.check(), report)
            }
            Some(batches) => self.ask_in_batches(batches, jobs, report),
        };
        let last_words = |error| match self.served.as_ref().and_then(Served::last_words) {
            Some(words) => anyhow::anyhow!("{error:#}; {words}"),
            None => error,
        };
        asked.map_err(last_words)
    }

    /// Asks for the jobs at these places once.
    fn ask_once<J: Job>(
        &self,
        jobs: &[J],
        places: &[usize],
        when_quiet: &dyn Fn(),
        report: &mut dyn FnMut(usize, Result<J::Answer>),
    ) -> Result<()> {
        let asked: Vec<(usize, &J)> = places
            .iter()
            .filter_map(|&place| Some((place, jobs.get(place)?)))
            .collect();
        asked.iter().for_each(|(_, job)| job.prepare());
        let pool = Pool {
            threads: self.spec.limits.concurrency,
            abort: self.endpoint.abort_signal(),
            when_quiet,
        };
        let ask = |(_, job): &(usize, &J)| {
            let turns = match self.endpoint.batches() {
                Some(batches) => batches.turns(job.owner()),
                None => Turns::new(String::new(), 0),
            };
            let answer = job.ask(self, &turns);
            if let (Some(batches), false) = (
                self.endpoint.batches(),
                matches!(answer, Err(Failure::Deferred | Failure::Adapter(_))),
            ) {
                batches.finish_turns(&turns);
            }
            answer
        };
        pool.ask_concurrently(&asked, ask, &mut |index, answer| {
            if let Some((place, _)) = asked.get(index) {
                report(*place, answer);
            }
        })
    }

    /// Asks for the jobs again and again: each pass takes the replies that have come and puts further
    /// requests into batches, which are waited for between two passes.
    fn ask_in_batches<J: Job>(
        &self,
        batches: &batch::Batches,
        jobs: &[J],
        report: &mut dyn FnMut(usize, Result<J::Answer>),
    ) -> Result<()> {
        batches.open(&self.endpoint)?;
        let mut is_left = vec![true; jobs.len()];
        loop {
            let left = is_left.iter().enumerate();
            let left: Vec<usize> = left
                .filter(|(_, is_left)| **is_left)
                .map(|(place, _)| place)
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            self.ask_once(jobs, &left, &|| {}, &mut |place, answer| {
                if let Some(is_left) = is_left.get_mut(place) {
                    *is_left = false;
                }
                report(place, answer);
            })?;
            if is_left.iter().any(|is_left| *is_left) {
                batches.advance(&self.endpoint)?;
            }
        }
    }
}
