//! Benchmark files: the embedded ones, and every mistake in one with its one line.

use chartbench::config::{
    AdapterSpec, Benchmark, Keep, OptimizerSpec, Preset, Protocol, ProtocolFault,
    ProtocolOverrides, ValidateOn,
};
use chartbench_core::names;
use chartbench_data::{Ask, Format, Questions};
use chartbench_score::metric::{Convention, Metric};

fn snapshot(name: &str, lines: &[(&str, String)]) {
    let text: Vec<String> = lines
        .iter()
        .map(|(case, line)| format!("{case}\n    {line}"))
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({snapshot_path => path, prepend_module_to_snapshot => true, omit_expression => true}, {
        insta::assert_snapshot!(name, text.join("\n"));
    });
}

#[test]
fn embedded_benchmarks_are_valid() {
    let names: Vec<_> = Benchmark::embedded_names().collect();
    assert_eq!(
        names,
        [
            "chartbench-acc-plus",
            "chartbench-nqa",
            "chartbench-vlmevalkit",
            "chartmuseum",
            "chartqa",
            "chartqa-lmms-lab",
            "chartqa-m4",
            "chartqapro",
            "charxiv-descriptive",
            "charxiv-reasoning",
            "custom",
            "dvqa",
            "dvqa-easy",
            "dvqa-hard",
            "evochart-qa",
            "figureqa",
            "mini",
            "mini-tables",
            "plotqa",
            "plotqa-vlmevalkit",
            "pretraining",
            "pretraining-answers",
            "realcqa",
            "realcqa-s2",
            "realcqa-s3",
            "realcqa-s4",
            "realcqa-s5"
        ]
    );
    for name in names {
        let benchmark = Benchmark::find(name).unwrap();
        assert_eq!(benchmark.data.name, name);
        assert_eq!(
            benchmark.title.contains("synthetic"),
            matches!(benchmark.data.format, Format::Synth { .. })
        );
    }
    let mini = Benchmark::find("mini").unwrap().data;
    assert_eq!(
        mini.format,
        Format::Synth {
            seed: 42,
            train: 2500,
            test: 120,
            questions_per_chart: 4
        }
    );
    let tables = Benchmark::find("mini-tables").unwrap().data;
    assert_eq!(
        (&tables.format, mini.ask, tables.ask),
        (&mini.format, Ask::Questions, Ask::Tables)
    );
}

#[test]
fn a_file_is_found_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let text = "title = \"T\"\ndescription = \"D\"\nformat = \"chartqa\"\nquestions = { per_chart = 2, seed = 5 }\n";
    std::fs::write(&path, text).unwrap();
    let benchmark = Benchmark::find(path.to_str().unwrap()).unwrap().data;
    assert_eq!(
        (benchmark.name.as_str(), &benchmark.format),
        ("mine", &Format::ChartQa)
    );
    assert_eq!(
        benchmark.questions,
        Questions::PerChart { count: 2, seed: 5 }
    );
    assert_eq!(benchmark.listed, None);
}

#[test]
fn realcqas_samplings_are_lists_with_the_published_counts() {
    let counts = [322_404, 276_091, 231_356, 203_735];
    for (number, count) in (2..).zip(counts) {
        let name = format!("realcqa-s{number}");
        let benchmark = Benchmark::find(&name).unwrap();
        let list = benchmark.data.listed.unwrap();
        assert_eq!(
            (list.ids, list.count),
            (format!("s{number}.npy"), Some(count)),
            "{name}"
        );
        assert_eq!(benchmark.data.format, Format::RealCqa);
        assert!(!benchmark.published.is_empty(), "{name}");
    }
}

#[test]
fn the_studys_rows_are_samples_and_licences_are_their_authors() {
    let realcqa = Benchmark::find("realcqa").unwrap();
    let (study, others): (Vec<_>, Vec<_>) = realcqa
        .published
        .iter()
        .partition(|published| published.convention == "study");
    let systems: std::collections::BTreeSet<_> =
        study.iter().map(|published| &published.system).collect();
    assert_eq!(systems.len(), 6, "{systems:?}");
    for published in &study {
        let note = published.note.as_deref().unwrap_or_default();
        assert!(
            published.sampled && published.questions == Some(4240),
            "{published:?}"
        );
        assert!(
            note.contains("sampled test questions, step chosen on test"),
            "{note}"
        );
    }
    assert!(others.iter().all(|published| !published.sampled));
    let license = |name: &str| Benchmark::find(name).unwrap().license.unwrap();
    for (name, parts) in [
        ("plotqa", ["CC-BY-4.0", "MIT"]),
        ("realcqa", ["MIT", "GPL-3.0"]),
    ] {
        let license = license(name);
        assert!(parts.iter().all(|part| license.contains(part)), "{license}");
    }
}

