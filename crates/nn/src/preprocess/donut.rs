//! `DonutImageProcessor`: an image to the padded, normalised pixels a Donut model reads.
//!
//! Follows `image_processing_pil_donut.py` of transformers 5: resized so that the shorter side has
//! the shorter side's target, then shrunk until both sides fit, then centred on black. (Late 4.x
//! versions shrink by the bicubic filter whatever the file says.) The image is RGB already: the
//! callers of the reference convert it.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use image::{RgbImage, imageops};
use serde_json::Value;

use super::PreprocessorConfig;
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::terminal::shorten;
use chartbench_pixels::{Filter, resize};

const CHANNELS: usize = 3;
/// Most pixels an image may have between its two resizings.
const MAX_PIXELS: u64 = 178_956_970;
/// Longest side of the pixels a model reads.
const MAX_SIDE: u64 = 16_384;

/// The pixels of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixels {
    /// Rows of pixels, padding included.
    pub height: usize,
    /// Columns of pixels, padding included.
    pub width: usize,
    /// `[3, height, width]`: red, green, blue.
    pub data: Vec<f32>,
}

/// The image processor of a Donut or UniChart checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct DonutProcessor {
    height: u32,
    width: u32,
    filter: Filter,
    align_long_axis: bool,
    thumbnail: bool,
    pad: bool,
    /// The normalised value of each 8-bit value of each channel.
    levels: Vec<[f32; 256]>,
}

impl DonutProcessor {
    /// Reads the file that [`processor_file`](super::processor_file) finds, see [`DonutProcessor::from_json`].
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or holds an invalid value.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let json =
            input::read(path, MAX_SETTINGS_BYTES).with_context(|| format!("cannot read {name}"))?;
        Self::from_json(&json, &name)
    }

    /// Takes `size`, `resample`, `do_align_long_axis`, `do_thumbnail`, `do_pad`, `do_rescale`,
    /// `rescale_factor`, `do_normalize`, `image_mean` and `image_std` from the text of a
    /// `preprocessor_config.json`, or of a `processor_config.json` that nests them; missing keys
    /// have the reference's defaults, other keys are ignored. `name` is for errors.
    ///
    /// # Errors
    /// Returns an error if the text is not a JSON object, one of these keys has an invalid value,
    /// or `do_resize` is false.
    pub fn from_json(json: &[u8], name: &str) -> Result<Self> {
        let config = PreprocessorConfig::parse(json, name)?;
        let (height, width) = size(&config)?;
        ensure!(
            config.flag("do_resize")?.unwrap_or(true),
            "{name}: do_resize false is not supported"
        );
        Ok(Self {
            height,
            width,
            filter: filter(&config)?,
            align_long_axis: config.flag("do_align_long_axis")?.unwrap_or(false),
            thumbnail: config.flag("do_thumbnail")?.unwrap_or(true),
            pad: config.flag("do_pad")?.unwrap_or(true),
            levels: levels(&config)?,
        })
    }

    /// Height and width of the pixels, where the image is padded (it is, unless the file says
    /// otherwise).
    pub fn size(&self) -> (u32, u32) {
        (self.height, self.width)
    }

    /// Resizes, pads and normalises an image.
    ///
    /// # Errors
    /// Returns an error if the image is so long that it would become too large, or does not fit the
    /// model's size.
    pub fn pixels(&self, image: &RgbImage) -> Result<Pixels> {
        ensure!(
            image.width() > 0 && image.height() > 0,
            "the image has no pixels"
        );
        let mut image = std::borrow::Cow::Borrowed(image);
        if self.align_long_axis && turned(image.dimensions(), (self.width, self.height)) {
            image = std::borrow::Cow::Owned(imageops::rotate90(&*image));
        }
        let (width, height) = shortest_edge(image.dimensions(), self.height.min(self.width))?;
        let mut image = resize(&image, width, height, self.filter);
        if self.thumbnail {
            let (width, height) = shrunk(image.dimensions(), (self.width, self.height));
            ensure!(
                width > 0 && height > 0,
                "the image is so long that nothing of it is left: crop it"
            );
            image = resize(&image, width, height, self.filter);
        }
        let (width, height) = if self.pad {
            (self.width, self.height)
        } else {
            image.dimensions()
        };
        ensure!(
            image.width() <= width && image.height() <= height,
            "{} x {} pixels do not fit the model's {width} x {height}",
            image.width(),
            image.height()
        );
        Ok(self.normalised(&image, width as usize, height as usize))
    }

    /// The image in the middle of black, as levels, channel by channel.
    fn normalised(&self, image: &RgbImage, width: usize, height: usize) -> Pixels {
        let (inner_width, inner_height) = (image.width() as usize, image.height() as usize);
        let (top, left) = ((height - inner_height) / 2, (width - inner_width) / 2);
        let mut data = vec![0.0; CHANNELS * height * width];
        for (channel, (plane, level)) in data
            .chunks_exact_mut(height * width)
            .zip(&self.levels)
            .enumerate()
        {
            plane.fill(level[0]);
            let rows = plane.chunks_exact_mut(width).skip(top);
            for (row, source) in rows.zip(image.as_raw().chunks_exact(inner_width * CHANNELS)) {
                for (value, pixel) in row.iter_mut().skip(left).zip(source.chunks_exact(CHANNELS)) {
                    *value = level[usize::from(pixel[channel])];
                }
            }
        }
        Pixels {
            height,
            width,
            data,
        }
    }
}

