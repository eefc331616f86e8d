//! Exports as adapters: the networks of the families `pix2struct` and `unichart`, exchanged.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::decoder::Encoded;
use super::export::Export;
use crate::adapter::checkpoint_dir::CheckpointDir;
use crate::adapter::encoder_decoder::{Backend, EncoderDecoderAdapter, Processor};
use crate::adapter::pix2struct::Pix2Struct;
use crate::adapter::unichart::UniChart;
use crate::adapter::{Adapter, AdapterContext, identity};
use crate::config::OnnxSpec;
use chartbench_nn::generation::{self, BeamSearch, Generated, GenerationConfig, Prompt};
use chartbench_nn::preprocess::ImageInput;

/// Finds and loads an export.
///
/// # Errors
/// Returns an error if weights or ONNX Runtime cannot be found, or the files are no export of a
/// Pix2Struct or Donut.
pub(in crate::adapter) fn build(
    context: &AdapterContext<'_>,
    spec: &OnnxSpec,
) -> Result<Box<dyn Adapter>> {
    ensure!(
        context.device.is_cpu(),
        "ONNX exports run on the CPU: leave out --device"
    );
    let folder = CheckpointDir::locate_export(context, &spec.weights, spec.quantized)?;
    let lacks = |table: &str| format!("an export of this architecture needs the table `[{table}]`");
    match model_type(folder.path())?.as_str() {
        "pix2struct" => {
            let keys = spec.pix2struct.as_ref();
            let keys = keys.with_context(|| lacks("pix2struct"))?;
            adapter::<Pix2Struct>(context, keys, spec, &folder)
        }
        "vision-encoder-decoder" => {
            let keys = spec.unichart.as_ref().with_context(|| lacks("unichart"))?;
            adapter::<UniChart>(context, keys, spec, &folder)
        }
        other => bail!(
            "{}: model_type {other:?} is not supported (pix2struct and vision-encoder-decoder are)",
            folder.path().join("config.json").display()
        ),
    }
}

/// The adapter of a family whose network is the export in `folder`.
fn adapter<P: Processor>(
    context: &AdapterContext<'_>,
    keys: &P::Spec,
    spec: &OnnxSpec,
    folder: &CheckpointDir,
) -> Result<Box<dyn Adapter>> {
    let dir = folder.path();
    let processor = P::open(context, keys, dir)?;
    let library = context.overrides.onnxruntime.as_deref();
    let export = Export::open(dir, spec.quantized, library)?;
    let mut settings = vec![
        ("family", "onnx".to_owned()),
        ("weights", folder.origin().to_owned()),
        ("weights_sha256", export.sha256()?),
        ("dtype", export.precision().to_owned()),
    ];
    if let (Some(patches), Some(&asked)) = (export.patches(), processor.usual_size().0.first()) {
        ensure!(
            asked <= patches,
            "this export takes {patches} patches, not {asked}: use --max-patches {patches}"
        );
    }
    settings.extend(processor.settings());
    let identity = identity(context, settings);
    let adapter = EncoderDecoderAdapter::new(identity, Arc::new(processor), export);
    Ok(Box::new(adapter))
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

impl Backend for Export {
    type Image = Encoded;

    fn encode(&self, input: ImageInput) -> Result<Encoded> {
        Self::encode(self, input)
    }

    fn generate(
        &self,
        questions: &[(&Encoded, &[u32])],
        beams: Option<&BeamSearch>,
        limits: &GenerationConfig,
    ) -> Result<Vec<Generated>> {
        let prompt = |(image, tokens): &(&Encoded, &[u32])| Prompt {
            state: image.start(),
            tokens: tokens.to_vec(),
        };
        generation::generate(self, questions.iter().map(prompt).collect(), beams, limits)
    }
}
