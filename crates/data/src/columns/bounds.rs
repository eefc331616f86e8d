//! Bounds a parquet file's metadata before the library sees it.
//!
//! The library allocates what a header announces before it reads it, and walks the schema by
//! recursion: neither a failed allocation nor a stack overflow can be caught. So the Thrift compact
//! protocol of the footer and of each page header is walked here first, and nothing in it may
//! announce more than there can be.

use anyhow::{Result, bail, ensure};

/// Most elements of a schema: columns, and the groups that they are in.
const MAX_SCHEMA_ELEMENTS: u64 = 1000;
/// Most bytes of a page, decompressed.
const MAX_PAGE_BYTES: u64 = 512 << 20;
/// Most values of a page.
const MAX_PAGE_VALUES: u64 = 16 << 20;
/// Deepest nesting of structures and lists.
const MAX_DEPTH: usize = 32;

/// The field of a footer with the schema.
const SCHEMA: i64 = 2;
/// The type of a page with a dictionary.
const DICTIONARY_PAGE: u64 = 2;

/// Types of the Thrift compact protocol.
mod kind {
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const MAP: u8 = 11;
    pub(super) const STRUCT: u8 = 12;
    pub(super) const UUID: u8 = 13;
}

/// Checks that no list of a footer is longer than the footer, and that the schema is small.
///
/// # Errors
/// Returns an error if the footer is not Thrift, or announces more than it can hold.
pub(super) fn check_footer(footer: &[u8]) -> Result<()> {
    let mut walker = Walker::new(footer);
    let mut last = 0;
    while let Some((id, kind)) = walker.field(&mut last)? {
        if (id, kind) == (SCHEMA, kind::LIST) {
            let mut ahead = Walker::new(walker.bytes);
            let (elements, _) = ahead.list()?;
            ensure!(
                elements <= MAX_SCHEMA_ELEMENTS,
                "its schema has {elements} elements, more than {MAX_SCHEMA_ELEMENTS}"
            );
        }
        walker.skip(kind, 0)?;
    }
    Ok(())
}

/// Checks the sizes that the page header at the beginning of `bytes` announces.
///
/// # Errors
/// Returns an error if it is not a whole page header, or announces more than a page may have.
pub(super) fn check_page_header(bytes: &[u8]) -> Result<()> {
    let mut walker = Walker::new(bytes);
    let (mut last, mut numbers, mut values) = (0, [None; 3], 0);
    while let Some((id, kind)) = walker.field(&mut last)? {
        match (id, kind) {
            (1..=3, kind::I32) => {
                let number = u64::try_from(walker.signed()?).ok();
                if let Some(slot) = numbers.get_mut((id - 1) as usize) {
                    *slot = number;
                }
            }
            (5 | 7 | 8, kind::STRUCT) => {
                values = values.max(walker.clone().first_number().unwrap_or(u64::MAX));
                walker.skip(kind, 0)?;
            }
            _ => walker.skip(kind, 0)?,
        }
    }
    let [Some(page_type), Some(bytes), Some(_)] = numbers else {
        bail!("a page header is damaged");
    };
    ensure!(
        bytes <= MAX_PAGE_BYTES,
        "a page has more than {} MiB",
        MAX_PAGE_BYTES >> 20
    );
    let dictionary = page_type == DICTIONARY_PAGE;
    ensure!(
        values <= MAX_PAGE_VALUES && !(dictionary && values > bytes),
        "a page announces {values} values"
    );
    Ok(())
}

/// Walks over bytes of the Thrift compact protocol.
#[derive(Clone)]
struct Walker<'a> {
    bytes: &'a [u8],
}

