//! AVX-512 with instructions beyond those of pulp's `V4`, as tokens that exist only where the
//! processor has them.

/// A token for V4 and one more feature.
macro_rules! beyond_v4 {
    ($(#[$about:meta])* $name:ident, $field:ident: $feature:tt) => {
        pulp::simd_type!({
            $(#[$about])*
            pub(super) struct $name {
                sse: f!("sse"),
                sse2: f!("sse2"),
                fxsr: f!("fxsr"),
                sse3: f!("sse3"),
                ssse3: f!("ssse3"),
                sse4_1: f!("sse4.1"),
                sse4_2: f!("sse4.2"),
                popcnt: f!("popcnt"),
                avx: f!("avx"),
                avx2: f!("avx2"),
                bmi1: f!("bmi1"),
                bmi2: f!("bmi2"),
                fma: f!("fma"),
                lzcnt: f!("lzcnt"),
                avx512f: f!("avx512f"),
                avx512bw: f!("avx512bw"),
                avx512cd: f!("avx512cd"),
                avx512dq: f!("avx512dq"),
                avx512vl: f!("avx512vl"),
                $field: f!($feature),
            }
        });
    };
}

beyond_v4! {
    /// Products of bf16.
    Bf16, avx512bf16: "avx512bf16"
}

beyond_v4! {
    /// Sums of products of bytes.
    Vnni, avx512vnni: "avx512vnni"
}
