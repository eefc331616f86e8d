//! The question rendered as an image, the "header" of Pix2Struct's visual question answering:
//! `render_text` of transformers (`image_processing_pil_pix2struct.py`) on Pillow with libraqm,
//! pixel for pixel.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::{Context, Result, bail};
use freetype::Library;
use freetype::face::LoadFlag;
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use sha2::{Digest, Sha256};

use super::shape::{Glyph, Scale, shape};
use super::wrap::wrap;
use chartbench_core::catch_panic;

/// The name of the font libraries in errors.
const LIBRARY: &str = "the font reader";
/// Font size in pixels per em.
const SIZE: u32 = 36;
/// Code points in a line.
const WIDTH: usize = 80;
/// Blank pixels on each side.
const PADDING: i64 = 5;
/// Blank pixels between lines, on top of the height of an "A".
const SPACING: i64 = 4;
/// Longest header side that is still drawn.
const MAX_SIDE: i64 = 30_000;

/// A font for header texts. The reference uses Arial from `ybelkada/fonts`, which is not free to
/// ship; the default here is DejaVu Sans.
#[derive(Clone, Debug)]
pub struct HeaderFont {
    name: String,
    sha256: String,
    bytes: Cow<'static, [u8]>,
}

impl Default for HeaderFont {
    fn default() -> Self {
        Self::hashed(
            "DejaVuSans.ttf",
            Cow::Borrowed(chartbench_fonts::DEJAVU_SANS),
        )
    }
}

impl HeaderFont {
    /// A TrueType or OpenType font from the bytes of its file; `name` is its name in manifests and
    /// errors.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a scalable font.
    pub fn new(name: &str, bytes: Vec<u8>) -> Result<Self> {
        let font = Self::hashed(name, Cow::Owned(bytes));
        catch_panic(LIBRARY, || font.open().map(|_| ()))?;
        Ok(font)
    }

    /// The font's name in manifests and errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lower-case hex SHA-256 of the font file.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Draws `text` black on white, wrapped at 80 characters, 36 pixels per em, 5 pixels of padding
    /// all round. Blank text gives 10 x 10 white pixels.
    ///
    /// # Errors
    /// Returns an error if the font cannot draw a glyph in grey, or the text is absurdly long.
    pub fn render(&self, text: &str) -> Result<RgbImage> {
        catch_panic(LIBRARY, || self.draw(text))
    }

    fn draw(&self, text: &str) -> Result<RgbImage> {
        let lines = wrap(text, WIDTH);
        let mut pen = self.open()?;
        let mut bounds = Bounds::default();
        let pitch = pen.bounds(&pen.shape("A"))?.bottom + SPACING;
        let mut shaped = Vec::with_capacity(lines.len());
        for (line, top) in lines.iter().zip((0..).map(|index| index * pitch)) {
            let glyphs = pen.shape(line);
            let line_bounds = pen.bounds(&glyphs)?;
            bounds.right = bounds.right.max(line_bounds.right);
            bounds.bottom = bounds.bottom.max(top + line_bounds.bottom);
            shaped.push((glyphs, top));
        }
        let (width, height) = (bounds.right + 2 * PADDING, bounds.bottom + 2 * PADDING);
        if width > MAX_SIDE || height > MAX_SIDE {
            bail!(
                "a header text of {} lines is too long to draw ({width} x {height} pixels)",
                lines.len()
            );
        }
        let mut canvas =
            RgbImage::from_pixel(u32::try_from(width)?, u32::try_from(height)?, Rgb([255; 3]));
        for (glyphs, top) in &shaped {
            pen.draw(glyphs, PADDING + top, &mut canvas)?;
        }
        Ok(canvas)
    }

    fn hashed(name: &str, bytes: Cow<'static, [u8]>) -> Self {
        let sha256 = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            name: name.to_owned(),
            sha256,
            bytes,
        }
    }

    fn open(&self) -> Result<Pen<'_>> {
        let broken = || format!("font {} cannot be read as a scalable font", self.name);
        let shaper = rustybuzz::Face::from_slice(&self.bytes, 0).with_context(broken)?;
        let library = Library::init().context("cannot start FreeType")?;
        let face = library
            .new_memory_face2(self.bytes.as_ref(), 0)
            .with_context(broken)?;
        face.set_pixel_sizes(0, SIZE).with_context(broken)?;
        let ascender = face
            .size_metrics()
            .map(|metrics| pixel(metrics.ascender))
            .with_context(broken)?;
        let scale = Scale::new(SIZE, shaper.units_per_em());
        Ok(Pen {
            name: &self.name,
            shaper,
            face,
            ascender,
            scale,
            bitmaps: HashMap::new(),
        })
    }
}

/// How far a line reaches, in pixels from its origin (left end, ascender line).
#[derive(Default)]
struct Bounds {
    right: i64,
    bottom: i64,
}

/// A glyph drawn in grey; `left` and `top` place it relative to the pen (y upwards).
struct GlyphBitmap {
    left: i64,
    top: i64,
    width: usize,
    rows: usize,
    coverage: Vec<u8>,
}

struct Pen<'a> {
    name: &'a str,
    shaper: rustybuzz::Face<'a>,
    face: freetype::Face<&'a [u8]>,
    ascender: i64,
    scale: Scale,
    bitmaps: HashMap<u32, GlyphBitmap>,
}

