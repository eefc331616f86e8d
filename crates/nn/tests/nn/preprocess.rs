//! Preprocessing against the reference: `fixtures/preprocess/make.py` made every expected value.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::assert_close::{Tolerance, compare};
use candle_core::{Device, Tensor};
use chartbench_nn::preprocess::{
    DonutProcessor, HeaderFont, Pix2StructProcessor, processor_file, wrap,
};
use chartbench_pixels::{Filter, decode, resize};
use image::RgbImage;
use safetensors::SafeTensors;
use serde::Deserialize;

const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Expected {
    max_patches: usize,
    texts: Vec<String>,
    wrap: Vec<(String, usize, Vec<String>)>,
    grids: BTreeMap<String, [usize; 2]>,
    refused: Vec<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/preprocess"
    ))
}

fn expected() -> Expected {
    serde_json::from_slice(&fs::read(folder().join("expected.json")).unwrap()).unwrap()
}

fn image(name: &str) -> anyhow::Result<RgbImage> {
    decode(&fs::read(folder().join("images").join(name))?, name)
}

/// Calls `check(name, shape, bytes)` for every expected tensor whose key begins with `prefix`.
fn for_each(prefix: &str, mut check: impl FnMut(&str, &[usize], &[u8])) {
    let bytes = fs::read(folder().join("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut seen = 0;
    for (key, view) in tensors.iter() {
        if let Some(name) = key.strip_prefix(prefix) {
            check(name, view.shape(), view.data());
            seen += 1;
        }
    }
    assert!(seen > 0, "no goldens under {prefix}");
}

fn assert_pixels(name: &str, image: &RgbImage, shape: &[usize], expected: &[u8]) {
    assert_eq!(
        [image.height() as usize, image.width() as usize, 3],
        shape,
        "{name}"
    );
    let wrong = image
        .as_raw()
        .iter()
        .zip(expected)
        .filter(|(a, b)| a != b)
        .count();
    assert_eq!(
        wrong,
        0,
        "{name}: {wrong} of {} values differ",
        expected.len()
    );
}

/// `values` against little-endian f32 `bytes` of `shape`.
fn assert_values(name: &str, values: &[f32], shape: &[usize], bytes: &[u8], tolerance: f64) {
    let golden: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    let tensor = |values: &[f32]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    compare(
        &tensor(values),
        &tensor(&golden),
        Tolerance::Absolute(tolerance),
    )
    .unwrap_or_else(|fault| panic!("{name}: {fault}"));
}

fn processor(is_vqa: bool) -> Pix2StructProcessor {
    let json = format!(
        r#"{{"is_vqa": {is_vqa}, "max_patches": {}, "unknown": 1}}"#,
        expected().max_patches
    );
    Pix2StructProcessor::from_json(json.as_bytes(), "preprocessor_config.json").unwrap()
}

fn assert_patches(
    processor: &Pix2StructProcessor,
    key: &str,
    name: &str,
    header: Option<&str>,
    shape: &[usize],
    bytes: &[u8],
) {
    let patches = processor.patches(&image(name).unwrap(), header).unwrap();
    assert_eq!([patches.rows, patches.cols], expected().grids[key], "{key}");
    assert_values(key, &patches.data, shape, bytes, TOLERANCE);
}

#[test]
fn decoded_pixels_equal_the_reference() {
    for_each("rgb/", |name, shape, bytes| {
        assert_pixels(name, &image(name).unwrap(), shape, bytes)
    });
}

#[test]
fn broken_files_are_refused_in_one_line_with_their_name() {
    for name in expected().refused {
        let error = format!("{:#}", image(&name).unwrap_err());
        assert!(
            error.starts_with(&format!("image {name}: ")) && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn a_decompression_bomb_is_refused_before_its_pixels_are_read() {
    let mut png = fs::read(folder().join("images/chart.png")).unwrap();
    png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let checksum = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&checksum);
    let error = format!("{:#}", decode(&png, "bomb.png").unwrap_err());
    assert_eq!(
        error,
        "image bomb.png: 60000 x 60000 pixels are more than the 178956970 allowed"
    );
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}

#[test]
fn resized_pixels_equal_pillow() {
    let chart = image("chart.png").unwrap();
    for_each("resize/", |name, shape, bytes| {
        let filter = if name.ends_with("BICUBIC") {
            Filter::Bicubic
        } else {
            Filter::Bilinear
        };
        let resized = resize(&chart, shape[1] as u32, shape[0] as u32, filter);
        assert_pixels(name, &resized, shape, bytes);
    });
}

#[test]
fn lines_break_as_in_python() {
    for (text, width, lines) in expected().wrap {
        assert_eq!(wrap(&text, width), lines, "{text:?} at {width}");
    }
}

#[test]
fn header_pixels_equal_the_reference() {
    let font = HeaderFont::default();
    for (i, text) in expected().texts.iter().enumerate() {
        let png = fs::read(folder().join(format!("headers/{i:02}.png"))).unwrap();
        let golden = decode(&png, "golden").unwrap();
        let shape = [golden.height() as usize, golden.width() as usize, 3];
        assert_pixels(text, &font.render(text).unwrap(), &shape, golden.as_raw());
    }
}

#[test]
fn patches_agree_with_the_reference() {
    let processor = processor(false);
    for_each("plain/", |name, shape, bytes| {
        assert_patches(
            &processor,
            &format!("plain/{name}"),
            name,
            None,
            shape,
            bytes,
        );
    });
}

#[test]
fn patch_size_and_normalisation_follow_the_settings() {
    let json =
        br#"{"patch_size": {"height": 6, "width": 10}, "max_patches": 30, "do_normalize": false}"#;
    let processor = Pix2StructProcessor::from_json(json, "preprocessor_config.json").unwrap();
    for_each("odd/", |name, shape, bytes| {
        assert_patches(&processor, &format!("odd/{name}"), name, None, shape, bytes);
    });
}

#[test]
fn patches_under_a_header_agree_with_the_reference() {
    let (processor, texts) = (processor(true), expected().texts);
    for_each("vqa/", |key, shape, bytes| {
        let (name, header) = key.split_once('/').unwrap();
        let header = texts[header.parse::<usize>().unwrap()].as_str();
        assert_patches(
            &processor,
            &format!("vqa/{key}"),
            name,
            Some(header),
            shape,
            bytes,
        );
    });
}

#[test]
fn bad_settings_name_file_and_key() {
    for (json, wanted) in [
        ("[1]", "p.json: not a JSON object: "),
        (
            r#"{"max_patches": 0}"#,
            "p.json: max_patches = 0: must be a whole number from 1 to 65536",
        ),
        (
            r#"{"is_vqa": "yes"}"#,
            "p.json: is_vqa = \"yes\": must be true or false",
        ),
        (
            r#"{"patch_size": {"height": 16}}"#,
            "p.json: patch_size.width is missing",
        ),
        (
            r#"{"patch_size": -4}"#,
            "p.json: patch_size = -4: must be a whole number from 1 to 256",
        ),
    ] {
        let error = format!(
            "{:#}",
            Pix2StructProcessor::from_json(json.as_bytes(), "p.json").unwrap_err()
        );
        assert!(error.starts_with(wanted), "{error}");
    }
}

#[test]
fn impossible_requests_are_refused() {
    let chart = image("chart.png").unwrap();
    let error = processor(true)
        .patches(&chart, None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("a header text is needed"), "{error}");

    let long = RgbImage::from_pixel(5000, 1, image::Rgb([9; 3]));
    let narrow = processor(false).with_max_patches(4096).unwrap();
    let error = narrow.patches(&long, None).unwrap_err().to_string();
    assert!(
        error.contains("1 x 4096 patches") && error.contains("lower max_patches"),
        "{error}"
    );
    assert_eq!(
        narrow
            .with_positions(4097)
            .patches(&long, None)
            .unwrap()
            .cols,
        4096
    );

    let tall = RgbImage::from_pixel(1, 8000, image::Rgb([9; 3]));
    let error = processor(true)
        .patches(&tall, Some("What is the median of the first group?"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("1 x 8000 pixels under a question"),
        "{error}"
    );
}

#[test]
fn donut_pixels() {
    for_each("donut/", |name, shape, expected| {
        let [file, size, rule] = name.split('/').collect::<Vec<_>>()[..] else {
            panic!("{name}")
        };
        let (height, width) = size.split_once('x').unwrap();
        let settings = match rule {
            "plain" => r#""image_mean": [0.5, 0.5, 0.5], "do_pad": true"#,
            "bicubic" => {
                r#""resample": 3, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.5, 0.3]"#
            }
            _ => r#""do_align_long_axis": true, "rescale_factor": 0.00392156862745098"#,
        };
        let json = format!(r#"{{"size": {{"height": {height}, "width": {width}}}, {settings}}}"#);
        let old = format!(r#"{{"size": [{width}, {height}], {settings}}}"#);
        let processor = DonutProcessor::from_json(json.as_bytes(), "p.json").unwrap();
        assert_eq!(
            processor,
            DonutProcessor::from_json(old.as_bytes(), "p.json").unwrap(),
            "size as a list"
        );
        let pixels = processor.pixels(&image(file).unwrap()).unwrap();
        assert_eq!([3, pixels.height, pixels.width], shape, "{name}");
        assert_values(name, &pixels.data, shape, expected, 1e-6);
    });
}

#[test]
fn donut_settings_that_cannot_be_met_are_errors() {
    let parse = |json: &str| DonutProcessor::from_json(json.as_bytes(), "p.json");
    let faults = [
        (
            r#"{"size": 960}"#,
            "p.json: size = 960: must hold height and width",
        ),
        (
            r#"{"size": {"height": 960}}"#,
            "p.json: size.width is missing",
        ),
        (
            r#"{"resample": 0}"#,
            "p.json: resample: only 2 (bilinear) and 3 (bicubic) are supported",
        ),
        (r#"{"image_std": [1, 0, 1]}"#, "p.json: image_std holds a 0"),
        (
            r#"{"rescale_factor": 1e300}"#,
            "p.json: image_mean, image_std and rescale_factor make pixels that are no finite",
        ),
        (
            r#"{"do_resize": false}"#,
            "p.json: do_resize false is not supported",
        ),
        ("[]", "p.json: not a JSON object"),
    ];
    for (json, error) in faults {
        assert!(
            format!("{:#}", parse(json).unwrap_err()).starts_with(error),
            "{json}"
        );
    }
    let error = parse("{}")
        .unwrap()
        .pixels(&RgbImage::new(2, 4000))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 x 4000 pixels are too long to be a chart: crop the image"
    );
}

/// As transformers 5 saves a processor: the image processor nested in `processor_config.json`.
#[test]
fn nested_settings_are_those_of_the_old_file() {
    let chart = image("chart.png").unwrap();
    let settings = r#"{"image_processor_type": "X", "is_vqa": true, "max_patches": 64, "patch_size": {"height": 8, "width": 16}}"#;
    let nested = format!(r#"{{"image_processor": {settings}, "processor_class": "X"}}"#);
    let [old, new] = [settings, nested.as_str()].map(|json| {
        let processor = Pix2StructProcessor::from_json(json.as_bytes(), "p.json").unwrap();
        assert!(processor.is_vqa() && processor.max_patches() == 64);
        processor.patches(&chart, Some("Which?")).unwrap()
    });
    assert_eq!(old, new);

    let settings =
        r#"{"size": {"height": 96, "width": 64}, "resample": 3, "image_mean": [0.4, 0.5, 0.6]}"#;
    let nested = format!(r#"{{"processor_class": "X", "image_processor": {settings}}}"#);
    let [old, new] = [settings, nested.as_str()]
        .map(|json| DonutProcessor::from_json(json.as_bytes(), "p.json").unwrap());
    assert_eq!(old, new);
    assert_eq!(new.size(), (96, 64));

    let nested = r#"{"image_processor": {"max_patches": 0}}"#;
    let error = Pix2StructProcessor::from_json(nested.as_bytes(), "p.json").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("p.json: image_processor: max_patches = 0: must be"),
        "{error}"
    );
}

#[test]
fn the_nested_image_processor_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, alone) = (
        dir.path().join("processor_config.json"),
        dir.path().join("preprocessor_config.json"),
    );
    let error = |dir: &std::path::Path| {
        format!("{:#}", processor_file(dir).unwrap_err()).replace(&dir.display().to_string(), "DIR")
    };
    assert_eq!(
        error(dir.path()),
        "DIR: no preprocessor_config.json here, and no processor_config.json: save the processor with the model"
    );
    std::fs::write(&whole, r#"{"processor_class": "X"}"#).unwrap();
    assert_eq!(
        error(dir.path()),
        "DIR/processor_config.json: no image_processor in it, and no preprocessor_config.json beside it"
    );
    std::fs::write(&alone, "{}").unwrap();
    assert_eq!(processor_file(dir.path()).unwrap(), alone);
    std::fs::write(&whole, r#"{"image_processor": {}}"#).unwrap();
    assert_eq!(processor_file(dir.path()).unwrap(), whole);
    std::fs::write(&whole, "[]").unwrap();
    assert!(error(dir.path()).starts_with("DIR/processor_config.json: not a JSON object"));
}
