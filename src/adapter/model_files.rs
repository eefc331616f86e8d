//! Where the files of a model are, without loading it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::hub::{self, HubOptions};
use super::pix2struct::REFERENCE_FONT;
use super::{ModelRef, Overrides};
use crate::config::{Family, GgufSource, HeaderFontSource, WeightsSource};
use chartbench_core::names::is_commit_id;
use chartbench_core::terminal::url_without_credentials;

/// Where the files of a model are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// Describes where they are.
    pub place: String,
    /// Whether some of them would be downloaded first.
    pub to_download: bool,
}

impl ModelFiles {
    /// Finds the files of `model`: nothing is loaded, downloaded or started.
    pub fn find(model: &ModelRef, overrides: &Overrides, hub: &HubOptions) -> Self {
        let family = &model.spec.family;
        let here = |place: String| Self {
            place,
            to_download: false,
        };
        let weights = match (&model.weights, family) {
            (Some(path), _) => here(path.display().to_string()),
            (None, Family::Gguf(spec)) => match &spec.source {
                GgufSource::PythonPackage { module, .. } => {
                    here(format!("Python package {}", module.replace('_', "-")))
                }
                GgufSource::Hub {
                    repo,
                    revision,
                    file,
                } => of_hub(repo, hub, |offline| {
                    hub::file(repo, revision, file, offline).is_ok()
                }),
            },
            (None, Family::Chat(spec)) => here(format!(
                "{} at {}",
                spec.endpoint.model, spec.endpoint.base_url
            )),
            (None, Family::Process(spec)) => here(spec.command.join(" ")),
            (None, _) => match family.weights() {
                None => here("none".to_owned()),
                Some(WeightsSource::Embedded(_)) => here("embedded".to_owned()),
                Some(WeightsSource::Folder(path)) => here(path.display().to_string()),
                Some(WeightsSource::Given) => here("to be named by --weights".to_owned()),
                Some(WeightsSource::Hub { repo, revision }) => of_hub(repo, hub, |offline| {
                    is_here(family, repo, revision, offline)
                }),
            },
        };
        match font(family, overrides) {
            None => weights,
            Some((repo, file)) => {
                let font = of_hub(file, hub, |offline| {
                    hub::file(repo, "main", file, offline).is_ok()
                });
                weights.and(font)
            }
        }
    }

    /// The files of both; `other` is named only where it would be downloaded.
    fn and(self, other: Self) -> Self {
        if other.to_download {
            Self {
                place: format!("{}, {}", self.place, other.place),
                to_download: true,
            }
        } else {
            self
        }
    }
}

/// A repository of a hub in the cache, at the commit that its revision stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSnapshot {
    /// The repository, `OWNER/NAME`.
    pub repo: String,
    /// The revision that was asked for.
    pub revision: String,
    /// The whole commit id that it stands for in the cache.
    pub commit: String,
    /// The folder of its files.
    pub folder: PathBuf,
}

impl HubSnapshot {
    /// The snapshot that the model's checkpoint is in; `None` where it comes from no hub, or is not
    /// in the cache.
    pub fn find(model: &ModelRef, hub: &HubOptions) -> Option<Self> {
        if model.weights.is_some() {
            return None;
        }
        let family = &model.spec.family;
        let offline = &HubOptions {
            offline: true,
            ..hub.clone()
        };
        let (repo, revision, folder) = match (family, family.weights()) {
            (Family::Gguf(spec), _) => {
                let GgufSource::Hub {
                    repo,
                    revision,
                    file,
                } = &spec.source
                else {
                    return None;
                };
                let path = hub::file(repo, revision, file, offline).ok()?;
                (repo, revision, path.parent()?.to_owned())
            }
            (_, Some(WeightsSource::Hub { repo, revision })) => {
                (repo, revision, locate(family, repo, revision, offline)?)
            }
            _ => return None,
        };
        Some(Self {
            repo: repo.clone(),
            revision: revision.clone(),
            commit: commit_of(&folder)?.to_owned(),
            folder,
        })
    }
}

/// The commit whose snapshot a folder of the cache is.
fn commit_of(snapshot: &Path) -> Option<&str> {
    let name = snapshot.file_name()?.to_str()?;
    is_commit_id(name).then_some(name)
}

/// What was said already by [`report_unpinned`].
static REPORTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Says once that a revision is no commit, so that it may stand for other files tomorrow, and which
/// commit it stands for now: that of the folder `snapshot`.
pub(super) fn report_unpinned(repo: &str, revision: &str, snapshot: &Path) {
    let Some(commit) = commit_of(snapshot).filter(|_| !is_commit_id(revision)) else {
        return;
    };
    let line = format!("{repo}: revision {revision} is not pinned: {commit} today");
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    if reported.insert(line.clone()) {
        chartbench_core::note!("note: {line}");
    }
}

/// Files of a hub, which are in its cache where `is_cached` finds them offline.
fn of_hub(name: &str, hub: &HubOptions, is_cached: impl FnOnce(&HubOptions) -> bool) -> ModelFiles {
    let offline = HubOptions {
        offline: true,
        ..hub.clone()
    };
    let cached = is_cached(&offline);
    let place = match (cached, hub.offline) {
        (true, _) => format!("{name} (cached)"),
        (false, true) => format!("{name} (not in the cache, and downloads are off)"),
        (false, false) => format!(
            "{name} (to download from {})",
            url_without_credentials(&hub.endpoint)
        ),
    };
    ModelFiles {
        place,
        to_download: !cached && !hub.offline,
    }
}

/// Whether the cache holds the checkpoint, or the export, of the family.
fn is_here(family: &Family, repo: &str, revision: &str, offline: &HubOptions) -> bool {
    locate(family, repo, revision, offline).is_some()
}

/// The folder of the checkpoint, or the export, of the family, where the cache holds it.
fn locate(family: &Family, repo: &str, revision: &str, offline: &HubOptions) -> Option<PathBuf> {
    match family {
        #[cfg(feature = "onnx")]
        Family::Onnx(spec) => {
            hub::locate_export(repo, revision, None, offline, spec.quantized).ok()
        }
        _ => hub::locate(repo, revision, None, offline).ok(),
    }
}

/// The font of a hub that questions are drawn in.
fn font(family: &Family, overrides: &Overrides) -> Option<(&'static str, &'static str)> {
    let spec = match family {
        Family::Pix2Struct(spec) => Some(spec),
        Family::Onnx(spec) => spec.pix2struct.as_ref(),
        _ => None,
    }?;
    let of_hub = spec.header_font == HeaderFontSource::Reference && overrides.header_font.is_none();
    of_hub.then_some(REFERENCE_FONT)
}
