//! Charts that are one: the same id, file, bytes or pixels, or nearly the same image.
//!
//! Within a split such charts count twice; in train and test they make the test worthless. Each chart is told once, with
//! the first it equals, and in train and test on its test side. Only charts with different pixels are compared for being
//! near-identical: by perceptual hash and thumbnail, then by the images themselves (see the modules for how closely).

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::path::Path;

use image::RgbImage;
use rayon::prelude::*;

use super::images::Look;
use super::{Entry, Finding, Kind, confirm};
use crate::Format;
use chartbench_core::question::Split;
use chartbench_core::question::{Chart, ImageRef};

/// In what two charts are one, the surest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    Id,
    File,
    Bytes,
    Pixels,
    Near,
}

impl Tie {
    fn told(self) -> &'static str {
        match self {
            Self::Id => "the same chart id as",
            Self::File => "the same image file as",
            Self::Bytes => "the same image, byte for byte, as",
            Self::Pixels => "the same image, pixel for pixel, as",
            Self::Near => "nearly the same image as",
        }
    }
}

/// Finds them; `looks` is empty where images were not looked at.
pub(super) fn check(layout: &Format, entries: &[Entry<'_>], looks: &[Option<Look>]) -> Vec<Finding> {
    let mut ties: Vec<(usize, usize, Tie)> = Vec::new();
    tie(&mut ties, entries, Tie::Id, entries.iter().map(|entry| identity(layout, &entry.chart.id)));
    tie(&mut ties, entries, Tie::File, entries.iter().map(|entry| file(entry.chart)));
    tie(&mut ties, entries, Tie::Bytes, looks.iter().map(|look| look.as_ref().map(|look| look.bytes)));
    tie(&mut ties, entries, Tie::Pixels, looks.iter().map(|look| look.as_ref().map(|look| look.pixels)));
    ties.extend(near(entries, looks).into_iter().map(|(first, second)| (first, second, Tie::Near)));
    // Ids differ within a split, but for charts that train and val files both name: their images say more.
    let split = |place: usize| entries.get(place).map(|entry| entry.split);
    ties.retain(|&(first, second, tie)| tie != Tie::Id || split(first) != split(second));
    ties.sort_by_key(|&(first, second, tie)| (second, tie, first));
    let mut told = HashSet::new();
    let mut findings = Vec::new();
    for (first, second, tie) in ties {
        let (Some(first), Some(entry)) = (entries.get(first), entries.get(second)) else { continue };
        let across = first.split != entry.split;
        if !told.insert((second, across)) {
            continue;
        }
        let kind = match tie {
            _ if across => Kind::ChartInTrainAndTest,
            Tie::Near => Kind::NearIdenticalImage,
            _ => Kind::DoubledImage,
        };
        let message = format!("{} the {} chart `{}`", tie.told(), first.split, first.chart.id);
        findings.push(Finding::of_chart(kind, entry, message).with(&first.chart.id));
    }
    findings
}

/// Ties each chart to the first one of each split that has the same key and comes before it.
fn tie<K: Eq + Hash>(
    ties: &mut Vec<(usize, usize, Tie)>,
    entries: &[Entry<'_>],
    kind: Tie,
    keys: impl Iterator<Item = Option<K>>,
) {
    let mut firsts: HashMap<(Split, K), usize> = HashMap::new();
    for ((place, entry), key) in entries.iter().enumerate().zip(keys) {
        let Some(key) = key else { continue };
        let mut key = (Split::Train, key);
        for split in [Split::Train, Split::Test] {
            key.0 = split;
            ties.extend(firsts.get(&key).map(|&first| (first, place, kind)));
        }
        key.0 = entry.split;
        firsts.entry(key).or_insert(place);
    }
}

/// What tells a chart by its id in both splits. PlotQA counts the charts of each split anew.
fn identity<'a>(layout: &Format, id: &'a str) -> Option<&'a str> {
    match layout {
        Format::ChartQa => Some(id.strip_prefix("train/").or_else(|| id.strip_prefix("val/")).unwrap_or(id)),
        Format::PlotQa => None,
        Format::RealCqa | Format::Generic | Format::Synth { .. } => Some(id),
    }
}

fn file(chart: &Chart) -> Option<&Path> {
    match &chart.image {
        ImageRef::File(file) => Some(file),
        ImageRef::Drawn(_) => None,
    }
}

/// The pairs of charts, one of each set of equal pixels, that show nearly the same: for each chart the first before it
/// in either split.
fn near(entries: &[Entry<'_>], looks: &[Option<Look>]) -> Vec<(usize, usize)> {
    let mut pixels = HashSet::new();
    let alone: Vec<(usize, &Entry<'_>, &Look)> = entries
        .iter()
        .zip(looks)
        .enumerate()
        .filter_map(|(place, (entry, look))| Some((place, entry, look.as_ref()?)))
        .filter(|(.., look)| pixels.insert(look.pixels))
        .collect();
    let found = alone.par_iter().enumerate().flat_map_iter(|(number, (second, entry, look))| {
        let mut pairs = Vec::new();
        let mut image = None;
        let mut told = HashSet::new();
        for (first, other, other_look) in alone.iter().take(number) {
            if told.contains(&other.split.name()) || !look.thumbnail.resembles(&other_look.thumbnail) {
                continue;
            }
            let image = image.get_or_insert_with(|| decoded(entry.chart));
            if let (Some(image), Some(other_image)) = (image, decoded(other.chart))
                && confirm::same_chart(image, &other_image)
            {
                told.insert(other.split.name());
                pairs.push((*first, *second));
            }
        }
        pairs
    });
    found.collect()
}

/// A chart's image once more; it decoded before.
fn decoded(chart: &Chart) -> Option<RgbImage> {
    chartbench_pixels::decode(&chart.image.bytes().ok()?, &chart.image_name()).ok()
}
