//! Programs, the good and the hostile.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::run;

/// Each of these was printed by Python 3.11 as it stands here.
const GOOD: [(&str, &str); 40] = [
    ("ans = 100 * (72.0 - 70.0) / 70.0", "2.857142857142857"),
    ("ans = 51.2 - 58.0", "-6.799999999999997"),
    ("a = 1; b = 2\nans = a + b", "3"),
    (
        "ans = 7 // 2, -7 // 2, 7 // -2, -7 % 3, 7 % -3",
        "3, -4, -4, 2, -2",
    ),
    (
        "ans = [7.5 // 2, -7.5 // 2, -7.5 % 2, 7.5 % -2]",
        "3.0, -4.0, 0.5, -0.5",
    ),
    ("ans = 6 / 3", "2.0"),
    ("ans = 2 ** 10", "1024"),
    ("ans = 2 ** -1", "0.5"),
    ("ans = -2 ** 2", "-4"),
    ("ans = 2 ** 3 ** 2", "512"),
    ("ans = 1e16", "1e+16"),
    ("ans = 123456789012345.0", "123456789012345.0"),
    ("ans = 0.0001", "0.0001"),
    ("ans = 0.00001234", "1.234e-05"),
    ("ans = 1_000", "1000"),
    ("ans = 0x1F", "31"),
    ("ans = 1 < 2 < 3", "Yes"),
    ("ans = 1 < 2 > 3", "No"),
    ("ans = 3 == 3.0 and not 2 != 2", "Yes"),
    ("ans = 0 or 'none'", "none"),
    ("ans = 'a' in ['a', 'b']", "Yes"),
    ("ans = 'ar' not in 'bars'", "No"),
    ("ans = 'up' if 3 > 2 else 'down'", "up"),
    ("x = [3, 1, 2]\nans = x[0] + x[-1]", "5"),
    ("ans = 'abc'[-1]", "c"),
    ("ans = max(3, 1, 2), min([3, 1, 2])", "3, 1"),
    ("ans = sum([1, 2, 3.5])", "6.5"),
    ("ans = sum([1, 2], 10) / len([1, 2])", "6.5"),
    ("ans = round(2.5), round(3.5), round(-0.5)", "2, 4, 0"),
    ("ans = round(2.675, 2), round(7, 1)", "2.67, 7"),
    ("ans = abs(-3.5)", "3.5"),
    ("ans = sorted([3, 1.5, 2], reverse=True)", "3, 2, 1.5"),
    ("ans = sorted(['b', 'a'])[0]", "a"),
    (
        "ans = ['it\\'s', ['it\\'s', 'a\"b', 1.0, True, None]]",
        "it's, [\"it's\", 'a\"b', 1.0, True, None]",
    ),
    ("ans = (1,), ()", "(1,), ()"),
    ("x = 1\nx += 2\nx *= 3\nans = x", "9"),
    ("ans = (1 +\n  2)  # comment\n", "3"),
    ("ans = 'a' 'b' + \"c\" * 2", "abcc"),
    ("a = ans = 4", "4"),
    ("ans = True + True", "2"),
];

#[test]
fn the_published_subset_is_evaluated() {
    for (code, expected) in GOOD {
        assert_eq!(run(code).as_deref(), Some(expected), "{code}");
    }
    assert_eq!(run("x = 3").as_deref(), Some(""));
    assert_eq!(run("ans = None").as_deref(), Some("None"));
}

#[test]
fn anything_else_has_no_answer() {
    let bad = [
        "import os\nans = 1",
        "ans = os.system('true')",
        "ans = __import__('os')",
        "ans = open('/etc/passwd')",
        "ans = eval('1')",
        "ans = (lambda: 1)()",
        "ans = [x for x in [1]]",
        "for x in [1]:\n  ans = x",
        "while True:\n  ans = 1",
        "def f():\n  return 1\nans = f()",
        "ans = f'{1}'",
        "ans = b'1'",
        "ans = {1: 2}",
        "ans = 1 if",
        "ans = 1 / 0",
        "ans = 1 % 0",
        "ans = 0 ** -1",
        "ans = (-8) ** 0.5",
        "ans = 'a' + 1",
        "ans = [1] < [2]",
        "ans = 1 < 'a'",
        "ans = x",
        "ans = [1][1]",
        "ans = [1][-2]",
        "ans = max([])",
        "ans = max(1)",
        "ans = max([1, 'a'])",
        "ans = sum(['a'])",
        "max = 3\nans = max(1, 2)",
        "x = [1]\nx += [2]\nans = x",
        "x: int = 3\nans = x",
        "ans = 012",
        "ans = 3j",
        "ans = \"unclosed",
        "ans = 5 $ 3",
    ];
    for code in bad {
        assert_eq!(run(code), None, "{code}");
    }
}

#[test]
fn no_program_grows_or_hangs() {
    let hostile = [
        "ans = 10 ** 10 ** 10".to_owned(),
        "ans = 10.0 ** 10 ** 10".to_owned(),
        "ans = [0] * 10 ** 12".to_owned(),
        "ans = 'a' * 99999999999999".to_owned(),
        format!("ans = {}1{}", "(".repeat(4000), ")".repeat(4000)),
        format!("ans = {}1{}", "[".repeat(4000), "]".repeat(4000)),
        format!("ans = {}1", "-".repeat(8000)),
        format!("ans = {}1", "not ".repeat(2000)),
        format!("ans = {}1", "2 ** ".repeat(1600)),
        format!("ans = {}1", "1 if 0 else ".repeat(650)),
        format!("ans = {}1", "a = ".repeat(2000)),
        format!("ans = {}1", "1 + ".repeat(2000)),
        format!("ans = {}", "[".repeat(8000)),
        format!("ans = 1{}", "[0]".repeat(2600)),
        format!("x = [1]\n{}ans = x", "x = [x, x]\n".repeat(700)),
        format!("x = [1]\n{}ans = x", "x = x + x\n".repeat(700)),
        format!("x = 'a'\n{}ans = x", "x = x + x\n".repeat(700)),
        format!("x = 2\n{}ans = x", "x = x * x\n".repeat(700)),
        format!("x = [1] * 4000\n{}", "ans = 2 in x\n".repeat(580)),
        format!("ans = {}", "9".repeat(8000)),
        format!("ans = {}", "x".repeat(1 << 20)),
    ];
    for code in hostile {
        let started = Instant::now();
        assert_eq!(run(&code), None, "{:.60}", code);
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{:?} {:.60}",
            started.elapsed(),
            code
        );
    }
    // Large, and yet fine.
    assert_eq!(
        run("ans = 2.0 ** 1000").as_deref(),
        Some("1.0715086071862673e+301")
    );
    assert_eq!(run("ans = 1e308 * 10").as_deref(), Some("inf"));
}

/// Texts that are nearly programs.
fn program() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "ans", "x", "=", "+=", "+", "-", "*", "/", "//", "%", "**", "(", ")", "[", "]", ",", ":",
        "\n", "  ", "1", "2.5", "0", "'a'", "\"", "'", "\\", "#", "if", "else", "not", "and", "or",
        "in", "<", "==", "max", "min", "sum", "abs", "len", "round", "sorted", "reverse", "f'",
        "lambda", "for", "é", "10", "-1", "True", "None", ".", ";",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn no_text_panics_or_takes_long(code in prop_oneof![program(), "(?s).{0,200}"]) {
        let started = Instant::now();
        let _ = run(&code);
        let _ = run(&format!("#Python\nans = {code}"));
        prop_assert!(started.elapsed() < Duration::from_secs(1));
    }
}
