//! The kernels at the sizes of one full-size encoder layer over 2,048 patches, and the most that
//! this processor computes in registers alone. "Elements" are multiplications and additions.
//!
//!     cargo bench --bench kernels
//!
//! `kernels.py` makes a table of both.

#![expect(clippy::print_stderr, reason = "a benchmark prints")]

use std::sync::Arc;

use anyhow::{Result, bail};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use chartbench_nn::kernels::{self, ComputeDtype, PackedWeight, Weight};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 2048;

fn random(rows: usize, columns: usize) -> Result<Tensor> {
    Ok(Tensor::randn(0f32, 0.1, (rows, columns), &Device::Cpu)?)
}

/// A random weight of a kind that `kernels.py` has a column of.
fn weight(kind: &str, rows: usize, columns: usize) -> Result<Weight> {
    let full = random(rows, columns)?;
    Ok(match kind {
        "f32" => Weight::Packed(PackedWeight::new(&full, ComputeDtype::F32)?.into()),
        "bf16" => Weight::Packed(PackedWeight::new(&full, ComputeDtype::Bf16)?.into()),
        "q8" => Weight::quantized(Arc::new(QTensor::quantize(&full, GgmlDType::Q8_0)?))?,
        _ => bail!("no weights are called {kind}"),
    })
}

fn kernels(criterion: &mut Criterion) -> Result<()> {
    eprintln!("instruction set: {}", chartbench_core::isa::current().name);
    let (x, wide) = (random(ROWS, 768)?, random(ROWS, 2048)?);
    let norm = Tensor::ones(768, DType::F32, &Device::Cpu)?;
    let mut group = criterion.benchmark_group("kernels");
    group.sample_size(20);
    let operations = |count: usize| Throughput::Elements(2 * (ROWS * count) as u64);
    for kind in ["f32", "bf16", "q8"] {
        let (square, up, down) = (
            weight(kind, 768, 768)?,
            weight(kind, 2048, 768)?,
            weight(kind, 768, 2048)?,
        );
        let id = |name: &str| BenchmarkId::new(name, kind);
        group.throughput(operations(768 * 768));
        group.bench_function(id("linear 768 to 768"), |b| {
            b.iter(|| kernels::linear(&x, &square).expect("a result"))
        });
        group.throughput(operations(2048 * 768));
        group.bench_function(id("linear 2048 to 768"), |b| {
            b.iter(|| kernels::linear(&wide, &down).expect("a result"))
        });
        group.throughput(operations(2 * 2048 * 768));
        group.bench_function(id("gated gelu 768 to 2048"), |b| {
            b.iter(|| kernels::gated_gelu(&x, &up, &up).expect("a result"))
        });
        if kind != "q8" {
            group.throughput(operations(2 * ROWS * 768));
            let precision = square.compute_dtype();
            group.bench_function(id("attention 12 heads"), |b| {
                b.iter(|| kernels::attention(&x, &x, &x, 12, precision).expect("a result"))
            });
        }
    }
    group.finish();
    criterion.bench_function("rms norm", |b| {
        b.iter(|| kernels::rms_norm(&x, &norm, 1e-6).expect("a result"))
    });
    Ok(())
}

/// Multiplications and additions of values that never leave the registers, on all threads.
#[cfg(target_arch = "x86_64")]
mod peak {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Sums that do not wait for each other.
    const SUMS: usize = 16;
    const STEPS: usize = 100_000;

    /// The name of a column of `kernels.py`, operations of a task, and the task.
    pub(crate) type Peak = (&'static str, usize, fn());

    /// Those of which this processor has the instructions.
    pub(crate) fn all() -> Vec<Peak> {
        let (f, bf16, vnni) = (
            is_x86_feature_detected!("avx512f"),
            is_x86_feature_detected!("avx512bf16"),
            is_x86_feature_detected!("avx512vnni"),
        );
        let peaks: [(bool, Peak); 3] = [
            // SAFETY: the processor has the instructions, or the function is not among those handed
            // out.
            (f, ("f32", 2 * 16 * SUMS * STEPS, || unsafe { fused() })),
            (
                f && bf16,
                // SAFETY: as above.
                ("bf16", 2 * 32 * SUMS * STEPS, || unsafe { pairs() }),
            ),
            (
                f && vnni,
                // SAFETY: as above.
                ("q8", 2 * 64 * SUMS * STEPS, || unsafe { bytes() }),
            ),
        ];
        peaks
            .into_iter()
            .filter(|(there, _)| *there)
            .map(|(_, peak)| peak)
            .collect()
    }

    #[target_feature(enable = "avx512f")]
    fn fused() {
        let mut sums: [_; SUMS] = std::array::from_fn(|at| _mm512_set1_ps(black_box(at as f32)));
        let (a, b) = (
            _mm512_set1_ps(black_box(0.5)),
            _mm512_set1_ps(black_box(0.25)),
        );
        for _ in 0..STEPS {
            sums.iter_mut()
                .for_each(|sum| *sum = _mm512_fmadd_ps(a, b, *sum));
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn pairs() {
        let mut sums: [_; SUMS] = std::array::from_fn(|at| _mm512_set1_ps(black_box(at as f32)));
        // SAFETY: 16 words of two bf16 are as large as the vector of 32.
        let word: __m512bh =
            unsafe { std::mem::transmute(_mm512_set1_epi32(black_box(0x3f00_3f00))) };
        for _ in 0..STEPS {
            sums.iter_mut()
                .for_each(|sum| *sum = _mm512_dpbf16_ps(*sum, word, word));
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn bytes() {
        let mut sums: [_; SUMS] = std::array::from_fn(|at| _mm512_set1_epi32(black_box(at as i32)));
        let word = _mm512_set1_epi32(black_box(0x0101_0101));
        for _ in 0..STEPS {
            sums.iter_mut()
                .for_each(|sum| *sum = _mm512_dpbusd_epi32(*sum, word, word));
        }
        black_box(sums);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod peak {
    pub fn all() -> Vec<(&'static str, usize, fn())> {
        Vec::new()
    }
}

fn peaks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("peak");
    for (kind, operations, task) in peak::all() {
        group.throughput(Throughput::Elements(
            (operations * rayon::current_num_threads()) as u64,
        ));
        group.bench_function(BenchmarkId::new("registers", kind), |b| {
            b.iter(|| rayon::broadcast(|_| task()));
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    peaks(criterion);
    if let Err(error) = kernels(criterion) {
        eprintln!("kernels bench: {error:#}");
        std::process::exit(1);
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
