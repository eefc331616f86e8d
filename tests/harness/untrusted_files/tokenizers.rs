//! `tokenizer.json`: the library behind it panics on a damaged charsmap and overflows the stack on
//! a long token.

use std::fs;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chartbench_nn::tokenizer::Tokenizer;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{fixture, lengths, line};

fn open(json: &[u8]) -> Result<Tokenizer> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tokenizer.json"), json).unwrap();
    Tokenizer::open(dir.path())
}

#[track_caller]
fn refused(json: &[u8]) -> String {
    line(open(json))
        .split_once("tokenizer.json: ")
        .unwrap()
        .1
        .to_owned()
}

/// The fixture's tokenizer with other keys.
fn with(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut json =
        serde_json::from_slice(&fs::read(fixture("pix2struct/tokenizer/tokenizer.json")).unwrap())
            .unwrap();
    change(&mut json);
    json.to_string().into_bytes()
}

/// A charsmap that turns A into n: its trie's length, a double array, the texts.
fn charsmap() -> Vec<u8> {
    let mut units = vec![0u32; 512];
    // The root's children are at 256 and on; A's leads to the place 0x41, which has its value.
    units[0] = 256 << 10;
    units[0x141] = 256 << 10 | 1 << 8 | 0x41;
    units[0x41] = 1 << 31;
    let trie: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    [2048u32.to_le_bytes().as_slice(), &trie, b"n\0"].concat()
}

fn with_charsmap(charsmap: &[u8]) -> Vec<u8> {
    with(|json| {
        let normalizer = serde_json::json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(charsmap)});
        json["normalizer"] = serde_json::json!({"type": "Sequence", "normalizers": [normalizer]});
    })
}

#[test]
fn a_charsmap_is_read_and_one_that_leads_outside_itself_is_not() {
    let tokenizer = open(&with_charsmap(&charsmap())).unwrap();
    assert_eq!(
        tokenizer.encode("A").unwrap(),
        tokenizer.encode("n").unwrap()
    );
    assert_ne!(
        tokenizer.encode("A").unwrap(),
        tokenizer.encode("Z").unwrap()
    );
    let changed = |at: usize, unit: u32| {
        let mut charsmap = charsmap();
        charsmap[4 + 4 * at..8 + 4 * at].copy_from_slice(&unit.to_le_bytes());
        refused(&with_charsmap(&charsmap))
    };
    let damaged = "precompiled_charsmap is damaged: ";
    assert!(changed(0, 1000 << 10).starts_with(&format!("{damaged}a step leads outside its trie")));
    assert!(
        changed(0x41, 1 << 31 | 9)
            .starts_with(&format!("{damaged}a value leads outside its texts"))
    );
    assert!(changed(0x141, 4096 << 10 | 1 << 8 | 0x41).starts_with(damaged));
    for (bytes, reason) in [
        (&b"\xff\xff\xff\xff"[..], "its trie is longer than it"),
        (b"\0\0\0\0", "its trie has 0 bytes"),
        (b"\0\0", "it is too short"),
    ] {
        let told = refused(&with_charsmap(bytes));
        assert!(told.starts_with(&format!("{damaged}{reason}")), "{told}");
    }
}

/// Whatever is opened encodes every byte without a panic.
#[test]
fn charsmaps_damaged_at_random() {
    let texts: Vec<String> = (1..=255u32)
        .filter_map(char::from_u32)
        .map(|c| format!("{c}A{c}"))
        .collect();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut opened = 0;
    for round in 0..100 {
        let mut charsmap = charsmap();
        // Most of it is empty: every other damage is at a unit that counts.
        let places = [4, 4 + 4 * 0x41, 4 + 4 * 0x141, 2052];
        for _ in 0..random.random_range(1..4) {
            let place = match round % 2 {
                0 => random.random_range(0..charsmap.len()),
                _ => (places[random.random_range(0..4)] + random.random_range(0..4))
                    .min(charsmap.len() - 1),
            };
            charsmap[place] = random.random();
        }
        let Ok(tokenizer) = open(&with_charsmap(&charsmap)) else {
            continue;
        };
        opened += 1;
        for text in &texts {
            tokenizer.encode(text).unwrap();
        }
    }
    assert!((20..90).contains(&opened), "{opened}");
}

#[test]
fn long_tokens_and_patterns_are_refused() {
    let long = "a".repeat(5_000_000);
    let told = refused(&with(|json| {
        let vocabulary = json["model"]["vocab"].as_array_mut().unwrap();
        vocabulary.push(serde_json::json!([long, -1.0]));
    }));
    let shown = format!(
        "the text {}... has 5000000 bytes, more than the 1024 allowed",
        "a".repeat(80)
    );
    assert!(told.starts_with(&shown), "{told}");
    let told = refused(&with(|json| {
        json["added_tokens"][0]["content"] = long.clone().into()
    }));
    assert!(told.starts_with(&shown), "{told}");
    let told = refused(&with(|json| {
        let pattern = serde_json::json!({"Regex": "(".repeat(20_000)});
        json["pre_tokenizer"] = serde_json::json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false});
    }));
    assert!(
        told.contains("has 20000 bytes, more than the 16384 allowed"),
        "{told}"
    );
    assert!(
        refused(&[b"[".repeat(100_000), b"]".repeat(100_000)].concat()).contains("recursion limit")
    );
    // As long as allowed, on a thread with a small stack.
    let json = with(|json| {
        json["model"]["vocab"]
            .as_array_mut()
            .unwrap()
            .push(serde_json::json!(["a".repeat(1024), -1.0]));
    });
    let small = std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(move || drop(open(&json).unwrap().clone()));
    small.unwrap().join().unwrap();
}

/// transformers turns both off where it encodes a single text.
#[test]
fn padding_and_truncation_of_the_file_do_not_count() {
    let plain = open(&with(|_| {})).unwrap().encode("n n n").unwrap();
    let padded = open(&with(|json| {
        json["padding"] = serde_json::json!({"strategy": {"Fixed": 1u64 << 40}, "direction": "Right",
            "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"});
        json["truncation"] = serde_json::json!({"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0});
    }));
    assert_eq!(padded.unwrap().encode("n n n").unwrap(), plain);
}

#[test]
fn cut_tokenizers_are_told() {
    let whole = fs::read_to_string(fixture("pix2struct/tokenizer/tokenizer.json")).unwrap();
    let whole = whole.trim_end().as_bytes();
    for length in lengths(whole.len(), 400) {
        refused(&whole[..length]);
    }
}
