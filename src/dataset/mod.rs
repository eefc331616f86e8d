//! (being built)
pub mod split;
pub mod synth;
