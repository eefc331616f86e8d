//! Where the answers of a row are: the place of each question's line in a log.

use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::num::NonZeroU32;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;

use super::questions::{AnswerTo, QuestionNumbers};
use super::sources::{Log, Row, Sources};
use crate::run::store::PredictionRecord;
use chartbench_core::input;
use chartbench_core::terminal::shorten;

/// Bytes read at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// The place of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Position of the log among [`Row::logs`].
    pub(super) log: u32,
    /// The line's number in the log, from 1.
    line: u32,
    /// Where the line begins in the log.
    pub(super) offset: u64,
    /// Bytes of the line, with its newline.
    pub(super) length: NonZeroU32,
    /// Hash of the line's bytes.
    hash: u64,
}

impl Place {
    /// Where the line ends in the log.
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.length.get())
    }
}

/// The places of a row's answers, by the number of their question.
pub(super) struct LineIndex {
    places: Vec<Option<Place>>,
    answered: usize,
    failed: usize,
    /// Makes the hashes of lines, which are compared within one process only.
    hasher: RandomState,
}

/// The content of a line.
struct Line {
    id: String,
    answer_to: AnswerTo,
    is_failed: bool,
}

impl LineIndex {
    /// Reads the logs of a row. The answers themselves are not kept.
    ///
    /// # Errors
    /// Returns an error that names the file and the line if a log cannot be read, a line is broken,
    /// or an answer is to no question of the set or to one that is answered already.
    pub(super) fn read(row: &Row, sources: &Sources, questions: &QuestionNumbers) -> Result<Self> {
        let mut index = Self {
            places: vec![None; questions.len()],
            answered: 0,
            failed: 0,
            hasher: RandomState::new(),
        };
        for (position, log) in (0..).zip(&row.logs) {
            let mut last = 0;
            read_lines(&log.path, |mut offset, lines| {
                let parse = |line: &&[u8]| Line::parse(line, questions);
                let parsed: Vec<serde_json::Result<Line>> = lines.par_iter().map(parse).collect();
                for (bytes, line) in lines.iter().zip(parsed) {
                    last += 1;
                    let not_a_prediction = || {
                        format!(
                            "{}, line {last} is not a prediction: remove this line alone, and its question is asked again",
                            log.path.display()
                        )
                    };
                    let length = u32::try_from(bytes.len()).ok().and_then(NonZeroU32::new);
                    let place = Place {
                        log: position,
                        line: last,
                        offset,
                        length: length.with_context(not_a_prediction)?,
                        hash: index.hasher.hash_one(bytes),
                    };
                    index.add(place, &line.with_context(not_a_prediction)?, row, sources)?;
                    offset += bytes.len() as u64;
                }
                Ok(())
            })?;
        }
        Ok(index)
    }

    /// The place of each question's line, in the order of the questions.
    pub(super) fn places(&self) -> &[Option<Place>] {
        &self.places
    }

    /// How many questions have a line.
    pub(super) fn answered(&self) -> usize {
        self.answered
    }

    /// How many of them failed.
    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    /// Whether the bytes are those of the line that was read at `place`.
    pub(super) fn is_same(&self, place: &Place, bytes: &[u8]) -> bool {
        self.hasher.hash_one(bytes) == place.hash
    }

    fn add(&mut self, place: Place, line: &Line, row: &Row, sources: &Sources) -> Result<()> {
        let problem = match line.answer_to {
            AnswerTo::Question(number) => {
                let Some(slot) = self.places.get_mut(number) else {
                    return Ok(());
                };
                let Some(stored) = slot else {
                    *slot = Some(place);
                    self.answered += 1;
                    self.failed += usize::from(line.is_failed);
                    return Ok(());
                };
                if stored.hash == place.hash && row.is_leftover(stored, &place) {
                    return Ok(());
                }
                bail!(describe_doubled(row, sources, &line.id, [stored, &place]))
            }
            AnswerTo::Changed => "has another chart, text or gold answer in the set",
            AnswerTo::Unknown => "is not in the set",
        };
        let remedy = if sources.in_place {
            "remove this line"
        } else {
            "leave this run out"
        };
        bail!(
            "{}: question `{}` {problem}: {remedy}",
            row.location(&place),
            shorten(&line.id)
        )
    }
}

impl Row {
    /// The log that a place is in.
    fn log(&self, place: &Place) -> Option<&Log> {
        self.logs.get(place.log as usize)
    }

    /// `FILE, line N`.
    fn location(&self, place: &Place) -> String {
        let file = self.log(place).map(|log| log.path.display());
        file.map_or_else(String::new, |file| format!("{file}, line {}", place.line))
    }

    /// Whether the first place is in the whole log of a run and the second in a shard's there: a
    /// merge in place was killed before it removed the shards' logs.
    fn is_leftover(&self, first: &Place, second: &Place) -> bool {
        let Some((first, second)) = self.log(first).zip(self.log(second)) else {
            return false;
        };
        first.run == second.run && first.shard.is_none() && second.shard.is_some()
    }
}

/// The error that a question is answered at both places.
fn describe_doubled(row: &Row, sources: &Sources, id: &str, places: [&Place; 2]) -> String {
    let [first, second] = places.map(|place| row.log(place));
    let id = shorten(id);
    if let (Some(first), Some(second)) = (first, second)
        && first.run != second.run
    {
        let [first_dir, second_dir] = [first, second].map(|log| sources.dir(log.run).display());
        let part = match first.shard {
            Some(shard) if first.shard == second.shard => format!("shard {shard}"),
            _ => format!("question `{id}`"),
        };
        let [first, second] = places.map(|place| row.location(place));
        return format!(
            "{}: {part} is in {first_dir} and in {second_dir} ({first}; {second}): leave one of the two runs out",
            row.id
        );
    }
    let [first, second] = places.map(|place| row.location(place));
    format!(
        "{second}: question `{id}` is answered twice, first in {first}: remove one of the two lines"
    )
}

/// Calls `take` with whole lines and the place of the first in the file, about a MiB at a time. A
/// torn last line is left out.
fn read_lines(path: &Path, mut take: impl FnMut(u64, &[&[u8]]) -> Result<()>) -> Result<()> {
    let cannot_read = || format!("cannot read {}", path.display());
    let mut file = input::open(path).with_context(cannot_read)?;
    let (mut buffer, mut offset) = (Vec::new(), 0);
    loop {
        let read = (&mut file)
            .take(CHUNK_BYTES)
            .read_to_end(&mut buffer)
            .with_context(cannot_read)?;
        // The bytes before these hold no newline.
        let searched = buffer.len() - read;
        let newline = buffer[searched..].iter().rposition(|&byte| byte == b'\n');
        if let Some(newline) = newline {
            let whole = searched + newline + 1;
            let lines: Vec<&[u8]> = buffer[..whole]
                .split_inclusive(|&byte| byte == b'\n')
                .collect();
            take(offset, &lines)?;
            buffer.drain(..whole);
            offset += whole as u64;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

impl Line {
    fn parse(bytes: &[u8], questions: &QuestionNumbers) -> serde_json::Result<Self> {
        let record: PredictionRecord = serde_json::from_slice(bytes)?;
        Ok(Self {
            answer_to: questions.find(&record),
            is_failed: record.failure().is_some(),
            id: record.id,
        })
    }
}
