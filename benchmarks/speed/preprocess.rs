//! `cargo bench --bench preprocess`: the question drawn as a header, and header + patches of a
//! drawn chart at the usual budget of 2,048 patches.

#![expect(clippy::print_stderr, reason = "a benchmark prints")]

use std::hint::black_box;

use chartbench_nn::preprocess::{HeaderFont, Pix2StructProcessor};
use criterion::{Criterion, criterion_group, criterion_main};
use image::{Rgb, RgbImage};

const SHORT: &str = "What is the value of Japan in 2011?";
const LONG: &str = "What is the difference between the highest and the lowest value of the median, in percent (2011-2019)?";

/// 850 x 600: bars, a grid and a gradient.
fn chart() -> RgbImage {
    RgbImage::from_fn(850, 600, |x, y| match (x % 85, y) {
        (20..65, _) if y > 120 + x / 3 => Rgb([31, 119, 180]),
        _ if y % 60 == 0 => Rgb([200; 3]),
        _ => Rgb([255, 255, 240 + (x / 60) as u8]),
    })
}

fn preprocess(criterion: &mut Criterion) {
    eprintln!("instruction set: {}", chartbench_core::isa::current().name);
    let (font, image) = (HeaderFont::default(), chart());
    let Ok(processor) =
        Pix2StructProcessor::from_json(br#"{"is_vqa": true, "max_patches": 2048}"#, "bench")
    else {
        return;
    };
    criterion.bench_function("header/long", |b| {
        b.iter(|| black_box(font.render(black_box(LONG))))
    });
    for (name, question) in [("short", SHORT), ("long", LONG)] {
        criterion.bench_function(&format!("header+patches/{name}"), |b| {
            b.iter(|| black_box(processor.patches(black_box(&image), Some(question))));
        });
    }
}

criterion_group!(benches, preprocess);
criterion_main!(benches);