impl<'a> Walker<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn byte(&mut self) -> Result<u8> {
        let Some((&first, rest)) = self.bytes.split_first() else {
            bail!("its metadata ends in the middle");
        };
        self.bytes = rest;
        Ok(first)
    }

    fn advance(&mut self, count: u64) -> Result<()> {
        let rest = usize::try_from(count)
            .ok()
            .and_then(|count| self.bytes.get(count..));
        let Some(rest) = rest else {
            bail!("its metadata announces more than it holds");
        };
        self.bytes = rest;
        Ok(())
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        bail!("a number of its metadata has too many digits")
    }

    fn signed(&mut self) -> Result<i64> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// The id and the type of the next field of a structure; `None` at its end. `last` is the id of
    /// the field before.
    fn field(&mut self, last: &mut i64) -> Result<Option<(i64, u8)>> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        *last = match header >> 4 {
            0 => self.signed()?,
            delta => last.saturating_add(i64::from(delta)),
        };
        Ok(Some((*last, header & 0x0f)))
    }

    /// The number of a list's elements and their type.
    fn list(&mut self) -> Result<(u64, u8)> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => self.number()?,
            count => u64::from(count),
        };
        ensure!(
            count <= self.bytes.len() as u64,
            "a list of its metadata announces more than it holds"
        );
        Ok((count, header & 0x0f))
    }

    /// The first field of a structure, if it is a number that is not negative.
    fn first_number(&mut self) -> Option<u64> {
        match self.field(&mut 0) {
            Ok(Some((1, kind::I32))) => u64::try_from(self.signed().ok()?).ok(),
            _ => None,
        }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<()> {
        ensure!(depth < MAX_DEPTH, "its metadata is nested too deep");
        match kind {
            // In a structure the type is the value.
            kind::TRUE | kind::FALSE => Ok(()),
            kind::BYTE => self.advance(1),
            kind::I16 | kind::I32 | kind::I64 => self.number().map(|_| ()),
            kind::DOUBLE => self.advance(8),
            kind::BINARY => {
                let count = self.number()?;
                self.advance(count)
            }
            kind::LIST | kind::SET => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.skip_element(kind, depth + 1))
            }
            kind::MAP => {
                let count = self.number()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                ensure!(
                    count <= self.bytes.len() as u64,
                    "a map of its metadata announces more than it holds"
                );
                (0..count).try_for_each(|_| {
                    self.skip_element(kinds >> 4, depth + 1)?;
                    self.skip_element(kinds & 0x0f, depth + 1)
                })
            }
            kind::STRUCT => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            kind::UUID => self.advance(16),
            other => bail!("its metadata has values of an unknown type {other}"),
        }
    }

    /// Skips an element of a list or map, where a truth value has a byte.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Result<()> {
        match kind {
            kind::TRUE | kind::FALSE => self.advance(1),
            kind => self.skip(kind, depth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of the type i32 with the id after the one before.
    fn number(value: u64) -> Vec<u8> {
        let mut bytes = vec![0x15];
        let mut left = value << 1;
        while left >= 0x80 {
            bytes.push(left as u8 | 0x80);
            left >>= 7;
        }
        bytes.push(left as u8);
        bytes
    }

    #[test]
    fn pages_may_not_announce_more_than_they_can_hold() {
        let data = |bytes: u64, values: u64| {
            let inner = [number(values), number(0), vec![0]].concat();
            [
                number(0),
                number(bytes),
                number(9),
                vec![0x2c],
                inner,
                vec![0],
            ]
            .concat()
        };
        let dictionary = |bytes: u64, values: u64| {
            let inner = [number(values), number(0), vec![0]].concat();
            [
                number(2),
                number(bytes),
                number(9),
                vec![0x4c],
                inner,
                vec![0],
            ]
            .concat()
        };
        assert!(check_page_header(&data(1 << 20, 1 << 20)).is_ok());
        assert!(check_page_header(&data(1 << 30, 1)).is_err());
        assert!(check_page_header(&data(1, 1 << 30)).is_err());
        assert!(check_page_header(&dictionary(100, 100)).is_ok());
        assert!(check_page_header(&dictionary(100, 101)).is_err());
        let whole = data(100, 5);
        for length in 0..whole.len() {
            assert!(check_page_header(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn footers_may_not_announce_more_than_they_can_hold() {
        // A schema of 2^28 elements, then one of two without anything in them.
        let list = |count: &[u8]| [&[0x15, 2, 0x19], count, &[0, 0, 0]].concat();
        assert!(check_footer(&list(&[0xfc, 0x80, 0x80, 0x80, 0x80, 1])).is_err());
        assert!(check_footer(&list(&[0x2c])).is_ok());
        let deep = [vec![0x3c; 40], vec![0; 41]].concat();
        assert!(check_footer(&deep).is_err());
        assert!(check_footer(&[]).is_err());
    }
}
