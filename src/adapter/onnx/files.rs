//! Which graphs an export has, by the names that Optimum gives them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::adapter::hub::beside_weights;
use chartbench_nn::files_sha256;

const QUANTIZED: &str = "_quantized";
/// Where exports lie in a repository: at its top, or beside other formats.
const FOLDERS: [&str; 2] = ["", "onnx/"];

/// Suffixes of a graph's name in the name of its weight file.
const DATA: [&str; 2] = ["_data", ".data"];

/// The decoder's graphs: `F` is a file's name, or what was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decoders<F> {
    /// One graph for the first step and for those with a cache.
    Merged(F),
    /// One for the first step, one for those with a cache.
    Pair { first: F, next: F },
    /// One without a cache, which reads the whole text at every step.
    Whole(F),
}

/// The graphs of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Graphs {
    pub encoder: String,
    pub decoders: Decoders<String>,
    pub quantized: bool,
}

impl Graphs {
    /// Takes what an export `has`: plain graphs before quantized ones, unless those are wanted;
    /// merged decoders before a pair.
    ///
    /// # Errors
    /// Returns what is missing.
    pub(super) fn choose(has: &dyn Fn(&str) -> bool, quantized: bool) -> Result<Self, String> {
        let plain = if quantized {
            None
        } else {
            Self::with_suffix(has, "")
        };
        plain
            .or_else(|| Self::with_suffix(has, QUANTIZED))
            .ok_or_else(|| lacks(if quantized { QUANTIZED } else { "" }))
    }

    fn with_suffix(has: &dyn Fn(&str) -> bool, precision: &str) -> Option<Self> {
        FOLDERS.iter().find_map(|folder| {
            let found = |stem: &str| {
                let name = format!("{folder}{stem}{precision}.onnx");
                has(&name).then_some(name)
            };
            let apart = |first| match found("decoder_with_past_model") {
                Some(next) => Decoders::Pair { first, next },
                None => Decoders::Whole(first),
            };
            let merged = found("decoder_model_merged").map(Decoders::Merged);
            let decoders = merged.or_else(|| found("decoder_model").map(apart))?;
            Some(Self {
                encoder: found("encoder_model")?,
                decoders,
                quantized: !precision.is_empty(),
            })
        })
    }

    /// As [`Self::choose`], of a folder.
    ///
    /// # Errors
    /// Returns what is missing.
    pub(super) fn find(dir: &Path, quantized: bool) -> Result<Self> {
        Self::choose(&|name| dir.join(name).is_file(), quantized).map_err(|missing| {
            anyhow!(
                "{}: no ONNX export here (looked for {missing})",
                dir.display()
            )
        })
    }

    /// The files' names.
    pub(super) fn names(&self) -> Vec<&str> {
        let decoders = match &self.decoders {
            Decoders::Merged(graph) | Decoders::Whole(graph) => vec![graph],
            Decoders::Pair { first, next } => vec![first, next],
        };
        std::iter::once(&self.encoder)
            .chain(decoders)
            .map(String::as_str)
            .collect()
    }

    /// How the weights are stored, as the files' names tell.
    pub(super) fn precision(&self) -> &'static str {
        if self.quantized { "int8" } else { "f32" }
    }

    /// The hash over the graphs, the weight files beside them (`*.onnx_data`, `*.onnx.data`) and
    /// `config.json`.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub(super) fn sha256(&self, dir: &Path) -> Result<String> {
        let mut files: Vec<PathBuf> = self.names().iter().map(|name| dir.join(name)).collect();
        let folder = dir
            .join(&self.encoder)
            .parent()
            .map_or_else(|| dir.to_owned(), Path::to_owned);
        let unreadable = || format!("cannot read {}", folder.display());
        for entry in std::fs::read_dir(&folder).with_context(unreadable)? {
            let path = entry.with_context(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if DATA
                .iter()
                .any(|ending| name.contains(&format!(".onnx{ending}")))
            {
                files.push(path);
            }
        }
        files.push(dir.join("config.json"));
        files_sha256(files)
    }
}

fn lacks(precision: &str) -> String {
    format!(
        "encoder_model{precision}.onnx with decoder_model_merged{precision}.onnx or decoder_model{precision}.onnx"
    )
}

/// The files of an export in a repository that `has` them. Plain or quantized is not left to what
/// there is: it would depend on what of a repository was downloaded before.
///
/// # Errors
/// Returns the missing file.
pub(in crate::adapter) fn needed(
    has: &dyn Fn(&str) -> bool,
    quantized: bool,
) -> Result<Vec<String>, String> {
    let mut files = beside_weights(has)?;
    let precision = if quantized { QUANTIZED } else { "" };
    let graphs = Graphs::with_suffix(has, precision).ok_or_else(|| lacks(precision))?;
    for graph in graphs.names() {
        // The weights first: a graph tells that the others are there.
        files.extend(
            DATA.iter()
                .map(|ending| format!("{graph}{ending}"))
                .filter(|name| has(name)),
        );
        files.push(graph.to_owned());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn chosen(names: &[&str], quantized: bool) -> Result<Vec<String>, String> {
        let graphs = Graphs::choose(&|name| names.contains(&name), quantized)?;
        Ok(graphs.names().into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn merged_before_pairs_and_plain_before_quantized() {
        let all = [
            "encoder_model.onnx",
            "decoder_model.onnx",
            "decoder_with_past_model.onnx",
            "decoder_model_merged.onnx",
            "encoder_model_quantized.onnx",
            "decoder_model_merged_quantized.onnx",
        ];
        assert_eq!(
            chosen(&all, false).unwrap(),
            ["encoder_model.onnx", "decoder_model_merged.onnx"]
        );
        assert_eq!(chosen(&all, true).unwrap(), all[4..]);
        assert_eq!(chosen(&all[4..], false).unwrap(), all[4..]);
        assert_eq!(chosen(&all[..3], false).unwrap(), all[..3]);
        assert_eq!(chosen(&all[..2], false).unwrap(), all[..2]);
        assert_eq!(
            chosen(
                &["onnx/encoder_model.onnx", "onnx/decoder_model_merged.onnx"],
                false
            )
            .unwrap(),
            ["onnx/encoder_model.onnx", "onnx/decoder_model_merged.onnx"]
        );
        assert!(
            chosen(&all[..1], false)
                .unwrap_err()
                .contains("decoder_model_merged.onnx")
        );
        assert!(
            chosen(&all[..4], true)
                .unwrap_err()
                .contains("encoder_model_quantized.onnx")
        );
    }
}
