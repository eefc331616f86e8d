//! The blind rows that a run adds beside the models it is asked for.

use anyhow::Result;

use super::{AdapterError, OpenRun, Origin, RunRequest, ask, load};
use crate::config::{BLANK_PREFIX, Family};
use crate::jobs::SelectedAdapter;
use crate::jobs::benchmark::TrainNotHere;
use crate::report::RowKind;
use crate::run::RunEvent;
use crate::run::store::InUse;
use chartbench_data::MissingSplit;

/// The blind rows of the train split.
const FROM_TRAIN: [&str; 2] = ["majority", "question-prior"];
/// Most questions of a set that is small.
const SMALL: usize = 200;

/// Which blind rows stand beside the models of a run. Rows that are named anyway are asked once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlindRows {
    /// None besides those that are named.
    #[default]
    Named,
    /// `majority` and `question-prior`, where the benchmark has a train split.
    Text,
    /// Those, and `blank+NAME` for each model NAME, which costs as much as the model.
    Image,
    /// [`Self::Text`], and on the mini benchmark and up to 200 questions [`Self::Image`] for models
    /// that are not behind an endpoint, which may cost money.
    BySize,
}

impl BlindRows {
    /// The rows to add for a benchmark and the number of questions asked, in the order in which
    /// they are asked. Nothing is added where no model is named. `failed` names adapters that did
    /// not load: their blank rows would not either.
    ///
    /// # Errors
    /// Returns an error if the adapter files of the rows cannot be read.
    fn select(
        self,
        named: &[SelectedAdapter],
        benchmark: &str,
        questions: usize,
        failed: impl Fn(&str) -> bool,
    ) -> Result<Vec<SelectedAdapter>> {
        let models: Vec<&SelectedAdapter> = named.iter().filter(|row| is_model(row)).collect();
        let is_named = |name: &str| named.iter().any(|row| row.name == name);
        let mut rows = Vec::new();
        if self == Self::Named || models.is_empty() {
            return Ok(rows);
        }
        for name in FROM_TRAIN.into_iter().filter(|name| !is_named(name)) {
            rows.push(SelectedAdapter::by_name(name)?);
        }
        let small = benchmark == "mini" || questions <= SMALL;
        for model in models {
            let blank = match self {
                Self::Named | Self::Text => false,
                Self::Image => true,
                Self::BySize => small && !is_remote(model),
            };
            let name = format!("{BLANK_PREFIX}{}", model.name);
            if blank && !is_named(&name) && !failed(&model.name) {
                rows.push(SelectedAdapter {
                    name,
                    blank: true,
                    ..model.clone()
                });
            }
        }
        Ok(rows)
    }
}

fn is_model(row: &SelectedAdapter) -> bool {
    let blind = matches!(
        row.model.spec.family,
        Family::Majority | Family::QuestionPrior | Family::Oracle
    );
    !blind && RowKind::new(&row.name, None) == RowKind::Model
}

/// Whether an endpoint answers, or reads the tables.
fn is_remote(row: &SelectedAdapter) -> bool {
    std::iter::once(&row.model)
        .chain(&row.reader)
        .any(|model| matches!(model.spec.family, Family::Chat(_)))
}

/// The blind rows that the request does not name, without those of models that did not load.
///
/// # Errors
/// Returns an error if the adapter files of the rows cannot be read.
pub(in crate::jobs) fn blind_rows(
    request: &RunRequest,
    run: &OpenRun,
) -> Result<Vec<SelectedAdapter>> {
    let failed = |name: &str| run.failures.iter().any(|failure| failure.adapter == name);
    let benchmark = &run.benchmark.data.name;
    request
        .blind
        .select(&request.adapters, benchmark, run.questions, failed)
}

/// Asks the blind rows that the request does not name. A benchmark without a train split has none
/// that learn from it, and for one that is not here yet they are left out, which is reported; a row
/// that another process of the run asks is left to it.
pub(super) fn ask_blind_rows(
    request: &RunRequest,
    run: &mut OpenRun,
    observe: &mut dyn FnMut(RunEvent<'_>),
) -> Result<()> {
    let mut is_reported = false;
    for row in blind_rows(request, run)? {
        request.stop.check()?;
        let share = run.share(&row);
        if share.questions == 0 {
            continue;
        }
        let outcome = load(request, &row, run).and_then(|mut adapter| {
            let origin = Origin::new(&row, run.dir.path(), &request.models.hub);
            ask(request, share, origin, adapter.as_mut(), run, observe)
        });
        let outcome = match outcome {
            Err(AdapterError::Loading(error)) if error.is::<InUse>() => continue,
            Err(AdapterError::Loading(error))
                if error.is::<MissingSplit>() || error.is::<TrainNotHere>() =>
            {
                run.dir.leave_out(&row.name)?;
                if error.is::<TrainNotHere>() && !std::mem::replace(&mut is_reported, true) {
                    let reason = &format!("{error:#}");
                    observe(RunEvent::RowsLeftOut { reason });
                }
                continue;
            }
            Err(AdapterError::Loading(error)) => Err(AdapterError::Loading(
                error.context("a blind row, which --no-blind leaves out"),
            )),
            outcome => outcome,
        };
        run.count(&row.name, outcome)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(rows: BlindRows, named: &[&str], benchmark: &str, questions: usize) -> Vec<String> {
        let named: Vec<SelectedAdapter> = named
            .iter()
            .map(|name| SelectedAdapter::by_name(name).unwrap())
            .collect();
        let rows = rows.select(&named, benchmark, questions, |name| name == "unichart-tiny");
        rows.unwrap().into_iter().map(|row| row.name).collect()
    }

    #[test]
    fn blind_rows_stand_beside_models_alone() {
        let priors = ["majority", "question-prior"];
        let with_blank = ["majority", "question-prior", "blank+matcha-tiny"];
        let large = |rows| added(rows, &["matcha-tiny"], "realcqa", 201);
        assert_eq!(large(BlindRows::BySize), priors);
        assert_eq!(large(BlindRows::Text), priors);
        assert_eq!(large(BlindRows::Image), with_blank);
        assert!(large(BlindRows::Named).is_empty());
        let by_size = |named: &[&str], benchmark, questions| {
            added(BlindRows::BySize, named, benchmark, questions)
        };
        assert_eq!(by_size(&["matcha-tiny"], "realcqa", 200), with_blank);
        assert_eq!(by_size(&["matcha-tiny"], "mini", 480), with_blank);
        assert!(by_size(&["majority", "oracle+smollm2"], "mini", 480).is_empty());
        // A row that is named is not asked twice; a model that failed has no blank row.
        let named = [
            "unichart-tiny",
            "matcha-tiny",
            "majority",
            "blank+matcha-tiny",
        ];
        assert_eq!(by_size(&named, "mini", 480), ["question-prior"]);
        // An endpoint may cost money.
        assert_eq!(by_size(&["openai"], "mini", 480), priors);
        assert_eq!(
            added(BlindRows::Image, &["openai"], "mini", 480),
            ["majority", "question-prior", "blank+openai"]
        );
    }
}