#[test]
fn benchmark_faults() {
    let head = "title = \"T\"\ndescription = \"D\"\n";
    let parse = |text: &str| {
        let line = format!(
            "{:#}",
            Benchmark::parse(&format!("{head}{text}"), "benchmarks/x.toml").unwrap_err()
        );
        assert!(!line.contains('\n'), "{line}");
        line
    };
    let synth = "format = \"synth\"\nseed = 1\ntrain = 2\ntest = 3\nquestions_per_chart = 4\n";
    let lines = [
        ("no toml", parse("format = \n")),
        ("no format", parse("")),
        ("an unknown format", parse("format = \"dvqa\"\n")),
        (
            "an unknown key",
            parse("format = \"realcqa\"\ncolour = 3\n"),
        ),
        ("a wrong type", parse("format = \"realcqa\"\nlicense = 3\n")),
        (
            "a key twice",
            parse("format = \"realcqa\"\ntitle = \"x\"\n"),
        ),
        (
            "questions: a word",
            parse("format = \"realcqa\"\nquestions = \"some\"\n"),
        ),
        (
            "questions: no seed",
            parse("format = \"realcqa\"\nquestions = { per_chart = 3 }\n"),
        ),
        (
            "questions: none",
            parse("format = \"realcqa\"\nquestions = { per_chart = 0, seed = 1 }\n"),
        ),
        (
            "questions: a list of no file",
            parse("format = \"realcqa\"\nquestions = { ids = \"\" }\n"),
        ),
        (
            "questions: a list of none",
            parse("format = \"realcqa\"\nquestions = { ids = \"a.txt\", count = 0 }\n"),
        ),
        (
            "questions: a list of drawn charts",
            parse(&format!("{synth}questions = {{ ids = \"a.txt\" }}\n")),
        ),
        (
            "ask: another word",
            parse("format = \"realcqa\"\nask = \"summaries\"\n"),
        ),
        (
            "a short hash",
            parse("format = \"realcqa\"\nhash = \"abc\"\n"),
        ),
        (
            "synth without a key",
            parse(&synth.replace("test = 3\n", "")),
        ),
        (
            "synth with no charts",
            parse(&synth.replace("test = 3", "test = 0")),
        ),
        (
            "a negative seed",
            parse(&synth.replace("seed = 1", "seed = -1")),
        ),
        (
            "a synth key elsewhere",
            parse(&synth.replace("synth", "generic")),
        ),
        (
            "an unknown benchmark",
            Benchmark::find("realqa").unwrap_err().to_string(),
        ),
        (
            "nothing near",
            Benchmark::find("zzz").unwrap_err().to_string(),
        ),
        (
            "no such file",
            format!("{:#}", Benchmark::find("nowhere/x.toml").unwrap_err()),
        ),
    ];
    snapshot("benchmark_faults", &lines);
}