/// Whether the long sides of the two (width, height) disagree.
fn turned(image: (u32, u32), target: (u32, u32)) -> bool {
    (target.0 < target.1 && image.0 > image.1) || (target.0 > target.1 && image.0 < image.1)
}

/// (width, height) so that the shorter side becomes `edge`.
fn shortest_edge((width, height): (u32, u32), edge: u32) -> Result<(u32, u32)> {
    let (short, long) = (u64::from(width.min(height)), u64::from(width.max(height)));
    // f64 as the reference divides, then cut.
    let other = (f64::from(edge) * long as f64 / short as f64) as u64;
    if other.saturating_mul(u64::from(edge)) > MAX_PIXELS {
        bail!("{width} x {height} pixels are too long to be a chart: crop the image");
    }
    let other = u32::try_from(other)?;
    Ok(if width <= height {
        (edge, other)
    } else {
        (other, edge)
    })
}

/// (width, height) shrunk to fit the target by the reference's rule.
fn shrunk((from_width, from_height): (u32, u32), (to_width, to_height): (u32, u32)) -> (u32, u32) {
    let (mut width, mut height) = (from_width.min(to_width), from_height.min(to_height));
    let part = |side: u32, target: u32, of: u32| {
        (u64::from(side) * u64::from(target) / u64::from(of)) as u32
    };
    if (width, height) != (from_width, from_height) {
        if from_height > from_width {
            width = part(from_width, height, from_height);
        } else if from_width > from_height {
            height = part(from_height, width, from_width);
        }
    }
    (width, height)
}

/// Height and width: `{"height": h, "width": w}`, or `[width, height]` as old versions wrote.
fn size(config: &PreprocessorConfig) -> Result<(u32, u32)> {
    match config.get("size") {
        None => Ok((2560, 1920)),
        Some(Value::Object(size)) => {
            let side = |key: &str| {
                let path = format!("size.{key}");
                let value = size
                    .get(key)
                    .with_context(|| format!("{}: {path} is missing", config.name()))?;
                config.whole(&path, value, MAX_SIDE)
            };
            Ok((side("height")?, side("width")?))
        }
        Some(Value::Array(sides)) if sides.len() == 2 => {
            let side = |index: usize| config.whole("size", &sides[index], MAX_SIDE);
            Ok((side(1)?, side(0)?))
        }
        Some(value) => bail!(
            "{}: size = {}: must hold height and width",
            config.name(),
            shorten(&value.to_string())
        ),
    }
}

/// `resample` by Pillow's numbers.
fn filter(config: &PreprocessorConfig) -> Result<Filter> {
    match config.get("resample").map(Value::as_u64) {
        None | Some(Some(2)) => Ok(Filter::Bilinear),
        Some(Some(3)) => Ok(Filter::Bicubic),
        Some(_) => bail!(
            "{}: resample: only 2 (bilinear) and 3 (bicubic) are supported",
            config.name()
        ),
    }
}

/// The rescaled and normalised value of each 8-bit value of each channel.
fn levels(config: &PreprocessorConfig) -> Result<Vec<[f32; 256]>> {
    let name = config.name();
    let numbers = |key: &str| -> Result<Vec<f32>> {
        let Some(value) = config.get(key) else {
            return Ok(vec![0.5; CHANNELS]);
        };
        let items = value.as_array().filter(|items| items.len() == CHANNELS);
        let items = items.with_context(|| {
            format!(
                "{name}: {key} = {}: must be three numbers",
                shorten(&value.to_string())
            )
        })?;
        let number = |item: &Value| item.as_f64().map(|number| number as f32);
        items
            .iter()
            .map(number)
            .collect::<Option<_>>()
            .with_context(|| format!("{name}: {key}: not a number"))
    };
    let factor = match config.get("rescale_factor") {
        _ if !config.flag("do_rescale")?.unwrap_or(true) => 1.0,
        None => 1.0 / 255.0,
        Some(value) => value.as_f64().with_context(|| {
            format!(
                "{name}: rescale_factor = {}: not a number",
                shorten(&value.to_string())
            )
        })?,
    };
    let (mean, std) = match config.flag("do_normalize")?.unwrap_or(true) {
        true => (numbers("image_mean")?, numbers("image_std")?),
        false => (vec![0.0; CHANNELS], vec![1.0; CHANNELS]),
    };
    ensure!(
        std.iter().all(|std| *std != 0.0),
        "{name}: image_std holds a 0"
    );
    let mut levels: Vec<[f32; 256]> = Vec::with_capacity(CHANNELS);
    for (&mean, &std) in mean.iter().zip(&std) {
        levels.push(std::array::from_fn(|value| {
            ((value as f64 * factor) as f32 - mean) / std
        }));
    }
    let finite = levels.as_flattened().iter().all(|level| level.is_finite());
    ensure!(
        finite,
        "{name}: image_mean, image_std and rescale_factor make pixels that are no finite numbers"
    );
    Ok(levels)
}
