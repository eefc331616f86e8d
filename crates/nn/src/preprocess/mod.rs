//! Pixels to tensors: the question as an image ([`HeaderFont`]), and the patches
//! that Pix2Struct models read ([`Pix2StructProcessor`]) or the pixels that Donut models read ([`DonutProcessor`]).
//!
//! Everything follows the reference (transformers 5 on Pillow) closely enough that a model cannot tell: decoded
//! pixels, resized pixels and header pixels are equal, patches agree within 1e-4.

mod config;
mod donut;
mod header;
mod pix2struct;
mod shape;
mod wrap;

pub use donut::{DonutProcessor, Pixels};
pub use header::HeaderFont;
pub use pix2struct::{Patches, Pix2StructProcessor};
pub use wrap::wrap;
