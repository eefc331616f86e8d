//! Reads a NumPy array of ids (`.npy`): one dimension of texts of a fixed width (`<U12`, `|S12`) or
//! of integers.
//!
//! The file begins with [`MAGIC`], the version of the format and the length of the header. The
//! header is a Python dictionary of `descr` (the items' type), `fortran_order` and `shape`; the
//! items follow one after the other. Arrays of Python objects are pickles, which run code when they
//! are read, and are refused.

use anyhow::{Context, Result, bail, ensure};

use chartbench_core::terminal::shorten;

/// The first bytes of the format.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that NumPy itself reads without being told to.
const MAX_HEADER: usize = 10_000;

/// The type of an array's items.
struct ItemType {
    kind: Kind,
    is_little_endian: bool,
    /// Bytes of an item.
    bytes: usize,
}

enum Kind {
    /// Code points of 4 bytes, NUL at the end of shorter texts.
    Unicode,
    /// Bytes, NUL at the end of shorter texts.
    Bytes,
    Signed,
    Unsigned,
}

/// The items of a one-dimensional array, integers as decimal texts.
///
/// # Errors
/// Returns an error if the bytes are no such array, or not as many as the header states.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<String>> {
    let (header, items) = split_header(bytes).context("the NumPy header is cut short")?;
    let header = std::str::from_utf8(header).context("the NumPy header is not text")?;
    let item_type = ItemType::parse(value_of(header, "descr")?)?;
    let count = parse_shape(value_of(header, "shape")?)?;
    ensure!(
        count.checked_mul(item_type.bytes) == Some(items.len()),
        "{} bytes follow the NumPy header, which states {count} items of {} bytes; is the file cut short?",
        items.len(),
        item_type.bytes
    );
    items
        .chunks_exact(item_type.bytes)
        .enumerate()
        .map(|(index, item)| {
            let text = item_type.text(item);
            text.with_context(|| format!("item {index} is not text"))
        })
        .collect()
}

/// The header, at most [`MAX_HEADER`] bytes, and the items; `None` if the file ends before that.
fn split_header(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_at_checked(2)?;
    let (length, rest) = rest.split_at_checked(if version.first() == Some(&1) { 2 } else { 4 })?;
    let length = length
        .iter()
        .rev()
        .fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    if length > MAX_HEADER {
        return None;
    }
    rest.split_at_checked(length)
}

/// The text after a key of the header, up to the end of the header.
fn value_of<'a>(header: &'a str, key: &str) -> Result<&'a str> {
    let (_, value) = header
        .split_once(&format!("'{key}':"))
        .with_context(|| format!("the NumPy header has no `{key}`"))?;
    Ok(value.trim_start())
}

/// The length of a one-dimensional shape, `(3,)`.
fn parse_shape(value: &str) -> Result<usize> {
    let shape = value
        .strip_prefix('(')
        .and_then(|value| value.split_once(')'))
        .map(|(shape, _)| shape)
        .context("the NumPy header's `shape` is not a tuple")?;
    let is_one = |text: &&str| !text.is_empty();
    let lengths: Vec<&str> = shape.split(',').map(str::trim).filter(is_one).collect();
    let [length] = lengths[..] else {
        bail!(
            "an array of shape ({}): ids are one-dimensional",
            shorten(shape)
        );
    };
    length.parse().with_context(|| {
        format!(
            "the NumPy header's shape ({}) is not a number",
            shorten(shape)
        )
    })
}

impl ItemType {
    /// A type as the header writes it: byte order, kind and size in quotes, `'<U12'`.
    fn parse(value: &str) -> Result<Self> {
        let name = value
            .strip_prefix('\'')
            .and_then(|value| value.split_once('\''))
            .map(|(name, _)| name)
            .context("an array of records: ids are texts or integers")?;
        let other = || {
            format!(
                "an array of type `{}`: ids are texts or integers",
                shorten(name)
            )
        };
        let mut characters = name.chars();
        let is_little_endian = match characters.next() {
            Some('<' | '|' | '=') => true,
            Some('>') => false,
            _ => bail!(other()),
        };
        let kind = match characters.next() {
            Some('U') => Kind::Unicode,
            Some('S') => Kind::Bytes,
            Some('i') => Kind::Signed,
            Some('u') => Kind::Unsigned,
            Some('O') => bail!(
                "an array of Python objects, which is a pickle and not read: save it as texts, \
                 `np.save(FILE, np.load(FILE, allow_pickle=True).astype(str))`"
            ),
            _ => bail!(other()),
        };
        let size: usize = characters.as_str().parse().with_context(other)?;
        let bytes = match kind {
            Kind::Unicode => size.checked_mul(4).with_context(other)?,
            Kind::Bytes => size,
            Kind::Signed | Kind::Unsigned if [1, 2, 4, 8].contains(&size) => size,
            Kind::Signed | Kind::Unsigned => bail!(other()),
        };
        ensure!(bytes > 0, other());
        Ok(Self {
            kind,
            is_little_endian,
            bytes,
        })
    }

