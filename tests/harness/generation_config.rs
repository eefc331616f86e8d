//! `generation_config.json` of a checkpoint: it counts under the adapter file and the flags, and what is
//! not followed is said.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a copy of an embedded checkpoint, whose generation settings are replaced, and an
/// adapter file `mine` for it.
struct Scratch(TempDir);

impl Scratch {
    fn new(model: &str, generation_config: &Value, adapter: &str) -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        fs::create_dir(scratch.path("model")).unwrap();
        let source = crate::embedded_models::folder(model);
        for entry in fs::read_dir(source).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, scratch.path("model").join(path.file_name().unwrap())).unwrap();
        }
        let file = scratch.path("model/generation_config.json");
        fs::write(file, generation_config.to_string()).unwrap();
        fs::create_dir(scratch.path("adapters")).unwrap();
        fs::write(scratch.path("adapters/mine.toml"), adapter).unwrap();
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(["run", "--adapters", "mine", "--adapters-dir", "adapters"])
            .args(["--no-blind", "--limit", "2", "--name", "r"])
            .args(more)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    /// The settings of a run, and what was said.
    fn settings(&self, more: &[&str]) -> (toml::Table, String) {
        let output = self.run(more);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = fs::read_to_string(self.path("results/r/run.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let settings = manifest["adapters"][0]["settings"].as_table().unwrap();
        fs::remove_dir_all(self.path("results")).unwrap();
        (settings.clone(), stderr(&output))
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn pix2struct(generation: &str) -> String {
    format!(
        "family = \"pix2struct\"\ntitle = \"Mine\"\nsource = \"here\"\nweights.path = \"../model\"\n\
         preprocess.header_font = \"embedded\"\n[generation]\n{generation}"
    )
}

#[test]
fn flags_go_before_the_adapter_file_before_the_checkpoint() {
    let stored = json!({
        "decoder_start_token_id": 0, "eos_token_id": [1], "pad_token_id": 0, "num_beams": 2, "max_new_tokens": 5,
        "repetition_penalty": 1.2, "length_penalty": 0.5, "suppress_tokens": [7, 9], "do_sample": true, "temperature": 0.7,
        "num_beam_groups": 1
    });
    let scratch = Scratch::new("matcha-tiny", &stored, &pix2struct(""));
    let (settings, said) = scratch.settings(&[]);
    for (key, value) in [
        ("decoding", "2 beams, length penalty 0.5"),
        ("max_new_tokens", "5"),
        ("repetition_penalty", "1.2"),
        ("suppress_tokens", "7 9"),
    ] {
        assert_eq!(settings[key].as_str(), Some(value), "{key}");
    }
    let note = "note: mine: generation_config.json sets do_sample, which this program does not follow: answers are \
                decoded with 2 beams, length penalty 0.5\n";
    assert_eq!(said.matches(note).count(), 1, "{said}");
    assert!(
        said.find(note) < said.find("mine: 2 questions answered"),
        "{said}"
    );

    let file =
        "beams = 1\nmax_new_tokens = 7\nrepetition_penalty = 1.0\nno_repeat_ngram_size = 3\n";
    let scratch = Scratch::new("matcha-tiny", &stored, &pix2struct(file));
    let (settings, said) = scratch.settings(&[]);
    assert_eq!(settings["decoding"].as_str(), Some("greedy"));
    assert_eq!(settings["max_new_tokens"].as_str(), Some("7"));
    assert_eq!(settings["no_repeat_ngram_size"].as_str(), Some("3"));
    assert!(!settings.contains_key("repetition_penalty"));
    assert!(said.contains("decoded with greedy decoding\n"), "{said}");
    let (settings, _) = scratch.settings(&["--max-new-tokens", "3"]);
    assert_eq!(settings["max_new_tokens"].as_str(), Some("3"));
}

#[test]
fn without_a_limit_an_answer_has_the_length_that_transformers_gives() {
    let scratch = Scratch::new("matcha-tiny", &json!({}), &pix2struct(""));
    let (settings, said) = scratch.settings(&[]);
    assert_eq!(settings["max_new_tokens"].as_str(), Some("20"));
    assert!(!said.contains("note: mine: generation_config"), "{said}");
    let scratch = Scratch::new("matcha-tiny", &json!({"max_length": 9}), &pix2struct(""));
    let (settings, _) = scratch.settings(&[]);
    assert_eq!(settings["max_new_tokens"].as_str(), Some("8"));
}

#[test]
fn a_donut_takes_its_beams_and_bad_words_from_the_checkpoint() {
    let adapter = "family = \"unichart\"\ntitle = \"Mine\"\nsource = \"here\"\nweights.path = \"../model\"\n\
                   prompt = { question = \"<chartqa> {question} <s_answer>\", answer_after = \"<s_answer>\" }\n";
    let stored = json!({
        "decoder_start_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "forced_eos_token_id": [2], "num_beams": 3,
        "bad_words_ids": [[3], [4, 5]], "max_length": 200, "early_stopping": "never"
    });
    let scratch = Scratch::new("unichart-tiny", &stored, adapter);
    let (settings, _) = scratch.settings(&[]);
    for (key, value) in [
        ("decoding", "3 beams, never stopping early"),
        ("bad_words", "ids 3, 4 5"),
        ("max_new_tokens", "as many as make 200 with the prompt"),
    ] {
        assert_eq!(settings[key].as_str(), Some(value), "{key}");
    }
    // An adapter file of an earlier version: its search stops early where the checkpoint does not say.
    let earlier = format!("{adapter}[generation]\nbeams = 2\nbad_words = [\"<unk>\"]\n");
    let scratch = Scratch::new("unichart-tiny", &json!({"eos_token_id": 2}), &earlier);
    let (settings, _) = scratch.settings(&["--max-new-tokens", "4"]);
    assert_eq!(
        settings["decoding"].as_str(),
        Some("2 beams, early stopping")
    );
    assert_eq!(settings["bad_words"].as_str(), Some("<unk>"));
    assert!(!settings.contains_key("forced_eos_token_id"));
}

#[test]
fn a_wrong_setting_is_told_with_file_and_key() {
    for (stored, message) in [
        (
            json!({"num_beams": "4"}),
            "num_beams is \"4\": must be a number of beams",
        ),
        (
            json!({"suppress_tokens": [100000]}),
            "suppress_tokens is 100000: the vocabulary has",
        ),
        (
            json!({"max_length": 1}),
            "max_length leaves no room for an answer",
        ),
    ] {
        let scratch = Scratch::new("matcha-tiny", &stored, &pix2struct(""));
        let output = scratch.run(&[]);
        assert_eq!(output.status.code(), Some(2));
        let line = stderr(&output).lines().last().unwrap().to_owned();
        assert!(
            line.contains(message) && line.contains("generation_config.json"),
            "{line}"
        );
    }
}
