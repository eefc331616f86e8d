//! Benchmark files: the embedded ones, and every mistake in one with its one line.

use chartbench::config::{Ask, Benchmark, Format, Questions, names};

fn snapshot(name: &str, lines: &[(&str, String)]) {
    let text: Vec<String> = lines.iter().map(|(case, line)| format!("{case}\n    {line}")).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({snapshot_path => path, prepend_module_to_snapshot => true, omit_expression => true}, {
        insta::assert_snapshot!(name, text.join("\n"));
    });
}

#[test]
fn embedded_benchmarks_are_valid() {
    let names: Vec<_> = Benchmark::embedded_names().collect();
    assert_eq!(names, ["chartqa", "custom", "mini", "mini-tables", "plotqa", "realcqa"]);
    for name in names {
        let benchmark = Benchmark::find(name).unwrap();
        assert_eq!(benchmark.name, name);
        assert_eq!(benchmark.title.contains("synthetic"), matches!(benchmark.format, Format::Synth { .. }));
    }
    let mini = Benchmark::find("mini").unwrap();
    assert_eq!(mini.format, Format::Synth { seed: 42, train: 2500, test: 120, questions_per_chart: 4 });
    let tables = Benchmark::find("mini-tables").unwrap();
    assert_eq!((&tables.format, mini.ask, tables.ask), (&mini.format, Ask::Questions, Ask::Tables));
}

#[test]
fn a_file_is_found_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let text = "title = \"T\"\ndescription = \"D\"\nformat = \"chartqa\"\nquestions = { per_chart = 2, seed = 5 }\n";
    std::fs::write(&path, text).unwrap();
    let benchmark = Benchmark::find(path.to_str().unwrap()).unwrap();
    assert_eq!((benchmark.name.as_str(), &benchmark.format), ("mine", &Format::ChartQa));
    assert_eq!(benchmark.questions, Questions::PerChart { count: 2, seed: 5 });
}

#[test]
fn benchmark_faults() {
    let head = "title = \"T\"\ndescription = \"D\"\n";
    let parse = |text: &str| {
        let line = format!("{:#}", Benchmark::parse(&format!("{head}{text}"), "benchmarks/x.toml").unwrap_err());
        assert!(!line.contains('\n'), "{line}");
        line
    };
    let synth = "format = \"synth\"\nseed = 1\ntrain = 2\ntest = 3\nquestions_per_chart = 4\n";
    let lines = [
        ("no toml", parse("format = \n")),
        ("no format", parse("")),
        ("an unknown format", parse("format = \"dvqa\"\n")),
        ("an unknown key", parse("format = \"realcqa\"\ncolour = 3\n")),
        ("a wrong type", parse("format = \"realcqa\"\nlicense = 3\n")),
        ("a key twice", parse("format = \"realcqa\"\ntitle = \"x\"\n")),
        ("questions: a word", parse("format = \"realcqa\"\nquestions = \"some\"\n")),
        ("questions: no seed", parse("format = \"realcqa\"\nquestions = { per_chart = 3 }\n")),
        ("questions: none", parse("format = \"realcqa\"\nquestions = { per_chart = 0, seed = 1 }\n")),
        ("ask: another word", parse("format = \"realcqa\"\nask = \"summaries\"\n")),
        ("a short hash", parse("format = \"realcqa\"\nhash = \"abc\"\n")),
        ("synth without a key", parse(&synth.replace("test = 3\n", ""))),
        ("synth with no charts", parse(&synth.replace("test = 3", "test = 0"))),
        ("a negative seed", parse(&synth.replace("seed = 1", "seed = -1"))),
        ("a synth key elsewhere", parse(&synth.replace("synth", "generic"))),
        ("an unknown benchmark", Benchmark::find("realqa").unwrap_err().to_string()),
        ("nothing near", Benchmark::find("zzz").unwrap_err().to_string()),
        ("no such file", format!("{:#}", Benchmark::find("nowhere/x.toml").unwrap_err())),
    ];
    snapshot("benchmark_faults", &lines);
}

#[test]
fn nearest_names_come_first() {
    let known = ["matcha-plotqa-v1", "matcha-base", "unichart", "matcha-chartqa", "matcha-tiny"];
    let error = names::unknown("adapter", "MatCha-bas", known.into_iter()).to_string();
    assert_eq!(
        error,
        "unknown adapter `MatCha-bas`; nearest: matcha-base, matcha-chartqa, matcha-tiny; `chartbench list` shows all"
    );
}