#[test]
fn columns_and_files_are_checked() {
    let parse = |text: &str| {
        let text = format!("title = \"T\"\ndescription = \"D\"\n{text}");
        Benchmark::parse(&text, "x.toml").map_err(|error| {
            let line = format!("{error:#}");
            assert!(!line.contains('\n'), "{line}");
            line
        })
    };
    let columns = "[columns]\nimage = \"i\"\nquestion = \"q\"\nanswer = \"a\"\n";
    let parquet = format!("format = \"parquet\"\n{columns}");
    let spec = parse(&parquet).unwrap().data;
    assert_eq!(spec.format, Format::Parquet);
    assert_eq!(spec.columns.unwrap().answer.as_deref(), Some("a"));
    let chartqa = format!("format = \"chartqa\"\n{columns}[files]\ntest = [\"data/val-*\"]\n");
    let spec = parse(&chartqa).unwrap().data;
    assert_eq!((spec.format, spec.files.test.len()), (Format::ChartQa, 1));

    let fault = |text: &str, expected: &str| {
        let line = parse(text).unwrap_err();
        assert!(line.contains(expected), "{line}");
    };
    fault("format = \"parquet\"\n", "needs the table [columns]");
    fault("format = \"json\"\n", "needs the table [columns]");
    let json = parquet.replace("parquet", "json");
    fault(&json, "needs the table [files] with the files of the test");
    let json = format!("{json}[files]\ntest = [\"a.jsonl\"]\n");
    assert_eq!(parse(&json).unwrap().data.format, Format::Json);
    fault(
        &json.replace("[\"a.jsonl\"]", "[]"),
        "needs the table [files] with the files of the test",
    );
    fault(
        &parquet.replace("answer = \"a\"\n", "prompt = \"Yes or no?\"\n"),
        "prompt: it has no {question}",
    );
    fault(
        &parquet.replace("question", "query"),
        "unknown field `query`",
    );
    fault(
        &parquet.replace("image = \"i\"\n", ""),
        "missing field `image`",
    );
    fault(
        &parquet.replace("\"a\"", "\"\""),
        "the name of a column is empty",
    );
    fault(
        &format!("{parquet}[columns.names]\nx = {{ a = \"b\" }}\n"),
        "`x` is none of the columns that are read",
    );
    fault(
        &format!("{parquet}answers = \"best\"\n"),
        "unknown variant `best`",
    );
    for pattern in ["../x.parquet", "/x.parquet", "a\\\\b"] {
        fault(
            &format!("{parquet}[files]\ntest = [\"{pattern}\"]\n"),
            "must be relative to the data folder",
        );
    }
    fault(
        &format!("{parquet}[files]\ntest = [\"a***\"]\n"),
        "is no pattern",
    );
    fault(
        "format = \"chartqa\"\n[files]\ntest = [\"x\"]\n",
        "[files] needs the table [columns]",
    );
    let synth = "format = \"synth\"\nseed = 1\ntrain = 2\ntest = 3\nquestions_per_chart = 4\n";
    fault(
        &format!("{synth}{columns}"),
        "belongs to data sets that are read",
    );
}

#[test]
fn nearest_names_come_first() {
    let known = [
        "matcha-plotqa-v1",
        "matcha-base",
        "unichart",
        "matcha-chartqa",
        "matcha-tiny",
    ];
    let error = names::UnknownName::new("adapter", "MatCha-bas", known.into_iter()).to_string();
    assert_eq!(
        error,
        "unknown adapter `MatCha-bas`; nearest: matcha-base, matcha-chartqa, matcha-tiny; `chartbench list` shows all"
    );
}

const HEAD: &str = "title = \"T\"\ndescription = \"D\"\nformat = \"chartqa\"\n";

fn training(keys: &str, flags: &ProtocolOverrides) -> anyhow::Result<Protocol> {
    Benchmark::parse(&format!("{HEAD}[finetune]\n{keys}"), "benchmarks/x.toml")?.protocol(flags)
}

/// The step is chosen on test questions only where a flag says so; the protocol of the RealCQA
/// fine-tuning study is then what its files say.
#[test]
fn realcqa_is_trained_as_in_the_study_by_flag_alone() {
    let realcqa = Benchmark::find("realcqa").unwrap();
    let protocol = realcqa.protocol(&ProtocolOverrides::default()).unwrap();
    assert_eq!(protocol, Preset::Chartbench.protocol());
    assert!(!protocol.selects_on_test());
    assert_eq!(protocol.validation.keep, Keep::Strict);
    let flags = ProtocolOverrides {
        protocol: Some(Preset::Study),
        ..ProtocolOverrides::default()
    };
    let protocol = realcqa.protocol(&flags).unwrap();
    assert_eq!(protocol, Preset::Study.protocol());
    assert!(protocol.selects_on_test());
    let pairs: Vec<_> = protocol
        .settings()
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    snapshot("study_protocol", &[("settings", pairs.join("\n    "))]);
}

#[test]
fn without_a_table_the_default_is_trained_by() {
    let mini = Benchmark::parse(HEAD, "benchmarks/x.toml").unwrap();
    let protocol = mini.protocol(&ProtocolOverrides::default()).unwrap();
    assert_eq!(protocol, Preset::Chartbench.protocol());
    assert!(!protocol.selects_on_test() && protocol.mask_padding);
}

