//! Programs and sentences that language models answer with.

use chartbench::adapter::table_qa;

use crate::fixtures;

/// The program of a completion is evaluated, and what it leaves is the same each time.
pub fn program(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    for completion in [text.to_owned(), format!("#Python\n{text}")] {
        assert_eq!(table_qa::answer(&completion), table_qa::answer(&completion));
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    fixtures::texts(&[
        "#Python\na = [1, 2.5, 3]\nans = sum(a) / len(a)\n",
        "#Python\nx = 2 ** 100\nans = x % 7 > 3 and not 1 == 2\n",
        "#Python\nt = (\"a\", 'b')\nans = t[-1] if len(t) > 1 else None\n",
        "#Python\nans = round(abs(min(-1.55, 2)), 1)\n",
        "#Python\nans = sorted([3, 1, 2], reverse=True)\n",
        "The answer is 7.",
    ])
}
