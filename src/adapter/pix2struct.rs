//! MatCha and every other Pix2Struct checkpoint (arXiv:2210.03347, 2212.09662): the question is
//! drawn above the chart, the picture is cut into patches, and the answer is decoded, greedily where
//! nothing else is asked for.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use image::RgbImage;

use super::decoding::{DecoderTraits, Decoding};
use super::encoder_decoder::Processor;
use super::{AdapterContext, Settings, hub};
use crate::config::{HeaderFontSource, Pix2StructSpec};
use chartbench_core::question::{AnswerType, Question};
use chartbench_nn::generation::{BeamSearch, GenerationConfig, LengthLimit};
use chartbench_nn::pix2struct::{Config, Model};
use chartbench_nn::preprocess::{HeaderFont, ImageInput, Pix2StructProcessor, processor_file};
use chartbench_nn::tokenizer::Tokenizer;

/// The hub file in which the reference implementation draws its headers.
pub(super) const REFERENCE_FONT: (&str, &str) = ("ybelkada/fonts", "Arial.TTF");

/// The longest answer where nothing limits it, as in transformers.
const DEFAULT_NEW_TOKENS: usize = 20;

/// Questions are drawn above the chart; the decoder begins with its start token.
pub(super) struct Pix2Struct {
    id: String,
    config: Config,
    image_processor: Pix2StructProcessor,
    tokenizer: Tokenizer,
    decoding: Decoding,
    table_prompt: Option<String>,
    answers_questions: bool,
}

impl Processor for Pix2Struct {
    type Model = Model;

    type Spec = Pix2StructSpec;

    const FAMILY: &'static str = "pix2struct";

    const BATCH: usize = 4;

    const ANSWER_PREFIX: &'static str = "";

    fn open(context: &AdapterContext<'_>, spec: &Pix2StructSpec, dir: &Path) -> Result<Self> {
        let config = Config::read(dir)?;
        let mut image_processor =
            image_processor(dir)?.with_font(header_font(context, spec.header_font)?);
        image_processor = image_processor.with_positions(config.vision_config.seq_len);
        if let Some(max_patches) = context.overrides.max_patches.or(spec.max_patches) {
            image_processor = image_processor.with_max_patches(max_patches)?;
        }
        let tokenizer = Tokenizer::open(dir)?;
        tokenizer.check_embedding(config.text_config.vocab_size, &dir.join("config.json"))?;
        let model = DecoderTraits {
            dir,
            tokenizer: &tokenizer,
            vocabulary: config.text_config.vocab_size,
            eos: &config.generation.eos,
            forced_eos: &[],
            prompt: Some(1),
            limit: LengthLimit {
                default_new_tokens: Some(DEFAULT_NEW_TOKENS),
                positions: None,
            },
        };
        let decoding = Decoding::open(context, &spec.generation, &model)?;
        Ok(Self {
            id: context.model.spec.id.clone(),
            config,
            image_processor,
            tokenizer,
            decoding,
            table_prompt: spec.table_prompt.clone(),
            answers_questions: spec.answers_questions,
        })
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn settings(&self) -> Settings {
        let question = self.answers_questions.then(|| "the question".to_owned());
        let prompts: Vec<String> = question
            .into_iter()
            .chain(self.table_prompt.clone())
            .collect();
        let font = self.image_processor.font();
        let max_patches = self.image_processor.max_patches();
        let mut settings = vec![
            ("prompt", prompts.join(" or ") + " as header text"),
            ("header_font", font.name().to_owned()),
            ("header_font_sha256", font.sha256().to_owned()),
            ("max_patches", max_patches.to_string()),
            ("decoding", self.decoding.describe()),
            ("max_new_tokens", self.decoding.describe_length()),
        ];
        let bad_words = Some(self.decoding.bad_words()).filter(|words| !words.is_empty());
        settings.extend(bad_words.map(|words| ("bad_words", words.to_owned())));
        settings.extend(self.decoding.more_settings());
        settings
    }

    /// The question, or the request for the chart's table.
    fn header<'a>(&'a self, question: &'a Question) -> Result<Option<&'a str>> {
        let id = &self.id;
        let table = question.answer_type == Some(AnswerType::Table);
        match (&self.table_prompt, table) {
            (Some(prompt), true) => Ok(Some(prompt)),
            (None, true) => bail!("{id} answers questions and writes no tables"),
            (_, false) if self.answers_questions => Ok(Some(&question.text)),
            (_, false) => bail!(
                "{id} reads tables and answers no questions: name a reader with it ({id}+READER)"
            ),
        }
    }

    fn prompt(&self, _: &Question) -> Result<Vec<u32>> {
        Ok(vec![self.config.generation.start])
    }

    fn image(&self, image: &RgbImage, header: Option<&str>) -> Result<ImageInput> {
        Ok(self.image_processor.patches(image, header)?.into())
    }

    fn answer(&self, _: &[u32], generated: &[u32]) -> Result<String> {
        self.tokenizer.decode(generated)
    }

    fn beams(&self) -> Option<&BeamSearch> {
        self.decoding.beams.as_ref()
    }

    fn limits(&self) -> &GenerationConfig {
        &self.decoding.config
    }

    /// Every image is scaled to fill the patch budget.
    fn usual_size(&self) -> (Vec<usize>, usize) {
        let width = 2 + self.config.vision_config.patch_embed_hidden_size;
        let patches = self.image_processor.max_patches();
        (vec![patches, width], self.decoding.config.max_new_tokens)
    }
}

/// The image processor of a checkpoint that reads its question above the chart.
fn image_processor(dir: &Path) -> Result<Pix2StructProcessor> {
    let path = processor_file(dir)?;
    let processor = Pix2StructProcessor::load(&path)?;
    ensure!(
        processor.is_vqa(),
        "{}: is_vqa is false: this model does not read a question above the chart",
        path.display()
    );
    Ok(processor)
}

/// The font named by flag, else the reference's hub file, else (with a note) the embedded one.
fn header_font(context: &AdapterContext<'_>, source: HeaderFontSource) -> Result<HeaderFont> {
    if let Some(path) = &context.overrides.header_font {
        let bytes = chartbench_core::input::read(path, chartbench_core::input::MAX_DOCUMENT_BYTES)
            .with_context(|| format!("cannot read the header font {}", path.display()))?;
        let name = path
            .file_name()
            .map_or(Cow::Borrowed("font"), |name| name.to_string_lossy());
        return HeaderFont::new(&name, bytes)
            .with_context(|| format!("header font {}", path.display()));
    }
    if source == HeaderFontSource::Embedded {
        return Ok(HeaderFont::default());
    }
    let (repo, file) = REFERENCE_FONT;
    match hub::file(repo, "main", file, context.hub) {
        Ok(path) => {
            let bytes =
                chartbench_core::input::read(&path, chartbench_core::input::MAX_DOCUMENT_BYTES)
                    .with_context(|| format!("cannot read {}", path.display()))?;
            HeaderFont::new(file, bytes).with_context(|| format!("header font {}", path.display()))
        }
        Err(error) => {
            chartbench_core::note!(
                "note: {}: headers are drawn in the embedded DejaVu Sans, the reference's {file} cannot be had \
                 ({error:#}); --header-font FILE names a font",
                context.name
            );
            Ok(HeaderFont::default())
        }
    }
}