#[test]
fn flags_go_over_the_file_and_the_file_over_the_preset() {
    let file = "protocol = \"study\"\nlr = 3e-4\nclip_norm = 1\nbatch = 8\naccumulate = 2\nweights = { numeric = 3 }\n";
    let flags = ProtocolOverrides {
        lr: Some(5e-5),
        clip_norm: Some(0.0),
        ..ProtocolOverrides::default()
    };
    let protocol = training(file, &flags).unwrap();
    assert_eq!(
        (
            protocol.lr,
            protocol.batch,
            protocol.micro_batch(),
            protocol.clip_norm
        ),
        (5e-5, 8, 4, None)
    );
    assert_eq!((protocol.steps, protocol.weights.len()), (600, 1));
    // Another protocol sets the file's keys aside: they were chosen for the one it names.
    let flags = ProtocolOverrides {
        protocol: Some(Preset::Chartbench),
        ..ProtocolOverrides::default()
    };
    assert_eq!(
        training(file, &flags).unwrap(),
        Preset::Chartbench.protocol()
    );
    let same = ProtocolOverrides {
        protocol: Some(Preset::Study),
        ..ProtocolOverrides::default()
    };
    assert_eq!(training(file, &same).unwrap().lr, 3e-4);
    let held_out = training(
        "protocol = \"study\"\nvalidate_on = \"train\"\n",
        &ProtocolOverrides::default(),
    )
    .unwrap();
    assert_eq!(
        (held_out.validation.on, held_out.validation.share),
        (ValidateOn::Train, 0.05)
    );
}

/// The training flags of `finetune`.
#[derive(clap::Parser)]
struct TrainingFlags {
    #[command(flatten)]
    overrides: ProtocolOverrides,
}

fn parse_flags(flags: &str) -> ProtocolOverrides {
    let line = std::iter::once("finetune").chain(flags.split_whitespace());
    <TrainingFlags as clap::Parser>::parse_from(line).overrides
}

#[test]
fn every_choice_is_a_key_and_a_flag() {
    let flags = parse_flags(
        "--protocol study --optim adafactor --weight-decay 0.1 --adafactor-scale-parameter true --adafactor-clip-threshold 2 \
        --adafactor-decay-rate -0.7 --learning-rate 0.002 --lr-scheduler-type linear --warmup-steps 3 --max-steps 50 \
        --batch-size 6 --gradient-accumulation-steps 3 --gradient-checkpointing true --max-label-tokens 30 --seed 7 \
        --eval-steps 10 --validate-on train --validation-share 0.2 --validation-questions 90 \
        --validation-questions-per-chart 2 --max-grad-norm 2 --mask-padding true --label-smoothing-factor 0.1 --dropout off \
        --compute-dtype bf16 --early-stopping-patience 3 --select-by anls --questions-per-epoch all \
        --answer-type-weights numeric=3,binary=0.5 --freeze encoder,decoder.layer.0 --lora-r 4 --lora-alpha 9 \
        --lora-target-modules query,wi_0 --num-cycles 1.5",
    );
    let file = "protocol = \"study\"\noptimizer = \"adafactor\"\nweight_decay = 0.1\nlr = 0.002\nschedule = \"linear\"\n\
        warmup_steps = 3\nsteps = 50\nbatch = 6\naccumulate = 3\nactivation_checkpointing = true\nmax_label_tokens = 30\nseed = 7\nvalidate_every = 10\n\
        validate_on = \"train\"\nvalidation_share = 0.2\nvalidation_questions = 90\nvalidation_questions_per_chart = 2\n\
        clip_norm = 2\nmask_padding = true\nlabel_smoothing = 0.1\ndropout = \"off\"\ncompute = \"bf16\"\npatience = 3\nkeep = \"anls\"\n\
        questions_per_epoch = \"all\"\nfreeze = [\"encoder\", \"decoder.layer.0\"]\nnum_cycles = 1.5\n\
        [finetune.adafactor]\nscale_parameter = true\nclip_threshold = 2\ndecay_rate = -0.7\n\
        [finetune.weights]\nnumeric = 3\nbinary = 0.5\n\
        [finetune.lora]\nrank = 4\nalpha = 9\ntargets = [\"query\", \"wi_0\"]\n";
    let by_file = training(file, &ProtocolOverrides::default()).unwrap();
    assert_eq!(by_file, training("protocol = \"study\"\n", &flags).unwrap());
    let study = Preset::Study.protocol().settings();
    let unchanged: Vec<_> = by_file
        .settings()
        .into_iter()
        .filter(|pair| study.contains(pair))
        .map(|pair| pair.0)
        .collect();
    // All else is named in both.
    assert_eq!(unchanged, ["protocol", "max_patches"]);
    assert!(
        matches!(by_file.optimizer, OptimizerSpec::Adafactor(spec) if spec.clip_threshold == 2.0)
    );
}

