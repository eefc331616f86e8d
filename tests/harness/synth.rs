//! What `data synth` writes is what the embedded benchmark asks, read back by the RealCQA loader.

use std::process::Command;

use chartbench::config::Benchmark;
use chartbench_core::question::QuestionSet;
use chartbench_data::Split;

/// Everything that can change an answer or its score, images included.
fn content(set: &QuestionSet) -> Vec<String> {
    let told = |(chart, question): (
        &chartbench_core::question::Chart,
        &chartbench_core::question::Question,
    )| {
        let bytes = chart.image.bytes().unwrap();
        format!(
            "{} {:?} {:?} {}",
            chart.id,
            chart.chart_type,
            question,
            bytes.len()
        )
    };
    set.iter().map(told).collect()
}

#[test]
fn written_charts_load_as_realcqa_with_the_same_questions() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("charts");
    let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args([
            "data",
            "synth",
            folder.to_str().unwrap(),
            "--seed",
            "5",
            "--train",
            "4",
            "--test",
            "6",
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let toml = "title = \"t\"\ndescription = \"d\"\nformat = \"synth\"\nseed = 5\ntrain = 4\ntest = 6\nquestions_per_chart = 4\n";
    let drawn = Benchmark::parse(toml, "drawn.toml").unwrap().data;
    let realcqa = Benchmark::find("realcqa").unwrap().data;
    for split in [Split::Train, Split::Test] {
        let drawn = chartbench_data::load(&drawn, None, split).unwrap();
        let read = chartbench_data::load(&realcqa, Some(&folder), split).unwrap();
        assert_eq!(content(&read), content(&drawn), "{split}");
        assert_eq!(read.hash().unwrap(), drawn.hash().unwrap(), "{split}");
    }
    let again = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args([
            "data",
            "synth",
            folder.to_str().unwrap(),
            "--train",
            "1",
            "--test",
            "1",
        ])
        .output()
        .unwrap();
    assert_eq!(
        again.status.code(),
        Some(2),
        "a folder that holds data is not written over"
    );
}
