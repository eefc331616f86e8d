//! Exports as adapters: the networks of the families `pix2struct` and `unichart`, exchanged.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::decoder::Encoded;
use super::export::Export;
use crate::adapter::checkpoint_dir::CheckpointDir;
use crate::adapter::{Adapter, AdapterContext, pix2struct, unichart};
use crate::config::OnnxSpec;
use chartbench_nn::generation::{self, BeamSearch, Generated, GenerationConfig, Prompt};
use chartbench_nn::preprocess::{Patches, Pixels};

/// Finds and loads an export.
///
/// # Errors
/// Returns an error if weights or ONNX Runtime cannot be found, or the files are no export of a Pix2Struct or Donut.
pub(in crate::adapter) fn build(
    context: &AdapterContext<'_>,
    spec: &OnnxSpec,
) -> Result<Box<dyn Adapter>> {
    ensure!(
        context.device.is_cpu(),
        "ONNX exports run on the CPU: leave out --device"
    );
    let folder = CheckpointDir::locate_export(context, &spec.weights, spec.quantized)?;
    let dir = folder.path();
    let open = || {
        let export = Export::open(
            dir,
            spec.quantized,
            context.overrides.onnxruntime.as_deref(),
        )?;
        let settings = vec![
            ("family", "onnx".to_owned()),
            ("weights", folder.origin().to_owned()),
            ("weights_sha256", export.sha256()?),
            ("dtype", export.precision().to_owned()),
        ];
        Ok((export, settings))
    };
    let lacks = |table: &str| format!("an export of this architecture needs the table `[{table}]`");
    match model_type(dir)?.as_str() {
        "pix2struct" => {
            let keys = spec
                .pix2struct
                .as_ref()
                .with_context(|| lacks("pix2struct"))?;
            Ok(Box::new(pix2struct::Pix2Struct::assemble(
                context,
                keys,
                dir,
                |config, processor| {
                    let (export, settings) = open()?;
                    if let Some(patches) = export.patches() {
                        let asked = processor.max_patches();
                        ensure!(
                            asked <= patches,
                            "this export takes {patches} patches, not {asked}: use --max-patches {patches}"
                        );
                    }
                    let limits = GenerationConfig {
                        eos: config.generation.eos.clone(),
                        ..GenerationConfig::default()
                    };
                    Ok((
                        Pix2Struct {
                            export,
                            start: config.generation.start,
                            limits,
                        },
                        settings,
                    ))
                },
            )?))
        }
        "vision-encoder-decoder" => {
            let keys = spec.unichart.as_ref().with_context(|| lacks("unichart"))?;
            let unichart = unichart::UniChart::assemble(context, keys, dir, |_| open())?;
            Ok(Box::new(unichart::UniChartAdapter::new(unichart)))
        }
        other => bail!(
            "{}: model_type {other:?} is not supported (pix2struct and vision-encoder-decoder are)",
            dir.join("config.json").display()
        ),
    }
}

/// Which architecture an export is of.
fn model_type(dir: &Path) -> Result<String> {
    #[derive(Deserialize)]
    struct Config {
        model_type: String,
    }
    let path = dir.join("config.json");
    let read = || -> Result<String> {
        Ok(
            serde_json::from_slice::<Config>(&chartbench_core::input::read(
                &path,
                chartbench_core::input::MAX_SETTINGS_BYTES,
            )?)?
            .model_type,
        )
    };
    read().with_context(|| path.display().to_string())
}

/// An export of a Pix2Struct.
struct Pix2Struct {
    export: Export,
    start: u32,
    limits: GenerationConfig,
}

impl pix2struct::Backend for Pix2Struct {
    type Encoded = Encoded;

    fn encode(&self, patches: Patches) -> Result<Encoded> {
        self.export.encode_patches(patches)
    }

    fn greedy(&self, encoded: &[Encoded], max_new_tokens: usize) -> Result<Vec<Generated>> {
        let prompt = |image: &Encoded| Prompt {
            state: image.start(),
            tokens: vec![self.start],
        };
        let limits = GenerationConfig {
            max_new_tokens,
            ..self.limits.clone()
        };
        generation::greedy(&self.export, encoded.iter().map(prompt).collect(), &limits)
    }
}

impl unichart::Backend for Export {
    type Image = Encoded;

    fn image(&self, pixels: Pixels) -> Result<Encoded> {
        self.encode_pixels(pixels)
    }

    fn generate(
        &self,
        questions: &[(&Encoded, Vec<u32>)],
        beams: Option<&BeamSearch>,
        limits: &GenerationConfig,
    ) -> Result<Vec<Generated>> {
        let prompt = |(image, tokens): &(&Encoded, Vec<u32>)| Prompt {
            state: image.start(),
            tokens: tokens.clone(),
        };
        generation::generate(self, questions.iter().map(prompt).collect(), beams, limits)
    }
}