/// A script with former flags trains by the same protocol. Faults and the help name today's flags.
#[test]
fn former_spellings_of_flags_are_hidden_aliases() {
    let flags = [
        ("optimizer", "--optim", "--optimizer", "adamw"),
        ("lr", "--learning-rate", "--lr", "0.002"),
        ("eps", "--adam-epsilon", "--eps", "1e-6"),
        ("schedule", "--lr-scheduler-type", "--schedule", "linear"),
        ("steps", "--max-steps", "--steps", "700"),
        ("batch", "--batch-size", "--batch", "6"),
        (
            "accumulate",
            "--gradient-accumulation-steps",
            "--accumulate",
            "3",
        ),
        (
            "activation_checkpointing",
            "--gradient-checkpointing",
            "--activation-checkpointing",
            "true",
        ),
        ("validate_every", "--eval-steps", "--validate-every", "10"),
        ("clip_norm", "--max-grad-norm", "--clip-norm", "2"),
        (
            "label_smoothing",
            "--label-smoothing-factor",
            "--label-smoothing",
            "0.1",
        ),
        ("compute", "--compute-dtype", "--compute", "bf16"),
        ("patience", "--early-stopping-patience", "--patience", "3"),
        ("keep", "--select-by", "--keep", "anls"),
        (
            "weights",
            "--answer-type-weights",
            "--question-weights",
            "numeric=3",
        ),
        ("lora.rank", "--lora-r", "--lora-rank", "4"),
        (
            "lora.targets",
            "--lora-target-modules",
            "--lora-targets",
            "query,wi_0",
        ),
    ];
    let help = <TrainingFlags as clap::CommandFactory>::command()
        .render_long_help()
        .to_string();
    let (mut line, mut former_line) = (String::new(), String::new());
    for (key, flag, former, value) in flags {
        let overrides = parse_flags(&format!("{flag} {value}"));
        assert_ne!(overrides, ProtocolOverrides::default(), "{flag}");
        assert_eq!(
            overrides,
            parse_flags(&format!("{former} {value}")),
            "{former}"
        );
        let fault = ProtocolFault {
            keys: vec![key],
            what: "x".to_owned(),
        };
        assert_eq!(fault.describe_flags(), format!("{flag}: x"));
        assert!(help.contains(&format!("{flag} <")), "{flag}: {help}");
        assert!(!help.contains(&format!("{former} <")), "{former}: {help}");
        line.push_str(&format!("{flag} {value} "));
        former_line.push_str(&format!("{former} {value} "));
    }
    let protocol = training("", &parse_flags(&line)).unwrap();
    assert_ne!(protocol, Preset::Chartbench.protocol());
    assert_eq!(protocol, training("", &parse_flags(&former_line)).unwrap());
}

#[test]
fn faults_name_the_flags_of_nested_keys_and_of_adapters() {
    let fault = ProtocolFault {
        keys: vec![
            "adafactor.decay_rate",
            "lora.alpha",
            "weight_decay",
            "max_patches",
        ],
        what: "x".to_owned(),
    };
    assert_eq!(
        fault.describe_flags(),
        "--adafactor-decay-rate or --lora-alpha or --weight-decay or --max-patches: x"
    );
}

