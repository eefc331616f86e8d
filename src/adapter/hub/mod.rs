//! Models of the Hugging Face hub: which files each needs, and where its folder is.

mod cache;
mod locate;
mod lora_base;

#[cfg(feature = "onnx")]
pub(super) use cache::beside_weights;
#[cfg(feature = "onnx")]
pub use locate::locate_export;
pub use locate::{file, is_cached, locate};
pub use lora_base::LoraBase;

pub use crate::hub::{HubOptions, Unavailable, WeightsUnavailable, program_cache, user_cache};
