//! Pictures: their pixels are counted in bytes, and are in memory once.

use std::fs;
use std::io::Write;
use std::process::Command;

use chartbench_pixels::decode;
use png::{BitDepth, ColorType, Encoder};

use super::{fixture, lengths, line};

/// A PNG of one colour, 16 bits a channel, RGBA; `rows` of its rows are in the file.
fn wide_png(side: u32, rows: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, side, side);
    encoder.set_color(ColorType::Rgba);
    encoder.set_depth(BitDepth::Sixteen);
    encoder.set_compression(png::Compression::Fastest);
    {
        let mut writer = encoder.write_header().unwrap();
        let mut stream = writer.stream_writer().unwrap();
        let row = [0x80, 0xff, 0x40, 0, 0xff, 0, 0xff, 0xff].repeat(side as usize);
        for _ in 0..rows {
            stream.write_all(&row).unwrap();
        }
        if rows == side {
            stream.finish().unwrap();
        }
    }
    bytes
}

#[test]
fn bytes_are_counted_not_pixels() {
    let told = line(decode(&wide_png(13_300, 2), "wide.png"));
    assert_eq!(
        told,
        "image wide.png: 13300 x 13300 pixels of 64 bits are 1415120000 bytes, more than the 268435456 allowed: make the \
         image smaller"
    );
    let image = decode(&wide_png(300, 300), "small.png").unwrap();
    assert!(image.pixels().all(|pixel| pixel.0 == [0x80, 0x40, 0xff]));
}

#[test]
fn the_coefficients_of_a_progressive_jpeg_count_too() {
    let mut jpeg = fs::read(fixture("preprocess/images/chart420.jpg")).unwrap();
    let frame = jpeg
        .windows(2)
        .position(|marker| marker == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 1] = 0xc2;
    let side = 10_000u16.to_be_bytes();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[side, side].concat());
    let line = line(decode(&jpeg, "a.jpg"));
    assert!(
        line.contains("10000 x 10000 pixels of 72 bits are 900000000 bytes, more than "),
        "{line}"
    );
}

/// The most memory that answering about the picture took, in bytes.
fn peak(path: &std::path::Path) -> u64 {
    let command = "\"$0\" ask --adapters matcha-tiny --threads 2 --max-new-tokens 1 \"$1\" 'Chart type?' >&2 & \
                   while grep VmHWM /proc/$! 2>/dev/null; do sleep 0.01; done; wait $!";
    let program = env!("CARGO_BIN_EXE_chartbench");
    let command = command.replace("grep VmHWM /proc/$!", "grep VmHWM /proc/$!/status");
    let output = Command::new("sh")
        .args(["-c", &command, program])
        .arg(path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let peaks = String::from_utf8(output.stdout).unwrap();
    let kilobytes = peaks
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .max();
    kilobytes.unwrap() * 1024
}

#[test]
#[cfg(target_os = "linux")]
fn a_picture_of_16_bits_is_in_memory_in_8() {
    let dir = tempfile::tempdir().unwrap();
    let side = 2800;
    let paths = [("small.png", 100), ("large.png", side)].map(|(name, side)| {
        let path = dir.path().join(name);
        fs::write(&path, wide_png(side, side)).unwrap();
        path
    });
    let [small, large] = paths.map(|path| peak(&path));
    let rgb = u64::from(side) * u64::from(side) * 3;
    // The picture, and what it is resized to under its question.
    assert!(
        large.saturating_sub(small) < 4 * rgb,
        "{small} and {large} bytes, 8-bit pixels take {rgb}"
    );
}

#[test]
fn cut_pictures_are_told() {
    let files = [
        "chart.png",
        "grey16.png",
        "palette.gif",
        "chart420.jpg",
        "cmyk.jpg",
        "chart.bmp",
        "lossless.webp",
    ];
    for name in files.iter().chain(&["chart.tiff"]) {
        let whole = fs::read(fixture("preprocess/images").join(name)).unwrap();
        decode(&whole, name).unwrap();
        for length in lengths(whole.len() - 16, 60) {
            if let Err(error) = decode(&whole[..length], name) {
                let line = format!("{error:#}");
                assert!(
                    !line.contains('\n') && line.starts_with(&format!("image {name}: ")),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn an_interlaced_png_has_the_pixels_of_a_plain_one() {
    use image::{ImageBuffer, Rgb};
    // 9 x 11 pixels, each with its place as its colour; passes 1 to 7 by hand.
    let pixel = |x: u32, y: u32| [(x * 20) as u8, (y * 20) as u8, 7];
    let passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ];
    for (width, height) in [(9u32, 11u32), (1, 1), (3, 2), (8, 8)] {
        let mut data = Vec::new();
        for (left, top, right, down) in passes {
            for y in (top..height).step_by(down).filter(|_| left < width) {
                data.push(0);
                data.extend((left..width).step_by(right).flat_map(|x| pixel(x, y)));
            }
        }
        let png = interlaced(width, height, &data);
        let expected = ImageBuffer::from_fn(width, height, |x, y| Rgb(pixel(x, y)));
        assert_eq!(
            decode(&png, "adam7.png").unwrap(),
            expected,
            "{width} x {height}"
        );
        let short = interlaced(width, height, &data[..data.len() - 1]);
        assert!(line(decode(&short, "adam7.png")).contains("damaged or truncated PNG"));
    }
}

/// An interlaced RGB PNG; its data are stored without compression.
fn interlaced(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let chunk = |kind: &[u8], body: &[u8]| {
        let checked = [kind, body].concat();
        let checksum = !checked.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1))
            })
        });
        [
            &(body.len() as u32).to_be_bytes()[..],
            &checked,
            &checksum.to_be_bytes(),
        ]
        .concat()
    };
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[8, 2, 0, 0, 1],
    ]
    .concat();
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    let length = data.len() as u16;
    let stored = [&length.to_le_bytes()[..], &(!length).to_le_bytes(), data].concat();
    let stream = [&[0x78, 1, 1][..], &stored, &(b << 16 | a).to_be_bytes()].concat();
    [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &chunk(b"IHDR", &header),
        &chunk(b"IDAT", &stream),
        &chunk(b"IEND", &[]),
    ]
    .concat()
}
