//! Unpacks the archives of a data set beside themselves, once: whole or not at all, and nothing
//! outside the folder of the archive's name.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

use super::cache::is_inside;
use super::download::on_disk;
use chartbench_core::files::UnfinishedFolder;
use chartbench_core::terminal::shorten;

/// Most files of an archive.
const MAX_FILES: u64 = 1_000_000;
/// Most unpacked bytes for each byte of an archive, beside [`SMALL`].
const MAX_RATIO: u64 = 100;
/// Unpacked bytes that any archive may have.
const SMALL: u64 = 16 << 20;
/// What an unpacked folder holds besides: it is told by it from a folder of the repository.
const MARK: &str = ".unpacked";
/// Folder of what macOS adds to archives.
const MACOS: &str = "__MACOSX/";

/// Whether the archive is unpacked.
pub(super) fn is_unpacked(archive: &Path) -> bool {
    target(archive).join(MARK).is_file()
}

/// The folder an archive is unpacked into: its name without the ending.
fn target(archive: &Path) -> PathBuf {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let stem = [".zip", ".tar.gz", ".tgz"]
        .iter()
        .find_map(|end| name.strip_suffix(end));
    archive.with_file_name(stem.unwrap_or(&name))
}

/// Unpacks an archive, unless it is unpacked already. Where all of it lies in one folder of the
/// archive's name, that folder is the target, and not one in it.
///
/// # Errors
/// Returns an error that names the archive if it cannot be read, holds links, leads out of its
/// folder, is too large, or cannot be written.
pub(super) fn unpack(archive: &Path) -> Result<()> {
    if is_unpacked(archive) {
        return Ok(());
    }
    let target = target(archive);
    ensure!(
        target.symlink_metadata().is_err(),
        "{}: cannot be unpacked: {} is there already",
        archive.display(),
        target.display()
    );
    let parent = archive.parent().unwrap_or(archive);
    let unfinished = UnfinishedFolder::create_in(parent).map_err(|error| on_disk(error, parent))?;
    let mut unpacker = Unpacker::new(archive, unfinished.path())?;
    let unpacked = if archive.to_string_lossy().ends_with(".zip") {
        unpacker.zip(archive)
    } else {
        unpacker.tar(archive)
    };
    unpacker.bar.finish_and_clear();
    unpacked.map_err(|error| match error.downcast::<io::Error>() {
        Ok(error) if error.kind() == io::ErrorKind::StorageFull => on_disk(error, parent),
        Ok(error) => {
            anyhow::Error::new(error).context(format!("{}: cannot be unpacked", archive.display()))
        }
        Err(error) => error.context(format!("{}: cannot be unpacked", archive.display())),
    })?;
    let content = content_folder(unfinished.path(), &target)?;
    let finish = || -> io::Result<()> {
        fs::write(content.join(MARK), "")?;
        fs::rename(&content, &target)
    };
    finish().map_err(|error| on_disk(error, parent))?;
    let left_out = match unpacker.left_out {
        0 => String::new(),
        count => format!(", {count} of macOS's own left out"),
    };
    chartbench_core::note!(
        "unpacked {} files ({}) to {}{left_out}",
        unpacker.files,
        DecimalBytes(unpacker.bytes),
        target.display()
    );
    Ok(())
}

/// The folder that becomes the target: what was unpacked, or its one folder of the same name.
fn content_folder(unpacked: &Path, target: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(unpacked)?;
    let inner = unpacked.join(target.file_name().unwrap_or_default());
    let is_alone = entries.next().is_some() && entries.next().is_none();
    Ok(if is_alone && inner.is_dir() {
        inner
    } else {
        unpacked.to_owned()
    })
}

/// Writes the files of one archive, and counts them.
struct Unpacker<'a> {
    folder: &'a Path,
    /// Bytes that the archive may have unpacked.
    max_bytes: u64,
    files: u64,
    bytes: u64,
    left_out: u64,
    bar: ProgressBar,
}

