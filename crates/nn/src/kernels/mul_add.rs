//! The multiply-add of a kernel: f32 by f32, or pairs of bf16 whose products are added up in f32.
//!
//! Kernels are written once, over words of 32 bits: one f32, or two bf16 that follow each other in
//! the inner dimension, the first in the low half. Words are moved as f32 whatever they hold.

use pulp::{Simd, WithSimd};

use super::elementary::{exp, rough_exp};
use chartbench_core::isa;

/// The dtype that operands of a product are rounded to. Sums are in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeDtype {
    /// Operands are not rounded.
    F32,
    /// Operands are rounded to bf16, two to a word.
    Bf16,
}

impl ComputeDtype {
    /// The dtype that this processor multiplies fastest.
    pub(super) fn fastest_for_this_cpu() -> Self {
        #[cfg(target_arch = "x86_64")]
        if native::available() {
            return Self::Bf16;
        }
        Self::F32
    }

    /// Values in a word of 32 bits.
    pub(crate) fn values_per_word(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
        }
    }
}

/// A vector type and the multiply-add of its words.
pub(super) trait MulAdd: Copy {
    type S: Simd;
    /// Values in a word: 1 or 2.
    const VALUES: usize;

    fn simd(self) -> Self::S;

    /// `sum + a · b`, lane by lane. With two values to a word, the product of the first ones is
    /// added first.
    fn mul_add(self, a: F<Self>, b: F<Self>, sum: F<Self>) -> F<Self>;

    /// Packs values that follow each other in the inner dimension into words. Words of one value
    /// hold the first alone.
    fn pack_words(self, values: [F<Self>; 2]) -> F<Self>;

    /// `exp(x)` for x ≤ 0, as precise as a word's values.
    fn exp(self, x: F<Self>) -> F<Self>;
}

/// The vector of f32.
pub(super) type F<M> = <<M as MulAdd>::S as Simd>::f32s;

/// A kernel over any multiply-add.
pub(super) trait WithMulAdd {
    type Output;

    fn with_mul_add<M: MulAdd>(self, unit: M) -> Self::Output;
}

/// Runs a kernel with the fastest multiply-add of `dtype` on this processor.
pub(super) fn dispatch<K: WithMulAdd>(dtype: ComputeDtype, kernel: K) -> K::Output {
    match dtype {
        ComputeDtype::F32 => isa::arch().dispatch(OnF32(kernel)),
        #[cfg(target_arch = "x86_64")]
        ComputeDtype::Bf16 if native::available() => native::run(kernel),
        ComputeDtype::Bf16 => isa::arch().dispatch(OnBf16Emulated(kernel)),
    }
}

/// Rounds two values to bf16 and packs them into a word; NaN stays NaN, ties go to even.
#[inline(always)]
pub(super) fn pack_bf16_pair(first: f32, second: f32) -> f32 {
    let high = |value: f32| {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        if value.is_nan() {
            0x7fc0_0000
        } else {
            rounded & 0xffff_0000
        }
    };
    f32::from_bits(high(first) >> 16 | high(second))
}

struct OnF32<K>(K);

impl<K: WithMulAdd> WithSimd for OnF32<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> K::Output {
        self.0.with_mul_add(F32(simd))
    }
}

/// f32.
#[derive(Clone, Copy)]
pub(super) struct F32<S>(pub(super) S);

impl<S: Simd> MulAdd for F32<S> {
    type S = S;
    const VALUES: usize = 1;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn mul_add(self, a: F<Self>, b: F<Self>, sum: F<Self>) -> F<Self> {
        self.0.mul_add_f32s(a, b, sum)
    }

    #[inline(always)]
    fn pack_words(self, [value, _]: [F<Self>; 2]) -> F<Self> {
        value
    }

    #[inline(always)]
    fn exp(self, x: F<Self>) -> F<Self> {
        exp(self.0, x)
    }
}

struct OnBf16Emulated<K>(K);

impl<K: WithMulAdd> WithSimd for OnBf16Emulated<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> K::Output {
        self.0.with_mul_add(Bf16Emulated(simd))
    }
}

/// Pairs of bf16 on a processor that cannot multiply them: widened to f32.
#[derive(Clone, Copy)]
struct Bf16Emulated<S>(S);

impl<S: Simd> Bf16Emulated<S> {
    /// Rounds to bf16, in the high half.
    #[inline(always)]
    fn rounded(self, value: S::f32s) -> S::u32s {
        let simd = self.0;
        let bits = simd.transmute_u32s_f32s(value);
        let odd = simd.and_u32s(
            simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(16)),
            simd.splat_u32s(1),
        );
        let rounded = simd.add_u32s(bits, simd.add_u32s(odd, simd.splat_u32s(0x7fff)));
        simd.and_u32s(rounded, simd.splat_u32s(0xffff_0000))
    }
}

