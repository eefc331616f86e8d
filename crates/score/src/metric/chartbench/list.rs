//! List answers.

use super::number::Number;
use super::text;
use crate::metric::python;
use chartbench_core::question::Gold;

/// A gold answer's items: those of a list, inner lists flattened, or of a text in square brackets
/// (ChartQA writes lists so); `None` for one answer.
pub fn gold_items(gold: &Gold) -> Option<Vec<String>> {
    match gold {
        Gold::Text(text) => {
            let text = python::strip(text);
            (text.starts_with('[') && text.ends_with(']')).then(|| prediction_items(text))
        }
        Gold::List(items) => {
            let mut flat = Vec::new();
            items.iter().for_each(|item| flatten(item, &mut flat));
            Some(flat)
        }
    }
}

fn flatten(gold: &Gold, flat: &mut Vec<String>) {
    match gold {
        Gold::Text(text) => flat.push(text.clone()),
        Gold::List(items) => items.iter().for_each(|item| flatten(item, flat)),
    }
}

/// The items of a text that answers a list question: those of a Python or JSON list, else the parts
/// between line breaks, semicolons, commas with a blank behind, or commas, whichever of these
/// separators occurs first in this list. A last `and` separates as well.
///
/// ```
/// use chartbench_score::metric::chartbench::list::prediction_items;
/// assert_eq!(prediction_items("['a, b', 'c']"), ["a, b", "c"]);
/// assert_eq!(prediction_items("1,234, 5 and 6"), ["1,234", "5", "6"]);
/// assert_eq!(prediction_items("[a,b]"), ["a", "b"]);
/// assert!(prediction_items("[]").is_empty());
/// ```
pub fn prediction_items(text: &str) -> Vec<String> {
    if let Some(items) = python::literal::list(text) {
        return items;
    }
    let text = python::strip(text);
    let text = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if python::strip(text).is_empty() {
        return Vec::new();
    }
    let separator = ["\n", ";", ", ", ","]
        .into_iter()
        .find(|separator| text.contains(separator));
    let mut items: Vec<&str> =
        separator.map_or_else(|| vec![text], |separator| text.split(separator).collect());
    if let Some(last) = items.pop() {
        let pair = last
            .strip_prefix("and ")
            .map_or_else(|| last.split_once(" and "), |last| Some(("", last)));
        match pair {
            Some(("", second)) => items.push(second),
            Some((first, second)) => items.extend([first, second]),
            None => items.push(last),
        }
    }
    items
        .into_iter()
        .map(|item| python::strip(item).to_owned())
        .collect()
}

/// The items so that equal lists in any order come out alike: numbers by their value before texts
/// by their spelling. A gold list and a prediction within the tolerance of it pair up in this
/// order, because a larger gold number has a higher band.
pub fn sorted(mut items: Vec<String>) -> Vec<String> {
    items.sort_by_cached_key(|item| {
        let plain = text::plain(item);
        match Number::read(&plain) {
            Some(number) => (false, ordered(number.value), String::new()),
            None => (true, 0, plain),
        }
    });
    items
}

/// A finite number's bits in the order of its value; both zeros are one.
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    if bits < 0 { i64::MIN - bits } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_separator_is_recognised() {
        assert_eq!(prediction_items("a; b, c"), ["a", "b, c"]);
        assert_eq!(prediction_items("a\nb"), ["a", "b"]);
        assert_eq!(prediction_items("a and b"), ["a", "b"]);
        assert_eq!(prediction_items("a, b, and c"), ["a", "b", "c"]);
        assert_eq!(prediction_items("1,2"), ["1", "2"]);
        assert_eq!(prediction_items("a"), ["a"]);
        assert_eq!(prediction_items(" "), [""; 0]);
    }

    #[test]
    fn golds_are_lists_by_type_or_brackets() {
        let list = Gold::List(vec![Gold::List(vec!["a".into(), "b".into()]), "c".into()]);
        assert_eq!(gold_items(&list).unwrap(), ["a", "b", "c"]);
        assert_eq!(
            gold_items(&"[2013, 2016]".into()).unwrap(),
            ["2013", "2016"]
        );
        assert_eq!(gold_items(&"[x] y".into()), None);
        assert_eq!(gold_items(&"a, b".into()), None);
    }

    #[test]
    fn numbers_sort_by_value_before_texts() {
        let items = ["b", "10", "-2", "A", "$9", "-1", "0", "-0"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(sorted(items), ["-2", "-1", "0", "-0", "$9", "10", "A", "b"]);
    }
}
