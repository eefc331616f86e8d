//! Vector versions of the elementary functions of softmax and GELU.

use pulp::Simd;

/// exp on every lane, relative error below 2e-7; arguments are clamped to ±86, where f32 is still
/// normal.
///
/// 2^n by exponent bits, n = round(x / ln 2), times a degree 6 Taylor polynomial on |x - n ln 2| ≤
/// ln 2 / 2.
#[inline(always)]
pub(super) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Adding 1.5 · 2^23 rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const TAYLOR: [f32; 7] = [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let x = simd.min_f32s(
        simd.max_f32s(x, simd.splat_f32s(-86.0)),
        simd.splat_f32s(86.0),
    );
    let shifted = simd.mul_add_f32s(
        x,
        simd.splat_f32s(std::f32::consts::LOG2_E),
        simd.splat_f32s(ROUND),
    );
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let rest = simd.mul_add_f32s(n, simd.splat_f32s(-LN_2_HIGH), x);
    let rest = simd.mul_add_f32s(n, simd.splat_f32s(-LN_2_LOW), rest);
    let mut power = simd.splat_f32s(TAYLOR[0]);
    for coefficient in &TAYLOR[1..] {
        power = simd.mul_add_f32s(power, rest, simd.splat_f32s(*coefficient));
    }
    let exponent =
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(power), exponent))
}

/// [`exp`] for x ≤ 86 with a relative error below 6e-5, for values that are rounded to bf16
/// afterwards.
#[inline(always)]
pub(super) fn rough_exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const ROUND: f32 = 12_582_912.0;
    const TAYLOR: [f32; 5] = [1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let x = simd.max_f32s(x, simd.splat_f32s(-86.0));
    let shifted = simd.mul_add_f32s(
        x,
        simd.splat_f32s(std::f32::consts::LOG2_E),
        simd.splat_f32s(ROUND),
    );
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let rest = simd.mul_add_f32s(n, simd.splat_f32s(-std::f32::consts::LN_2), x);
    let mut power = simd.splat_f32s(TAYLOR[0]);
    for coefficient in &TAYLOR[1..] {
        power = simd.mul_add_f32s(power, rest, simd.splat_f32s(*coefficient));
    }
    let exponent =
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(power), exponent))
}

/// GELU in its tanh form (`gelu_new`), written with exp: x / (1 + exp(-2u)), u = √(2/π) (x +
/// 0.044715 x³).
#[inline(always)]
pub(super) fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    let square = simd.mul_f32s(x, x);
    let inner = simd.mul_add_f32s(square, simd.splat_f32s(0.044_715), simd.splat_f32s(1.0));
    let argument = simd.mul_f32s(
        simd.mul_f32s(x, simd.splat_f32s(-TWICE_SQRT_2_OVER_PI)),
        inner,
    );
    simd.div_f32s(x, simd.add_f32s(simd.splat_f32s(1.0), exp(simd, argument)))
}

/// The tanh form of GELU and its slope: x s and s + x s (1 - s) 2u', s = 1 / (1 + exp(-2u)) as in
/// [`gelu`].
#[inline(always)]
pub(super) fn gelu_and_slope<S: Simd>(simd: S, x: S::f32s) -> [S::f32s; 2] {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    let one = simd.splat_f32s(1.0);
    let square = simd.mul_f32s(x, x);
    let factor = simd.splat_f32s(TWICE_SQRT_2_OVER_PI);
    let inner = simd.mul_add_f32s(square, simd.splat_f32s(0.044_715), one);
    let argument = simd.mul_f32s(simd.mul_f32s(x, factor), inner);
    let s = simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(argument))));
    let steepness = simd.mul_f32s(
        factor,
        simd.mul_add_f32s(square, simd.splat_f32s(3.0 * 0.044_715), one),
    );
    let value = simd.mul_f32s(x, s);
    let rest = simd.mul_f32s(simd.sub_f32s(one, s), steepness);
    [value, simd.mul_add_f32s(value, rest, s)]
}

