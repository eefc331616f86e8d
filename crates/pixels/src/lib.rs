//! Image files to RGB pixels ([`decode()`]) and pixels to other sizes ([`resize`],
//! [`interpolate`]), equal to Pillow's and torch's.
//!
//! ```
//! let png = include_bytes!("../../../fixtures/preprocess/images/chart.png");
//! let image = chartbench_pixels::decode(png, "chart.png")?;
//! let half = chartbench_pixels::resize(&image, image.width() / 2, image.height() / 2, chartbench_pixels::Filter::Bilinear);
//! # anyhow::Ok(())
//! ```

mod decode;
mod resample;

pub use decode::decode;
pub use resample::{Filter, interpolate, resize};
