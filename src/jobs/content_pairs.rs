//! Pairs the questions of two runs by their content (text, gold answer, pixels), where the same data
//! set came from two sources and has other ids, another order or another encoding of its pictures
//! in each.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::config::Benchmark;
use crate::run::store::{DataFolder, OtherQuestions, PredictionRecord, StoredRun};
use chartbench_core::question::{Gold, Split};
use chartbench_core::terminal::visible;
use chartbench_data::content::{ContentKey, PixelDigest, digest_pictures, unwrap_single_items};
use chartbench_data::{Ask, Format, QuestionStream, Questions};

/// A stored run and its directory.
pub(super) struct RunAt<'a> {
    pub(super) run: &'a StoredRun,
    pub(super) dir: &'a Path,
}

/// The second run with the ids of the first.
pub(super) struct PairedRun {
    /// The answers of the second run to the questions of the first, with the ids, golds and
    /// properties of the first.
    pub(super) run: StoredRun,
    /// A line for people.
    pub(super) remark: String,
}

/// Pairs `after`'s questions with those of `before` that have the same text, gold and pixels;
/// duplicates of a question pair in their order. Pictures are decoded only if texts and golds pair.
///
/// # Errors
/// Returns [`OtherQuestions`] if a question of either run has no partner, and another error if the
/// data set of a run is not known, gone, or has another content now.
pub(super) fn pair(before: &RunAt<'_>, after: &RunAt<'_>) -> Result<PairedRun> {
    let (a, b) = (before.run, after.run);
    if a.manifest.benchmark.questions != b.manifest.benchmark.questions {
        a.same_questions(b)?;
    }
    let questions = [questions(a)?, questions(b)?];
    let texts = questions.each_ref().map(|questions| {
        let texts = questions.iter().map(|question| TextKey::new(question));
        texts.collect::<Vec<_>>()
    });
    refuse_unpaired(a, b, &partners(&texts[0], &texts[1]), "text and gold")?;
    let keys = [
        content_keys(before, &questions[0])?,
        content_keys(after, &questions[1])?,
    ];
    let partners = partners(&keys[0], &keys[1]);
    refuse_unpaired(a, b, &partners, "text, gold and pixels")?;
    let by_id: HashMap<&str, &PredictionRecord> = questions[1]
        .iter()
        .zip(partners)
        .filter_map(|(question, partner)| {
            Some((question.id.as_str(), *questions[0].get(partner?)?))
        })
        .collect();
    Ok(PairedRun {
        run: renamed(a, b, &by_id)?,
        remark: format!(
            "{} and {} are on two forms of one question set: all {} questions pair by text, gold and pixels",
            a.manifest.name,
            b.manifest.name,
            by_id.len()
        ),
    })
}

/// The text and gold of a question, as far as they are content.
#[derive(PartialEq, Eq, Hash)]
struct TextKey<'a> {
    text: &'a str,
    gold: Gold,
}

impl<'a> TextKey<'a> {
    fn new(question: &'a PredictionRecord) -> Self {
        Self {
            text: &question.question,
            gold: unwrap_single_items(&question.gold),
        }
    }
}

/// One record of each question of a run, in the order they were answered.
///
/// # Errors
/// Returns an error if questions are unanswered: nothing is known of them.
fn questions(run: &StoredRun) -> Result<Vec<&PredictionRecord>> {
    let mut seen = HashSet::new();
    let questions: Vec<&PredictionRecord> = run
        .records()
        .filter(|record| seen.insert(record.id.as_str()))
        .collect();
    let (name, asked) = (&run.manifest.name, run.manifest.benchmark.questions);
    ensure!(
        questions.len() == asked,
        "{name} has answers to {} of its {asked} questions: finish that run first",
        questions.len()
    );
    Ok(questions)
}

/// For each of `after` the place of its partner in `before`. Equal keys pair in their order.
fn partners<K: Eq + Hash>(before: &[K], after: &[K]) -> Vec<Option<usize>> {
    let mut places: HashMap<&K, VecDeque<usize>> = HashMap::new();
    for (place, key) in before.iter().enumerate() {
        places.entry(key).or_default().push_back(place);
    }
    after
        .iter()
        .map(|key| places.get_mut(key)?.pop_front())
        .collect()
}

/// Returns [`OtherQuestions`] if some questions have no partner with the same `content`.
fn refuse_unpaired(
    before: &StoredRun,
    after: &StoredRun,
    partners: &[Option<usize>],
    content: &str,
) -> Result<()> {
    let unpaired = partners.iter().filter(|partner| partner.is_none()).count();
    match before.same_questions(after) {
        Err(error) if unpaired > 0 => bail!(OtherQuestions(format!(
            "{error}; by content {unpaired} of the {} have no partner of the same {content}",
            partners.len()
        ))),
        _ => Ok(()),
    }
}

