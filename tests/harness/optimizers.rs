//! Optimiser steps against what PyTorch and transformers computed (`fixtures/optimizers/make.py`).

use std::collections::{BTreeMap, HashMap};

use crate::assert_close::{Tolerance, compare};
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use chartbench::config::{AdafactorSpec, AdamWSpec, OptimizerSpec, Preset, Protocol};
use chartbench::finetune::optimizer::{self, Optimizer, clip_scale, global_norm};
use chartbench::finetune::{Schedule, Variables};

const STEPS: usize = 20;
const NAMES: [&str; 6] = ["bias", "matrix", "cube", "row", "column", "late"];
/// `late` has no gradient before.
const FIRST_OF_LATE: usize = 5;
const TOLERANCE: f64 = 1e-5;

fn goldens() -> HashMap<String, Tensor> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/optimizers/io.safetensors"
    );
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn start(goldens: &HashMap<String, Tensor>) -> Variables {
    NAMES
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                Var::from_tensor(&goldens[&format!("start.{name}")]).unwrap(),
            )
        })
        .collect()
}

/// The gradients of a step; `transposed` gives matrices as views of their transposes, as a backward
/// pass does.
fn gradients(
    goldens: &HashMap<String, Tensor>,
    variables: &Variables,
    step: usize,
    transposed: bool,
) -> GradStore {
    // The one way to an empty store: the gradients of something else.
    let mut store = Var::zeros((), candle_core::DType::F32, &Device::Cpu)
        .unwrap()
        .sqr()
        .unwrap()
        .backward()
        .unwrap();
    for (name, variable) in variables {
        if name == "late" && step < FIRST_OF_LATE {
            continue;
        }
        let mut gradient = goldens[&format!("gradient.{name}")].get(step).unwrap();
        if transposed && gradient.rank() == 2 {
            gradient = gradient.t().unwrap().contiguous().unwrap().t().unwrap();
        }
        store.insert(variable, gradient);
    }
    store
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn schedule(lr: f64) -> Schedule {
    let mut protocol = Protocol {
        lr,
        steps: STEPS,
        ..Preset::Study.protocol()
    };
    protocol.schedule.warmup_steps = 5;
    Schedule::new(&protocol)
}

struct Case {
    name: &'static str,
    spec: OptimizerSpec,
    lr: f64,
    clip: Option<f64>,
}

fn cases() -> Vec<Case> {
    let adamw = AdamWSpec::default();
    let other = AdamWSpec {
        betas: [0.8, 0.98],
        eps: 1e-6,
        weight_decay: 0.0,
    };
    let decayed = AdamWSpec {
        weight_decay: 0.1,
        ..adamw
    };
    let adafactor = AdafactorSpec::default();
    let scaled = AdafactorSpec {
        scale_parameter: true,
        weight_decay: 0.01,
        clip_threshold: 0.5,
        decay_rate: -0.5,
        ..adafactor
    };
    let relative = AdafactorSpec {
        scale_parameter: true,
        relative_step: true,
        ..adafactor
    };
    let warmup = AdafactorSpec {
        warmup_init: true,
        ..relative
    };
    let case = |name, spec, lr, clip| Case {
        name,
        spec,
        lr,
        clip,
    };
    vec![
        case("adamw", OptimizerSpec::AdamW(adamw), 1e-4, None),
        case("adamw_other", OptimizerSpec::AdamW(other), 1e-2, None),
        case(
            "adamw_clipped",
            OptimizerSpec::AdamW(decayed),
            1e-2,
            Some(1.0),
        ),
        case("adafactor", OptimizerSpec::Adafactor(adafactor), 1e-2, None),
        case(
            "adafactor_scaled",
            OptimizerSpec::Adafactor(scaled),
            1e-2,
            None,
        ),
        case(
            "adafactor_relative",
            OptimizerSpec::Adafactor(relative),
            1.0,
            None,
        ),
        case(
            "adafactor_warmup",
            OptimizerSpec::Adafactor(warmup),
            1.0,
            None,
        ),
    ]
}

fn step(
    case: &Case,
    optimizer: &mut dyn Optimizer,
    variables: &Variables,
    gradients: &GradStore,
    done: usize,
) -> f64 {
    let norm = global_norm(variables, gradients).unwrap();
    let scale = case.clip.map_or(1.0, |max| clip_scale(norm, max));
    optimizer
        .step(variables, gradients, schedule(case.lr).lr(done), scale)
        .unwrap();
    norm
}

#[test]
fn twenty_steps_end_where_the_references_do() {
    let goldens = goldens();
    for case in cases() {
        for transposed in [false, true] {
            let variables = start(&goldens);
            let mut optimizer = optimizer::build(&case.spec);
            for done in 0..STEPS {
                let gradients = gradients(&goldens, &variables, done, transposed);
                let norm = step(&case, &mut *optimizer, &variables, &gradients, done);
                if case.clip.is_some() {
                    let golden =
                        f64::from(values(&goldens[&format!("{}.norm.{done}", case.name)])[0]);
                    assert!(
                        golden.is_finite() && (norm - golden).abs() <= TOLERANCE * golden,
                        "{norm}, not {golden}"
                    );
                }
            }
            for (name, variable) in &variables {
                let golden = &goldens[&format!("{}.{name}", case.name)];
                compare(
                    variable,
                    golden,
                    Tolerance::OfEach {
                        factor: TOLERANCE,
                        floor: 0.01,
                    },
                )
                .unwrap_or_else(|fault| panic!("{} {name}: {fault}", case.name));
            }
        }
    }
}

fn bits(variables: &Variables) -> Vec<u32> {
    variables
        .values()
        .flat_map(|variable| values(variable))
        .map(f32::to_bits)
        .collect()
}

#[test]
fn a_restored_optimiser_goes_on_to_the_same_bits() {
    let goldens = goldens();
    for case in cases() {
        let variables = start(&goldens);
        let mut optimizer = optimizer::build(&case.spec);
        let mut resumed: Option<(Variables, Box<dyn Optimizer>)> = None;
        for done in 0..STEPS {
            if [3, 9].contains(&done) {
                let copy = |(name, variable): (&String, &Var)| {
                    (
                        name.clone(),
                        Var::from_tensor(
                            &variable.as_detached_tensor().force_contiguous().unwrap(),
                        )
                        .unwrap(),
                    )
                };
                let copies: Variables = variables.iter().map(copy).collect();
                let mut other = optimizer::build(&case.spec);
                other
                    .restore(optimizer.state().unwrap().into_iter().collect(), &copies)
                    .unwrap();
                resumed = Some((copies, other));
            }
            step(
                &case,
                &mut *optimizer,
                &variables,
                &gradients(&goldens, &variables, done, false),
                done,
            );
            if let Some((variables, optimizer)) = &mut resumed {
                step(
                    &case,
                    &mut **optimizer,
                    variables,
                    &gradients(&goldens, variables, done, false),
                    done,
                );
            }
        }
        let (copies, _) = resumed.unwrap();
        assert_eq!(bits(&variables), bits(&copies), "{}", case.name);
    }
}

/// Large enough for many tasks.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let device = Device::Cpu;
    let shapes: BTreeMap<&str, Vec<usize>> = BTreeMap::from([
        ("a", vec![700, 300]),
        ("b", vec![50_000]),
        ("c", vec![3, 90, 200]),
    ]);
    let random = |shape: &[usize], from: u32| {
        let count = shape.iter().product::<usize>() as u32;
        let values: Vec<f32> = (0..count)
            .map(|i| ((i + from).wrapping_mul(2_654_435_761) >> 8) as f32 / 1e7 - 0.8)
            .collect();
        Tensor::from_vec(values, shape, &device).unwrap()
    };
    for spec in [
        OptimizerSpec::AdamW(AdamWSpec::default()),
        OptimizerSpec::Adafactor(AdafactorSpec::default()),
    ] {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let variables: Variables = shapes
                    .iter()
                    .map(|(name, shape)| {
                        (
                            (*name).to_owned(),
                            Var::from_tensor(&random(shape, 1)).unwrap(),
                        )
                    })
                    .collect();
                let mut optimizer = optimizer::build(&spec);
                let mut norms = Vec::new();
                for step in 0..3 {
                    let mut store = variables["a"].sum_all().unwrap().backward().unwrap();
                    for variable in variables.values() {
                        store.insert(variable, random(variable.dims(), 77 * step));
                    }
                    let norm = global_norm(&variables, &store).unwrap();
                    optimizer
                        .step(&variables, &store, 1e-3, clip_scale(norm, 1.0))
                        .unwrap();
                    norms.push(norm.to_bits());
                }
                (bits(&variables), norms)
            })
        };
        assert_eq!(run(1), run(3));
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let goldens = goldens();
    let variables = start(&goldens);
    let spec = OptimizerSpec::AdamW(AdamWSpec::default());
    let mut optimizer = optimizer::build(&spec);
    optimizer
        .step(
            &variables,
            &gradients(&goldens, &variables, 6, false),
            1e-3,
            1.0,
        )
        .unwrap();
    let state: HashMap<String, Tensor> = optimizer.state().unwrap().into_iter().collect();
    type Spoil = fn(&mut HashMap<String, Tensor>);
    let faults: [(&str, &str, Spoil); 3] = [
        ("missing", "`exp_avg.row` is missing", |state| {
            state.remove("exp_avg.row");
        }),
        (
            "shape",
            "`exp_avg.bias` is F32 of [3], not F32 of [7]",
            |state| {
                state.insert(
                    "exp_avg.bias".to_owned(),
                    Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap(),
                );
            },
        ),
        (
            "foreign",
            "`step.other` belongs to no variable of this model",
            |state| {
                state.insert(
                    "step.other".to_owned(),
                    Tensor::new(1u32, &Device::Cpu).unwrap(),
                );
            },
        ),
    ];
    for (name, expected, spoil) in faults {
        let mut spoilt = state.clone();
        spoil(&mut spoilt);
        let error = optimizer::build(&spec)
            .restore(spoilt, &variables)
            .unwrap_err();
        assert_eq!(error.to_string(), expected, "{name}");
    }
    let mut store = gradients(&goldens, &variables, 6, false);
    store.insert(
        &variables["bias"],
        Tensor::zeros(8, candle_core::DType::F32, &Device::Cpu).unwrap(),
    );
    let error = optimizer.step(&variables, &store, 1e-3, 1.0).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "cannot train the variable `bias`: its gradient has the shape [8], not [7]"
    );
}

#[test]
fn every_instruction_set_passes_these_tests() {
    crate::instruction_sets::run_under_each(
        "optimizers::",
        "every_instruction_set_passes_these_tests",
    );
}
