//! One parquet file from outside: its schema and metadata, and the values of its columns, a row
//! group at a time. Nothing stays open between two reads, and no page is kept.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ::parquet::basic::{Compression, ConvertedType, Type as PhysicalType};
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use ::parquet::file::properties::ReaderProperties;
use ::parquet::file::reader::{ChunkReader, Length, RowGroupReader};
use ::parquet::file::serialized_reader::SerializedRowGroupReader;
use ::parquet::record::Field;
use ::parquet::record::reader::RowIter;
use ::parquet::schema::types::{Type as SchemaType, TypePtr};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use super::bounds;
use chartbench_core::catch_panic;
use chartbench_core::input;

/// The first and the last bytes of every parquet file.
const MAGIC: &[u8] = b"PAR1";
/// Bytes behind the footer: its length and [`MAGIC`].
const TAIL_BYTES: u64 = 8;
/// Most bytes of a footer.
const MAX_FOOTER_BYTES: u64 = 64 << 20;
/// Most bytes of a page header.
const MAX_HEADER_BYTES: u64 = 64 << 10;
/// Bytes that are read of a page header at first: most have less than 100.
const HEADER_BYTES: u64 = 1 << 10;
/// Values of a column that are read at once.
const BATCH: usize = 64;
/// The first line of a Git LFS pointer.
const LFS: &[u8] = b"version https://git-lfs";

/// A parquet file whose metadata is read.
pub(super) struct ParquetFile {
    path: PathBuf,
    bytes: u64,
    metadata: ParquetMetaData,
}

impl ParquetFile {
    /// Opens the file at `path`; `None` if it has no bytes.
    ///
    /// # Errors
    /// Returns an error if it cannot be read or is not a parquet file; the error names it.
    pub(super) fn open(path: &Path) -> Result<Option<Self>> {
        let file = path.display();
        let read = || -> Result<Option<(u64, Vec<u8>)>> {
            let mut file = input::open(path)?;
            let bytes = file.metadata()?.len();
            if bytes == 0 {
                return Ok(None);
            }
            Ok(Some((bytes, footer(&mut file, bytes)?)))
        };
        let Some((bytes, footer)) = read().with_context(|| format!("cannot read {file}"))? else {
            return Ok(None);
        };
        let metadata = bounds::check_footer(&footer).and_then(|()| {
            catch_panic("the parquet library", || {
                Ok(ParquetMetaDataReader::decode_metadata(&footer)?)
            })
        });
        Ok(Some(Self {
            path: path.to_owned(),
            bytes,
            metadata: metadata.with_context(|| file.to_string())?,
        }))
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of row groups.
    pub(super) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.metadata.file_metadata().num_rows()).unwrap_or(0)
    }

    /// The number of rows of a row group.
    pub(super) fn rows_of(&self, group: usize) -> usize {
        usize::try_from(self.metadata.row_group(group).num_rows()).unwrap_or(0)
    }

    /// Its top-level columns.
    pub(super) fn columns(&self) -> &[TypePtr] {
        self.metadata
            .file_metadata()
            .schema_descr()
            .root_schema()
            .get_fields()
    }

    /// The text that Hugging Face's libraries store under `key`.
    pub(super) fn key_value(&self, key: &str) -> Option<&str> {
        let pairs = self.metadata.file_metadata().key_value_metadata()?;
        pairs
            .iter()
            .find(|pair| pair.key == key)
            .and_then(|pair| pair.value.as_deref())
    }

    /// The number of the leaf column at `path`, if it holds texts or bytes, at most one in a row.
    pub(super) fn bytes_leaf(&self, path: &[&str]) -> Option<usize> {
        let schema = self.metadata.file_metadata().schema_descr();
        (0..schema.num_columns()).find(|&leaf| {
            let column = schema.column(leaf);
            let is_path = column.path().parts().iter().eq(path.iter());
            is_path
                && column.physical_type() == PhysicalType::BYTE_ARRAY
                && column.max_rep_level() == 0
        })
    }

    /// Whether the column `name` holds texts.
    pub(super) fn is_text(&self, name: &str) -> bool {
        let schema = self.metadata.file_metadata().schema_descr();
        let path: Vec<&str> = name.split('.').collect();
        let leaf = self.bytes_leaf(&[name]).or_else(|| self.bytes_leaf(&path));
        leaf.is_some_and(|leaf| schema.column(leaf).converted_type() == ConvertedType::UTF8)
    }

    /// Calls `take` with the columns of each row of a row group, read of the top-level columns
    /// `names` only.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is damaged, or if `take` does.
    pub(super) fn for_each_row(
        &self,
        group: usize,
        names: &[&str],
        mut take: impl FnMut(Vec<(String, Field)>) -> Result<()>,
    ) -> Result<()> {
        let root = self
            .metadata
            .file_metadata()
            .schema_descr()
            .root_schema_ptr();
        let fields: Vec<TypePtr> = root
            .get_fields()
            .iter()
            .filter(|field| names.contains(&field.name()))
            .cloned()
            .collect();
        self.check_compression(group, |path| {
            path.first()
                .is_some_and(|name| names.contains(&name.as_str()))
        })?;
        catch_panic("the parquet library", || {
            let projection = SchemaType::group_type_builder(root.name())
                .with_fields(fields)
                .build()?;
            let reader = self.group(group)?;
            for row in RowIter::from_row_group(Some(projection), &reader)? {
                take(row?.into_columns())?;
            }
            Ok(())
        })
    }

    /// Calls `take` with the value of each of some rows of a row group in a leaf column
    /// ([`Self::bytes_leaf`]). Pages before these rows are passed over.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is damaged, or was changed since it was opened.
    pub(super) fn for_each_cell(
        &self,
        group: usize,
        leaf: usize,
        rows: Range<usize>,
        mut take: impl FnMut(Option<ByteArray>),
    ) -> Result<()> {
        let descriptor = self.metadata.file_metadata().schema_descr().column(leaf);
        self.check_compression(group, |path| path == descriptor.path().parts())?;
        let mut left = rows.len();
        catch_panic("the parquet library", || {
            let ColumnReader::ByteArrayColumnReader(mut column) =
                self.group(group)?.get_column_reader(leaf)?
            else {
                bail!("a column of bytes has another type");
            };
            if left > 0 && rows.start > 0 {
                let skipped = column.skip_records(rows.start)?;
                ensure!(skipped == rows.start, "a column ends before its row group");
            }
            while left > 0 {
                let (mut levels, mut values) = (Vec::new(), Vec::new());
                let (records, ..) =
                    column.read_records(BATCH.min(left), Some(&mut levels), None, &mut values)?;
                ensure!(records > 0, "a column ends before its row group");
                let mut values = values.into_iter();
                for record in 0..records {
                    let is_null = levels
                        .get(record)
                        .is_some_and(|level| *level < descriptor.max_def_level());
                    take(if is_null { None } else { values.next() });
                }
                left = left.saturating_sub(records);
            }
            Ok(())
        })
    }

    /// Opens a row group for reading.
    fn group(&self, group: usize) -> Result<SerializedRowGroupReader<'_, Chunks>> {
        let file = input::open(&self.path)?;
        ensure!(
            file.metadata()?.len() == self.bytes,
            "the file was changed since it was opened"
        );
        let chunks = Chunks {
            file: Arc::new(Mutex::new(file)),
            bytes: self.bytes,
        };
        let properties = ReaderProperties::builder().build();
        let metadata = self.metadata.row_group(group);
        Ok(SerializedRowGroupReader::new(
            Arc::new(chunks),
            metadata,
            None,
            Arc::new(properties),
        )?)
    }

    /// Checks that the columns whose path `is_read` are compressed as this program reads them.
    fn check_compression(&self, group: usize, is_read: impl Fn(&[String]) -> bool) -> Result<()> {
        for column in self.metadata.row_group(group).columns() {
            let path = column.column_path();
            let readable = matches!(
                column.compression(),
                Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_)
            );
            if is_read(path.parts()) && !readable {
                // Its level stands in parentheses.
                let codec = column.compression().to_string();
                let codec = codec.split('(').next().unwrap_or_default();
                bail!(
                    "column `{}` is compressed by {codec}, which is not read: write the file with snappy or zstd",
                    path.string()
                );
            }
        }
        Ok(())
    }
}