    /// An item as text; `None` if it is none.
    fn text(&self, item: &[u8]) -> Option<String> {
        match self.kind {
            Kind::Unicode => {
                let points = item.chunks_exact(4);
                let text: Option<String> = points
                    .map(|point| char::from_u32(u32::try_from(self.unsigned(point)).ok()?))
                    .collect();
                text.map(|text| text.trim_end_matches('\0').to_owned())
            }
            Kind::Bytes => {
                let text = std::str::from_utf8(item).ok()?;
                Some(text.trim_end_matches('\0').to_owned())
            }
            Kind::Unsigned => Some(self.unsigned(item).to_string()),
            Kind::Signed => Some(self.signed(item).to_string()),
        }
    }

    fn unsigned(&self, item: &[u8]) -> i128 {
        let append = |value: i128, byte: &u8| (value << 8) | i128::from(*byte);
        if self.is_little_endian {
            item.iter().rev().fold(0, append)
        } else {
            item.iter().fold(0, append)
        }
    }

    fn signed(&self, item: &[u8]) -> i128 {
        let (value, range) = (self.unsigned(item), 1_i128 << (8 * item.len()));
        if 2 * value >= range {
            value - range
        } else {
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as NumPy 1.17 and later write it: format 1.0, the header padded to 64 bytes.
    fn array(header: &str, items: &[u8]) -> Vec<u8> {
        let mut header = header.to_owned();
        while !(MAGIC.len() + 4 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), items].concat()
    }

    fn utf32(text: &str, width: usize, encode: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let mut points: Vec<u32> = text.chars().map(u32::from).collect();
        points.resize(width, 0);
        points.into_iter().flat_map(encode).collect()
    }

    #[test]
    fn texts_and_integers_are_read() {
        // `np.save(FILE, np.array(["nIHY", "qé"]))`
        let header = "{'descr': '<U4', 'fortran_order': False, 'shape': (2,), }";
        let little = ["nIHY", "qé"].map(|text| utf32(text, 4, u32::to_le_bytes));
        assert_eq!(
            read(&array(header, &little.concat())).unwrap(),
            ["nIHY", "qé"]
        );
        let big = ["nIHY", "qé"].map(|text| utf32(text, 4, u32::to_be_bytes));
        let header = header.replace('<', ">");
        assert_eq!(
            read(&array(&header, &big.concat())).unwrap(),
            ["nIHY", "qé"]
        );
        let header = "{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }";
        assert_eq!(read(&array(header, b"ab\0xyz")).unwrap(), ["ab", "xyz"]);
        let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }";
        let numbers = [7_i64, -2, i64::MAX].map(i64::to_le_bytes).concat();
        assert_eq!(
            read(&array(header, &numbers)).unwrap(),
            ["7", "-2", "9223372036854775807"]
        );
        let header = "{'descr': '>u2', 'fortran_order': False, 'shape': (1,), }";
        assert_eq!(read(&array(header, &[0x80, 1])).unwrap(), ["32769"]);
    }

    #[test]
    fn other_arrays_are_refused_in_one_line() {
        let header = |descr: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")
        };
        let cases = [
            (array(&header("'|O'", "(1,)"), b"\x80\x04."), "is a pickle"),
            (
                array(&header("'<f8'", "(1,)"), &[0; 8]),
                "an array of type `<f8`",
            ),
            (
                array(&header("'<i16'", "(1,)"), &[0; 16]),
                "an array of type `<i16`",
            ),
            (
                array(&header("'<U0'", "(9,)"), &[]),
                "an array of type `<U0`",
            ),
            (
                array(&header("[('a', '<i4')]", "(1,)"), &[0; 4]),
                "of records",
            ),
            (array(&header("'<i4'", "()"), &[0; 4]), "of shape ()"),
            (
                array(&header("'<i4'", "(2, 2)"), &[0; 16]),
                "of shape (2, 2)",
            ),
            (array(&header("'<i4'", "(2,)"), &[0; 7]), "cut short"),
            (
                array(&header("'<U9'", "(999999999999999999,)"), &[0; 36]),
                "states 999999999999999999 items",
            ),
            (
                array(&header("'<U1'", "(1,)"), &[0xff; 4]),
                "item 0 is not text",
            ),
            (array("{'shape': (1,)}", &[]), "has no `descr`"),
            (MAGIC.to_vec(), "header is cut short"),
            (
                [MAGIC, &[2, 0, 255, 255, 255, 255]].concat(),
                "header is cut short",
            ),
        ];
        for (bytes, fault) in cases {
            let line = format!("{:#}", read(&bytes).unwrap_err());
            assert!(line.contains(fault), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }
}