impl<'a> Unpacker<'a> {
    fn new(archive: &Path, folder: &'a Path) -> Result<Self> {
        let metadata = archive.metadata();
        let length = metadata
            .with_context(|| format!("cannot read {}", archive.display()))?
            .len();
        let style = ProgressStyle::with_template("{msg} {spinner} {bytes} {bytes_per_sec}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self {
            folder,
            max_bytes: length.saturating_mul(MAX_RATIO).saturating_add(SMALL),
            files: 0,
            bytes: 0,
            left_out: 0,
            bar: ProgressBar::no_length()
                .with_style(style)
                .with_message(format!("unpacking {name}")),
        })
    }

    fn zip(&mut self, archive: &Path) -> Result<()> {
        let mut zip = zip::ZipArchive::new(BufReader::new(File::open(archive)?))?;
        ensure!(
            zip.len() as u64 <= MAX_FILES,
            "it has more than {MAX_FILES} files"
        );
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index)?;
            let name = entry.name()?.into_owned();
            ensure!(!entry.is_symlink(), "`{}` in it is a link", shorten(&name));
            if entry.is_dir() {
                self.check(name.trim_end_matches('/'))?;
                continue;
            }
            self.write(&name, &mut entry)?;
        }
        Ok(())
    }

    fn tar(&mut self, archive: &Path) -> Result<()> {
        let reader = BufReader::new(File::open(archive)?);
        let mut tar = tar::Archive::new(MultiGzDecoder::new(reader));
        for entry in tar.entries()? {
            let mut entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.trim_start_matches("./").to_owned();
            match entry.header().entry_type() {
                kind if kind.is_file() => self.write(&name, &mut entry)?,
                kind if kind.is_dir() => {}
                tar::EntryType::XGlobalHeader => {}
                _ => bail!("`{}` in it is no file", shorten(&name)),
            }
        }
        Ok(())
    }

    fn check(&self, name: &str) -> Result<()> {
        ensure!(
            is_inside(name),
            "`{}` in it is no name of a file in a folder",
            shorten(name)
        );
        Ok(())
    }

    /// Writes one file.
    fn write(&mut self, name: &str, content: &mut dyn Read) -> Result<()> {
        if name.starts_with(MACOS) {
            self.left_out += 1;
            return Ok(());
        }
        self.check(name)?;
        self.files += 1;
        ensure!(
            self.files <= MAX_FILES,
            "it has more than {MAX_FILES} files"
        );
        let path = self.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut out = BufWriter::new(File::create_new(&path)?);
        let left = self.max_bytes.saturating_sub(self.bytes);
        let written = io::copy(&mut content.take(left.saturating_add(1)), &mut out)?;
        ensure!(
            written <= left,
            "unpacked it has more than {}, over {MAX_RATIO} times its size",
            DecimalBytes(self.max_bytes)
        );
        out.into_inner().map_err(io::IntoInnerError::into_error)?;
        self.bytes += written;
        self.bar.set_position(self.bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn zip_of(path: &Path, files: &[(&str, &[u8])]) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated);
        for (name, content) in files {
            zip.start_file(*name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
    }

    fn refused(files: &[(&str, &[u8])]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("charts.zip");
        zip_of(&archive, files);
        let error = format!("{:#}", unpack(&archive).unwrap_err());
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(
            names,
            ["charts.zip"],
            "nothing is left of a refused archive"
        );
        error
    }

    #[test]
    fn an_archive_is_unpacked_once_beside_itself() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("Chart set.zip");
        let files: [(&str, &[u8]); 3] = [
            ("Chart set/test/a.png", b"a"),
            ("Chart set/test.json", b"[]"),
            ("__MACOSX/Chart set/._a", b"x"),
        ];
        zip_of(&archive, &files);
        assert!(!is_unpacked(&archive));
        unpack(&archive).unwrap();
        let read = |name: &str| fs::read(folder.path().join("Chart set").join(name)).unwrap();
        assert_eq!(read("test/a.png"), b"a");
        assert_eq!(read("test.json"), b"[]");
        fs::write(folder.path().join("Chart set/test.json"), "mine").unwrap();
        unpack(&archive).unwrap();
        assert_eq!(read("test.json"), b"mine", "it is not unpacked again");
        // A folder of the repository of the same name is no unpacked archive.
        fs::remove_file(folder.path().join("Chart set").join(MARK)).unwrap();
        let error = format!("{:#}", unpack(&archive).unwrap_err());
        assert!(error.contains("is there already"), "{error}");
    }

    #[test]
    fn a_tar_is_unpacked_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("images.tar.gz");
        let gzip = flate2::write::GzEncoder::new(
            File::create(&archive).unwrap(),
            flate2::Compression::fast(),
        );
        let mut tar = tar::Builder::new(gzip);
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        tar.append_data(&mut header, "./png/1.png", &b"abc"[..])
            .unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        unpack(&archive).unwrap();
        let content = fs::read(folder.path().join("images/png/1.png")).unwrap();
        assert_eq!(content, b"abc");
    }

    #[test]
    fn an_archive_that_leads_elsewhere_is_refused() {
        for name in ["../evil", "/etc/evil", "a/../../evil", "a\\evil"] {
            let error = refused(&[("fine", b"x"), (name, b"x")]);
            assert!(
                error.contains("charts.zip: cannot be unpacked: `"),
                "{error}"
            );
        }
        let error = refused(&[("a", b"x"), ("a/b", b"x")]);
        assert!(error.contains("cannot be unpacked"), "{error}");
        let bomb = vec![0; 3 * SMALL as usize];
        let error = refused(&[("zeros", &bomb)]);
        assert!(error.contains("unpacked it has more than"), "{error}");
    }
}
