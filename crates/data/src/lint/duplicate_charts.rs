//! Finds duplicate charts: the same id, file, bytes or pixels, or nearly the same image.
//!
//! Duplicates within a split count twice; duplicates in train and test make the test worthless.
//! Each chart is reported once, with the first chart that it equals, and across splits on its test
//! side. Only charts with different pixels are compared for near-identity: by perceptual hash and
//! thumbnail, then by the images themselves ([`image_match`]).

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::path::Path;

use image::RgbImage;
use rayon::prelude::*;

use super::images::ImageDigest;
use super::separation::TableKey;
use super::{Finding, FindingKind, SplitChart, image_match};
use crate::Format;
use chartbench_core::question::Split;
use chartbench_core::question::{Chart, ImageRef};

/// The properties that two charts can share, the surest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MatchKind {
    Id,
    File,
    Bytes,
    Pixels,
    /// Of drawn charts alone: different pictures of the same numbers.
    Table,
    Near,
}

impl MatchKind {
    fn describe(self) -> &'static str {
        match self {
            Self::Id => "the same chart id as",
            Self::File => "the same image file as",
            Self::Bytes => "the same image, byte for byte, as",
            Self::Pixels => "the same image, pixel for pixel, as",
            Self::Table => "the same data table as",
            Self::Near => "nearly the same image as",
        }
    }
}

/// Two charts that have something in common, by their indices, `first` before `second`.
struct Match {
    first: usize,
    second: usize,
    kind: MatchKind,
}

/// Finds duplicate charts; `digests` is empty if the images were not checked, and `tables` unless
/// the charts are drawn.
pub(super) fn check(
    format: &Format,
    charts: &[SplitChart<'_>],
    digests: &[Option<ImageDigest>],
    tables: &[Option<TableKey>],
) -> Vec<Finding> {
    let mut matches = Vec::new();
    let ids = charts
        .iter()
        .map(|chart| id_in_both_splits(format, &chart.chart.id));
    match_keys(&mut matches, charts, MatchKind::Id, ids);
    match_keys(
        &mut matches,
        charts,
        MatchKind::File,
        charts.iter().map(|chart| file(chart.chart)),
    );
    let bytes = digests
        .iter()
        .map(|digest| digest.as_ref().map(|digest| digest.bytes));
    match_keys(&mut matches, charts, MatchKind::Bytes, bytes);
    let pixels = digests
        .iter()
        .map(|digest| digest.as_ref().map(|digest| digest.pixels));
    match_keys(&mut matches, charts, MatchKind::Pixels, pixels);
    let tables = tables.iter().copied();
    match_keys(&mut matches, charts, MatchKind::Table, tables);
    matches.extend(near_matches(charts, digests));
    // Ids differ within a split, except for charts that the train and val files both name; their
    // images are compared. Within a split, charts may show the same numbers twice.
    let split = |index: usize| charts.get(index).map(|chart| chart.split);
    matches.retain(|found| {
        !matches!(found.kind, MatchKind::Id | MatchKind::Table)
            || split(found.first) != split(found.second)
    });
    matches.sort_by_key(|found| (found.second, found.kind, found.first));
    let mut reported = HashSet::new();
    let mut findings = Vec::new();
    for Match {
        first,
        second,
        kind,
    } in matches
    {
        let (Some(first), Some(chart)) = (charts.get(first), charts.get(second)) else {
            continue;
        };
        let is_across = first.split != chart.split;
        if !reported.insert((second, is_across)) {
            continue;
        }
        let finding_kind = match kind {
            _ if is_across => FindingKind::ChartInTrainAndTest,
            MatchKind::Near => FindingKind::NearIdenticalImage,
            _ => FindingKind::DoubledImage,
        };
        let message = format!(
            "{} the {} chart `{}`",
            kind.describe(),
            first.split,
            first.chart.id
        );
        findings.push(
            Finding::about_chart(finding_kind, chart, message).colliding_with(&first.chart.id),
        );
    }
    findings
}

/// Matches each chart with the first earlier chart of each split that has the same key.
fn match_keys<K: Eq + Hash>(
    matches: &mut Vec<Match>,
    charts: &[SplitChart<'_>],
    kind: MatchKind,
    keys: impl Iterator<Item = Option<K>>,
) {
    let mut firsts: HashMap<(Split, K), usize> = HashMap::new();
    for ((second, chart), key) in charts.iter().enumerate().zip(keys) {
        let Some(key) = key else { continue };
        let mut key = (Split::Train, key);
        for split in [Split::Train, Split::Test] {
            key.0 = split;
            matches.extend(firsts.get(&key).map(|&first| Match {
                first,
                second,
                kind,
            }));
        }
        key.0 = chart.split;
        firsts.entry(key).or_insert(second);
    }
}

/// The id that a chart has in both splits; `None` for PlotQA, whose splits each count their charts
/// from 0.
fn id_in_both_splits<'a>(format: &Format, id: &'a str) -> Option<&'a str> {
    match format {
        Format::ChartQa => Some(
            id.strip_prefix("train/")
                .or_else(|| id.strip_prefix("val/"))
                .unwrap_or(id),
        ),
        Format::PlotQa => None,
        Format::RealCqa
        | Format::CharXiv(_)
        | Format::ChartMuseum
        | Format::Parquet
        | Format::Json
        | Format::Generic
        | Format::Synth { .. } => Some(id),
    }
}

fn file(chart: &Chart) -> Option<&Path> {
    match &chart.image {
        ImageRef::File(file) => Some(file),
        ImageRef::Drawn(_) => None,
    }
}

/// A chart whose pixels no earlier chart has.
struct DistinctChart<'a> {
    index: usize,
    split: Split,
    chart: &'a Chart,
    digest: &'a ImageDigest,
}

/// Pairs of charts with different pixels that show nearly the same: each chart with the first
/// earlier one of either split.
fn near_matches(charts: &[SplitChart<'_>], digests: &[Option<ImageDigest>]) -> Vec<Match> {
    let mut pixels = HashSet::new();
    let mut distinct = Vec::new();
    for (index, (&SplitChart { split, chart, .. }, digest)) in
        charts.iter().zip(digests).enumerate()
    {
        let Some(digest) = digest else { continue };
        if pixels.insert(digest.pixels) {
            distinct.push(DistinctChart {
                index,
                split,
                chart,
                digest,
            });
        }
    }
    let matches = distinct
        .par_iter()
        .enumerate()
        .flat_map_iter(|(count, chart)| chart.near(distinct.iter().take(count)));
    matches.collect()
}

impl<'a> DistinctChart<'a> {
    /// Matches with the first chart of each split among `earlier` that shows nearly the same.
    fn near(&self, earlier: impl Iterator<Item = &'a DistinctChart<'a>>) -> Vec<Match> {
        let mut matches = Vec::new();
        let mut image = None;
        let mut matched_splits = HashSet::new();
        for other in earlier {
            if matched_splits.contains(&other.split)
                || !self.digest.thumbnail.resembles(&other.digest.thumbnail)
            {
                continue;
            }
            let image = image.get_or_insert_with(|| decode(self.chart));
            if let (Some(image), Some(other_image)) = (image, decode(other.chart))
                && image_match::same_chart(image, &other_image)
            {
                matched_splits.insert(other.split);
                matches.push(Match {
                    first: other.index,
                    second: self.index,
                    kind: MatchKind::Near,
                });
            }
        }
        matches
    }
}

/// Decodes a chart's image again; it decoded before.
fn decode(chart: &Chart) -> Option<RgbImage> {
    chartbench_pixels::decode(&chart.image.bytes().ok()?, &chart.image_name()).ok()
}
