//! `chartbench finetune`, on the embedded tiny models: resumed bit for bit, refusing what cannot be
//! trained, and leaving folders that answer.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::assert_close::{Tolerance, assert_close, compare};
use anyhow::{Context, Result};
use rand::{Rng, SeedableRng};
use serde_json::Value;

const KILLS: usize = 10;
/// A very short training on the mini benchmark, of which only the trained model is asked.
const SHORT: &[&str] = &[
    "--no-before",
    "--max-steps",
    "12",
    "--warmup-steps",
    "2",
    "--batch-size",
    "4",
    "--gradient-accumulation-steps",
    "2",
    "--eval-steps",
    "3",
    "--validation-questions",
    "4",
    "--limit",
    "4",
];

fn finetune(results: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
    command
        .arg("finetune")
        .args(arguments)
        .arg("--results")
        .arg(results);
    command
}

fn short(results: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(finetune(results, &[SHORT, arguments].concat()).output()?)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file of a finished training that must not differ, by name.
fn outcome(results: &Path, adapter: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = results.join("finetuned").join(adapter);
    let names = [
        "checkpoint/model.safetensors",
        "checkpoint/config.json",
        "checkpoint/finetune.json",
    ];
    names
        .iter()
        .map(|name| Ok(((*name).to_owned(), std::fs::read(folder.join(name))?)))
        .collect()
}

/// The log without wall times.
fn log(results: &Path, adapter: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(
        results
            .join("finetuned")
            .join(adapter)
            .join("training.jsonl"),
    )?;
    let line = |line: &str| -> Result<Value> {
        let mut value: Value = serde_json::from_str(line)?;
        value
            .as_object_mut()
            .context("a line is an object")?
            .remove("seconds");
        Ok(value)
    };
    text.lines().map(line).collect()
}

#[test]
fn killed_at_ten_random_moments_a_training_ends_with_the_same_bytes() -> Result<()> {
    let start = |results: &Path| -> Result<Child> {
        let arguments = [SHORT, &["--adapters", "matcha-tiny", "--from-scratch"]].concat();
        Ok(finetune(results, &arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?)
    };
    let unbroken = tempfile::tempdir()?;
    let begun = Instant::now();
    assert!(start(unbroken.path())?.wait()?.success());
    let whole = begun.elapsed();

    let killed = tempfile::tempdir()?;
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut cut_short = 0;
    for _ in 0..KILLS {
        let mut child = start(killed.path())?;
        let wait = whole.mul_f64(random.random_range(0.1..0.7))
            + Duration::from_millis(random.random_range(0..40));
        std::thread::sleep(wait);
        cut_short += usize::from(child.try_wait()?.is_none());
        child.kill()?;
        child.wait()?;
    }
    assert!(cut_short > 0, "no training was cut short");
    assert!(start(killed.path())?.wait()?.success());
    for (a, b) in outcome(unbroken.path(), "matcha-tiny")?
        .iter()
        .zip(&outcome(killed.path(), "matcha-tiny")?)
    {
        assert!(a == b, "{} differs", a.0);
    }
    assert_eq!(
        log(unbroken.path(), "matcha-tiny")?,
        log(killed.path(), "matcha-tiny")?
    );
    Ok(())
}

#[test]
fn a_trained_folder_answers_and_says_how_it_was_trained() -> Result<()> {
    let results = tempfile::tempdir()?;
    let output = short(
        results.path(),
        &[
            "--adapters",
            "unichart-tiny",
            "--optim",
            "adafactor",
            "--half",
        ],
    )?;
    assert!(output.status.success(), "{}", stderr(&output));
    let folder = results.path().join("finetuned/unichart-tiny");
    for name in [
        "training.jsonl",
        "training.svg",
        "events.out.tfevents.chartbench",
        "checkpoint/README.md",
    ] {
        assert!(folder.join(name).is_file(), "{name}");
    }
    assert!(!folder.join("state").exists());
    let manifest = std::fs::read_to_string(results.path().join("finetuned/run.toml"))?;
    for line in [
        "\"finetune.optimizer\" = \"adafactor\"",
        "\"finetune.steps\" = \"12\"",
    ] {
        assert!(manifest.contains(line), "{manifest}");
    }
    let config = std::fs::read_to_string(folder.join("checkpoint/config.json"))?;
    assert!(config.contains("\"dtype\": \"float16\""), "{config}");
    let permissions = |name: &str| {
        Ok::<_, std::io::Error>(
            folder
                .join("checkpoint")
                .join(name)
                .metadata()?
                .permissions(),
        )
    };
    assert_eq!(
        permissions("model.safetensors")?,
        permissions("config.json")?
    );
    // Started again, it finds everything done, and removes what a kill just before left; under
    // other settings it says so.
    std::fs::create_dir_all(folder.join("state/step-000000012"))?;
    let again = short(
        results.path(),
        &[
            "--adapters",
            "unichart-tiny",
            "--optim",
            "adafactor",
            "--half",
        ],
    )?;
    assert!(
        again.status.success() && !stderr(&again).contains("step 3"),
        "{}",
        stderr(&again)
    );
    assert!(!folder.join("state").exists());
    let other = short(
        results.path(),
        &["--adapters", "unichart-tiny", "--learning-rate", "5e-5"],
    )?;
    assert!(
        !other.status.success() && stderr(&other).contains("other settings"),
        "{}",
        stderr(&other)
    );
    Ok(())
}

/// The losses differ from those of f32 by the rounding, and by little.
#[test]
fn curves_are_drawn_while_a_training_runs() -> Result<()> {
    let results = tempfile::tempdir()?;
    let arguments = [
        "--adapters",
        "matcha-tiny",
        "--no-before",
        "--max-steps",
        "100000",
        "--batch-size",
        "2",
        "--eval-steps",
        "2",
        "--validation-questions",
        "2",
    ];
    let mut child = finetune(results.path(), &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let folder = results.path().join("finetuned/matcha-tiny");
    let begun = Instant::now();
    // The validation before the first step draws no loss of a batch.
    let is_drawn = || {
        std::fs::read_to_string(folder.join("training.svg"))
            .is_ok_and(|figure| figure.contains("batch") && figure.ends_with("</svg>\n"))
    };
    while !is_drawn() && child.try_wait()?.is_none() && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let was_drawn = is_drawn();
    child.kill()?;
    child.wait()?;
    assert!(was_drawn);
    assert!(!folder.join("checkpoint").exists());
    Ok(())
}

#[test]
fn a_training_in_bf16_is_one_in_f32_but_for_rounding() -> Result<()> {
    let losses = |compute: &str| -> Result<Vec<f64>> {
        let results = tempfile::tempdir()?;
        let output = short(
            results.path(),
            &["--adapters", "matcha-tiny", "--compute-dtype", compute],
        )?;
        assert!(output.status.success(), "{}", stderr(&output));
        let settings = std::fs::read_to_string(
            results
                .path()
                .join("finetuned/matcha-tiny/checkpoint/finetune.json"),
        )?;
        assert_eq!(settings.contains("bf16"), compute == "bf16", "{settings}");
        Ok(log(results.path(), "matcha-tiny")?
            .iter()
            .filter_map(|line| line["loss"].as_f64())
            .collect())
    };
    let (full, rounded) = (losses("f32")?, losses("bf16")?);
    assert!(full.len() >= 12 && full.len() == rounded.len() && full != rounded);
    for (full, rounded) in full.iter().zip(&rounded) {
        assert!((full - rounded).abs() < 0.02 * full, "{full} and {rounded}");
    }
    Ok(())
}

#[test]
fn low_rank_and_frozen_trainings_leave_the_rest_as_it_was() -> Result<()> {
    let results = tempfile::tempdir()?;
    let flags: [&[&str]; 2] = [
        &["--lora-r", "2", "--lora-target-modules", "query"],
        &["--freeze", "encoder"],
    ];
    for (flags, moved) in flags.into_iter().zip(["query", "decoder."]) {
        let name = format!("m-{moved}");
        let output = short(
            results.path(),
            &[
                &[
                    "--adapters",
                    "matcha-tiny",
                    "--name",
                    &name,
                    "--select-by",
                    "last",
                ],
                flags,
            ]
            .concat(),
        )?;
        assert!(output.status.success(), "{}", stderr(&output));
        let device = &candle_core::Device::Cpu;
        let trained = results
            .path()
            .join(&name)
            .join("matcha-tiny/checkpoint/model.safetensors");
        let trained = candle_core::safetensors::load(trained, device)?;
        let before = crate::embedded_models::folder("matcha-tiny").join("model.safetensors");
        let before = candle_core::safetensors::load(before, device)?;
        let mut changed = 0;
        for (name, weight) in &trained {
            let then = before[name].to_dtype(candle_core::DType::F32)?;
            // Both are finite.
            assert_close(weight, &then, Tolerance::Absolute(f64::INFINITY));
            if let Err(difference) = compare(weight, &then, Tolerance::Absolute(0.0)) {
                assert!(name.contains(moved), "{name} moved: {difference}");
                changed += 1;
            }
        }
        assert!(changed > 0, "{moved}");
    }
    Ok(())
}

#[test]
fn one_question_is_overfitted() -> Result<()> {
    let results = tempfile::tempdir()?;
    let output = finetune(
        results.path(),
        &["--adapters", "matcha-tiny", "--overfit-one"],
    )
    .output()?;
    assert!(
        output.status.success() && stderr(&output).contains("was overfitted"),
        "{}",
        stderr(&output)
    );
    let output = finetune(
        results.path(),
        &[
            "--adapters",
            "matcha-tiny",
            "--overfit-one",
            "--learning-rate",
            "1e-12",
        ],
    )
    .output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("could not be overfitted"),
        "{}",
        stderr(&output)
    );
    Ok(())
}

/// A data set of one's own: a good chart, one whose image is broken, and an empty answer.
fn own_data(folder: &Path, good: bool) -> Result<std::path::PathBuf> {
    let image = image::RgbImage::from_fn(200, 150, |x, y| {
        image::Rgb([(x % 256) as u8, (y % 256) as u8, 90])
    });
    image.save(folder.join("good.png"))?;
    std::fs::write(folder.join("broken.png"), b"no image")?;
    let mut rows = vec![
        r#"{"image": "broken.png", "question": "Which?", "answer": "a", "split": "train"}"#,
        r#"{"image": "good.png", "question": "What is it?", "answer": "a chart", "split": "test"}"#,
    ];
    if good {
        rows.push(r#"{"image": "good.png", "question": "How many bars are drawn?", "answer": "12", "split": "train"}"#);
        rows.push(r#"{"image": "good2.png", "question": "What is drawn?", "answer": "a line that is long", "split": "train"}"#);
        std::fs::copy(folder.join("good.png"), folder.join("good2.png"))?;
    }
    let path = folder.join("data.jsonl");
    std::fs::write(&path, rows.join("\n"))?;
    Ok(path)
}

#[test]
fn what_cannot_be_trained_on_is_left_out_by_name() -> Result<()> {
    let results = tempfile::tempdir()?;
    let data = own_data(results.path(), true)?;
    let data = data.to_str().context("a path that is text")?;
    let own = [
        "--benchmark",
        "custom",
        "--data",
        data,
        "--adapters",
        "matcha-tiny",
        "--max-label-tokens",
        "4",
    ];
    let output = short(results.path(), &own)?;
    assert!(output.status.success(), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.contains("broken.png") && told.contains("labels were cut"),
        "{told}"
    );

    let results = tempfile::tempdir()?;
    let data = own_data(results.path(), false)?;
    let data = data.to_str().context("a path that is text")?;
    let output = short(
        results.path(),
        &[
            "--benchmark",
            "custom",
            "--data",
            data,
            "--adapters",
            "matcha-tiny",
        ],
    )?;
    assert!(!output.status.success(), "{}", stderr(&output));
    Ok(())
}

#[test]
fn what_cannot_be_is_refused_in_one_line() -> Result<()> {
    let results = tempfile::tempdir()?;
    let other = crate::embedded_models::folder("unichart-tiny");
    let other = format!("matcha-tiny={}", other.display());
    let cases: [(&[&str], &str); 7] = [
        (&["--learning-rate", "0"], "--learning-rate"),
        (
            &["--label-smoothing-factor", "2"],
            "--label-smoothing-factor",
        ),
        (&["--freeze", "nothing.like.it"], "--freeze nothing.like.it"),
        (
            &["--lora-r", "2", "--lora-target-modules", "nowhere"],
            "nowhere",
        ),
        (
            &["--adapters", "majority"],
            "no weights that this program can train",
        ),
        (&["--weights", &other], "another architecture"),
        (&["--optim", "adafactor", "--betas", "0.9,0.99"], "--betas"),
    ];
    for (arguments, expected) in cases {
        let adapter: &[&str] = if arguments.contains(&"--adapters") {
            &[]
        } else {
            &["--adapters", "matcha-tiny"]
        };
        let output = short(results.path(), &[arguments, adapter].concat())?;
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            stderr(&output).contains(expected),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    Ok(())
}

/// The embedded tiny MatCha with its decoder's last norm `factor` times as large, in f32.
fn with_scaled_norm(results: &Path, factor: f64) -> Result<String> {
    let (from, folder) = (
        crate::embedded_models::folder("matcha-tiny"),
        results.join("scaled"),
    );
    std::fs::create_dir(&folder)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    let path = folder.join("model.safetensors");
    let mut weights = candle_core::safetensors::load(&path, &candle_core::Device::Cpu)?;
    let norm = weights
        .get_mut("decoder.final_layer_norm.weight")
        .context("the decoder's last norm")?;
    *norm = (norm.to_dtype(candle_core::DType::F32)? * factor)?;
    candle_core::safetensors::save(&weights, &path)?;
    Ok(folder.to_str().context("a path that is text")?.to_owned())
}

/// Scores so far apart that a batch's loss overflows, though each is a number.
#[test]
fn a_loss_that_is_no_number_stops_the_training_and_says_where() -> Result<()> {
    let results = tempfile::tempdir()?;
    let folder = with_scaled_norm(results.path(), 5e36)?;
    let output = short(
        results.path(),
        &["--adapters", "matcha-tiny", "--weights", &folder],
    )?;
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("the loss is no number at step 1") && told.contains("checkpoint-step-0"),
        "{told}"
    );
    Ok(())
}

#[test]
fn weights_that_are_no_numbers_are_refused_before_the_first_step() -> Result<()> {
    let results = tempfile::tempdir()?;
    let folder = with_scaled_norm(results.path(), f64::NAN)?;
    let output = short(
        results.path(),
        &["--adapters", "matcha-tiny", "--weights", &folder],
    )?;
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("model.safetensors: tensor decoder.final_layer_norm.weight: value 0 is NaN"),
        "{told}"
    );
    assert!(!told.contains("validation"), "{told}");
    Ok(())
}

/// One thread prepares examples and computes: neither waits for the other for ever, and nothing
/// depends on their number.
#[test]
fn one_thread_trains_to_the_same_bytes_as_two() -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(300);
    for adapter in ["matcha-tiny", "unichart-tiny"] {
        let mut outcomes = Vec::new();
        for threads in ["1", "2"] {
            let results = tempfile::tempdir()?;
            let few = [
                "--max-steps",
                "4",
                "--warmup-steps",
                "1",
                "--eval-steps",
                "2",
                "--validation-questions",
                "4",
            ];
            let more = [
                "--batch-size",
                "4",
                "--limit",
                "2",
                "--no-before",
                "--adapters",
                adapter,
                "--threads",
                threads,
            ];
            let mut child = finetune(results.path(), &[&few[..], &more].concat())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            let begun = Instant::now();
            let status = loop {
                match child.try_wait()? {
                    Some(status) => break status,
                    None if begun.elapsed() < PATIENCE => {
                        std::thread::sleep(Duration::from_millis(20))
                    }
                    None => {
                        child.kill()?;
                        child.wait()?;
                        anyhow::bail!("{adapter} on {threads} threads did not end in {PATIENCE:?}");
                    }
                }
            };
            assert!(status.success(), "{adapter} on {threads} threads: {status}");
            outcomes.push((
                outcome(results.path(), adapter)?,
                log(results.path(), adapter)?,
            ));
        }
        assert!(outcomes[0] == outcomes[1], "{adapter}");
    }
    Ok(())
}

#[test]
fn validation_questions_that_cannot_be_read_are_named() -> Result<()> {
    let results = tempfile::tempdir()?;
    let data = own_data(results.path(), true)?;
    let data = data.to_str().context("a path that is text")?;
    let own = [
        "--benchmark",
        "custom",
        "--data",
        data,
        "--adapters",
        "matcha-tiny",
        "--validate-on",
        "test",
    ];
    let text = std::fs::read_to_string(data)?;
    let test = r#"{"image": "broken.png", "question": "Which?", "answer": "a", "split": "test", "id": "unreadable"}"#;
    std::fs::write(data, format!("{text}\n{test}"))?;
    let output = short(results.path(), &own)?;
    let told = stderr(&output);
    // It is a failed row of the test split, too.
    assert_eq!(output.status.code(), Some(1), "{told}");
    let named = told
        .lines()
        .filter(|line| line.contains("validation question") && line.contains("broken.png"));
    assert_eq!(named.count(), 1, "{told}");
    assert!(!told.contains("NaN"), "{told}");

    // Nothing is left to choose by: no step is.
    let results = tempfile::tempdir()?;
    let kept: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("test"))
        .chain([test])
        .collect();
    let data = own_data(results.path(), true)?;
    std::fs::write(&data, kept.join("\n"))?;
    let data = data.to_str().context("a path that is text")?;
    let own = [
        "--benchmark",
        "custom",
        "--data",
        data,
        "--adapters",
        "matcha-tiny",
        "--validate-on",
        "test",
    ];
    let output = short(results.path(), &own)?;
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("none of the 1 validation questions can be answered")
            && told.contains("broken.png"),
        "{told}"
    );
    assert!(
        !results
            .path()
            .join("finetuned/matcha-tiny/checkpoint")
            .exists()
    );
    Ok(())
}

