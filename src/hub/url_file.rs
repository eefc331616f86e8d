//! A data set that is one file at an address of its own, told by its MD5.

#[cfg(feature = "hub")]
use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::cache::HubOptions;
use super::unavailable::Unavailable;
#[cfg(feature = "hub")]
use super::{
    body::Source,
    client::HubClient,
    download::{Progress, md5, on_disk, open_part},
};
use crate::config::UrlFile;

/// Where the cache has the file: under its MD5.
fn cached_path(file: &UrlFile, options: &HubOptions) -> PathBuf {
    let folder = format!("urls--{}", file.md5);
    options.cache.join(folder).join(&file.name)
}

/// The file's size in bytes, if the cache has it.
pub(super) fn cached_bytes(file: &UrlFile, options: &HubOptions) -> Option<u64> {
    let metadata = cached_path(file, options).metadata().ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// The file, from the cache or else downloaded into it. What a killed download left is gone on
/// with. The hub's token is not sent.
///
/// # Errors
/// As [`super::locate_data_set`].
pub(super) fn locate(benchmark: &str, file: &UrlFile, options: &HubOptions) -> Result<PathBuf> {
    let path = cached_path(file, options);
    if path.is_file() {
        return Ok(path);
    }
    if options.offline {
        bail!(Unavailable::Offline.because(format!(
            "the data set of benchmark `{benchmark}`: no copy of {} in the cache {}, and downloads are off: run \
             `chartbench data get {benchmark}` where there is a network, or name a copy with --data",
            file.name,
            options.cache.display()
        )));
    }
    download(benchmark, file, &path, options)?;
    Ok(path)
}

#[cfg(feature = "hub")]
fn download(
    benchmark: &str,
    file: &UrlFile,
    path: &std::path::Path,
    options: &HubOptions,
) -> Result<()> {
    use anyhow::Context;

    let folder = path.parent().unwrap_or(path);
    let disk = |error| on_disk(error, folder);
    fs::create_dir_all(folder).map_err(disk)?;
    // A file system without locks has none.
    let _lock = chartbench_core::files::FileLock::acquire(path).ok();
    if path.is_file() {
        return Ok(());
    }
    let address = url::Url::parse(&file.url).context("`hub.url` is no address")?;
    let client = HubClient::without_token(options, &address);
    let server = &client.display_address;
    chartbench_core::note!("fetching {} from {server}", file.name);
    let source = Source {
        url: &file.url,
        what: &file.name,
        bytes: None,
    };
    let refusal = |response: &ureq::http::Response<ureq::Body>| {
        let status = response.status().as_u16();
        let reason = match status {
            404 | 410 => Unavailable::NotFound,
            401 | 403 => Unavailable::Gated,
            _ => Unavailable::Unreachable,
        };
        let line = format!(
            "{server} answered {status} for {}, the data set of benchmark `{benchmark}`: try again later, or name a copy \
             with --data",
            file.name
        );
        reason.because(line).into()
    };
    let part = folder.join(format!("{}.incomplete", file.md5));
    let mut resumed = part.metadata().is_ok_and(|metadata| metadata.len() > 0);
    loop {
        let progress = Progress::new(file.name.clone(), 0);
        let mut counted = 0;
        let mut out = open_part(&part).map_err(disk)?;
        let fetched = client.fetch_source(&source, &mut out, &refusal, &mut |there| {
            progress.count(counted, there);
            counted = there;
        });
        progress.bar.finish_and_clear();
        let synced = fetched.and_then(|()| Ok(out.sync_all()?));
        synced.map_err(|error| match error.downcast::<std::io::Error>() {
            Ok(error) => disk(error),
            Err(error) => error,
        })?;
        drop(out);
        let found = md5(&part).map_err(disk)?;
        if found == file.md5 {
            return fs::rename(&part, path).map_err(disk);
        }
        fs::remove_file(&part).map_err(disk)?;
        if !std::mem::take(&mut resumed) {
            bail!(
                "{} from {server}: its MD5 is {found}, and benchmark `{benchmark}` states {}: it is not used",
                file.name,
                file.md5
            );
        }
    }
}

/// The stand-in without the feature.
#[cfg(not(feature = "hub"))]
fn download(benchmark: &str, file: &UrlFile, _: &std::path::Path, _: &HubOptions) -> Result<()> {
    bail!(Unavailable::Offline.because(format!(
        "the data set of benchmark `{benchmark}` ({}) is not in the cache, and this build downloads nothing: build with \
         `--features hub`, or name a copy with --data",
        file.name
    )))
}
