//! Where the files of a model are, without loading it.

use super::hub::{self, HubOptions};
use super::pix2struct::REFERENCE_FONT;
use super::{ModelRef, Overrides};
use crate::config::{Family, GgufSource, HeaderFontSource, WeightsSource};
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
    match family {
        #[cfg(feature = "onnx")]
        Family::Onnx(spec) => {
            hub::locate_export(repo, revision, None, offline, spec.quantized).is_ok()
        }
        _ => hub::is_cached(repo, revision, offline),
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
