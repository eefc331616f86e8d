//! The command that a run is started with: what `finetune --no-evaluation` prints at its end.

use std::path::Path;

use crate::jobs::run::RunRequest;
use chartbench_core::terminal::shell_word;

/// `chartbench run` with the adapters, weights, questions and name of a request, as a shell reads
/// it; `adapters_dir` is the folder of the adapter files.
pub(super) fn run_command(request: &RunRequest, adapters_dir: Option<&Path>) -> String {
    let names: Vec<&str> = request
        .adapters
        .iter()
        .map(|adapter| adapter.name.as_str())
        .collect();
    let mut words = ["chartbench", "run", "--adapters"]
        .map(str::to_owned)
        .to_vec();
    words.push(names.join(","));
    let mut flag = |name: &str, value: Option<String>| {
        words.extend(
            value
                .map(|value| [name.to_owned(), value])
                .into_iter()
                .flatten(),
        );
    };
    let path = |path: &Path| path.display().to_string();
    for adapter in &request.adapters {
        let weights = adapter.model.weights.as_deref();
        flag(
            "--weights",
            weights.map(|weights| format!("{}={}", adapter.name, path(weights))),
        );
    }
    flag("--adapters-dir", adapters_dir.map(path));
    // Each adapter has the same: they are those of the command.
    if let Some(overrides) = request.adapters.first().map(|adapter| &adapter.overrides) {
        flag("--header-font", overrides.header_font.as_deref().map(path));
        flag(
            "--max-patches",
            overrides.max_patches.map(|n| n.to_string()),
        );
        flag(
            "--max-new-tokens",
            overrides.max_new_tokens.map(|n| n.to_string()),
        );
    }
    flag("--benchmark", request.benchmark.benchmark.clone());
    flag("--data", request.benchmark.data.as_deref().map(path));
    flag("--name", request.name.clone());
    flag("--results", Some(path(&request.results)));
    if request.benchmark.allow_outside {
        words.push("--allow-outside".to_owned());
    }
    let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{BenchmarkSelection, SelectedAdapter};

    #[test]
    fn a_shell_reads_the_words_back() {
        let mut adapter = SelectedAdapter::by_name("matcha-tiny").unwrap();
        adapter.model.weights = Some("my results/it's/checkpoint".into());
        adapter.overrides.max_patches = Some(64);
        let request = RunRequest {
            name: Some("after".to_owned()),
            results: "my results".into(),
            benchmark: BenchmarkSelection {
                benchmark: Some("realcqa".to_owned()),
                data: Some("RealCQA/".into()),
                allow_outside: true,
            },
            ..RunRequest::new(vec![adapter])
        };
        let words = shlex::split(&run_command(&request, None)).unwrap();
        let expected = [
            "chartbench",
            "run",
            "--adapters",
            "matcha-tiny",
            "--weights",
            "matcha-tiny=my results/it's/checkpoint",
            "--max-patches",
            "64",
            "--benchmark",
            "realcqa",
            "--data",
            "RealCQA/",
            "--name",
            "after",
            "--results",
            "my results",
            "--allow-outside",
        ];
        assert_eq!(words, expected);
    }
}
