//! The questions of the synthetic benchmarks, read off their texts (`synth/questions` of
//! `chartbench-data` writes them).

/// A measure of a table that questions ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Value,
    Median,
    /// The third quartile less the first.
    InterquartileRange,
}

/// What a question asks. Names are as the question writes them; `series` is `None` where it names
/// none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TemplateQuestion<'q> {
    ChartType,
    ChartTitle,
    HasTitle,
    HasLegend,
    LegendNames,
    SeriesCount,
    CategoryCount,
    TickLabels,
    AxisKind,
    XTitle,
    HasNegativeTicks,
    SmallestTick,
    /// Something that is seen in the picture alone.
    NotInTable,
    At {
        measure: Measure,
        series: Option<&'q str>,
        label: &'q str,
    },
    WhereLargest {
        measure: Measure,
        series: Option<&'q str>,
    },
    LargestValue {
        series: Option<&'q str>,
    },
    IsAbove {
        series: Option<&'q str>,
        label: &'q str,
        threshold: &'q str,
    },
    WhereAbove {
        series: Option<&'q str>,
        threshold: &'q str,
    },
    CountAbove {
        series: Option<&'q str>,
        threshold: &'q str,
    },
    IsLarger {
        series: Option<&'q str>,
        first: &'q str,
        second: &'q str,
    },
    Difference {
        series: Option<&'q str>,
        first: &'q str,
        second: &'q str,
    },
    Ranking {
        label: &'q str,
    },
    Trend {
        series: Option<&'q str>,
    },
}

use TemplateQuestion as Q;

impl<'q> TemplateQuestion<'q> {
    /// Reads a question; `None` for one that has no template.
    pub(super) fn parse(text: &'q str) -> Option<Self> {
        let text = text.trim();
        structural(text)
            .or_else(|| retrieval(text))
            .or_else(|| reasoning(text))
    }
}

/// Questions about the chart and its parts.
fn structural(text: &str) -> Option<TemplateQuestion<'static>> {
    if text == "What is the title of the x-axis?" {
        return Some(Q::XTitle);
    }
    Some(match text.replace("y-axis", "x-axis").as_str() {
        "What is the type of the chart?" => Q::ChartType,
        "Is there a legend in the chart?" => Q::HasLegend,
        "Does the chart have a title?" => Q::HasTitle,
        "How many data series are plotted?" => Q::SeriesCount,
        "Does the x-axis have negative ticks?" => Q::HasNegativeTicks,
        "What is the smallest tick of the x-axis?" => Q::SmallestTick,
        "How many categories are on the x-axis?" => Q::CategoryCount,
        "What is the title of the chart?" => Q::ChartTitle,
        "What are the legend labels?" => Q::LegendNames,
        "List the tick labels of the x-axis from left to right."
        | "List the tick labels of the x-axis from top to bottom." => Q::TickLabels,
        "Is the x-axis categorical or numerical?" => Q::AxisKind,
        "Where is the legend placed?"
        | "Are grid lines drawn?"
        | "Are error bars drawn?"
        | "What is the largest tick of the x-axis?"
        | "How many tick labels does the x-axis have?"
        // The y-axis': tables have no title of it.
        | "What is the title of the x-axis?" => Q::NotInTable,
        _ => return None,
    })
}

/// Questions for one value, median or place.
fn retrieval(text: &str) -> Option<TemplateQuestion<'_>> {
    if let Some(of_series) = between(text, "What is the largest value", "?") {
        return Some(Q::LargestValue {
            series: series(of_series)?,
        });
    }
    if let Some(rest) = between(text, "What is the ", "?") {
        let (measure, rest) = measure(rest)?;
        let (of_series, label) = rest.rsplit_once(" at ")?;
        return Some(Q::At {
            measure,
            series: series(of_series)?,
            label,
        });
    }
    let (measure, rest) = measure(between(text, "Where is the ", "?")?)?;
    if let Some(of_series) = rest.strip_suffix(" largest") {
        return Some(Q::WhereLargest {
            measure,
            series: series(of_series)?,
        });
    }
    let (of_series, threshold) = rest.rsplit_once(" above ")?;
    Some(Q::WhereAbove {
        series: series(of_series)?,
        threshold,
    })
}

/// The measure that a text begins with, and the rest.
fn measure(text: &str) -> Option<(Measure, &str)> {
    [
        ("value", Measure::Value),
        ("median", Measure::Median),
        ("interquartile range", Measure::InterquartileRange),
    ]
    .into_iter()
    .find_map(|(name, measure)| Some((measure, text.strip_prefix(name)?)))
}

/// Questions over several values.
fn reasoning(text: &str) -> Option<TemplateQuestion<'_>> {
    if let Some(rest) = between(text, "Is the value", "?") {
        if let Some((rest, second)) = rest.rsplit_once(" than at ") {
            let (of_series, first) = rest.rsplit_once(" larger at ")?;
            return Some(Q::IsLarger {
                series: series(of_series)?,
                first,
                second,
            });
        }
        let (rest, threshold) = rest.rsplit_once(" above ")?;
        let (of_series, label) = rest.rsplit_once(" at ")?;
        return Some(Q::IsAbove {
            series: series(of_series)?,
            label,
            threshold,
        });
    }
    if let Some(rest) = between(text, "By how much do the values", " differ?") {
        let (of_series, labels) = rest.rsplit_once(" at ")?;
        let (first, second) = labels.split_once(" and ")?;
        return Some(Q::Difference {
            series: series(of_series)?,
            first,
            second,
        });
    }
    if let Some(rest) = between(text, "How many values", "?") {
        let (of_series, threshold) = rest.rsplit_once(" are above ")?;
        return Some(Q::CountAbove {
            series: series(of_series)?,
            threshold,
        });
    }
    if let Some(label) = between(
        text,
        "Rank the legend labels by value at ",
        ", largest first.",
    ) {
        return Some(Q::Ranking { label });
    }
    let of_series = between(text, "Do the values", " rise or fall along the x-axis?")?;
    Some(Q::Trend {
        series: series(of_series)?,
    })
}

/// The text between a beginning and an end.
fn between<'q>(text: &'q str, before: &str, after: &str) -> Option<&'q str> {
    text.strip_prefix(before)?.strip_suffix(after)
}

/// The series of the phrase ` of NAME`, none of an empty phrase; `None` for another phrase.
fn series(phrase: &str) -> Option<Option<&str>> {
    match phrase {
        "" => Some(None),
        phrase => Some(Some(phrase.strip_prefix(" of ")?)),
    }
}
