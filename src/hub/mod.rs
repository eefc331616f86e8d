//! Repositories of the Hugging Face hub: models and data sets, their cache on disk, and downloads
//! into it. Files at other addresses, told by their MD5, come the same way.

#[cfg(feature = "hub")]
mod body;
mod cache;
#[cfg(feature = "hub")]
mod client;
mod data_set;
#[cfg(feature = "hub")]
mod download;
mod listing;
#[cfg(feature = "hub")]
mod reach;
mod unavailable;
#[cfg(feature = "hub")]
mod unpack;
mod url_file;

#[cfg(all(feature = "models", not(feature = "hub")))]
pub(crate) use cache::FurtherFiles;
#[cfg(feature = "models")]
pub(crate) use cache::{CachedRepo, Needed, Repo, RepoKind, is_name, is_relative};
pub use cache::{HubOptions, program_cache, user_cache};
pub use data_set::{DataSetCopy, DataSetSize, data_set_size, locate_data_set};
#[cfg(all(feature = "hub", feature = "models"))]
pub(crate) use download::download;
#[cfg(all(feature = "hub", feature = "models"))]
pub(crate) use reach::check_reachable;
pub use unavailable::{Unavailable, WeightsUnavailable};
