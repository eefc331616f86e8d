//! A rule for answers of closed form, which a judge is not needed for: a number, yes or no, `n by
//! m`, "Not Applicable". It is strict, and reads the answer that a response ends with.

use super::python;

/// A gold answer of closed form.
#[derive(Debug, PartialEq)]
enum ClosedForm {
    NotApplicable,
    Bool(bool),
    Grid([f64; 2]),
    Number(f64),
}

/// Whether `response` gives the gold answer; `None` where that is of no closed form.
pub(super) fn is_right(gold: &str, response: &str) -> Option<bool> {
    let gold = python::lower(python::strip(gold));
    let response = python::lower(response);
    let words = words(&response);
    let not_applicable = response.contains("not applicable");
    Some(match closed_form(&gold)? {
        ClosedForm::NotApplicable => not_applicable,
        ClosedForm::Bool(value) => {
            let last = words.iter().rev().find_map(|word| bool_of(word));
            !not_applicable && last == Some(value)
        }
        ClosedForm::Grid(grid) => grids(&words).last() == Some(&grid),
        ClosedForm::Number(number) => {
            let last = words.iter().rev().find_map(|word| number_of(word));
            !not_applicable && last == Some(number)
        }
    })
}

fn closed_form(gold: &str) -> Option<ClosedForm> {
    let words = words(gold);
    match words.as_slice() {
        ["not", "applicable"] => Some(ClosedForm::NotApplicable),
        [word] => bool_of(word)
            .map(ClosedForm::Bool)
            .or_else(|| number_of(word).map(ClosedForm::Number)),
        [_, "by", _] => grids(&words).pop().map(ClosedForm::Grid),
        _ => None,
    }
}

/// The words without the marks around them: quotes, brackets, Markdown's stars, dots at the end.
fn words(text: &str) -> Vec<&str> {
    let bare = |word: &str| -> Option<(usize, usize)> {
        let start = word.find(|c: char| c.is_alphanumeric() || "-+.".contains(c))?;
        let end = word.rfind(|c: char| c.is_alphanumeric() || c == '%')?;
        Some((start, end + word.get(end..)?.chars().next()?.len_utf8()))
    };
    text.split(python::is_space)
        .filter_map(|word| {
            let (start, end) = bare(word)?;
            word.get(start..end)
        })
        .collect()
}

fn bool_of(word: &str) -> Option<bool> {
    match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// A number, also with a sign for a currency before it, commas between thousands, or `%` behind it.
fn number_of(word: &str) -> Option<f64> {
    let plain = word.trim_end_matches('%').replace(',', "");
    let is_number = plain.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    python::float(&plain).filter(|number| is_number && number.is_finite())
}

/// Each `n by m` among the words.
fn grids(words: &[&str]) -> Vec<[f64; 2]> {
    let grid = |window: &[&str]| match window {
        [rows, "by", columns] => Some([number_of(rows)?, number_of(columns)?]),
        _ => None,
    };
    words.windows(3).filter_map(grid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_are_compared_by_value() {
        for (gold, response, right) in [
            ("5", "There are 5 of them.", true),
            ("5", "3 + 2 = **5.0**", true),
            ("5", "5 of 6", false),
            ("1200", "about $1,200", true),
            ("0.5", "-0.5", false),
            ("60%", "60", true),
            ("5", "none", false),
            ("5", "Not Applicable, though 5 stands there: 5", false),
            ("Not Applicable", "The answer is \"Not applicable\".", true),
            ("Not Applicable", "0", false),
            ("Yes", "No ... wait: yes.", true),
            ("No", "Nothing crosses", false),
            ("2 by 3", "The layout is 2 by 3.", true),
            ("2 by 3", "3 by 2", false),
        ] {
            assert_eq!(
                is_right(gold, response),
                Some(right),
                "{gold} and {response}"
            );
        }
    }

    #[test]
    fn other_golds_are_left_to_the_judge() {
        for gold in [
            "",
            "Time (s)",
            "A, B",
            "increases",
            "10^-2",
            "1 or 2",
            "nan",
        ] {
            assert_eq!(is_right(gold, gold), None, "{gold}");
        }
    }
}
