//! Progress on stderr: a bar with rate and time left on a terminal, a line now and then elsewhere.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

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
            RunEvent::RowsLeftOut { reason } => chartbench_core::note!("note: {reason}"),
            RunEvent::DataNote { line } => chartbench_core::note!("note: {line}"),
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
            let template = "{prefix} {wide_bar} {pos}/{len} {pace}";
            let write_pace = move |state: &ProgressState, out: &mut dyn Write| {
                let answered = usize::try_from(state.pos())
                    .unwrap_or(usize::MAX)
                    .saturating_sub(before);
                let left = total.saturating_sub(before).saturating_sub(answered);
                let _ = out.write_str(&pace(answered, left, state.elapsed()));
            };
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .with_key("pace", write_pace);
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
            let (answered, left) = (line.done - line.before, line.total - line.done);
            chartbench_core::note!(
                "{}: {}/{} questions, {}",
                line.id,
                line.done,
                line.total,
                pace(answered, left, line.started.elapsed())
            );
        }
    }
}

/// The rate of answers since the start, and the time left at that rate: none without a rate.
fn pace(answered: usize, left: usize, elapsed: Duration) -> String {
    let rate = answered as f64 / elapsed.as_secs_f64().max(1e-3);
    match Duration::try_from_secs_f64(left as f64 / rate) {
        Ok(time) if answered > 0 => format!("{rate:.2}/s, ETA {}", HumanDuration(time)),
        _ => "no answer yet".to_owned(),
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
            "{} without what `answer.after` or --extract looks for",
            answers(outcome.marker_missing)
        )
    });
    cut.into_iter()
        .chain(whole)
        .reduce(|cut, whole| format!("{cut}; {whole}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_comes_from_a_rate_alone() {
        let minute = Duration::from_secs(60);
        assert_eq!(pace(30, 60, minute), "0.50/s, ETA 2 minutes");
        assert_eq!(pace(0, 60, minute), "no answer yet");
        assert_eq!(pace(0, 60, Duration::ZERO), "no answer yet");
        assert_eq!(pace(5, 0, minute), "0.08/s, ETA 0 seconds");
    }
}
