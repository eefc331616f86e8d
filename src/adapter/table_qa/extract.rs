//! From what a language model wrote to an answer: the cut and the vote of DePlot's published
//! evaluation.

use super::program;

/// The answer in one completion.
///
/// Only the text before the first blank line counts. A program (starting with `#Python`, in any
/// case) gives its variable `ans`; any other text gives the part after the last `answer is`,
/// without white space and full stops at the end. The answer is empty if there is none. The
/// prompt's cue and code fences, which chat models add, are removed first.
pub fn answer(completion: &str) -> String {
    let text = bare(completion).split("\n\n").next().unwrap_or_default();
    if text.to_lowercase().starts_with("#python") {
        return program::run(text).unwrap_or_default();
    }
    let last = text.rsplit("answer is").next().unwrap_or_default();
    last.trim().trim_end_matches('.').trim().to_owned()
}

/// The completion without a leading `A:`, and without the fence around the code it begins with.
fn bare(completion: &str) -> &str {
    let text = completion
        .trim_start()
        .strip_prefix("A:")
        .map_or(completion, str::trim_start);
    let fenced = text
        .strip_prefix("```")
        .and_then(|fenced| fenced.split_once('\n'));
    fenced.map_or(text, |(_, code)| code.split("```").next().unwrap_or(code))
}

/// The most frequent non-empty answer, the first seen of several; empty when all are.
pub fn majority(answers: &[String]) -> String {
    let count = |answer: &String| answers.iter().filter(|other| *other == answer).count();
    let given = answers.iter().filter(|answer| !answer.is_empty());
    // `max_by_key` would take the last of equals.
    let best = given.rev().max_by_key(|answer| count(answer));
    best.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_last_answer_is() {
        let cases = [
            ("Let's find the row. The answer is 2007.", "2007"),
            ("The answer is 3. No, the answer is 6.8..", "6.8"),
            ("42", "42"),
            ("  The answer is Republicans . ", "Republicans"),
            ("The answer is 5.\n\nQ: another one?\nThe answer is 6.", "5"),
            ("\n\nThe answer is 6.", ""),
            ("A: Let's see. The answer is 5.", "5"),
            ("A: 7", "7"),
            ("The answer is", ""),
            ("The Answer is 3", "The Answer is 3"),
            ("", ""),
        ];
        for (completion, expected) in cases {
            assert_eq!(answer(completion), expected, "{completion:?}");
        }
    }

    #[test]
    fn programs_are_evaluated() {
        let cases = [
            ("#Python\na = 58.0\nb = 42.0\nans = (a - b) / 2", "8.0"),
            ("#python\nans = \"Republicans\"", "Republicans"),
            ("#PYTHON\nans = 3 > 2", "Yes"),
            ("#Python\nans = [1, 2.5, 'a']", "1, 2.5, a"),
            (
                "```python\n#Python\nans = 5 - 2\n```\nThe answer is 4.",
                "3",
            ),
            ("A: #Python\nans = 2", "2"),
            ("#Python\nprint(3)", ""),
            ("#Python\n\nans = 3", ""),
            (" #Python\nans = 3", "#Python\nans = 3"),
        ];
        for (completion, expected) in cases {
            assert_eq!(answer(completion), expected, "{completion:?}");
        }
    }

    #[test]
    fn the_majority_is_the_first_seen_of_the_most_frequent() {
        let cases: [(&[&str], &str); 5] = [
            (&["a", "b", "b"], "b"),
            (&["a", "b"], "a"),
            (&["", "", "b", "a", "a", "b"], "b"),
            (&["", ""], ""),
            (&[], ""),
        ];
        for (answers, expected) in cases {
            let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
            assert_eq!(majority(&answers), expected, "{answers:?}");
        }
    }
}
