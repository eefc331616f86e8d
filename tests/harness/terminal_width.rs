//! Tables on terminals of several widths: no line is wider, and what is left out is named.

use std::path::Path;
use std::process::Command;

use chartbench::jobs::list;
use chartbench::jobs::score::{ScoreRequest, ScoredFiles, read};
use chartbench::report::LeaderboardOptions;
use chartbench::report::table::Format;
use tabled::grid::util::string::get_string_width;

use super::tables::{before, comparison, leaderboard, many};

const WIDTHS: [usize; 4] = [60, 80, 120, 200];

fn widest(text: &str) -> usize {
    let widths = text.lines().map(get_string_width);
    widths.max().unwrap_or(0)
}

/// The texts at the [`WIDTHS`], of which none has a line too wide.
#[track_caller]
fn at_widths(render: impl Fn(Option<usize>) -> String) -> [String; 4] {
    WIDTHS.map(|width| {
        let text = render(Some(width));
        assert!(widest(&text) <= width, "{width}:\n{text}");
        text
    })
}

/// Predictions of the project whose scores every convention has.
fn scored() -> ScoredFiles {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/metrics/disagreements.jsonl");
    read(&ScoreRequest {
        files: vec![file],
        ..ScoreRequest::default()
    })
    .unwrap()
}

#[test]
fn a_leaderboard_leaves_out_columns_in_its_order() {
    let board = leaderboard(&[before()], "chartbench", LeaderboardOptions::default());
    let render = |width| board.render_within(Format::Table, width).unwrap();
    let [_, narrow, _, wide] = at_widths(render);
    // A pipe gets every column, and so does a terminal that is wide enough.
    assert_eq!(render(None), board.render(Format::Table).unwrap());
    let (headings, note) = (
        "│ run    │ adapter     │ questions │ failures │",
        "(left out in this width: questions/s, distinct, questions, failures;",
    );
    assert!(
        wide.contains(headings) && !wide.contains("left out"),
        "{wide}"
    );
    assert!(
        narrow.contains(note) && !narrow.contains("│ questions │"),
        "{narrow}"
    );
    for kept in [
        "│ run    │ adapter     │",
        " strict accuracy │",
        " lenient accuracy │",
        "│ before │ careful     │",
        " to ",
    ] {
        assert!(narrow.contains(kept), "{kept}: {narrow}");
    }
}

#[test]
fn rows_of_several_runs_keep_the_name_of_their_run() {
    let runs = [before(), many("after", |chart, _| chart % 2 == 0)];
    let board = leaderboard(&runs, "chartbench", LeaderboardOptions::default());
    let [_, narrow, ..] = at_widths(|width| board.render_within(Format::Table, width).unwrap());
    assert!(narrow.contains("│ before"), "{narrow}");
    assert!(narrow.contains("│ after"), "{narrow}");
}

#[test]
fn a_comparison_ends_with_its_conclusion() {
    let (before, after) = (
        many("before", |chart, question| (chart + question) % 4 == 0),
        many("after", |chart, question| (chart + question) % 2 == 0),
    );
    let compared = comparison(&before, &after, &["series", "template"]).unwrap();
    let texts = at_widths(|width| compared.render_within(Format::Table, width).unwrap());
    for text in &texts {
        let (table, conclusion) = text.rsplit_once("careful: after is better").unwrap();
        assert!(table.contains("By series"), "{text}");
        assert!(!conclusion.contains('│'), "{text}");
    }
    let [_, narrow, ..] = texts;
    let note = narrow.replace('\n', " ");
    assert!(
        note.contains("left out in this width: p (McNemar), detectable, p"),
        "{narrow}"
    );
    assert!(
        narrow.contains("difference") && narrow.contains("p (Holm)"),
        "{narrow}"
    );
}

#[test]
fn lists_matrices_and_questions_fit() {
    for table in [
        list::adapters(None).unwrap(),
        list::benchmarks().unwrap(),
        list::conventions(),
    ] {
        let [_, narrow, ..] = at_widths(|width| table.to_terminal_within(width));
        assert!(!narrow.contains("left out"), "{narrow}");
        assert!(narrow.contains("what it is"), "{narrow}");
    }
    let files = scored();
    let conventions = files.conventions();
    at_widths(|width| {
        let matrix = files.matrix(conventions[0]);
        matrix.render_within(Format::Table, width).unwrap()
    });
    at_widths(|width| {
        let sensitivity = files.sensitivity();
        sensitivity.render_within(Format::Table, width).unwrap()
    });
    let scores: Vec<_> = conventions
        .iter()
        .flat_map(|&convention| {
            convention
                .metrics
                .iter()
                .map(move |&metric| (convention, metric))
        })
        .collect();
    let questions = files.questions(&scores).unwrap();
    let [_, narrow, ..] = at_widths(|width| questions.to_terminal_within(width));
    // Far too many columns for a table: each question is a block, with every score in a line.
    assert!(!narrow.contains('│'), "{narrow}");
    let scored = |name: &str| narrow.lines().filter(|line| line.starts_with(name)).count();
    for name in [
        "id:",
        "gold:",
        "prediction:",
        "pix2struct.relaxed:",
        "chartbench.strict:",
    ] {
        assert_eq!(scored(name), questions.rows.len(), "{name}\n{narrow}");
    }
}

/// Runs the program on a terminal of this many columns, and returns what it prints.
#[cfg(unix)]
fn on_terminal(columns: usize, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    const SCRIPT: &str = "\
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(sys.argv[1]), 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])
while True:
    try:
        read = os.read(terminal, 4096)
    except OSError:
        break
    if not read:
        break
    sys.stdout.buffer.write(read)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";
    let output = Command::new("python3")
        .args([
            "-c",
            SCRIPT,
            &columns.to_string(),
            env!("CARGO_BIN_EXE_chartbench"),
        ])
        .args(arguments)
        .env_remove("COLUMNS")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .replace("\r\n", "\n")
}

#[cfg(unix)]
#[test]
fn the_width_is_that_of_the_terminal_or_of_columns() {
    let list = ["list", "benchmarks"];
    let [narrow, wide] = [80, 120].map(|columns| on_terminal(columns, &[], &list));
    assert!((41..=80).contains(&widest(&narrow)), "{narrow}");
    assert!((81..=120).contains(&widest(&wide)), "{wide}");
    assert_eq!(on_terminal(120, &[("COLUMNS", "80")], &list), narrow);
    assert_eq!(on_terminal(120, &[("COLUMNS", "wide")], &list), wide);
    // A pipe gets everything, whatever the variable says.
    let piped = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(list)
        .env("COLUMNS", "80")
        .output()
        .unwrap();
    let piped = String::from_utf8(piped.stdout).unwrap();
    assert_eq!(piped, list::benchmarks().unwrap().to_terminal());
}
