//! What shards that share a run's folder keep in its manifest: the rows to come, what computed them,
//! and entries that other processes overwrote.

use std::io::ErrorKind;

use anyhow::{Context, Result};

use super::{LEADERBOARD, MANIFEST, RunDir};
use crate::run::store::logs::log_name;
use crate::run::store::manifest::PROCESSORS_FORMAT;
use crate::run::store::{AdapterEntry, Processor};
use chartbench_core::files::FileLock;
use chartbench_core::shard::Shard;
use chartbench_core::terminal::shorten;

impl RunDir {
    /// The run as a shard of it is asked: the manifest gets the names of the rows in the order in
    /// which an uncut run asks them.
    pub fn set_order(&mut self, order: Vec<String>) {
        self.order = order;
    }

    /// Adds the names of [`Self::set_order`] to the manifest, but for rows that are left out; those
    /// that it has keep their places.
    pub(super) fn add_order(&mut self) {
        if self.manifest.format < PROCESSORS_FORMAT {
            return;
        }
        let manifest = &mut self.manifest;
        for name in &self.order {
            if !manifest.order.contains(name) && !manifest.left_out.contains(name) {
                manifest.order.push(name.clone());
            }
        }
    }

    /// Stores that the row `name`, which may be among those to come, is left out for good.
    ///
    /// # Errors
    /// Returns an error if the manifest cannot be read or changed.
    pub fn leave_out(&mut self, name: &str) -> Result<()> {
        let stored = Self::manifest_at(&self.path)?;
        let mut orders = stored.iter().map(|stored| &stored.order);
        let is_to_come = |order: &Vec<String>| order.iter().any(|row| row == name);
        if !is_to_come(&self.order) && !orders.any(is_to_come) {
            return Ok(());
        }
        self.change_manifest(|run| {
            let manifest = &mut run.manifest;
            if manifest.order.iter().any(|row| row == name) {
                manifest.order.retain(|row| row != name);
                manifest.left_out.push(name.to_owned());
            }
            Ok(())
        })
    }

    /// A row that was left out is asked after all.
    pub(super) fn restore_left_out(&mut self, name: &str) {
        self.manifest.left_out.retain(|row| row != name);
        self.add_order();
    }

    /// Stores that `processor` computes answers of an adapter that was added. Where others computed
    /// some of its answers with weights, a note says so. A leaderboard that was stored before has
    /// none of a shard's answers, and is removed.
    ///
    /// # Errors
    /// Returns an error if the manifest cannot be changed or the leaderboard not removed.
    pub fn record_processor(&mut self, adapter: &str, processor: &Processor) -> Result<()> {
        let others = self.change_manifest(|run| {
            if !run.order.is_empty() {
                let folder = run.path.join(adapter);
                let shards = processor.shards.iter().filter_map(|name| name.parse().ok());
                let logs = shards.map(|shard| folder.join(log_name(Some(shard))));
                run.grown.extend(logs);
                run.remove_leaderboard()?;
            }
            let mut others = Vec::new();
            if run.manifest.format < PROCESSORS_FORMAT {
                return Ok(others);
            }
            let entries = run.manifest.adapters.iter_mut().chain(&mut run.added);
            for entry in entries.filter(|entry| entry.id == adapter) {
                processor.add_to(&mut entry.processors);
                let differs = |other: &&Processor| !other.is_equal_to(processor);
                if entry.has_weights() {
                    others = entry.processors.iter().filter(differs).cloned().collect();
                }
            }
            Ok(others)
        })?;
        if !others.is_empty() {
            let others: Vec<String> = others.iter().map(Processor::to_string).collect();
            chartbench_core::note!(
                "note: {adapter}: stored answers were computed with {}, now {processor} computes; answers are the same to the \
                 byte within one only",
                shorten(&others.join(" and "))
            );
        }
        Ok(())
    }

    /// Removes the leaderboard. A process that is storing one is waited for.
    fn remove_leaderboard(&self) -> Result<()> {
        let file = self.path.join(LEADERBOARD);
        if file.symlink_metadata().is_err() {
            return Ok(());
        }
        let _lock = FileLock::acquire(&file)?;
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("cannot remove {}", file.display())),
        }
    }

    /// Removes a leaderboard that another process has stored while this one asked a shard, unless
    /// that was a merge, which takes the shard's logs.
    fn remove_outdated_leaderboard(&self) -> Result<()> {
        if self.grown.is_empty() || self.path.join(LEADERBOARD).symlink_metadata().is_err() {
            return Ok(());
        }
        // A merge holds it.
        let _lock = FileLock::acquire(&self.path.join(MANIFEST))?;
        match self.grown.iter().any(|log| log.exists()) {
            true => self.remove_leaderboard(),
            false => Ok(()),
        }
    }

    /// Ends this process's part of the run. Checks that the manifest has the entries that this
    /// process added, and adds lost ones again, with a note: where the locks of a file system do not
    /// hold, another process may overwrite them. A shard without an entry creates the run directory.
    ///
    /// # Errors
    /// Returns an error if the manifest cannot be read or changed, or has an entry of other settings
    /// by now.
    pub fn confirm(&mut self) -> Result<()> {
        self.remove_outdated_leaderboard()?;
        let stored = Self::manifest_at(&self.path)?;
        let is_stored = |added: &AdapterEntry| {
            let mut entries = stored.iter().flat_map(|stored| &stored.adapters);
            entries.any(|entry| {
                (&entry.id, &entry.fingerprint) == (&added.id, &added.fingerprint)
                    && added
                        .processors
                        .iter()
                        .all(|processor| processor.is_in(&entry.processors))
            })
        };
        let added = self.added.iter().map(|added| self.without_merged(added));
        let lost: Vec<AdapterEntry> = added.filter(|added| !is_stored(added)).collect();
        if lost.is_empty() && (stored.is_some() || self.order.is_empty()) {
            return Ok(());
        }
        for entry in &lost {
            chartbench_core::note!(
                "note: {} had lost the entry of {}, which is added again: another process overwrote it, the locks of this \
                 file system do not hold",
                self.path.join(MANIFEST).display(),
                entry.id
            );
        }
        self.change_manifest(|run| {
            for entry in lost {
                let entry = run.resuming(entry);
                run.check_adapter(&entry)?;
                run.put(entry);
            }
            Ok(())
        })
    }

    /// The entry without the shards whose logs are gone: a merge takes their names from the manifest
    /// once it has put a whole log in the place of these.
    fn without_merged(&self, added: &AdapterEntry) -> AdapterEntry {
        let folder = self.path.join(&added.id);
        let has_log = |shard: &String| {
            let shard: Option<Shard> = shard.parse().ok();
            shard.is_some() && folder.join(log_name(shard)).exists()
        };
        let mut entry = added.clone();
        for processor in &mut entry.processors {
            processor.shards.retain(has_log);
        }
        entry
    }
}