impl Pen<'_> {
    fn shape(&self, line: &str) -> Vec<Glyph> {
        shape(&self.shaper, self.scale, line)
    }

    /// The bounds of a line as Pillow's `textbbox` has them: its glyphs and the path of the pen.
    fn bounds(&mut self, glyphs: &[Glyph]) -> Result<Bounds> {
        if glyphs.is_empty() {
            return Ok(Bounds::default());
        }
        let (mut right, mut below) = (0, 0);
        self.for_each_glyph(glyphs, |x, y, glyph, end| {
            right = right.max(end).max(x + i64::try_from(glyph.width)?);
            below = below.min(y - i64::try_from(glyph.rows)?);
            Ok(())
        })?;
        Ok(Bounds {
            right,
            bottom: self.ascender - below,
        })
    }

    /// Draws a line with its top at `top` in black over the canvas.
    fn draw(&mut self, glyphs: &[Glyph], top: i64, canvas: &mut RgbImage) -> Result<()> {
        // The glyphs of a line first cover a mask, then the mask covers the canvas: both steps
        // round.
        let (mut above, mut below) = (0, 0);
        self.for_each_glyph(glyphs, |_, y, glyph, _| {
            above = above.max(y);
            below = below.min(y - i64::try_from(glyph.rows)?);
            Ok(())
        })?;
        let first_row = top + self.ascender - above;
        let mut mask = GrayImage::new(canvas.width(), u32::try_from(above - below)?);
        self.for_each_glyph(glyphs, |x, y, glyph, _| {
            for (row, line) in (above - y..).zip(glyph.coverage.chunks_exact(glyph.width.max(1))) {
                for (column, &coverage) in (PADDING + x..)
                    .zip(line)
                    .filter(|(_, coverage)| **coverage > 0)
                {
                    if let Some(Luma([under])) = inside(&mut mask, column, row) {
                        *under = coverage.saturating_add(muldiv255(*under, 255 - coverage));
                    }
                }
            }
            Ok(())
        })?;
        for (x, y, Luma([coverage])) in mask.enumerate_pixels().filter(|(.., pixel)| pixel.0[0] > 0)
        {
            if let Some(pixel) = inside(canvas, x.into(), first_row + i64::from(y)) {
                pixel.0 = pixel.0.map(|value| muldiv255(value, 255 - coverage));
            }
        }
        Ok(())
    }

    /// Calls `visit(left, top, glyph, pen after it)` for each glyph, in whole pixels from the
    /// line's origin on the baseline, y upwards.
    fn for_each_glyph(
        &mut self,
        glyphs: &[Glyph],
        mut visit: impl FnMut(i64, i64, &GlyphBitmap, i64) -> Result<()>,
    ) -> Result<()> {
        let mut pen = 0_i64;
        for glyph in glyphs {
            let drawn = self.glyph(glyph.index)?;
            let (x, y) = (pixel(pen + glyph.x_offset), pixel(glyph.y_offset));
            pen += glyph.x_advance;
            visit(x + drawn.left, y + drawn.top, drawn, pixel(pen))?;
        }
        Ok(())
    }

    /// The glyph hinted and drawn in 256 greys, from the cache or FreeType.
    fn glyph(&mut self, index: u32) -> Result<&GlyphBitmap> {
        match self.bitmaps.entry(index) {
            Entry::Occupied(glyph) => Ok(glyph.into_mut()),
            Entry::Vacant(slot) => {
                let drawn = rasterise(&self.face, index)
                    .with_context(|| format!("font {} cannot draw its glyph {index}", self.name))?;
                Ok(slot.insert(drawn))
            }
        }
    }
}

fn rasterise(face: &freetype::Face<&[u8]>, index: u32) -> Result<GlyphBitmap> {
    face.load_glyph(index, LoadFlag::DEFAULT | LoadFlag::RENDER)?;
    let glyph = face.glyph();
    let bitmap = glyph.bitmap();
    let (width, rows) = (
        usize::try_from(bitmap.width())?,
        usize::try_from(bitmap.rows())?,
    );
    let mut coverage = Vec::with_capacity(width * rows);
    if width * rows > 0 {
        if !matches!(bitmap.pixel_mode()?, freetype::bitmap::PixelMode::Gray) {
            bail!("it is no outline but a bitmap that is not in 8-bit grey");
        }
        let pitch = usize::try_from(bitmap.pitch())?;
        for row in bitmap.buffer().chunks(pitch) {
            coverage.extend_from_slice(row.get(..width).context("its bitmap is broken")?);
        }
    }
    Ok(GlyphBitmap {
        left: glyph.bitmap_left().into(),
        top: glyph.bitmap_top().into(),
        width,
        rows,
        coverage,
    })
}

/// The pixel at (x, y), unless that is outside the image.
fn inside<P: image::Pixel>(
    image: &mut ImageBuffer<P, Vec<P::Subpixel>>,
    x: i64,
    y: i64,
) -> Option<&mut P> {
    image.get_pixel_mut_checked(u32::try_from(x).ok()?, u32::try_from(y).ok()?)
}

/// 26.6 pixels to the nearest whole pixel, halves up. FreeType's numbers are of 32 bits on Windows.
fn pixel(fixed: impl Into<i64>) -> i64 {
    (fixed.into() + 32) >> 6
}

/// `a * b / 255` as Pillow rounds it.
fn muldiv255(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    u8::try_from(((product >> 8) + product) >> 8).unwrap_or(u8::MAX)
}
