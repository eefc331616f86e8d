//! PNG, with Pillow's reading of depth and transparency: palettes and low depths are widened,
//! 16-bit colour keeps its high byte, 16-bit grey is clipped at 255 (not scaled).

use std::io::Cursor;

use anyhow::{Context, Result, bail};
use image::RgbImage;
use png::{BitDepth, ColorType, Decoder, Info, Transformations};

use super::{check_size, over_white};

/// Decodes row by row, so that the pixels are in memory in 8 bits only.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().context("damaged PNG")?;
    check_size(header.width, header.height, header.bits_per_pixel())?;
    let mut reader = decoder.read_info().context("damaged PNG")?;
    let info = reader.info();
    let (pixel, width, height) = (Pixel::new(info)?, info.width, info.height);
    let passes = if info.interlaced {
        INTERLACED.as_slice()
    } else {
        &WHOLE
    };
    let mut row = vec![
        0;
        reader
            .output_line_size(width)
            .context("its size is too large")?
    ];
    let mut image = RgbImage::new(width, height);
    for pass in passes.iter().filter(|pass| pass.left < width) {
        for y in (pass.top..height).step_by(pass.down) {
            let read = reader
                .read_row(&mut row)
                .context("damaged or truncated PNG")?;
            read.context("fewer rows than its size says")?;
            let (line, start) = (width as usize * 3, y as usize * width as usize * 3);
            let samples = &mut (*image)[start..start + line];
            let targets = samples
                .chunks_exact_mut(3)
                .skip(pass.left as usize)
                .step_by(pass.right);
            for (index, target) in targets.enumerate() {
                target.copy_from_slice(&pixel.read(&row, index));
            }
        }
    }
    // The rest of the file must be whole too.
    reader
        .read_row(&mut row)
        .context("damaged or truncated PNG")?;
    Ok(image)
}

/// The pixels of an interlacing pass: every `right`-th column from `left` on, every `down`-th row
/// from `top` on.
struct PixelGrid {
    left: u32,
    top: u32,
    right: usize,
    down: usize,
}

const fn grid(left: u32, top: u32, right: usize, down: usize) -> PixelGrid {
    PixelGrid {
        left,
        top,
        right,
        down,
    }
}

const WHOLE: [PixelGrid; 1] = [grid(0, 0, 1, 1)];

/// Adam7: <https://www.w3.org/TR/png-3/#8Interlace>.
const INTERLACED: [PixelGrid; 7] = [
    grid(0, 0, 8, 8),
    grid(4, 0, 8, 8),
    grid(0, 4, 4, 8),
    grid(2, 0, 4, 4),
    grid(0, 2, 2, 4),
    grid(1, 0, 2, 2),
    grid(0, 1, 1, 2),
];

/// How one pixel of a row becomes RGB.
struct Pixel {
    colour: ColorType,
    depth: BitDepth,
    /// RGBA per palette index.
    palette: Vec<[u8; 4]>,
    /// The grey or colour that is transparent. Pillow compares the low bytes of the file's 16-bit
    /// key with the widened or narrowed 8-bit values (only a 1-bit key is widened itself), and so
    /// does this.
    key: Option<Vec<u8>>,
}

impl Pixel {
    fn new(info: &Info<'_>) -> Result<Self> {
        let transparency = info.trns.as_deref();
        let mut palette = Vec::new();
        if info.color_type == ColorType::Indexed {
            let colours = info
                .palette
                .as_deref()
                .context("a palette PNG without a palette")?;
            let alpha = |i: usize| {
                transparency
                    .and_then(|alpha| alpha.get(i))
                    .copied()
                    .unwrap_or(255)
            };
            palette.extend(
                colours
                    .chunks_exact(3)
                    .enumerate()
                    .map(|(i, c)| [c[0], c[1], c[2], alpha(i)]),
            );
            if palette.len() > 256 {
                bail!("a palette of {} colours", palette.len());
            }
        }
        // The crate has dropped the high bytes where the depth is 8 bits or fewer.
        let step = if info.bit_depth == BitDepth::Sixteen {
            2
        } else {
            1
        };
        let widen = |low: &u8| {
            if info.bit_depth == BitDepth::One {
                255 * (*low).min(1)
            } else {
                *low
            }
        };
        let key = transparency
            .filter(|_| info.color_type != ColorType::Indexed)
            .map(|key| key.iter().skip(step - 1).step_by(step).map(widen).collect());
        Ok(Self {
            colour: info.color_type,
            depth: info.bit_depth,
            palette,
            key,
        })
    }

    fn read(&self, row: &[u8], x: usize) -> [u8; 3] {
        match self.colour {
            ColorType::Indexed => {
                let index = usize::from(self.packed(row, x));
                over_white(self.palette.get(index).copied().unwrap_or([0, 0, 0, 255]))
            }
            ColorType::Grayscale => self.grey(row, x),
            ColorType::GrayscaleAlpha => {
                let [value, alpha] = [0, 1].map(|channel| self.high_byte(row, x * 2 + channel));
                over_white([value, value, value, alpha])
            }
            ColorType::Rgb => {
                let rgb = [0, 1, 2].map(|channel| self.high_byte(row, x * 3 + channel));
                let keyed = self.key.as_deref() == Some(&rgb);
                if keyed { [255; 3] } else { rgb }
            }
            ColorType::Rgba => {
                over_white([0, 1, 2, 3].map(|channel| self.high_byte(row, x * 4 + channel)))
            }
        }
    }

    fn grey(&self, row: &[u8], x: usize) -> [u8; 3] {
        let value = match self.depth {
            BitDepth::One => self.packed(row, x) * 255,
            BitDepth::Two => self.packed(row, x) * 85,
            BitDepth::Four => self.packed(row, x) * 17,
            BitDepth::Eight => self.packed(row, x),
            BitDepth::Sixteen => match row.get(2 * x..2 * x + 2) {
                Some([0, low]) => *low,
                _ => 255,
            },
        };
        let keyed = self.key.as_deref() == Some(&[value]);
        [if keyed { 255 } else { value }; 3]
    }

    /// The sample at index `x` of a one-sample pixel of 8 bits or fewer.
    fn packed(&self, row: &[u8], x: usize) -> u8 {
        let bits = self.depth as usize;
        let byte = row.get(x * bits / 8).copied().unwrap_or_default();
        match bits {
            1 | 2 | 4 => (byte >> (8 - bits - x * bits % 8)) & ((1 << bits) - 1),
            _ => byte,
        }
    }

    /// The sample at `index`; of 16 bits the high byte.
    fn high_byte(&self, row: &[u8], index: usize) -> u8 {
        let index = if self.depth == BitDepth::Sixteen {
            2 * index
        } else {
            index
        };
        row.get(index).copied().unwrap_or_default()
    }
}