#[test]
fn training_faults() {
    let line = |result: anyhow::Result<Protocol>| {
        let line = format!("{:#}", result.unwrap_err());
        assert!(!line.contains('\n'), "{line}");
        line
    };
    let file = |keys: &str| line(training(keys, &ProtocolOverrides::default()));
    let flags = ProtocolOverrides {
        lr: Some(f64::NAN),
        ..ProtocolOverrides::default()
    };
    let short = ProtocolOverrides {
        steps: Some(50),
        warmup_steps: Some(120),
        ..ProtocolOverrides::default()
    };
    let lines = [
        ("an unknown key", file("learning_rate = 1\n")),
        ("an unknown protocol", file("protocol = \"theirs\"\n")),
        ("a wrong type", file("seed = 42\nlr = \"high\"\n")),
        ("lr 0", file("seed = 42\nlr = 0\n")),
        ("lr nan", file("lr = nan\n")),
        ("lr too high", file("lr = 10\n")),
        ("a long warm-up", file("steps = 50\nwarmup_steps = 60\n")),
        ("a warm-up of the preset", file("steps = 50\n")),
        ("no batch", file("batch = 0\n")),
        (
            "a batch that does not divide",
            file("batch = 4\naccumulate = 3\n"),
        ),
        ("nothing to hold out", file("validation_share = 0\n")),
        (
            "held out beside test",
            file("validate_on = \"test\"\nvalidation_share = 0.1\n"),
        ),
        ("a beta of 1", file("betas = [0.9, 1.0]\n")),
        ("three betas", file("betas = [0.9, 0.99, 0.999]\n")),
        (
            "betas of the other optimiser",
            file("optimizer = \"adafactor\"\nbetas = [0.9, 0.99]\n"),
        ),
        (
            "a key of the other optimiser",
            file("[finetune.adafactor]\ndecay_rate = -0.5\n"),
        ),
        (
            "two rates",
            file("optimizer = \"adafactor\"\nlr = 0.1\nadafactor = { relative_step = true }\n"),
        ),
        ("a negative norm", file("clip_norm = -1\n")),
        ("smoothing 1", file("label_smoothing = 1\n")),
        (
            "an unknown answer type",
            file("[finetune.weights]\nnumber = 3\n"),
        ),
        (
            "an endless weight",
            file("[finetune.weights]\nnumeric = inf\n"),
        ),
        ("LoRA without rank", file("[finetune.lora]\nalpha = 8\n")),
        (
            "an unknown key of LoRA",
            file("[finetune.lora]\nrank = 8\nbeta = 8\n"),
        ),
        ("freezing everything", file("freeze = [\"\"]\n")),
        ("a flag", line(training("", &flags))),
        ("a flag against the preset", line(training("", &short))),
    ];
    snapshot("training_faults", &lines);
}

/// The warm-up was chosen for the protocol's steps: fewer steps shorten it in proportion, unless both are given.
#[test]
fn few_steps_shorten_the_warm_up() {
    let steps = |steps: usize| ProtocolOverrides {
        steps: Some(steps),
        ..ProtocolOverrides::default()
    };
    let warmup = |keys: &str, flags: &ProtocolOverrides| {
        let protocol = training(keys, flags).unwrap();
        (
            protocol.schedule.warmup_steps,
            protocol.warmup_shortened_from,
        )
    };
    // The preset warms up for 120 of 600 steps.
    assert_eq!(warmup("", &steps(121)), (120, None));
    assert_eq!(warmup("", &steps(120)), (24, Some(120)));
    assert_eq!(warmup("", &steps(20)), (4, Some(120)));
    assert_eq!(warmup("", &steps(1)), (0, Some(120)));
    let file = "steps = 650\nwarmup_steps = 50\n";
    assert_eq!(warmup(file, &steps(26)), (2, Some(50)));
    // Another preset replaces the file's keys.
    let study = ProtocolOverrides {
        protocol: Some(Preset::Study),
        ..steps(60)
    };
    assert_eq!(warmup(file, &study), (12, Some(120)));
    let both = ProtocolOverrides {
        warmup_steps: Some(5),
        ..steps(20)
    };
    assert_eq!(warmup("", &both), (5, None));
}

/// What was published is about conventions, metrics and adapters that there are.
#[test]
fn published_results_can_be_held_against_runs() {
    let mut count = 0;
    for name in Benchmark::embedded_names() {
        for result in Benchmark::find(name).unwrap().published {
            let convention = Convention::by_name(&result.convention).unwrap();
            let metric = Metric::by_name(&result.metric).unwrap();
            assert!(
                convention.metrics.contains(&metric),
                "{name}: {}",
                result.system
            );
            assert!(
                (0.0..=100.0).contains(&result.value),
                "{name}: {}",
                result.system
            );
            if let Some(adapter) = &result.adapter {
                AdapterSpec::find(adapter, None).unwrap();
            }
            let known = ["answer type = ", "source = "];
            assert!(
                result
                    .part
                    .is_none_or(|part| known.iter().any(|start| part.starts_with(start))),
                "{name}"
            );
            count += 1;
        }
    }
    // RealCQA's systems by answer type, the study's rows by metric, the samplings; ChartQA's, in each
    // of its three copies; three systems of each part of CharXiv.
    let chartqa = 3 * 3 + 2 + 3;
    assert_eq!(count, 5 * 6 + 6 * 3 + 4 * 4 * 6 + 3 * chartqa + 2 * 3);
}
