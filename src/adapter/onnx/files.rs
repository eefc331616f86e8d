//! Which graphs an export has, by the names that Optimum gives them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::nn::files_sha256;

const QUANTIZED: &str = "_quantized";
/// Where exports lie in a repository: at its top, or beside other formats.
const FOLDERS: [&str; 2] = ["", "onnx/"];

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
    /// Takes what an export `has`: plain graphs before quantized ones, unless those are wanted; merged decoders before a pair.
    ///
    /// # Errors
    /// Names what is missing.
    pub fn choose(has: &dyn Fn(&str) -> bool, quantized: bool) -> Result<Self, String> {
        let precisions: &[&str] = if quantized { &[QUANTIZED] } else { &["", QUANTIZED] };
        for precision in precisions {
            for folder in FOLDERS {
                let found = |stem: &str| {
                    let name = format!("{folder}{stem}{precision}.onnx");
                    has(&name).then_some(name)
                };
                let pair = || Some((found("decoder_model")?, found("decoder_with_past_model")));
                let decoders = found("decoder_model_merged").map(Decoders::Merged).or_else(|| {
                    pair().map(|(first, next)| match next {
                        Some(next) => Decoders::Pair { first, next },
                        None => Decoders::Whole(first),
                    })
                });
                if let (Some(encoder), Some(decoders)) = (found("encoder_model"), decoders) {
                    return Ok(Self { encoder, decoders, quantized: !precision.is_empty() });
                }
            }
        }
        let ending = if quantized { QUANTIZED } else { "" };
        Err(format!("encoder_model{ending}.onnx with decoder_model_merged{ending}.onnx or decoder_model{ending}.onnx"))
    }

    /// As [`Self::choose`], of a folder.
    ///
    /// # Errors
    /// Names what is missing.
    pub fn find(dir: &Path, quantized: bool) -> Result<Self> {
        Self::choose(&|name| dir.join(name).is_file(), quantized)
            .map_err(|missing| anyhow!("{}: no ONNX export here (looked for {missing})", dir.display()))
    }

    /// The files' names.
    pub fn names(&self) -> Vec<&str> {
        let decoders = match &self.decoders {
            Decoders::Merged(graph) | Decoders::Whole(graph) => vec![graph],
            Decoders::Pair { first, next } => vec![first, next],
        };
        std::iter::once(&self.encoder).chain(decoders).map(String::as_str).collect()
    }

    /// How the weights are stored, as the files' names tell.
    pub fn precision(&self) -> &'static str {
        if self.quantized { "int8" } else { "f32" }
    }

    /// The hash over the graphs, the weight files beside them (`*.onnx_data`, `*.onnx.data`) and `config.json`.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn sha256(&self, dir: &Path) -> Result<String> {
        let mut files: Vec<PathBuf> = self.names().iter().map(|name| dir.join(name)).collect();
        let folder = dir.join(&self.encoder).parent().map_or_else(|| dir.to_owned(), Path::to_owned);
        let unreadable = || format!("cannot read {}", folder.display());
        for entry in std::fs::read_dir(&folder).with_context(unreadable)? {
            let path = entry.with_context(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.contains(".onnx_data") || name.contains(".onnx.data") {
                files.push(path);
            }
        }
        files.push(dir.join("config.json"));
        files_sha256(files)
    }
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
        assert_eq!(chosen(&all, false).unwrap(), ["encoder_model.onnx", "decoder_model_merged.onnx"]);
        assert_eq!(chosen(&all, true).unwrap(), all[4..]);
        assert_eq!(chosen(&all[4..], false).unwrap(), all[4..]);
        assert_eq!(chosen(&all[..3], false).unwrap(), all[..3]);
        assert_eq!(chosen(&all[..2], false).unwrap(), all[..2]);
        assert_eq!(
            chosen(&["onnx/encoder_model.onnx", "onnx/decoder_model_merged.onnx"], false).unwrap(),
            ["onnx/encoder_model.onnx", "onnx/decoder_model_merged.onnx"]
        );
        assert!(chosen(&all[..1], false).unwrap_err().contains("decoder_model_merged.onnx"));
        assert!(chosen(&all[..4], true).unwrap_err().contains("encoder_model_quantized.onnx"));
    }
}