impl<S: Simd> MulAdd for Bf16Emulated<S> {
    type S = S;
    const VALUES: usize = 2;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn mul_add(self, a: F<Self>, b: F<Self>, sum: F<Self>) -> F<Self> {
        let simd = self.0;
        let low = |words| {
            let bits = simd.transmute_u32s_f32s(words);
            simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(16)))
        };
        let high = |words| {
            let bits = simd.transmute_u32s_f32s(words);
            simd.transmute_f32s_u32s(simd.and_u32s(bits, simd.splat_u32s(0xffff_0000)))
        };
        simd.mul_add_f32s(high(a), high(b), simd.mul_add_f32s(low(a), low(b), sum))
    }

    #[inline(always)]
    fn pack_words(self, [first, second]: [F<Self>; 2]) -> F<Self> {
        let simd = self.0;
        let first = simd.wrapping_dyn_shr_u32s(self.rounded(first), simd.splat_u32s(16));
        simd.transmute_f32s_u32s(simd.or_u32s(first, self.rounded(second)))
    }

    #[inline(always)]
    fn exp(self, x: F<Self>) -> F<Self> {
        rough_exp(self.0, x)
    }
}

/// The AVX-512 instructions for bf16.
#[cfg(target_arch = "x86_64")]
mod native {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_permutexvar_epi16,
        _mm512_reduce_ps, _mm512_scalef_ps,
    };
    use std::mem::transmute;

    use pulp::x86::V4;
    use pulp::{Simd, f32x16};

    use super::{MulAdd, WithMulAdd};
    use crate::kernels::avx512::Bf16;

    pub(super) fn available() -> bool {
        chartbench_core::isa::current().bf16
    }

    pub(super) fn run<K: WithMulAdd>(kernel: K) -> K::Output {
        match (Bf16::try_new(), V4::try_new()) {
            (Some(features), Some(v4)) => features.vectorize(Kernel {
                kernel,
                unit: Bf16Native(features, v4),
            }),
            _ => unreachable!("asked for before"),
        }
    }

    struct Kernel<K> {
        kernel: K,
        unit: Bf16Native,
    }

    impl<K: WithMulAdd> pulp::NullaryFnOnce for Kernel<K> {
        type Output = K::Output;

        #[inline(always)]
        fn call(self) -> K::Output {
            self.kernel.with_mul_add(self.unit)
        }
    }

    /// The permutation that puts value n of the first half and value n of the second into word n.
    const INTERLEAVE: [u32; 16] = {
        let mut interleave = [0; 16];
        let mut word = 0;
        while word < 16 {
            interleave[word as usize] = word | (16 + word) << 16;
            word += 1;
        }
        interleave
    };

    #[derive(Clone, Copy)]
    struct Bf16Native(Bf16, V4);

    impl MulAdd for Bf16Native {
        type S = V4;
        const VALUES: usize = 2;

        #[inline(always)]
        fn simd(self) -> V4 {
            self.1
        }

        #[inline(always)]
        fn mul_add(self, a: f32x16, b: f32x16, sum: f32x16) -> f32x16 {
            // SAFETY: `Bf16` exists only where the processor has these instructions; all types are
            // 64 plain bytes.
            unsafe {
                let [a, b] = [
                    transmute::<f32x16, __m512bh>(a),
                    transmute::<f32x16, __m512bh>(b),
                ];
                transmute::<__m512, f32x16>(_mm512_dpbf16_ps(
                    transmute::<f32x16, __m512>(sum),
                    a,
                    b,
                ))
            }
        }

        #[inline(always)]
        fn pack_words(self, [first, second]: [f32x16; 2]) -> f32x16 {
            // SAFETY: as above.
            unsafe {
                let [first, second] = [
                    transmute::<f32x16, __m512>(first),
                    transmute::<f32x16, __m512>(second),
                ];
                let halves = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
                let interleave = transmute::<[u32; 16], __m512i>(INTERLEAVE);
                transmute::<__m512i, f32x16>(_mm512_permutexvar_epi16(interleave, halves))
            }
        }

        /// 2^y with y = x / ln 2: a cubic in y - floor(y), times 2^floor(y). Relative error below
        /// 1e-4.
        #[inline(always)]
        fn exp(self, x: f32x16) -> f32x16 {
            /// Rounds down.
            const DOWN: i32 = 1;
            /// Minimax coefficients on [0, 1], in relative error.
            const CUBIC: [f32; 4] = [0.078_024_52, 0.226_067_16, 0.695_833_56, 0.999_925_2];
            let simd = self.1;
            let y = simd.mul_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E));
            // SAFETY: `V4` exists only where the processor has these instructions; all types are 64
            // plain bytes.
            let above = unsafe {
                transmute::<__m512, f32x16>(_mm512_reduce_ps::<DOWN>(transmute::<f32x16, __m512>(
                    y,
                )))
            };
            let mut power = simd.splat_f32s(CUBIC[0]);
            for coefficient in &CUBIC[1..] {
                power = simd.mul_add_f32s(power, above, simd.splat_f32s(*coefficient));
            }
            // SAFETY: as above.
            unsafe {
                let [power, y] = [power, y].map(|x| transmute::<f32x16, __m512>(x));
                transmute::<__m512, f32x16>(_mm512_scalef_ps(power, y))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// exp of each value, native or emulated.
    struct Exps<'a>(&'a [f32]);

    impl WithMulAdd for Exps<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_mul_add<M: MulAdd>(self, unit: M) -> Vec<f32> {
            let first_lane = |value: &f32| {
                let all = unit.exp(unit.simd().splat_f32s(*value));
                pulp::bytemuck::cast_slice::<_, f32>(std::slice::from_ref(&all))[0]
            };
            self.0.iter().map(first_lane).collect()
        }
    }

    /// Two values of each operand, packed into words and multiplied.
    struct Products<'a>(&'a [[f32; 4]]);

    impl WithMulAdd for Products<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_mul_add<M: MulAdd>(self, unit: M) -> Vec<f32> {
            let simd = unit.simd();
            let first_lane = |values: &[f32; 4]| {
                let [a, b, c, d] = values.map(|value| simd.splat_f32s(value));
                let all = unit.mul_add(
                    unit.pack_words([a, b]),
                    unit.pack_words([c, d]),
                    simd.splat_f32s(1.0),
                );
                pulp::bytemuck::cast_slice::<_, f32>(std::slice::from_ref(&all))[0]
            };
            self.0.iter().map(first_lane).collect()
        }
    }

    /// Every processor runs both: its own instructions, if it has them, and the emulation.
    #[test]
    fn words_of_two_multiply_alike_native_and_widened() {
        let value = |index: usize| ((index * 2_654_435_761) % 10_007) as f32 / 2_500.0 - 2.0;
        let inputs: Vec<[f32; 4]> = (0..2_000)
            .map(|row| std::array::from_fn(|index| value(4 * row + index)))
            .collect();
        let rounded = |value: f32| f64::from(half::bf16::from_f32(value).to_f32());
        let native = dispatch(ComputeDtype::Bf16, Products(&inputs));
        let widened = isa::arch().dispatch(OnBf16Emulated(Products(&inputs)));
        for (values, found) in inputs.iter().zip(native.iter().zip(&widened)) {
            let [a, b, c, d] = values.map(rounded);
            let exact = 1.0 + a * c + b * d;
            for found in [found.0, found.1] {
                assert!(
                    (f64::from(*found) - exact).abs() < 2e-6,
                    "{values:?}: {found}, not {exact}"
                );
            }
        }
        let infinite =
            isa::arch().dispatch(OnBf16Emulated(Products(&[[1.0, f32::INFINITY, 1.0, 1.0]])));
        assert_eq!(infinite, [f32::INFINITY]);
    }

    #[test]
    fn exps_are_as_precise_as_words() {
        let inputs: Vec<f32> = (0..=86_000).map(|step| step as f32 / -1000.0).collect();
        let kinds = [
            (dispatch(ComputeDtype::F32, Exps(&inputs)), 3e-7),
            (dispatch(ComputeDtype::Bf16, Exps(&inputs)), 1e-4),
            (isa::arch().dispatch(OnBf16Emulated(Exps(&inputs))), 1e-4),
        ];
        for (found, tolerance) in kinds {
            for (x, exp) in inputs.iter().zip(found) {
                let exact = f64::from(*x).exp();
                assert!(
                    (f64::from(exp) - exact).abs() <= tolerance * exact,
                    "exp({x}) = {exp}, not {exact}"
                );
            }
        }
        for dtype in [ComputeDtype::F32, ComputeDtype::Bf16] {
            let edges = dispatch(dtype, Exps(&[f32::NEG_INFINITY, -1e30]));
            assert!(edges[0] < 1e-37 && edges[1] < 1e-37, "{edges:?}");
        }
    }
}
