//! The fonts that chartbench embeds: unmodified files, each under a licence of its own.

/// DejaVu Sans: the question above a chart, and charts.
pub static DEJAVU_SANS: &[u8] = include_bytes!("../fonts/DejaVuSans.ttf");
/// Liberation Sans, with Arial's widths.
pub static LIBERATION_SANS: &[u8] = include_bytes!("../fonts/LiberationSans-Regular.ttf");
/// Liberation Sans in bold, with Arial Bold's widths.
pub static LIBERATION_SANS_BOLD: &[u8] = include_bytes!("../fonts/LiberationSans-Bold.ttf");
/// Liberation Serif, with the widths of Times New Roman.
pub static LIBERATION_SERIF: &[u8] = include_bytes!("../fonts/LiberationSerif-Regular.ttf");
/// Carlito, with Calibri's widths.
pub static CARLITO: &[u8] = include_bytes!("../fonts/Carlito-Regular.ttf");
