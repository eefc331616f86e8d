use super::*;

/// Every line was printed by Python 3.11: `[str(item) for item in ast.literal_eval(text)]`.
#[test]
fn items_are_those_of_python() {
    let cases: [(&str, Option<&[&str]>); 62] = [
        ("['a', 'b']", Some(&["a", "b"])),
        (
            " [1, 2.50, 1e16, 1e-5]",
            Some(&["1", "2.5", "1e+16", "1e-05"]),
        ),
        ("[-1, --1]", None),
        (
            "[-1, +1, 1_0, 000, -0, -0.0]",
            Some(&["-1", "1", "10", "0", "0", "-0.0"]),
        ),
        ("[True, False, None]", Some(&["True", "False", "None"])),
        ("(1, 2)", Some(&["1", "2"])),
        ("(1,)", Some(&["1"])),
        ("()", Some(&[])),
        ("(1)", None),
        ("(['a'])", Some(&["a"])),
        ("{'k': 1}", Some(&["k"])),
        ("{'k': [1, 2], 'l': {}}", Some(&["k", "l"])),
        ("{'k', 'l',}", Some(&["k", "l"])),
        ("{'k'}", Some(&["k"])),
        ("{}", Some(&[])),
        ("{'k':}", None),
        ("{'k': 1, 'l'}", None),
        ("{'k': 'a' 'b', 'l' 'm': 1}", Some(&["k", "lm"])),
        ("{'k': 1 'b'}", None),
        ("{:1}", None),
        ("['k': 1]", None),
        ("'abc'", Some(&["a", "b", "c"])),
        ("'''a'b\nc'''", Some(&["a", "'", "b", "\n", "c"])),
        ("''", Some(&[])),
        (
            "[['x', 'y'], (1,), (), \"it's\"]",
            Some(&["['x', 'y']", "(1,)", "()", "it's"]),
        ),
        ("[[\"it's\"], {1}]", Some(&["[\"it's\"]", "{1}"])),
        ("['a' 'b', 'c']", Some(&["ab", "c"])),
        ("['a' 1]", None),
        ("[a, b]", None),
        ("[1, 2", None),
        ("[1, 2)", None),
        ("[1 2]", None),
        ("[[1] [2]]", None),
        ("[,]", None),
        ("[1,,2]", None),
        ("[007]", None),
        ("[1.5.2]", None),
        ("[nan]", None),
        ("5", None),
        ("Line chart", None),
        ("", None),
        ("[]", Some(&[])),
        ("[1,]\n", Some(&["1"])),
        ("[1] x", None),
        (
            "[\"a\\n\\x41\\u00e9\\101\\q\\\\\"]",
            Some(&["a\nA\u{e9}A\\q\\"]),
        ),
        ("['a\nb']", None),
        (
            "['\\t\\r\\a\\b\\f\\v\\\n\\'\\U0001f600\\0']",
            Some(&["\t\r\u{7}\u{8}\u{c}\u{b}'\u{1f600}\0"]),
        ),
        ("['\\N{DEGREE SIGN}']", None),
        ("['\\x4']", None),
        ("['\\ud800']", None),
        ("{'k': 1,}", Some(&["k"])),
        ("{'k': 1, }, 2", Some(&["{'k'}", "2"])),
        ("{'k', 'l': 1}", None),
        ("{'k': 1, 'l', 'm': 2}", None),
        ("1, 2, 'c'", Some(&["1", "2", "c"])),
        ("1, (2)", Some(&["1", "2"])),
        ("'a' 'b'", Some(&["a", "b"])),
        ("1,\n2", None),
        ("[1\n,2]", Some(&["1", "2"])),
        ("1, 2)", None),
        ("1, b", None),
        (",", None),
    ];
    for (text, expected) in cases {
        let expected =
            expected.map(|items| items.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(items(text), expected, "{text}");
    }
}

#[test]
fn only_lists_are_lists() {
    assert_eq!(list("['a']"), Some(vec!["a".to_owned()]));
    assert_eq!(
        list("(['a'])"),
        Some(vec!["a".to_owned()]),
        "brackets around a list change nothing"
    );
    assert_eq!(list("('a', 'b')"), None);
    assert_eq!(list("'a', 'b'"), None);
    assert_eq!(list("'a'"), None);
    let types = typed_list("['1', 1, True, ['a'], ('b',)]").unwrap();
    assert_eq!(
        types.iter().map(|item| item.is_str).collect::<Vec<_>>(),
        [true, false, false, false, false]
    );
    assert_eq!(
        types
            .iter()
            .map(|item| item.text.as_str())
            .collect::<Vec<_>>(),
        ["1", "1", "True", "['a']", "('b',)"]
    );
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(list(&nested(200)).map(|items| items.len()), Some(1));
    assert_eq!(list(&nested(201)), None);
    assert_eq!(list(&nested(100_000)), None);
}
