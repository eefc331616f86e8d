//! Flags that name the columns and the format of files made elsewhere.

use chartbench_score::import::{ColumnNames, FileFormat};

/// The format of a file of predictions, and columns whose names do not tell what they hold.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ColumnArgs {
    /// Format of the files [default: recognized by their content]
    #[arg(long, alias = "layout", value_enum)]
    pub file_format: Option<FileFormat>,
    /// The column (or key) of ids, if its name does not tell
    #[arg(long, value_name = "COLUMN")]
    id_column: Option<String>,
    /// The column of predictions
    #[arg(long, value_name = "COLUMN")]
    prediction_column: Option<String>,
    /// The column of gold answers
    #[arg(long, value_name = "COLUMN")]
    gold_column: Option<String>,
    /// The column of questions
    #[arg(long, value_name = "COLUMN")]
    question_column: Option<String>,
    /// The column of answer types
    #[arg(long, value_name = "COLUMN")]
    answer_type_column: Option<String>,
    /// The column that tells a question's chart
    #[arg(long, value_name = "COLUMN")]
    chart_column: Option<String>,
}

impl ColumnArgs {
    /// The columns that are named.
    pub(super) fn names(&self) -> ColumnNames {
        ColumnNames {
            id: self.id_column.clone(),
            prediction: self.prediction_column.clone(),
            gold: self.gold_column.clone(),
            question: self.question_column.clone(),
            answer_type: self.answer_type_column.clone(),
            chart: self.chart_column.clone(),
        }
    }
}
