//! JPEG through libjpeg (mozjpeg's decoder is libjpeg-turbo's): Pillow uses libjpeg-turbo, and only
//! the same inverse DCT and chroma upsampling give the same pixels.

use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result, anyhow, bail};
use image::RgbImage;
use mozjpeg::{ColorSpace, Decompress};

use super::{check_size, from_cmyk, from_pixels};

pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage> {
    // libjpeg reports fatal errors by unwinding (no panic hook runs, nothing is printed).
    catch_unwind(AssertUnwindSafe(|| decompress(bytes))).unwrap_or_else(|cause| {
        let message = cause
            .downcast_ref::<String>()
            .map_or("unknown error", String::as_str);
        match message.trim_start_matches("libjpeg fatal error: ") {
            "Input file read error" => Err(anyhow!("truncated JPEG: the file ends early")),
            message => Err(anyhow!("damaged JPEG: {message}")),
        }
    })
}

fn decompress(bytes: &[u8]) -> Result<RgbImage> {
    let image = Decompress::builder()
        .from_reader(Whole(bytes))
        .context("damaged JPEG")?;
    let (width, height) = (
        u32::try_from(image.width())?,
        u32::try_from(image.height())?,
    );
    let channels = image.components().len();
    // libjpeg keeps the coefficients of 16 bits where it cannot finish a row at once.
    let bits = if has_several_scans(bytes, channels) {
        8 + 16
    } else {
        8
    };
    check_size(width, height, bits * channels)?;
    let colour = match channels {
        1 => ColorSpace::JCS_GRAYSCALE,
        3 => ColorSpace::JCS_RGB,
        4 => ColorSpace::JCS_CMYK,
        other => bail!("JPEG with {other} components (1, 3 and 4 are known)"),
    };
    let mut started = image.to_colorspace(colour)?;
    let pixels: Vec<u8> = started.read_scanlines()?;
    started.finish()?;
    match colour {
        ColorSpace::JCS_GRAYSCALE => {
            from_pixels(width, height, pixels.iter().map(|&value| [value; 3]))
        }
        // As in Adobe's files, and as Pillow reads every CMYK JPEG, 255 is no ink.
        ColorSpace::JCS_CMYK => {
            let inks = pixels
                .chunks_exact(4)
                .map(|ink| [255 - ink[0], 255 - ink[1], 255 - ink[2], 255 - ink[3]]);
            from_pixels(width, height, inks.map(from_cmyk))
        }
        _ => RgbImage::from_raw(width, height, pixels).context("fewer pixels than its size says"),
    }
}

/// Whether the pixels are spread over several scans: in progressive files, and where channels
/// follow each other.
fn has_several_scans(bytes: &[u8], channels: usize) -> bool {
    const PROGRESSIVE: u8 = 0xc2;
    const SCAN: u8 = 0xda;
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [0xff, marker, high, low, behind @ ..] = rest {
        match *marker {
            PROGRESSIVE => return true,
            SCAN => {
                return behind
                    .first()
                    .is_some_and(|&count| usize::from(count) < channels);
            }
            0xff => rest = &rest[1..],
            _ => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(2 + length..).unwrap_or_default();
            }
        }
    }
    false
}

/// The file's bytes; reading on after the last one is an error. (At a plain end of file libjpeg
/// makes up an end of image and fills the rest with grey.)
struct Whole<'a>(&'a [u8]);

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for Whole<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.is_empty() {
            Err(io::Error::other("the file ends early"))
        } else {
            Ok(self.0)
        }
    }

    fn consume(&mut self, amount: usize) {
        self.0 = self.0.get(amount..).unwrap_or_default();
    }
}
