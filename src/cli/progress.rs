//! Progress on stderr: a bar with rate and time left on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::run::{Outcome, RunEvent};
use chartbench_core::terminal::visible;

/// How often a line is written when stderr is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Draws a run's events.
pub(super) struct Progress {
    /// Whether nothing is drawn.
    quiet: bool,
    bar: Option<ProgressBar>,
    line: Option<Line>,
}

struct Line {
    id: String,
    total: usize,
    before: usize,
    done: usize,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            quiet: false,
            bar: None,
            line: None,
        }
    }

    /// Draws nothing: what fails is printed at the end.
    pub(super) fn quiet() -> Self {
        Self {
            quiet: true,
            ..Self::new()
        }
    }

    /// Takes in one event.
    pub(super) fn observe(&mut self, event: RunEvent<'_>) {
        if self.quiet {
            return;
        }
        match event {
            RunEvent::QuestionsChosen { description } => chartbench_core::note!("{description}"),
            RunEvent::MemoryUnknown { id } => {
                chartbench_core::note!(
                    "note: {id} cannot tell what memory it takes: --memory does not change its batches"
                );
            }
            RunEvent::AdapterStarted {
                id,
                questions,
                already_answered,
            } => self.start(id, questions, already_answered),
            RunEvent::Answered => self.advance(),
            RunEvent::AdapterFinished { id, outcome } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                let spent = self
                    .line
                    .take()
                    .map_or(Duration::ZERO, |line| line.started.elapsed());
                let failed = if outcome.failed > 0 {
                    format!(", {} failed", outcome.failed)
                } else {
                    String::new()
                };
                chartbench_core::note!(
                    "{id}: {} questions answered{failed} in {}",
                    outcome.questions,
                    HumanDuration(spent)
                );
                if let Some(usage) = &outcome.usage {
                    let cost = usage
                        .cost_usd
                        .map(|cost| format!(", ${cost:.4}"))
                        .unwrap_or_default();
                    let (read, written) = (usage.prompt_tokens, usage.completion_tokens);
                    chartbench_core::note!(
                        "{id}: {read} prompt and {written} completion tokens{cost}"
                    );
                }
                if let Some(line) = doubtful(outcome) {
                    chartbench_core::note!("{id}: {line}");
                }
            }
        }
    }

    fn start(&mut self, id: &str, total: usize, before: usize) {
        if before > 0 {
            chartbench_core::note!(
                "{id}: resuming, {before} of {total} questions are answered already"
            );
        }
        let now = Instant::now();
        self.line = Some(Line {
            id: id.to_owned(),
            total,
            before,
            done: before,
            started: now,
            last_line: now,
        });
        if std::io::stderr().is_terminal() {
            let template = "{prefix} {wide_bar} {pos}/{len} {per_sec} ETA {eta}";
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(total as u64)
                .with_style(style)
                .with_prefix(visible(id));
            bar.set_position(before as u64);
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_millis(500));
            self.bar = Some(bar);
        }
    }

    fn advance(&mut self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        let Some(line) = &mut self.line else { return };
        line.done += 1;
        if self.bar.is_none() && line.last_line.elapsed() >= LINE_EVERY && line.done < line.total {
            line.last_line = Instant::now();
            let rate = (line.done - line.before) as f64 / line.started.elapsed().as_secs_f64();
            let left = Duration::from_secs_f64((line.total - line.done) as f64 / rate.max(1e-9));
            chartbench_core::note!(
                "{}: {}/{} questions, {rate:.2}/s, ETA {}",
                line.id,
                line.done,
                line.total,
                HumanDuration(left)
            );
        }
    }
}

/// Answers that are there and may not be what the model would have answered.
fn doubtful(outcome: &Outcome) -> Option<String> {
    let answers = |count: usize| {
        if count == 1 {
            "1 answer".to_owned()
        } else {
            format!("{count} answers")
        }
    };
    let cut =
        (outcome.cut > 0).then(|| format!("{} cut by the limit on tokens", answers(outcome.cut)));
    let whole = (outcome.marker_missing > 0).then(|| {
        format!(
            "{} kept whole, as `answer.after` is not in the reply",
            answers(outcome.marker_missing)
        )
    });
    cut.into_iter()
        .chain(whole)
        .reduce(|cut, whole| format!("{cut}; {whole}"))
}
