//! Checks of a `tokenizer.json` before the tokenizers library reads it. A token's length is a depth
//! there, which overflows the stack, and a damaged `precompiled_charsmap` makes it panic at the
//! first text.

use std::fmt;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use chartbench_core::terminal::shorten;

/// Longest token, and any other text of the file, in bytes.
pub const MAX_TOKEN_BYTES: usize = 1024;
/// Longest pattern.
const MAX_PATTERN_BYTES: usize = 1 << 14;
const PATTERN: &str = "Regex";
const CHARSMAP: &str = "precompiled_charsmap";

/// Checks every text of the file.
///
/// # Errors
/// Returns an error if the file is not JSON, a text is too long, or a charsmap leads outside
/// itself.
pub(super) fn check(json: &[u8]) -> Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Texts { key: "" }.deserialize(&mut deserializer)?;
    Ok(deserializer.end()?)
}

/// Checks all texts of a JSON value; `key` is the value's key.
#[derive(Clone, Copy)]
struct Texts<'k> {
    key: &'k str,
}

impl Texts<'_> {
    fn check<E: Error>(self, text: &str) -> Result<(), E> {
        if self.key == CHARSMAP {
            return check_charsmap(text)
                .map_err(|error| E::custom(format!("{CHARSMAP} is damaged: {error:#}")));
        }
        let most = if self.key == PATTERN {
            MAX_PATTERN_BYTES
        } else {
            MAX_TOKEN_BYTES
        };
        if text.len() > most {
            let shown = shorten(text);
            return Err(E::custom(format!(
                "the text {shown} has {} bytes, more than the {most} allowed",
                text.len()
            )));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.check(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            Texts { key: "" }.check::<A::Error>(&key)?;
            map.next_value_seed(Texts { key: &key })?;
        }
        Ok(())
    }
}

/// A charsmap is a trie in a double array, its length before it, and the texts that its values lead
/// to: `sentencepiece/src/normalizer.cc`, `darts.h`.
fn check_charsmap(base64: &str) -> Result<()> {
    let bytes = STANDARD.decode(base64).context("it is no base64")?;
    let (length, rest) = bytes.split_first_chunk::<4>().context("it is too short")?;
    let length = u32::from_le_bytes(*length) as usize;
    let (trie, texts) = rest
        .split_at_checked(length)
        .context("its trie is longer than it")?;
    let (units, remainder) = trie.as_chunks::<4>();
    ensure!(
        !units.is_empty() && remainder.is_empty(),
        "its trie has {length} bytes"
    );
    let units: Vec<usize> = units
        .iter()
        .map(|unit| u32::from_le_bytes(*unit) as usize)
        .collect();
    let texts = std::str::from_utf8(texts).context("its texts are no UTF-8")?;
    let mut seen = vec![false; units.len()];
    let mut nodes = vec![offset(units[0])];
    while let Some(node) = nodes.pop() {
        // A step goes to the node with the last byte changed.
        ensure!(node | 0xff < units.len(), "a step leads outside its trie");
        if std::mem::replace(&mut seen[node], true) {
            continue;
        }
        for byte in 1..=0xff {
            let unit = units[node ^ byte];
            if unit & (1 << 31 | 0xff) != byte {
                continue;
            }
            let next = (node ^ byte) ^ offset(unit);
            nodes.push(next);
            if unit >> 8 & 1 == 1 {
                let value =
                    units.get(next).context("a value lies outside its trie")? & ((1 << 31) - 1);
                ensure!(
                    texts.is_char_boundary(value),
                    "a value leads outside its texts"
                );
            }
        }
    }
    Ok(())
}

/// The offset from a unit to its children.
fn offset(unit: usize) -> usize {
    unit >> 10 << ((unit & 1 << 9) >> 6)
}