/// The slope of [`gelu_erf`], Φ(x) + x φ(x).
#[inline(always)]
pub(super) fn gelu_erf_slope<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const ONE_OVER_SQRT_2_PI: f32 = 0.398_942_3;
    let half = simd.splat_f32s(0.5);
    let erfc = erfc_of_size(simd, x);
    let sign = simd.div_f32s(
        x,
        simd.max_f32s(simd.abs_f32s(x), simd.splat_f32s(f32::MIN_POSITIVE)),
    );
    let normal = simd.mul_add_f32s(
        sign,
        simd.mul_f32s(half, simd.sub_f32s(simd.splat_f32s(1.0), erfc)),
        half,
    );
    let density = exp(
        simd,
        simd.mul_f32s(simd.mul_f32s(x, x), simd.splat_f32s(-0.5)),
    );
    simd.mul_add_f32s(
        simd.mul_f32s(x, simd.splat_f32s(ONE_OVER_SQRT_2_PI)),
        density,
        normal,
    )
}

/// erfc(|x| / √2) by Abramowitz and Stegun 7.1.26.
#[inline(always)]
fn erfc_of_size<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [
        1.061_405_4,
        -1.453_152,
        1.421_413_7,
        -0.284_496_74,
        0.254_829_6,
    ];
    let zero = simd.splat_f32s(0.0);
    let z = simd.mul_f32s(
        simd.abs_f32s(x),
        simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2),
    );
    let one = simd.splat_f32s(1.0);
    let t = simd.div_f32s(one, simd.mul_add_f32s(z, simd.splat_f32s(P), one));
    let mut polynomial = simd.splat_f32s(A[0]);
    for coefficient in &A[1..] {
        polynomial = simd.mul_add_f32s(polynomial, t, simd.splat_f32s(*coefficient));
    }
    simd.mul_f32s(
        simd.mul_f32s(polynomial, t),
        exp(simd, simd.mul_f32s(simd.sub_f32s(zero, z), z)),
    )
}

/// GELU in its exact form, x Φ(x), absolute error below 5e-7 |x|.
#[inline(always)]
pub(super) fn gelu_erf<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let erfc = erfc_of_size(simd, x);
    // x Φ(x) is max(x, 0) - |x| erfc(|x| / √2) / 2 on both sides of zero.
    let tail = simd.mul_f32s(simd.mul_f32s(simd.abs_f32s(x), simd.splat_f32s(0.5)), erfc);
    simd.sub_f32s(simd.max_f32s(x, simd.splat_f32s(0.0)), tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};
    use pulp::WithSimd;

    struct All<'a>(&'a [f32]);

    impl WithSimd for All<'_> {
        type Output = Vec<[f32; 4]>;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let first = |lanes: S::f32s| {
                pulp::bytemuck::bytes_of(&lanes)[..4]
                    .try_into()
                    .map_or(f32::NAN, f32::from_ne_bytes)
            };
            let all = |&x: &f32| {
                [exp, gelu, gelu_erf, rough_exp]
                    .map(|function| first(function(simd, simd.splat_f32s(x))))
            };
            self.0.iter().map(all).collect()
        }
    }

    #[test]
    fn close_to_double_precision() {
        let inputs: Vec<f32> = (-8600..=8600)
            .map(|step| step as f32 / 100.0 + 0.003)
            .map(|x| x.clamp(-86.0, 86.0))
            .collect();
        for (&x, [exp, gelu, gelu_erf, rough]) in inputs
            .iter()
            .zip(chartbench_core::isa::arch().dispatch(All(&inputs)))
        {
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exp) - exact).abs() <= 3e-7 * exact,
                "exp({x}) = {exp}, not {exact}"
            );
            assert!(
                (f64::from(rough) - exact).abs() <= 6e-5 * exact,
                "rough exp({x}) = {rough}, not {exact}"
            );
            let x = f64::from(x);
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            let exact = 0.5 * x * (1.0 + u.tanh());
            assert!(
                (f64::from(gelu) - exact).abs() <= 2e-6 * exact.abs().max(0.1),
                "gelu({x}) = {gelu}, not {exact}"
            );
            let exact = Tensor::new(x, &Device::Cpu)
                .unwrap()
                .gelu_erf()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap();
            assert!(
                (f64::from(gelu_erf) - exact).abs() <= 5e-7 * x.abs().max(0.1),
                "erf {x}: {gelu_erf}, not {exact}"
            );
        }
    }
}
