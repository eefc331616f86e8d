//! Draws that depend on a seed and a name alone.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// What a draw is for, so that draws of one seed for two ends are independent.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    HoldOut,
    Validation,
    Order,
}

fn digest(purpose: Purpose, seed: u64, name: &[u8]) -> [u8; 32] {
    let purpose: &[u8] = match purpose {
        Purpose::HoldOut => b"held-out chart",
        Purpose::Validation => b"validation question",
        Purpose::Order => b"order of an epoch",
    };
    let mut hash = Sha256::new();
    for part in [purpose, &seed.to_le_bytes(), name] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A number that looks drawn at random from all of u64.
pub(super) fn lot(purpose: Purpose, seed: u64, name: &str) -> u64 {
    digest(purpose, seed, name.as_bytes()).iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// A generator of its own for each number.
pub(super) fn generator(purpose: Purpose, seed: u64, number: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(digest(purpose, seed, &number.to_le_bytes()))
}
