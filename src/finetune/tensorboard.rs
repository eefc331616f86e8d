//! TensorBoard event files, written from the training log.
//!
//! A file is a row of TFRecords (length, its checksum, data, its checksum), each an `Event` message
//! of
//! [event.proto](https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto).
//! The few fields that scalars need are written by hand: the crates that write all of it need a
//! protobuf compiler to build.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::log::LogEntry;
use chartbench_core::files::write_file;

/// TensorBoard reads every file whose name holds `tfevents`.
const NAME: &str = "events.out.tfevents.chartbench";

/// Field numbers of `Event`, `Summary` and `Summary.Value`.
mod field {
    pub(super) const WALL_TIME: u32 = 1;
    pub(super) const STEP: u32 = 2;
    pub(super) const FILE_VERSION: u32 = 3;
    pub(super) const SUMMARY: u32 = 5;
    pub(super) const VALUE: u32 = 1;
    pub(super) const TAG: u32 = 1;
    pub(super) const SIMPLE_VALUE: u32 = 2;
}

/// Wire types of protobuf.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// An event file that grows with the training.
pub struct EventFile {
    path: PathBuf,
    file: File,
    /// Seconds since 1970 at which the next entry began.
    clock: f64,
}

impl EventFile {
    /// Rewrites the file in `folder` from the log so far, so that a resumed training has each step
    /// once.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn open(folder: &Path, so_far: &[LogEntry]) -> Result<Self> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64());
        let mut clock = now - so_far.iter().map(seconds).sum::<f64>();
        let mut bytes = record(&version_event(clock));
        for entry in so_far {
            clock += seconds(entry);
            bytes.extend(record(&entry_event(clock, entry)));
        }
        let path = folder.join(NAME);
        write_file(&path, &bytes)?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { path, file, clock })
    }

    /// Appends one entry.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn append(&mut self, entry: &LogEntry) -> Result<()> {
        self.clock += seconds(entry);
        let bytes = record(&entry_event(self.clock, entry));
        self.file
            .write_all(&bytes)
            .with_context(|| format!("cannot append to {}", self.path.display()))
    }
}

fn seconds(entry: &LogEntry) -> f64 {
    match entry {
        LogEntry::Step(entry) => entry.seconds,
        LogEntry::Validation(entry) => entry.seconds,
    }
}

/// The first event of every file.
fn version_event(clock: f64) -> Vec<u8> {
    let mut event = time(clock);
    put_bytes(&mut event, field::FILE_VERSION, b"brain.Event:2");
    event
}

fn entry_event(clock: f64, entry: &LogEntry) -> Vec<u8> {
    let scalars: Vec<(String, f64)> = match entry {
        LogEntry::Step(step) => [
            ("train/loss", step.loss),
            ("train/lr", step.lr),
            ("train/gradient_norm", step.gradient_norm),
            ("train/tokens", step.tokens as f64),
        ]
        .map(|(tag, value)| (tag.to_owned(), value))
        .to_vec(),
        LogEntry::Validation(found) => found
            .metrics
            .iter()
            .map(|(name, &value)| (format!("validation/{name}"), value))
            .collect(),
    };
    let mut summary = Vec::new();
    for (tag, value) in scalars {
        let mut scalar = Vec::new();
        put_bytes(&mut scalar, field::TAG, tag.as_bytes());
        put_key(&mut scalar, field::SIMPLE_VALUE, FIXED32);
        scalar.extend((value as f32).to_le_bytes());
        put_bytes(&mut summary, field::VALUE, &scalar);
    }
    let mut event = time(clock);
    put_key(&mut event, field::STEP, VARINT);
    put_varint(&mut event, entry.step());
    put_bytes(&mut event, field::SUMMARY, &summary);
    event
}

fn time(clock: f64) -> Vec<u8> {
    let mut event = Vec::new();
    put_key(&mut event, field::WALL_TIME, FIXED64);
    event.extend(clock.to_le_bytes());
    event
}

fn put_key(to: &mut Vec<u8>, field: u32, wire: u32) {
    put_varint(to, u64::from(field << 3 | wire));
}

fn put_bytes(to: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_key(to, field, BYTES);
    put_varint(to, bytes.len() as u64);
    to.extend(bytes);
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn put_varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// A TFRecord.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// CRC-32C, turned and moved, as TFRecords have it: a checksum of data that hold checksums is weak.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finetune::log::StepEntry;

    /// Read by `tensorboard.backend.event_processing.event_file_loader` (tensorboard 2.21.0) as
    /// step 300 with the scalars train/loss 0.5, train/lr 0.0001, train/gradient_norm 2.0 and
    /// train/tokens 40.0.
    #[test]
    fn the_bytes_are_those_that_tensorboard_reads() {
        let step = StepEntry {
            step: 300,
            loss: 0.5,
            lr: 1e-4,
            gradient_norm: 2.0,
            tokens: 40,
            seconds: 1.5,
        };
        let bytes = [
            record(&version_event(10.0)),
            record(&entry_event(11.5, &LogEntry::Step(step))),
        ]
        .concat();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = concat!(
            "1800000000000000a37f4b220900000000000024401a0d627261696e2e4576656e743a3218f632a7",
            "6300000000000000b16b13d909000000000000274010ac022a550a110a0a747261696e2f6c6f7373150000003f0a0f0a",
            "08747261696e2f6c721517b7d1380a1a0a13747261696e2f6772616469656e745f6e6f726d15000000400a130a0c7472",
            "61696e2f746f6b656e731500002042548f511f",
        );
        assert_eq!(hex, expected);
    }
}
