//! The training of one adapter: its weights, the estimate of memory and time, the curves.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Estimate, Event, FinetuneRequest, TrainingData};
use crate::adapter::training::{StartFrom, Trainable};
use crate::config::Protocol;
use crate::finetune::curves::Curves;
use crate::finetune::{MemoryEstimate, TrainOutcome, Trainer, measure_step_time};
use crate::jobs::SelectedAdapter;

/// Trains one adapter, or finds that it was.
pub(super) fn train_adapter(
    request: &FinetuneRequest,
    adapter: &SelectedAdapter,
    protocol: &Protocol,
    data: &mut TrainingData,
    folder: &Path,
    observe: &mut dyn FnMut(Event<'_>),
) -> Result<TrainOutcome> {
    let name = adapter.name.as_str();
    let start = if request.from_scratch {
        StartFrom::Scratch(protocol.seed)
    } else {
        StartFrom::Checkpoint
    };
    let mut adapter = adapter.clone();
    adapter.overrides.max_patches = protocol.max_patches.or(adapter.overrides.max_patches);
    let mut model = adapter.trainable(&request.models, start)?;
    if let Some(description) = data.description.take() {
        observe(Event::QuestionsChosen {
            description: &description,
        });
    }
    for line in data.notes.drain(..) {
        observe(Event::DataNote { line: &line });
    }
    choose_weights(model.as_mut(), protocol)?;
    let scratch;
    let folder = if request.overfit_one {
        scratch = tempfile::tempdir()?;
        scratch.path()
    } else {
        folder
    };
    let settings = [model.settings(), &data.settings, &protocol.settings()].concat();
    let training = Trainer {
        model: model.as_ref(),
        protocol,
        train: &data.sets.train,
        validation: &data.sets.validation,
        title: name,
        folder,
        precision: request.precision,
        save_every: request.save_every,
        stop: request.stop.flag(),
        settings,
    };
    if !training.is_finished() {
        let estimate = estimate(request, &training)?;
        observe(Event::Estimated {
            adapter: name,
            estimate: &estimate,
        });
    }
    let saving = request.stop.saving()?;
    let finished = training.run(&mut |event| {
        observe(Event::Training {
            adapter: name,
            event: &event,
        })
    })?;
    drop(saving);
    if request.overfit_one {
        let loss = check_overfitted(&finished)?;
        observe(Event::Overfitted {
            adapter: name,
            loss,
        });
        return Ok(finished);
    }
    let curves = Curves::draw_log(folder, name)?;
    observe(Event::Trained {
        adapter: name,
        finished: &finished,
        curves: &curves.text(protocol.validation.keep),
    });
    Ok(finished)
}

/// Freezes or adapts the weights that the protocol names.
fn choose_weights(model: &mut dyn Trainable, protocol: &Protocol) -> Result<()> {
    for part in &protocol.freeze {
        let is_known = model.variables().all().any(|(name, _)| is_part(name, part));
        ensure!(
            is_known,
            "--freeze {part}: no weight's name is that or begins so"
        );
    }
    let variables = model.variables_mut();
    if let Some(lora) = &protocol.lora {
        return variables
            .add_lora(lora.rank, lora.alpha, &lora.targets, protocol.seed)
            .context("--lora-target-modules");
    }
    variables.freeze(|name| protocol.freeze.iter().any(|part| is_part(name, part)));
    Ok(())
}

fn is_part(name: &str, part: &str) -> bool {
    match part {
        "encoder" => name.starts_with("encoder."),
        "embeddings" => name.contains("embed_tokens") || name.contains("embed_positions"),
        beginning => name.starts_with(beginning),
    }
}

/// Estimates what training takes, and refuses what does not fit into memory.
fn estimate(request: &FinetuneRequest, training: &Trainer<'_>) -> Result<Estimate> {
    let (model, protocol) = (training.model, training.protocol);
    let questions = training
        .train
        .iter()
        .map(|(chart, question)| model.prepare(chart, question, training.rule()));
    let mut unusable = None;
    let examples = questions.filter_map(|prepared| match prepared {
        Ok(prepared) => Some(prepared.example),
        Err(error) => {
            unusable.get_or_insert(error);
            None
        }
    });
    let part: Vec<_> = examples.take(protocol.micro_batch().max(1)).collect();
    let first = part.first().with_context(|| {
        let why = unusable.map_or_else(String::new, |error| format!(" (the first: {error:#})"));
        format!(
            "no question of the train split can be trained on{why}; try `chartbench data check`"
        )
    })?;
    let memory = MemoryEstimate::new(model, protocol, first);
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let available = system
        .cgroup_limits()
        .map_or(system.available_memory(), |limits| limits.free_memory);
    if request.check_memory {
        memory.check(available)?;
    }
    let step = measure_step_time(model, protocol, &part)?;
    Ok(Estimate {
        memory: memory.total(),
        available,
        step,
        steps: protocol.steps as u64,
    })
}

/// The loss after the self-test.
///
/// # Errors
/// Returns an error if the question is not learned or not answered right.
fn check_overfitted(finished: &TrainOutcome) -> Result<f64> {
    /// Mean loss below which a label counts as learned.
    const LEARNED: f64 = 0.1;
    let metric = |key: &str| {
        finished
            .metrics
            .iter()
            .find(|(name, _)| name == key)
            .map(|&(_, value)| value)
    };
    let (loss, right) = (
        metric("loss").unwrap_or(f64::NAN),
        metric("exact_match").unwrap_or(0.0),
    );
    ensure!(
        loss < LEARNED && right == 1.0,
        "one question could not be overfitted (loss {loss:.3}, answered {}): check the learning rate, whether the label \
         survives the tokenizer, and what is frozen",
        if right == 1.0 { "right" } else { "wrong" }
    );
    Ok(loss)
}