/// The study's protocol: of equal validations the first is kept, here the one before training, and
/// it is made on test questions. Whatever shows the row's scores says so.
#[test]
fn an_untrained_step_and_one_chosen_on_test_questions_are_said() -> Result<()> {
    const REMARK: &str = "step chosen on test";
    let results = tempfile::tempdir()?;
    let arguments = [
        "--adapters",
        "matcha-tiny",
        "--protocol",
        "study",
        "--learning-rate",
        "1e-9",
        "--max-patches",
        "48",
    ];
    let output = short(results.path(), &arguments)?;
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains(
            "warning: matcha-tiny: no validation was better than the one before training"
        ),
        "{told}"
    );
    let run = results.path().join("finetuned");
    let card = std::fs::read_to_string(run.join("matcha-tiny/checkpoint/README.md"))?;
    assert!(
        card.contains("The weights are those of step 0") && card.contains("untrained weights"),
        "{card}"
    );
    assert!(
        card.contains("chosen on test charts") && card.contains(REMARK),
        "{card}"
    );
    assert!(
        std::fs::read_to_string(run.join("leaderboard.md"))?
            .contains("matcha-tiny (step chosen on test)")
    );
    let run = run.to_str().context("a path that is text")?;
    let out = results.path().join("out");
    let to = out.to_str().context("a path that is text")?;
    let page = results.path().join("page.html");
    let page = page.to_str().context("a path that is text")?;
    let commands: [(&[&str], Option<&str>); 6] = [
        (&["leaderboard", run, "--format", "csv"], None),
        (&["compare", run, run, "--draws", "100"], None),
        (&["score", run, "--convention", "chartbench"], None),
        (&["report", run, "--out", page], Some("page.html")),
        (&["figures", run, "--out", to], Some("out/scores.svg")),
        (
            &["export", run, "--to", "model-index", "--out", to],
            Some("out/finetuned/matcha-tiny/README.md"),
        ),
    ];
    for (arguments, file) in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(arguments)
            .output()?;
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        let text = match file {
            Some(file) => std::fs::read_to_string(results.path().join(file))?,
            None => String::from_utf8(output.stdout)?,
        };
        assert!(text.contains(REMARK), "{arguments:?}: {text}");
    }
    Ok(())
}

