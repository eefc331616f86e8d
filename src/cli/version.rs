//! `chartbench --version`: the version, and with `--verbose` what the program was built from and what
//! it runs on.

use std::sync::OnceLock;

use chartbench_core::isa;

/// The features of the build, in the order of `Cargo.toml`.
const FEATURES: &[(&str, bool)] = &[
    ("models", cfg!(feature = "models")),
    ("hub", cfg!(feature = "hub")),
    ("gguf", cfg!(feature = "gguf")),
    ("onnx", cfg!(feature = "onnx")),
    ("synth", cfg!(feature = "synth")),
    ("report", cfg!(feature = "report")),
    ("cuda", cfg!(feature = "cuda")),
    ("metal", cfg!(feature = "metal")),
];

/// The version with the instruction set of the kernels, which `--version` prints.
pub(super) fn long() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        format!(
            "{}\nkernels: {}",
            env!("CARGO_PKG_VERSION"),
            isa::current().name
        )
    })
}

/// What `--version --verbose` prints.
pub(super) fn verbose() -> String {
    let built = |wanted: bool| {
        let names = FEATURES.iter().filter(|(_, is_built)| *is_built == wanted);
        let names: Vec<&str> = names.map(|&(name, _)| name).collect();
        match names.as_slice() {
            [] => "none".to_owned(),
            names => names.join(", "),
        }
    };
    let supported: Vec<&str> = isa::supported().iter().map(|isa| isa.name).collect();
    format!(
        "chartbench {}\ncommit: {}\nfeatures: {}\nleft out: {}\nkernels: {}\nthis processor has: {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("CHARTBENCH_COMMIT"),
        built(true),
        built(false),
        isa::current().name,
        supported.join(", ")
    )
}
