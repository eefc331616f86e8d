//! The adapter of a checkpoint that the user names no adapter for.

use std::fs;
use std::path::Path;

use chartbench::jobs::{Task, adapter_for_weights};

#[test]
fn an_adapter_is_found_by_architecture_and_shape() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let find = |config: &str, adapters: Option<&Path>, task: Task| {
        fs::create_dir_all(path("x")).unwrap();
        fs::write(path("x/config.json"), config).unwrap();
        adapter_for_weights(&path("x"), adapters, task).map_err(|error| format!("{error:#}"))
    };
    let questions = |config: &str| find(config, None, Task::Questions);
    let tiny = |model: &str| {
        fs::read_to_string(crate::embedded_models::folder(model).join("config.json")).unwrap()
    };
    assert_eq!(questions(&tiny("matcha-tiny-mini")).unwrap(), "matcha-tiny");
    assert_eq!(questions(&tiny("unichart-tiny")).unwrap(), "unichart-tiny");
    // Checkpoints of full size: those that ask in the same way are one choice.
    let base = r#"{"model_type": "pix2struct"}"#;
    assert_eq!(questions(base).unwrap(), "matcha-base");
    assert_eq!(find(base, None, Task::Tables).unwrap(), "deplot");
    assert_eq!(
        questions(r#"{"model_type": "vision-encoder-decoder"}"#).unwrap(),
        "unichart"
    );
    let saved = r#"{"model_type": "pix2struct", "_name_or_path": "google/matcha-chartqa"}"#;
    assert_eq!(questions(saved).unwrap(), "matcha-chartqa");
    // What writes summaries asks nothing but its own checkpoint.
    let summaries =
        r#"{"model_type": "pix2struct", "_name_or_path": "google/matcha-chart2text-pew"}"#;
    assert_eq!(questions(summaries).unwrap(), "matcha-chart2text-pew");

    // An adapter of one's own that asks the same shape in another way.
    let adapters = path("adapters");
    fs::create_dir(&adapters).unwrap();
    let file = include_str!("../../adapters/matcha-tiny.toml")
        .replace("max_new_tokens = 48", "max_new_tokens = 9");
    fs::write(adapters.join("short.toml"), file).unwrap();
    let error = find(&tiny("matcha-tiny"), Some(&adapters), Task::Questions).unwrap_err();
    assert!(
        error.ends_with(
            "fits matcha-tiny, short, which ask in different ways: name one with --adapters"
        ),
        "{error}"
    );

    for (config, line) in [
        (r#"{"model_type": "t5"}"#, "is of the model_type `t5`"),
        ("{}", "is of the model_type none"),
        ("{", "is not JSON"),
    ] {
        let error = questions(config).unwrap_err();
        assert!(
            error.contains("config.json") && error.contains(line),
            "{error}"
        );
    }
    fs::remove_file(path("x/config.json")).unwrap();
    let folder = |name: &str| {
        let error = adapter_for_weights(&path(name), None, Task::Questions).unwrap_err();
        format!("{error:#}")
    };
    assert!(folder("x").contains("config.json"));
    assert!(folder("nowhere").ends_with("no such folder"));
    assert!(folder("model.gguf").contains("--adapters TABLES+READER"));
}
