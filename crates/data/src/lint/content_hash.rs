//! The content hash of the test questions, from the images that the checks decode anyway.

use serde::Serialize;

use super::SplitChart;
use crate::content::{ContentHash, ContentKey, PixelDigest};
use chartbench_core::question::Split;

/// The test questions by their content, whatever their ids and order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestContent {
    /// The number of test questions.
    pub questions: usize,
    /// Those whose image does not decode.
    pub undecoded: usize,
    /// [`ContentHash`] of the test questions; `None` unless all of their images decode.
    pub content_hash: Option<String>,
}

impl TestContent {
    /// The content of the test questions among `split_charts`, whose decoded images are `pixels`,
    /// in the same order.
    pub(super) fn new(split_charts: &[SplitChart<'_>], pixels: &[Option<PixelDigest>]) -> Self {
        let (mut questions, mut undecoded, mut hash) = (0, 0, ContentHash::default());
        let charts = split_charts.iter().zip(pixels);
        for (split_chart, pixels) in charts.filter(|(chart, _)| chart.split == Split::Test) {
            questions += split_chart.questions.len();
            for question in split_chart.questions {
                let key = pixels.as_ref().and_then(|pixels| {
                    ContentKey::new(&question.text, &question.gold, pixels).ok()
                });
                match key {
                    Some(key) => hash.add(key),
                    None => undecoded += 1,
                }
            }
        }
        Self {
            questions,
            undecoded,
            content_hash: (undecoded == 0).then(|| hash.hex()),
        }
    }
}
