//! Answers scored a second, by convention: `cargo bench --bench metrics`.

use std::hint::black_box;

use chartbench_core::question::{Gold, Prediction};
use chartbench_score::metric::{CONVENTIONS, Pair, Summary};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// A thousand answers of the kinds a chart benchmark holds: chart types, yes and no, numbers,
/// names, lists.
fn answers() -> Vec<(Gold, Prediction)> {
    let kinds = [
        ("Line chart", "line chart"),
        ("Yes", "No"),
        ("0.4213", "0.4321"),
        ("Proportion of deaths attributed", "Proportion of deaths"),
        ("12.5, 20.0, 31.25, 40.0", "12.5, 20.0, 31.0"),
    ];
    kinds
        .iter()
        .cycle()
        .take(1000)
        .map(|(gold, answer)| (Gold::from(*gold), Prediction((*answer).into())))
        .collect()
}

fn score(criterion: &mut Criterion) {
    let answers = answers();
    let mut group = criterion.benchmark_group("score 1000 answers");
    group.throughput(Throughput::Elements(answers.len() as u64));
    for convention in CONVENTIONS {
        group.bench_function(convention.name, |bencher| {
            let scores = || {
                answers
                    .iter()
                    .map(|(gold, answer)| convention.score(&Pair::new(gold, answer)))
            };
            bencher.iter(|| black_box(Summary::from_scores(scores())));
        });
    }
    group.finish();
}

criterion_group!(benches, score);
criterion_main!(benches);
