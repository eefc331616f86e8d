//! Models of the Hugging Face hub: the cache on disk, downloads into it, and where a model's folder
//! is.

mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;
mod locate;
mod lora_base;
#[cfg(feature = "hub")]
mod reach;
mod unavailable;

#[cfg(feature = "onnx")]
pub(super) use cache::beside_weights;
pub use cache::{HubOptions, user_cache};
#[cfg(feature = "onnx")]
pub use locate::locate_export;
pub use locate::{file, is_cached, locate};
pub use lora_base::LoraBase;
pub use unavailable::{Unavailable, WeightsUnavailable};