#[test]
fn a_damaged_best_step_is_refused_when_a_training_goes_on() -> Result<()> {
    let results = tempfile::tempdir()?;
    let long = [
        "--adapters",
        "matcha-tiny",
        "--max-steps",
        "400",
        "--warmup-steps",
        "2",
        "--eval-steps",
        "400",
    ];
    let arguments = [
        &long[..],
        &["--batch-size", "4", "--validation-questions", "4"],
    ]
    .concat();
    let mut child = finetune(results.path(), &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let folder = results.path().join("finetuned/matcha-tiny");
    let saved = folder.join("state/step-000000000/state.json");
    let begun = Instant::now();
    while !saved.exists() && begun.elapsed() < Duration::from_secs(300) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    let kept = folder.join("checkpoint-step-0/model.safetensors");
    let mut bytes = std::fs::read(&kept)?;
    let last = bytes.last_mut().context("weights")?;
    *last ^= 1;
    std::fs::write(&kept, bytes)?;
    let output = finetune(results.path(), &arguments).output()?;
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let refused = format!("{} is not as it was written", kept.display());
    assert!(
        told.contains("the weights kept so far are damaged") && told.contains(&refused),
        "{told}"
    );
    Ok(())
}

/// A limit on file sizes takes the place of a full disk: the checkpoint that was there before stays
/// loadable.
#[cfg(unix)]
#[test]
fn a_full_disk_at_a_checkpoint_leaves_the_last_good_one() -> Result<()> {
    let results = tempfile::tempdir()?;
    let binary = env!("CARGO_BIN_EXE_chartbench");
    let folder = results.path().join("finetuned/matcha-tiny");
    let arguments = [SHORT, &["--adapters", "matcha-tiny", "--select-by", "last"]]
        .concat()
        .join(" ");
    // 4 MiB is enough for the weights in half precision, but not for the optimiser's moments.
    let script = format!(
        "trap '' XFSZ; ulimit -f 8192; exec '{binary}' finetune {arguments} --half --results '{}'",
        results.path().display()
    );
    let output = Command::new("sh").arg("-c").arg(script).output()?;
    assert!(!output.status.success());
    assert!(stderr(&output).contains("cannot"), "{}", stderr(&output));
    let left: Vec<_> = std::fs::read_dir(&folder)?.collect::<Result<_, _>>()?;
    let kept = left.iter().find(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("checkpoint-step-")
    });
    let kept = kept
        .context("the checkpoint written before is there")?
        .path();
    candle_core::safetensors::load(kept.join("model.safetensors"), &candle_core::Device::Cpu)?;
    assert!(
        !left
            .iter()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(".writing-"))
    );
    Ok(())
}
