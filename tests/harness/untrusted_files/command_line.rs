//! The program: exit code 2 and one short line, whatever a file or a flag holds.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use candle_core::{DType, Device};

fn chartbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn error_line(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        &stderr[..stderr.len().min(2000)]
    );
    stderr
}

/// The one line of a command that must be refused.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let stderr = error_line(&chartbench(arguments));
    assert_eq!(
        stderr.lines().count(),
        1,
        "{}",
        &stderr[..stderr.len().min(2000)]
    );
    assert!(
        stderr.len() < 1000,
        "{} bytes: {}",
        stderr.len(),
        &stderr[..1000]
    );
    stderr
}

/// A copy of an embedded tiny model's folder with one file replaced.
fn model(replaced: &str, bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(crate::embedded_models::folder("matcha-tiny-mini")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    if replaced == "pytorch_model.bin" {
        fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    }
    fs::write(dir.path().join(replaced), bytes).unwrap();
    dir
}

fn image(dir: &Path) -> String {
    let path = dir.join("a.png");
    image::RgbImage::from_pixel(60, 40, image::Rgb([250, 250, 250]))
        .save(&path)
        .unwrap();
    path.display().to_string()
}

#[test]
fn damaged_models_are_one_line() {
    let ask = |dir: &Path| {
        refused(&[
            "ask",
            "--adapters",
            "matcha-tiny",
            "--weights",
            &dir.display().to_string(),
            &image(dir),
            "Why?",
        ])
    };
    let laughs = {
        let mut pickle = b"\x80\x02)q\x00".to_vec();
        for level in 0..12 {
            pickle.extend(
                [
                    b"(".to_vec(),
                    [b'h', level].repeat(10),
                    vec![b't', b'q', level + 1],
                ]
                .concat(),
            );
        }
        pickle.push(b'.');
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        zip.start_file("m/data.pkl", stored).unwrap();
        std::io::Write::write_all(&mut zip, &pickle).unwrap();
        zip.finish().unwrap().into_inner()
    };
    let dir = model("pytorch_model.bin", &laughs);
    assert!(ask(dir.path()).contains("pytorch_model.bin: m/data.pkl: not a state dict"));
    let long = format!(
        "{{\"model\":{{\"vocab\":[[\"{}\",-1.0]]}}}}",
        "a".repeat(5_000_000)
    );
    let dir = model("tokenizer.json", long.as_bytes());
    assert!(ask(dir.path()).contains("has 5000000 bytes, more than the 1024 allowed"));
}

#[test]
fn every_count_has_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let huge = "9223372036854775807";
    let image = image(dir.path());
    for (flags, most) in [
        (vec!["run", "--benchmark", "mini", "--batch"], "65536"),
        (vec!["run", "--benchmark", "mini", "--limit"], "1000000000"),
        (
            vec!["run", "--benchmark", "mini", "--questions-per-chart"],
            "100000",
        ),
        (vec!["ask", &image, "Why?", "--max-patches"], "65536"),
        (vec!["ask", &image, "Why?", "--max-new-tokens"], "65536"),
        (vec!["ask", &image, "Why?", "--threads"], "1024"),
        (
            vec![
                "finetune",
                "--benchmark",
                "mini",
                "--adapters",
                "matcha-tiny",
                "--limit",
            ],
            "1000000000",
        ),
        (
            vec![
                "quantize",
                "--benchmark",
                "mini",
                "--adapters",
                "matcha-tiny",
                "--validation-questions",
            ],
            "1000000000",
        ),
        (vec!["compare", "a", "b", "--draws"], "1000000"),
        (vec!["report", "a", "--images"], "1000000000"),
        (vec!["data", "synth", "new", "--train"], "1000000"),
        (vec!["data", "synth", "new", "--test"], "1000000"),
        (vec!["data", "synth", "new", "--questions"], "100000"),
        (vec!["data", "check", "a", "--show"], "1000000000"),
    ] {
        for count in [huge, "4294967296"] {
            let arguments: Vec<&str> = flags.iter().copied().chain([count]).collect();
            let line = error_line(&chartbench(&arguments));
            assert!(
                line.contains(&format!("at most {most}")) || line.contains(&format!("..={most}")),
                "{flags:?}: {line}"
            );
        }
    }
    let results = at("results");
    for (key, most) in [
        ("steps", "1000000000"),
        ("batch", "65536"),
        ("accumulate", "65536"),
        ("max_label_tokens", "65536"),
        ("validate_every", "1000000000"),
        ("validation_questions", "1000000000"),
        ("validation_questions_per_chart", "1000000000"),
        ("patience", "1000000000"),
        ("lora_rank", "65536"),
    ] {
        let flag = format!("--{}", key.replace('_', "-"));
        let line = refused(&[
            "finetune",
            "--benchmark",
            "mini",
            "--adapters",
            "matcha-tiny",
            "--results",
            &results,
            &flag,
            huge,
        ]);
        assert!(line.contains(&format!("must be at most {most}")), "{line}");
    }
    assert!(!Path::new(&results).exists());
}

