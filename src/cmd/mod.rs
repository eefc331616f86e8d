//! (being built)
pub mod data;
