//! Loading a RealCQA tree of 1,000 charts with 40 questions each and annotations of 80 KB, out of a
//! warm page cache.

use std::fs;
use std::hint::black_box;
use std::path::Path;

use chartbench::config::Benchmark;
use chartbench_data::Split;
use criterion::{Criterion, criterion_group, criterion_main};

const CHARTS: usize = 1000;
const QUESTIONS: usize = 40;

fn write_tree(root: &Path) -> std::io::Result<()> {
    for folder in ["qa", "json", "images"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let blocks =
        r#"{"id": 0, "polygon": {"x0": 17, "x1": 55, "y0": 11, "y1": 25}, "text": "Country"},"#
            .repeat(1000);
    let annotation = format!(
        r#"{{"task1": {{"output": {{"chart_type": "line"}}}}, "task2": {{"blocks": [{blocks}null]}}}}"#
    );
    let names: Vec<String> = (0..CHARTS)
        .map(|chart| format!("PMC{chart:07}___fig-{}", chart % 9))
        .collect();
    for name in &names {
        let records: Vec<String> = (0..QUESTIONS).map(|index| record(name, index)).collect();
        fs::write(
            root.join(format!("qa/{name}.json")),
            format!("[{}]", records.join(",\n")),
        )?;
        fs::write(root.join(format!("json/{name}.json")), &annotation)?;
        fs::write(root.join(format!("images/{name}.jpg")), "")?;
    }
    fs::write(root.join("test_filenames.txt"), names.join("\n"))
}

fn record(chart: &str, index: usize) -> String {
    format!(
        r#"{{"taxonomy id": "3b", "QID": "{index}", "question": "What is the value of series {index} at the last tick of the x axis?",
            "answer": [["first series", {index}.5], ["second series", 2]], "answer_type": "Unranked List",
            "qa_id": "id{index}", "PMC_ID": "{chart}"}}"#
    )
}

fn load(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_tree(folder.path()).expect("the tree is written");
    let benchmark = Benchmark::find("realcqa")
        .expect("the embedded benchmark")
        .data;
    criterion.bench_function("load 40,000 RealCQA questions", |bencher| {
        bencher.iter(|| {
            black_box(
                chartbench_data::load(&benchmark, Some(folder.path()), Split::Test)
                    .expect("it loads"),
            )
        });
    });
    let set =
        chartbench_data::load(&benchmark, Some(folder.path()), Split::Test).expect("it loads");
    criterion.bench_function("hash 40,000 questions", |bencher| {
        bencher.iter(|| black_box(set.hash().expect("a hash")))
    });
}

criterion_group!(benches, load);
criterion_main!(benches);