#[test]
fn counts_of_files_have_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let benchmark = |keys: &str| {
        let path = dir.path().join("b.toml");
        fs::write(&path, format!("title = \"B\"\ndescription = \"b\"\n{keys}")).unwrap();
        let results = dir.path().join("results").display().to_string();
        refused(&[
            "run",
            "--benchmark",
            path.to_str().unwrap(),
            "--adapters",
            "majority",
            "--results",
            &results,
        ])
    };
    let synth = |train: &str, test: &str, questions: &str| {
        benchmark(&format!(
            "format = \"synth\"\nseed = 1\ntrain = {train}\ntest = {test}\nquestions_per_chart = {questions}\n"
        ))
    };
    let huge = "9223372036854775807";
    assert!(
        synth(huge, "1", "1")
            .contains("line 5: train: must be at most 1000000, not 9223372036854775807")
    );
    assert!(synth("1", huge, "1").contains("line 6: test: must be at most 1000000"));
    assert!(synth("1", "1", huge).contains("line 7: questions_per_chart: must be at most 100000"));
    let line = benchmark(&format!(
        "format = \"generic\"\nquestions = {{ per_chart = {huge}, seed = 1 }}\n"
    ));
    assert!(
        line.contains("line 4: questions: per_chart must be at most 100000"),
        "{line}"
    );

    let adapter = |keys: &str| {
        fs::write(
            dir.path().join("x.toml"),
            format!("title = \"X\"\nsource = \"x\"\n{keys}"),
        )
        .unwrap();
        fs::remove_file(dir.path().join("b.toml")).ok();
        refused(&["list", "--adapters-dir", dir.path().to_str().unwrap()])
    };
    let chat = "family = \"chat\"\n[endpoint]\nbase_url = \"http://localhost/v1\"\nmodel = \"m\"\n";
    for (keys, told) in [
        (
            "[limits]\nconcurrency = ",
            "`limits.concurrency` must be at most 1024",
        ),
        (
            "[limits]\nrequests_per_minute = ",
            "`limits.requests_per_minute` must be at most 1000000000",
        ),
        (
            "[limits]\ntokens_per_minute = ",
            "`limits.tokens_per_minute` must be at most 1000000000",
        ),
        (
            "[limits]\nretries = ",
            "`limits.retries` must be at most 1000",
        ),
        (
            "[generation]\nmax_tokens = ",
            "`generation.max_tokens` must be at most 10000000",
        ),
        (
            "[reader]\ntemperature = 1.0\nsamples = ",
            "`reader.samples` must be at most 1024",
        ),
        (
            "[reader]\nmax_new_tokens = ",
            "`reader.max_new_tokens` must be at most 65536",
        ),
    ] {
        let line = adapter(&format!("{chat}{keys}{huge}\n"));
        assert!(line.contains(&format!("{told}, not {huge}")), "{line}");
    }
    let weights = "[weights]\nrepo = \"a/b\"\n";
    for (keys, told) in [
        (
            "[generation]\nmax_new_tokens = ",
            "`generation.max_new_tokens` must be at most 65536",
        ),
        (
            "[generation]\nmax_new_tokens = 1\n[preprocess]\nmax_patches = ",
            "`preprocess.max_patches` must be at most 65536",
        ),
    ] {
        assert!(
            adapter(&format!("family = \"pix2struct\"\n{weights}{keys}{huge}\n")).contains(told)
        );
    }
    let process = "family = \"process\"\n[process]\ncommand = [\"x\"]\nin_flight = ";
    assert!(
        adapter(&format!("{process}{huge}\n")).contains("`process.in_flight` must be at most 1024")
    );
}

