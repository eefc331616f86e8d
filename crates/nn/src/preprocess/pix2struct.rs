//! `Pix2StructImageProcessor`: an image, with the question drawn above it for VQA models, to a
//! sequence of patches.
//!
//! Follows `image_processing_pil_pix2struct.py` of transformers 5, the default where torchvision is
//! not installed, and equal to all 4.x versions from the RGB image on: the standard deviation is
//! the population's. (The torchvision variant divides by n - 1, which moves values by 1 / 2n: below
//! 1e-6 for any chart.)

use std::path::Path;

use anyhow::{Context, Result, bail};
use image::RgbImage;
use rayon::prelude::*;
use serde_json::Value;

use super::PreprocessorConfig;
use super::header::HeaderFont;
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_pixels::{Filter, interpolate, resize};

/// Most pixels an image may have with its header, enlarged to a common width.
const MAX_PIXELS: u64 = 178_956_970;
const MAX_PATCHES: u64 = 65_536;
/// Default rows of a position table, as of `vision_config.seq_len`.
const POSITIONS: usize = 4096;

/// The patches of one image, without padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Patches {
    /// Rows of patches.
    pub rows: usize,
    /// Columns of patches.
    pub cols: usize,
    /// `[rows * cols, 2 + patch_height * patch_width * 3]`, row-major: the row id and the column id
    /// (both from 1), then the pixels by y, x and channel.
    pub data: Vec<f32>,
}

/// The image processor of a Pix2Struct, MatCha or DePlot checkpoint.
#[derive(Clone, Debug)]
pub struct Pix2StructProcessor {
    patch_height: u32,
    patch_width: u32,
    max_patches: u32,
    normalize: bool,
    is_vqa: bool,
    positions: usize,
    font: HeaderFont,
}

impl Pix2StructProcessor {
    /// Reads the file that [`processor_file`](super::processor_file) finds, see [`Pix2StructProcessor::from_json`].
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or holds an invalid value.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let json =
            input::read(path, MAX_SETTINGS_BYTES).with_context(|| format!("cannot read {name}"))?;
        Self::from_json(&json, &name)
    }

    /// Takes `patch_size`, `max_patches`, `do_normalize` and `is_vqa` from the text of a
    /// `preprocessor_config.json`; missing keys have the reference's defaults (16 x 16, 2048, true,
    /// false), other keys are ignored. Note that the reference's `Pix2StructProcessor` always asks
    /// for 2048 patches, whatever the file says. `name` is for errors.
    ///
    /// # Errors
    /// Returns an error if the text is not a JSON object or one of these keys has an invalid value.
    pub fn from_json(json: &[u8], name: &str) -> Result<Self> {
        let config = PreprocessorConfig::parse(json, name)?;
        let (patch_height, patch_width) = patch_size(&config)?;
        Ok(Self {
            patch_height,
            patch_width,
            max_patches: config.count("max_patches", MAX_PATCHES)?.unwrap_or(2048),
            normalize: config.flag("do_normalize")?.unwrap_or(true),
            is_vqa: config.flag("is_vqa")?.unwrap_or(false),
            positions: POSITIONS,
            font: HeaderFont::default(),
        })
    }

    /// Replaces the patch budget.
    ///
    /// # Errors
    /// Returns an error if it is 0 or above 65,536.
    pub fn with_max_patches(mut self, max_patches: usize) -> Result<Self> {
        let allowed = u64::try_from(max_patches)
            .ok()
            .filter(|count| (1..=MAX_PATCHES).contains(count));
        let Some(count) = allowed.and_then(|count| u32::try_from(count).ok()) else {
            bail!("max_patches = {max_patches}: must be between 1 and {MAX_PATCHES}");
        };
        self.max_patches = count;
        Ok(self)
    }

    /// Sets the rows of the model's position tables (`vision_config.seq_len`, 4096 by default).
    pub fn with_positions(mut self, rows: usize) -> Self {
        self.positions = rows;
        self
    }

    /// Replaces the header's font.
    pub fn with_font(mut self, font: HeaderFont) -> Self {
        self.font = font;
        self
    }

    /// The patch budget: no image gives more patches than this.
    pub fn max_patches(&self) -> usize {
        self.max_patches as usize
    }

    /// Whether questions are drawn above the image (`is_vqa`).
    pub fn is_vqa(&self) -> bool {
        self.is_vqa
    }

    /// The font of the header.
    pub fn font(&self) -> &HeaderFont {
        &self.font
    }

    /// Cuts the image into at most `max_patches` patches: header above (VQA models only, other
    /// models ignore it), pixels normalised by their mean and standard deviation, resized so that
    /// the patch budget is filled.
    ///
    /// # Errors
    /// Returns an error if a VQA model gets no header, the image with its header is too large, or
    /// it is so long that a patch id is outside the position tables.
    pub fn patches(&self, image: &RgbImage, header: Option<&str>) -> Result<Patches> {
        let composed;
        let image = match header {
            _ if image.width() == 0 || image.height() == 0 => bail!("the image has no pixels"),
            _ if !self.is_vqa => image,
            None => bail!(
                "this model reads the question from the image (is_vqa): a header text is needed"
            ),
            Some(text) => {
                composed = compose(&self.font.render(text)?, image)?;
                &composed
            }
        };
        let (rows, cols) = self.grid(image.width(), image.height())?;
        let levels = if self.normalize {
            normalised_levels(image)
        } else {
            std::array::from_fn(|value| value as f32)
        };
        let pixels = interpolate(
            image,
            &levels,
            cols * self.patch_width,
            rows * self.patch_height,
        );
        let (rows, cols) = (rows as usize, cols as usize);
        Ok(Patches {
            rows,
            cols,
            data: self.cut(&pixels, rows, cols),
        })
    }

    /// Rows and columns of patches that fill the budget at the image's aspect ratio.
    fn grid(&self, width: u32, height: u32) -> Result<(u32, u32)> {
        let (width, height) = (f64::from(width), f64::from(height));
        let (patch_width, patch_height) =
            (f64::from(self.patch_width), f64::from(self.patch_height));
        let scale = (f64::from(self.max_patches) * (patch_height / height) * (patch_width / width))
            .powf(0.5);
        let rows = ((scale * height / patch_height) as u32).clamp(1, self.max_patches);
        let cols = ((scale * width / patch_width) as u32).clamp(1, self.max_patches);
        let longest = rows.max(cols) as usize;
        if longest >= self.positions {
            bail!(
                "{width} x {height} pixels give {rows} x {cols} patches, but the model knows positions up to {}: crop \
                 the image or lower max_patches",
                self.positions.saturating_sub(1)
            );
        }
        Ok((rows, cols))
    }

    fn cut(&self, pixels: &[f32], rows: usize, cols: usize) -> Vec<f32> {
        let across = self.patch_width as usize * 3;
        let depth = 2 + self.patch_height as usize * across;
        let line = cols * across;
        let mut data = vec![0.0; rows * cols * depth];
        let patch_rows = pixels.par_chunks(self.patch_height as usize * line);
        data.par_chunks_mut(cols * depth)
            .zip(patch_rows)
            .enumerate()
            .for_each(|(row, (out, pixels))| {
                for (col, patch) in out.chunks_exact_mut(depth).enumerate() {
                    let (ids, values) = patch.split_at_mut(2);
                    ids.copy_from_slice(&[(row + 1) as f32, (col + 1) as f32]);
                    for (value, pixels) in values
                        .chunks_exact_mut(across)
                        .zip(pixels.chunks_exact(line))
                    {
                        value.copy_from_slice(&pixels[col * across..(col + 1) * across]);
                    }
                }
            });
        data
    }
}

