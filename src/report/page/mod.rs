//! The report: one HTML file with everything in it, no server and no network.
//!
//! Tables, plots and slices are plain HTML and SVG, made here from a template; the gallery is data
//! that the page's script draws. What models and data sets say is text, never markup: the template
//! escapes it, the script sets it as text, and the page's policy runs nothing but the page's own
//! script.

mod axis;
mod board;
mod conventions;
mod curves;
mod differences;
mod files_page;
mod gallery;
mod html;
mod pictures;
mod rows;
mod settings;
mod slices;
mod steps;
mod table_view;
mod text;

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use self::board::Board;
use self::conventions::Conventions;
use self::curves::CurvesView;
use self::differences::Differences;
pub use self::files_page::{FileAnswers, FilesPage};
use self::gallery::Gallery;
pub use self::pictures::{Folder, Pictures};
use self::rows::Row;
use self::settings::{RowSettings, RunSettings};
use self::slices::Slicing;
use super::CONFIDENCE;
use super::plot::Panel;
use crate::run::store::{BenchmarkEntry, StoredRun};
use chartbench_score::metric::Convention;

/// The content of the page.
pub struct Page<'a> {
    /// The page's title; by default the benchmark's.
    pub title: Option<&'a str>,
    /// All on the same questions. Of two runs with one adapter the first is the earlier.
    pub runs: &'a [StoredRun],
    /// The convention of the leaderboard, the slices and the gallery.
    pub convention: &'static Convention,
    /// The charts' images, embedded or linked.
    pub pictures: &'a Pictures,
    /// The curves of adapters that a run trained; may be empty.
    pub curves: &'a [Curves],
    /// The questions of the gallery; all where it is absent.
    pub selection: Option<&'a GallerySelection>,
}

/// Questions that a page is about; its scores are those of all questions.
pub struct GallerySelection {
    /// The questions' ids.
    pub ids: HashSet<String>,
    /// Lines that say which questions they are.
    pub about: Vec<String>,
}

/// A training's curves.
#[derive(Debug)]
pub struct Curves {
    /// Name of the run.
    pub run: String,
    /// The row's name, with a remark if its step was chosen on test questions.
    pub adapter: String,
    /// Losses and validation scores over the steps.
    pub panels: Vec<Panel>,
    /// The step whose weights were kept.
    pub kept: Option<u64>,
}

/// The page's data: values of the template, and data of the script.
#[derive(Debug, Serialize)]
struct Model {
    view: View,
    gallery: Gallery,
}

#[derive(Debug, Serialize)]
struct View {
    title: String,
    version: &'static str,
    benchmark: BenchmarkEntry,
    convention: ConventionView,
    confidence: u32,
    /// The rows come from several runs.
    several_runs: bool,
    differences: Differences,
    board: Board,
    curves: Vec<CurvesView>,
    slicings: Vec<Slicing>,
    conventions: Conventions,
    charts: usize,
    pictures: usize,
    /// Which questions the gallery has, where it does not have all.
    #[serde(skip_serializing_if = "Option::is_none")]
    selection: Option<Vec<String>>,
    runs: Vec<RunSettings>,
    settings: Vec<RowSettings>,
}

#[derive(Debug, Serialize)]
struct ConventionView {
    name: &'static str,
    about: &'static str,
}

/// The first of `runs`, all of which must be on the same questions.
///
/// # Errors
/// Returns an error that names two runs on different questions.
pub fn same_questions(runs: &[StoredRun]) -> Result<&StoredRun> {
    let first = runs.first().context("a report needs a run")?;
    runs.iter()
        .try_for_each(|other| first.same_questions(other))?;
    Ok(first)
}

impl Page<'_> {
    /// The page's HTML: the same bytes for the same input.
    ///
    /// # Errors
    /// Returns an error if the runs are on different questions, or have no answers.
    pub fn render(&self) -> Result<String> {
        html::render(&self.model()?)
    }

    fn model(&self) -> Result<Model> {
        let first = same_questions(self.runs)?;
        let rows = Row::all(self.runs, self.convention);
        ensure!(
            !rows.is_empty(),
            "no answers in {}: finish the run first",
            first.manifest.name
        );
        let only = self.selection.map(|selection| &selection.ids);
        let gallery = Gallery::new(&rows, self.pictures, only);
        let (charts, pictures) = gallery.pictures();
        let benchmark = first.manifest.benchmark.clone();
        let differences = Differences::new(&rows, benchmark.questions);
        let view = View {
            title: self
                .title
                .map_or_else(|| benchmark.title.clone(), str::to_owned),
            version: env!("CARGO_PKG_VERSION"),
            benchmark,
            convention: ConventionView {
                name: self.convention.name,
                about: self.convention.about,
            },
            confidence: (100.0 * CONFIDENCE).round() as u32,
            several_runs: self.runs.len() > 1,
            board: Board::new(&rows, &differences),
            differences,
            curves: self.curves.iter().map(CurvesView::new).collect(),
            slicings: Slicing::all(&rows),
            conventions: Conventions::new(&rows, self.convention),
            charts,
            pictures,
            selection: self.selection.map(|selection| selection.about.clone()),
            runs: self.runs.iter().map(RunSettings::new).collect(),
            settings: rows.iter().filter_map(RowSettings::new).collect(),
        };
        Ok(Model { view, gallery })
    }
}

#[cfg(test)]
mod tests;
