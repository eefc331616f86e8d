//! Cuts answers out of replies by the rules of `--extract`.

use crate::config::Extraction;

/// The answer in a reply, by rules in a row; `None` where one of them finds none.
pub(super) fn extract(rules: &[Extraction], reply: &str) -> Option<String> {
    rules
        .iter()
        .try_fold(reply.to_owned(), |text, rule| cut(*rule, &text))
}

fn cut(rule: Extraction, reply: &str) -> Option<String> {
    let answer = match rule {
        Extraction::Whole => return Some(reply.to_owned()),
        Extraction::FinalAnswer => final_answer(reply)?,
        Extraction::AnswerLine => {
            let rest = after_last_answer(reply)?;
            rest.lines().next()?.trim().to_owned()
        }
        Extraction::AnswerTag => {
            let (_, inside) = reply.split_once("<answer>")?;
            let inside = inside
                .split_once("</answer>")
                .map_or(inside, |(text, _)| text);
            inside.trim().to_owned()
        }
        Extraction::Boxed => boxed(reply)?.trim().to_owned(),
        Extraction::LastLine => {
            let mut lines = reply.lines().rev().map(str::trim);
            lines.find(|line| !line.is_empty())?.to_owned()
        }
        Extraction::AfterThink => {
            let rest = reply
                .rsplit_once("</think>")
                .map_or(reply, |(_, rest)| rest);
            rest.trim().to_owned()
        }
    };
    (!answer.is_empty()).then_some(answer)
}

/// What follows the last `answer:` in any case.
fn after_last_answer(text: &str) -> Option<&str> {
    const MARKER: &str = "answer:";
    let at = text.to_ascii_lowercase().rfind(MARKER)?;
    text.get(at + MARKER.len()..)
}

/// The first line with text behind the last `answer:`, without Markdown's marks and brackets.
fn final_answer(reply: &str) -> Option<String> {
    let reply = without_stars(reply);
    let rest = after_last_answer(&reply)?;
    let line = rest
        .split('\n')
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    Some(line.replace(['*', '_', '[', ']', '(', ')'], ""))
}

/// The reply with `Answer:` in the place of `Answer**:**`.
fn without_stars(reply: &str) -> String {
    let mut text = String::with_capacity(reply.len());
    let mut rest = reply;
    while let Some((before, after)) = rest.split_once("nswer") {
        text += before;
        let is_word = text.ends_with(['A', 'a']);
        text += "nswer";
        let value = after.trim_start_matches('*').strip_prefix(':');
        rest = match value.filter(|_| is_word) {
            Some(value) => {
                text.push(':');
                value.trim_start_matches('*')
            }
            None => after,
        };
    }
    text + rest
}

/// The content of the last `\boxed{...}` whose brace is closed.
fn boxed(reply: &str) -> Option<&str> {
    const OPEN: &str = "\\boxed{";
    let starts = reply.rmatch_indices(OPEN).map(|(at, _)| at + OPEN.len());
    starts
        .filter_map(|start| reply.get(start..))
        .find_map(|inside| {
            let mut depth = 1_usize;
            let end = inside.char_indices().find(|(_, c)| {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            end.and_then(|(end, _)| inside.get(..end))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Extraction::{AfterThink, AnswerLine, AnswerTag, Boxed, FinalAnswer, LastLine, Whole};

    #[track_caller]
    fn check(rules: &[Extraction], cases: &[(&str, Option<&str>)]) {
        for (reply, expected) in cases {
            assert_eq!(extract(rules, reply).as_deref(), *expected, "{reply:?}");
        }
    }

    /// Each right side is what mistral-evals' `_get_final_answer` gives, `None` its empty text.
    #[test]
    fn a_final_answer_is_cut_as_mistral_evals_does() {
        check(
            &[FinalAnswer],
            &[
                ("So.\nFinal Answer: 5", Some("5")),
                ("**Final Answer:** 5 \nnot this", Some("5")),
                ("Final Answer**:** [2013, 2014]", Some("2013, 2014")),
                ("final answer**:**\n\n  Yes.\n", Some("Yes.")),
                ("Answer: 4\nFINAL ANSWER: 5", Some("5")),
                ("FINAL ANSWER**:** 5", None),
                ("The answer is 5", None),
                ("Final Answer: **", None),
                ("Final Answer:", None),
            ],
        );
    }

    #[test]
    fn tags_lines_and_boxes_are_cut() {
        check(
            &[AnswerTag],
            &[
                ("<think>\n1\n</think>\n<answer> 5\n</answer>", Some("5")),
                ("<answer>5</answer> <answer>6</answer>", Some("5")),
                ("<answer>cut off", Some("cut off")),
                ("<answer></answer>", None),
                ("5", None),
            ],
        );
        check(
            &[AnswerLine],
            &[
                ("ANSWER: B\nmore", Some("B")),
                ("Answer: 1\nanswer:  2 ", Some("2")),
                ("ANSWER:\n5", None),
                ("B", None),
            ],
        );
        check(
            &[Boxed],
            &[
                (r"\boxed{4} so \boxed{\frac{1}{2}}.", Some(r"\frac{1}{2}")),
                (r"\boxed{4} and \boxed{5", Some("4")),
                ("5", None),
            ],
        );
        check(&[LastLine], &[("a\n b \n\n", Some("b")), (" \n", None)]);
    }

    #[test]
    fn rules_in_a_row_cut_what_is_left() {
        let thought = "<think>Final Answer: 4</think>\nNo.";
        check(&[AfterThink], &[(thought, Some("No.")), (" 5 ", Some("5"))]);
        check(
            &[AfterThink, FinalAnswer],
            &[
                (thought, None),
                ("<think>4</think>Final Answer: 5", Some("5")),
                ("Final Answer: 6", Some("6")),
            ],
        );
        check(&[Whole], &[(" 5 \n", Some(" 5 \n"))]);
    }
}