/// The content of each question.
fn content_keys(run: &RunAt<'_>, questions: &[&PredictionRecord]) -> Result<Vec<ContentKey>> {
    let charts: HashSet<&str> = questions
        .iter()
        .map(|question| question.chart.as_str())
        .collect();
    let name = &run.run.manifest.name;
    let pixels = chart_pixels(run, &charts).with_context(|| {
        format!(
            "{name} is on another form of the question set, and pairing by content needs its pictures"
        )
    })?;
    questions
        .iter()
        .map(|question| {
            let pixels = pixels
                .get(&question.chart)
                .with_context(|| format!("chart `{}` has no picture", visible(&question.chart)))?;
            ContentKey::new(&question.question, &question.gold, pixels)
        })
        .collect()
}

/// The pixels of the run's charts, by id.
fn chart_pixels(run: &RunAt<'_>, charts: &HashSet<&str>) -> Result<HashMap<String, PixelDigest>> {
    let (dir, name) = (run.dir.display(), &run.run.manifest.benchmark.name);
    let known = DataFolder::read(run.dir)?;
    if let Some(known) = &known {
        ensure!(
            known.data.exists(),
            "its data were in {}, which is not there: put them back, or write where they are now into `data` of {dir}/data.toml",
            known.data.display()
        );
    }
    let named = known.as_ref().map_or(name, |known| &known.benchmark);
    // Without a known folder the name is one of chartbench's own, never a file's.
    let is_own = Benchmark::embedded_names().any(|own| own == named);
    let unknown = || {
        format!(
            "{dir} does not say where its data are (it has no data.toml): ask the questions once more with --data"
        )
    };
    ensure!(known.is_some() || is_own, unknown());
    let mut spec = Benchmark::find(named)?.data;
    let is_drawn = matches!(spec.format, Format::Synth { .. });
    ensure!(known.is_some() || is_drawn, unknown());
    // All charts of the split: those of a limited run are among them.
    spec.questions = Questions::All;
    spec.listed = None;
    spec.hash = None;
    spec.ask = Ask::Questions;
    // Pictures are hashed and not shown.
    spec.allow_outside = true;
    let data = known.as_ref().map(|known| known.data.as_path());
    let stream = QuestionStream::open(&spec, data, Split::Test)?;
    let pixels = digest_pictures(&stream, charts)?;
    let missing = charts.iter().filter(|chart| !pixels.contains_key(**chart));
    if let Some(first) = missing.clone().min() {
        bail!(
            "{} of its {} charts are not in its data set any more, the first is `{}`: put the data back that were asked",
            missing.count(),
            charts.len(),
            visible(first)
        );
    }
    Ok(pixels)
}

/// `after` with every question replaced by its partner, by `after`'s ids.
fn renamed(
    before: &StoredRun,
    after: &StoredRun,
    partners: &HashMap<&str, &PredictionRecord>,
) -> Result<StoredRun> {
    let rename = |record: &PredictionRecord| {
        let partner = partners
            .get(record.id.as_str())
            .with_context(|| format!("question `{}` has no partner", visible(&record.id)))?;
        Ok(PredictionRecord {
            id: partner.id.clone(),
            chart: partner.chart.clone(),
            question: partner.question.clone(),
            gold: partner.gold.clone(),
            answer_type: partner.answer_type,
            taxonomy: partner.taxonomy,
            chart_type: partner.chart_type.clone(),
            source: partner.source.clone(),
            template: partner.template.clone(),
            slices: partner.slices.clone(),
            ..record.clone()
        })
    };
    let mut manifest = after.manifest.clone();
    manifest.benchmark.hash = before.manifest.benchmark.hash.clone();
    Ok(StoredRun {
        manifest,
        predictions: after
            .predictions
            .iter()
            .map(|(adapter, records)| {
                let records = records.iter().map(rename).collect::<Result<Vec<_>>>()?;
                Ok((adapter.clone(), records))
            })
            .collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::partners;

    #[test]
    fn equal_keys_pair_in_their_order() {
        assert_eq!(
            partners(&["a", "b", "a"], &["a", "a", "b"]),
            [Some(0), Some(2), Some(1)]
        );
        assert_eq!(
            partners(&["a", "b"], &["a", "a", "c"]),
            [Some(0), None, None]
        );
    }
}
