//! Locates a model's folder: the one the user names, one in the Hugging Face cache, or a download
//! into that cache.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::cache::{missing, needed, shard_index, shards};
use crate::config::AdapterSpec;
#[cfg(not(feature = "hub"))]
use crate::hub::FurtherFiles;
use crate::hub::{CachedRepo, HubOptions, Needed, Repo, RepoKind, Unavailable, is_relative};
#[cfg(feature = "hub")]
use crate::hub::{check_reachable, download};
use chartbench_core::files::recover_folder;
use chartbench_nn::loading::is_lora_folder;

/// The folder with the model `repo` (`OWNER/NAME`) at `revision` (a branch, a tag or a whole commit
/// id).
///
/// `explicit`, the user's `--weights`, takes precedence and needs only a `config.json`, or the
/// `adapter_config.json` of a PEFT LoRA folder. Next comes the cache, if its copy is complete: configuration, tokenizer, preprocessor and weights.
/// Otherwise the missing files are downloaded, with a progress bar on a terminal's stderr, and each
/// file is checked against the hub's checksum before it takes its name. What is there of a file
/// when a download breaks off is gone on with.
///
/// # Errors
/// Returns an error in one line with what is missing and what to do: `explicit` is no model folder,
/// there is no copy while offline, the repository is unknown, gated or incomplete, the hub is down,
/// a download is broken, or the disk is full. A failed download leaves complete files, and the
/// beginning of one as `blobs/CHECKSUM.incomplete`.
pub fn locate(
    repo: &str,
    revision: &str,
    explicit: Option<&Path>,
    options: &HubOptions,
) -> Result<PathBuf> {
    locate_files(repo, revision, explicit, options, &needed)
}

/// As [`locate`], the graphs of an ONNX export in the place of the weights: plain ones, or
/// `quantized` ones.
///
/// # Errors
/// As [`locate`].
#[cfg(feature = "onnx")]
pub fn locate_export(
    repo: &str,
    revision: &str,
    explicit: Option<&Path>,
    options: &HubOptions,
    quantized: bool,
) -> Result<PathBuf> {
    locate_files(repo, revision, explicit, options, &|has| {
        crate::adapter::onnx::needed(has, quantized)
    })
}

fn locate_files(
    repo: &str,
    revision: &str,
    explicit: Option<&Path>,
    options: &HubOptions,
    needed: Needed<'_>,
) -> Result<PathBuf> {
    if let Some(folder) = explicit {
        recover_folder(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let folder_name = folder.display();
        ensure!(
            folder.is_dir(),
            Unavailable::NotFound.because(format!("--weights {folder_name}: no such folder"))
        );
        ensure!(
            folder.join("config.json").is_file() || is_lora_folder(folder),
            Unavailable::NotFound.because(format!(
                "--weights {folder_name}: no config.json in it (it must be a model folder as transformers saves it)"
            ))
        );
        return Ok(folder.to_owned());
    }
    let repository = Repo::new(RepoKind::Model, repo, revision)?;
    let cached = CachedRepo::new(repository, options);
    let snapshot = cached
        .commit(revision)
        .map(|commit| cached.snapshot(&commit));
    let missing = match &snapshot {
        None => "no copy".to_owned(),
        Some(snapshot) => match missing(snapshot, needed) {
            None => return Ok(snapshot.clone()),
            Some(missing) => format!("a copy without {missing}"),
        },
    };
    if options.offline {
        bail!(Unavailable::Offline.because(format!(
            "{repo}@{revision}: {missing} in the cache {}, and downloads are off: run `huggingface-cli download {repo} \
             --revision {revision}` where there is a network, or name a folder with --weights",
            options.cache.display()
        )));
    }
    // The line names no model, so that it is the same for all.
    check_reachable(options, "weights")
        .map_err(|cause| Unavailable::Unreachable.because(without_hub(&cause, options)))?;
    let choose = |has: &dyn Fn(&str) -> bool| {
        needed(has).map_err(|missing| format!("{missing}: it is no model this program can load"))
    };
    download(repository, &cached, options, &choose, &shards_of)
}

/// The shards that an index among the files of a snapshot names.
fn shards_of(snapshot: &Path, files: &[String]) -> Result<Vec<String>> {
    match shard_index(files) {
        Some(index) => Ok(shards(&snapshot.join(index))?.into_iter().collect()),
        None => Ok(Vec::new()),
    }
}

/// One file of a hub repository at `revision`, from the cache or else downloaded.
///
/// # Errors
/// As [`locate`].
pub fn file(repo: &str, revision: &str, name: &str, options: &HubOptions) -> Result<PathBuf> {
    let repository = Repo::new(RepoKind::Model, repo, revision)?;
    ensure!(is_relative(name), "`{name}` is no file of a repository");
    let cached = CachedRepo::new(repository, options);
    let found = cached
        .commit(revision)
        .map(|commit| cached.snapshot(&commit).join(name))
        .filter(|path| path.is_file());
    if let Some(path) = found {
        return Ok(path);
    }
    ensure!(
        !options.offline,
        Unavailable::Offline.because(format!(
            "{name} of {repo} is not in the cache and downloads are off"
        ))
    );
    check_reachable(options, name).map_err(|cause| Unavailable::Unreachable.because(cause))?;
    let wanted = |has: &dyn Fn(&str) -> bool| {
        if has(name) {
            Ok(vec![name.to_owned()])
        } else {
            Err(name.to_owned())
        }
    };
    let folder = download(
        repository,
        &cached,
        options,
        &wanted,
        &|_, _| Ok(Vec::new()),
    )?;
    Ok(folder.join(name))
}

/// What can be done without a hub that cannot be reached.
fn without_hub(cause: &str, options: &HubOptions) -> String {
    let embedded = AdapterSpec::embedded_models().join(",");
    format!(
        "{cause}: check the network or HF_ENDPOINT; without a hub there are the embedded models (--adapters \
         {embedded}), folders of your own (--weights NAME=DIR), and what the cache {} holds (HF_HUB_OFFLINE=1)",
        options.cache.display()
    )
}

/// Whether the cache holds everything [`locate`] needs of a model.
pub fn is_cached(repo: &str, revision: &str, options: &HubOptions) -> bool {
    let Ok(repository) = Repo::new(RepoKind::Model, repo, revision) else {
        return false;
    };
    let cached = CachedRepo::new(repository, options);
    cached
        .commit(revision)
        .is_some_and(|commit| missing(&cached.snapshot(&commit), &needed).is_none())
}

/// The stand-in without the feature.
#[cfg(not(feature = "hub"))]
fn check_reachable(_: &HubOptions, _: &str) -> Result<(), String> {
    Ok(())
}

/// The stand-in without the feature.
#[cfg(not(feature = "hub"))]
fn download(
    repo: Repo<'_>,
    _: &CachedRepo,
    _: &HubOptions,
    _: Needed<'_>,
    _: FurtherFiles<'_>,
) -> Result<PathBuf> {
    bail!(Unavailable::Offline.because(format!(
        "{repo} is not in the cache, and this build downloads nothing: build with `--features hub`, or name a folder \
         with --weights"
    )))
}