/// The header above the image, the narrower of the two enlarged to the width of the other, bicubic.
fn compose(header: &RgbImage, image: &RgbImage) -> Result<RgbImage> {
    let width = header.width().max(image.width());
    let scaled = |part: &RgbImage| {
        (f64::from(part.height()) * (f64::from(width) / f64::from(part.width()))) as u64
    };
    let (header_height, image_height) = (scaled(header), scaled(image));
    let height = header_height + image_height;
    if height * u64::from(width) > MAX_PIXELS {
        bail!(
            "{} x {} pixels under a question {} pixels wide would become {width} x {height}, more than the \
             {MAX_PIXELS} pixels allowed: crop the image",
            image.width(),
            image.height(),
            header.width()
        );
    }
    let mut pixels = Vec::with_capacity(usize::try_from(height)? * width as usize * 3);
    for (part, height) in [
        (header, u32::try_from(header_height)?),
        (image, u32::try_from(image_height)?),
    ] {
        if part.dimensions() == (width, height) {
            pixels.extend_from_slice(part);
        } else {
            pixels.extend_from_slice(&resize(part, width, height, Filter::Bicubic));
        }
    }
    RgbImage::from_raw(width, u32::try_from(height)?, pixels)
        .context("the header does not fit the image")
}

/// The normalised value of each 8-bit value: (value - mean) / max(standard deviation, 1 / sqrt(n))
/// over all n samples.
fn normalised_levels(image: &RgbImage) -> [f32; 256] {
    let mut counts = [0_u64; 256];
    for &value in image.as_raw() {
        counts[usize::from(value)] += 1;
    }
    let samples = image.as_raw().len().max(1) as f64;
    let moment = |of: &dyn Fn(f64) -> f64| {
        counts
            .iter()
            .enumerate()
            .map(|(value, &count)| count as f64 * of(value as f64))
            .sum::<f64>()
            / samples
    };
    let mean = moment(&|value| value);
    let deviation = moment(&|value| (value - mean).powi(2)).sqrt();
    let (mean, divisor) = (mean as f32, deviation.max(samples.sqrt().recip()) as f32);
    std::array::from_fn(|value| (value as f32 - mean) / divisor)
}

/// Height and width: `{"height": h, "width": w}` or one number for both.
fn patch_size(config: &PreprocessorConfig) -> Result<(u32, u32)> {
    const MOST: u64 = 256;
    match config.get("patch_size") {
        None => Ok((16, 16)),
        Some(Value::Object(size)) => {
            let side = |key: &str| {
                let path = format!("patch_size.{key}");
                let value = size
                    .get(key)
                    .with_context(|| format!("{}: {path} is missing", config.name()))?;
                config.whole(&path, value, MOST)
            };
            Ok((side("height")?, side("width")?))
        }
        Some(value) => config
            .whole("patch_size", value, MOST)
            .map(|side| (side, side)),
    }
}
