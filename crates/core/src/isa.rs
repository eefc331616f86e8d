//! The instruction set of this program's CPU kernels: the best that the processor has, or the one
//! that the environment variable `CHARTBENCH_ISA` names. Kernels of other crates (candle's matrix
//! products, image decoders) choose their own.

use std::sync::OnceLock;

use anyhow::{Result, bail};
use pulp::Arch;

use crate::terminal::shorten;

/// The environment variable that names an instruction set.
pub const VARIABLE: &str = "CHARTBENCH_ISA";

/// Instructions that a kernel may use.
#[derive(Clone, Copy, Debug)]
pub struct Isa {
    /// The value of [`VARIABLE`] that selects it.
    pub name: &'static str,
    /// Vectors of f32.
    pub arch: Arch,
    /// Products of pairs of bf16 (AVX-512 BF16).
    pub bf16: bool,
    /// Sums of products of bytes (AVX-512 VNNI).
    pub vnni: bool,
}

/// The instruction sets of this processor, from the plainest to the best, which has every
/// extension.
pub fn supported() -> Vec<Isa> {
    let plain = |name, arch| Isa {
        name,
        arch,
        bf16: false,
        vnni: false,
    };
    let mut all = vec![plain("scalar", Arch::Scalar)];
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        all.extend(V3::try_new().map(|simd| plain("avx2", Arch::V3(simd))));
        if let Some(arch) = V4::try_new().map(Arch::V4) {
            let bf16 = std::is_x86_feature_detected!("avx512bf16");
            let vnni = std::is_x86_feature_detected!("avx512vnni");
            all.push(plain("avx512", arch));
            all.extend(bf16.then_some(Isa {
                bf16,
                ..plain("avx512-bf16", arch)
            }));
            all.extend(vnni.then_some(Isa {
                vnni,
                ..plain("avx512-vnni", arch)
            }));
            all.extend((bf16 && vnni).then_some(Isa {
                bf16,
                vnni,
                ..plain("avx512-bf16-vnni", arch)
            }));
        }
    }
    #[cfg(target_arch = "aarch64")]
    if !matches!(Arch::new(), Arch::Scalar) {
        all.push(plain("neon", Arch::new()));
    }
    all
}

/// The instruction set in use, selected once.
pub fn current() -> &'static Isa {
    static CURRENT: OnceLock<Isa> = OnceLock::new();
    CURRENT.get_or_init(|| requested().unwrap_or_else(|_| best()))
}

/// Vectors of f32 of [`current`].
pub fn arch() -> Arch {
    current().arch
}

/// The instruction set that [`VARIABLE`] names, or the best one.
///
/// # Errors
/// Returns an error if the processor has no such instruction set.
pub fn requested() -> Result<Isa> {
    let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else {
        return Ok(best());
    };
    let all = supported();
    let Some(isa) = all.iter().find(|isa| name == isa.name) else {
        let names: Vec<&str> = all.iter().map(|isa| isa.name).collect();
        bail!(
            "{VARIABLE}: this processor has no `{}`; it has {}",
            shorten(&name.to_string_lossy()),
            names.join(", ")
        );
    };
    Ok(*isa)
}

fn best() -> Isa {
    supported().pop().unwrap_or(Isa {
        name: "scalar",
        arch: Arch::Scalar,
        bf16: false,
        vnni: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plainest_set_comes_first_and_names_differ() {
        let all = supported();
        assert_eq!(all[0].name, "scalar");
        let mut names: Vec<&str> = all.iter().map(|isa| isa.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        assert_eq!(best().name, all.last().unwrap().name);
    }

    #[test]
    fn an_instruction_set_that_is_missing_is_refused() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command
            .arg("the_requested_set_is_in_use")
            .env(VARIABLE, "avx1024")
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(
            String::from_utf8_lossy(&output.stdout)
                .contains("this processor has no `avx1024`; it has scalar")
        );
    }

    #[test]
    fn the_requested_set_is_in_use() {
        assert_eq!(requested().unwrap().name, current().name);
    }
}