/// The footer of a file of `bytes` bytes.
fn footer(file: &mut File, bytes: u64) -> Result<Vec<u8>> {
    let mut head = vec![0; LFS.len().min(usize::try_from(bytes)?)];
    file.read_exact(&mut head)?;
    ensure!(
        !head.starts_with(LFS),
        "it is a Git LFS pointer and not the file itself: `git lfs pull` gets it"
    );
    ensure!(
        head.starts_with(MAGIC) && bytes > TAIL_BYTES + MAGIC.len() as u64,
        "it is not a parquet file"
    );
    let mut tail = [0; TAIL_BYTES as usize];
    file.seek(SeekFrom::Start(bytes - TAIL_BYTES))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    ensure!(
        magic == MAGIC,
        "it does not end as a parquet file does; is it cut short?"
    );
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    ensure!(
        length <= MAX_FOOTER_BYTES && length + TAIL_BYTES + MAGIC.len() as u64 <= bytes,
        "its footer of {length} bytes is too long"
    );
    file.seek(SeekFrom::Start(bytes - TAIL_BYTES - length))?;
    let mut footer = vec![0; usize::try_from(length)?];
    file.read_exact(&mut footer)?;
    Ok(footer)
}

/// A file that columns are read from at several places in turn.
struct Chunks {
    file: Arc<Mutex<File>>,
    bytes: u64,
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Chunks {
    type T = PageStart;

    fn get_read(&self, start: u64) -> Result<PageStart, ParquetError> {
        let place = Place {
            file: Arc::clone(&self.file),
            position: start,
        };
        Ok(PageStart {
            place,
            header: None,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF("a page lies behind the end".to_owned()));
        }
        let mut bytes = vec![0; length];
        let mut place = Place {
            file: Arc::clone(&self.file),
            position: start,
        };
        place.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// A reader at a place of a file.
struct Place {
    file: Arc<Mutex<File>>,
    position: u64,
}

impl Read for Place {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.position))?;
        let count = file.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// A reader of a page's header, which is checked before any of it is given out.
struct PageStart {
    place: Place,
    /// The header and a few bytes behind it, once it is checked.
    header: Option<Cursor<Vec<u8>>>,
}

impl PageStart {
    fn read_header(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.place
            .by_ref()
            .take(HEADER_BYTES)
            .read_to_end(&mut bytes)?;
        if bounds::check_page_header(&bytes).is_err() {
            let rest = MAX_HEADER_BYTES - HEADER_BYTES;
            self.place.by_ref().take(rest).read_to_end(&mut bytes)?;
            bounds::check_page_header(&bytes)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?;
        }
        Ok(bytes)
    }
}

impl Read for PageStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut header = match self.header.take() {
            Some(header) => header,
            None => Cursor::new(self.read_header()?),
        };
        let count = header.read(buffer)?;
        self.header = Some(header);
        Ok(count)
    }
}
