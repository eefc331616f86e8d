//! Random numbers of a training, which depend on the seed, what they are for and a name alone.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// The purpose of a draw: draws with one seed for two purposes are independent.
#[derive(Clone, Copy)]
pub(super) enum DrawPurpose {
    HoldOut,
    Validation,
    Order,
}

fn digest(purpose: DrawPurpose, seed: u64, name: &[u8]) -> [u8; 32] {
    let purpose: &[u8] = match purpose {
        DrawPurpose::HoldOut => b"held-out chart",
        DrawPurpose::Validation => b"validation question",
        DrawPurpose::Order => b"order of an epoch",
    };
    let mut hash = Sha256::new();
    for part in [purpose, &seed.to_le_bytes(), name] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A pseudo-random number, uniform over all of u64.
pub(super) fn draw(purpose: DrawPurpose, seed: u64, name: &str) -> u64 {
    digest(purpose, seed, name.as_bytes())
        .iter()
        .take(8)
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// A random generator for each `number`.
pub(super) fn generator(purpose: DrawPurpose, seed: u64, number: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(digest(purpose, seed, &number.to_le_bytes()))
}