/// Values of 100 kB, in every kind of place a message may repeat one from.
#[test]
fn long_values_are_repeated_in_short() {
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(100_000);
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let head = "title = \"B\"\ndescription = \"b\"\n";
    let adapter = "title = \"X\"\nsource = \"x\"\n";
    for (number, toml) in [
        format!("{head}format = \"{long}\"\n"),
        format!("{head}format = \"generic\"\n{long} = 1\n"),
        format!("{head}format = \"generic\"\nseed = \"{long}\"\n"),
        format!("{head}format = \"generic\"\n[finetune]\nweights = {{ {long} = 1 }}\n"),
        format!("{head}format = \"generic\" {long}\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = write(&format!("b{number}.toml"), toml);
        refused(&[
            "run",
            "--benchmark",
            &path,
            "--adapters",
            "majority",
            "--results",
            "never",
        ]);
    }
    for (number, toml) in [
        format!("family = \"{long}\"\n{adapter}"),
        format!("family = \"majority\"\n{adapter}{long} = 1\n"),
        format!("family = \"majority\"\n{adapter}\"{long}\"\n"),
        format!("family = \"gguf\"\n{adapter}[weights]\nrepo = \"{long}\"\nfile = \"f\"\n"),
        format!("family = \"pix2struct\"\n{adapter}[weights]\nrepo = \"{long}\"\n"),
    ]
    .into_iter()
    .enumerate()
    {
        write(&format!("adapters{number}/x.toml"), toml);
        refused(&[
            "list",
            "--adapters-dir",
            dir.path()
                .join(format!("adapters{number}"))
                .to_str()
                .unwrap(),
        ]);
    }
    let question = |key: &str| {
        let mut row =
            serde_json::json!({"id": "1", "image": "a.png", "question": "Why?", "answer": "b"});
        row[key] = long.clone().into();
        row.to_string()
    };
    for key in ["answer_type", "split", "image", long.as_str()] {
        let path = write("q/questions.jsonl", question(key));
        let output = chartbench(&["data", "check", &path]);
        let bytes = output.stderr.len();
        assert!(bytes < 1000, "{key:.20}: {bytes} bytes");
    }
    for text in [
        format!("{{\"{long}\": 1}}"),
        format!("[\"{long}\"]"),
        long.clone(),
    ] {
        let path = write("p.json", text);
        let output = chartbench(&["score", &path]);
        assert!(output.stderr.len() < 1500, "{} bytes", output.stderr.len());
    }
    for arguments in [
        ["ask", "a.png", "Why?", "--adapters", long.as_str()],
        [
            "run",
            "--benchmark",
            long.as_str(),
            "--adapters",
            "majority",
        ],
        ["ask", "a.png", "Why?", "--threads", long.as_str()],
        [
            "list",
            "--metrics",
            long.as_str(),
            long.as_str(),
            long.as_str(),
        ],
        [long.as_str(), "a", "b", "c", "d"],
        [
            "score",
            "p.json",
            "--convention",
            long.as_str(),
            "--per-question",
        ],
    ] {
        let stderr = error_line(&chartbench(&arguments));
        assert!(
            stderr.len() < 1000,
            "{}: {} bytes",
            &arguments[0][..3.min(arguments[0].len())],
            stderr.len()
        );
    }
}

/// Finite weights whose products are not: each question fails, and none gets an empty answer.
#[test]
fn scores_that_are_no_finite_numbers_fail_their_questions() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let weights = dir.path().join("weights");
    fs::create_dir(&weights)?;
    for file in fs::read_dir(crate::embedded_models::folder("matcha-tiny"))? {
        let file = file?;
        fs::copy(file.path(), weights.join(file.file_name()))?;
    }
    let path = weights.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu)?;
    let norm = tensors
        .get_mut("decoder.final_layer_norm.weight")
        .expect("the decoder's last norm");
    *norm = (norm.to_dtype(DType::F32)? * 1e38)?;
    candle_core::safetensors::save(&tensors, &path)?;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args([
            "run",
            "--no-blind",
            "--adapters",
            "matcha-tiny",
            "--limit",
            "3",
            "--name",
            "r",
        ])
        .arg("--weights")
        .arg(&weights)
        .arg("--results")
        .arg(dir.path())
        .output()?;
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let log = fs::read_to_string(dir.path().join("r/matcha-tiny/predictions.jsonl"))?;
    assert_eq!(log.lines().count(), 3);
    for line in log.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        assert!(row["prediction"].is_null(), "{line}");
        assert!(
            row["error"]
                .as_str()
                .is_some_and(|error| error.contains("are NaN or infinite")),
            "{line}"
        );
    }
    Ok(())
}
