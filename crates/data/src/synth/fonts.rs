//! The embedded fonts. Drawing never uses the system's fonts, so that the same seed gives the same
//! pixels.

use std::sync::{Arc, LazyLock};

use chartbench_fonts::{
    CARLITO, DEJAVU_SANS, LIBERATION_SANS, LIBERATION_SANS_BOLD, LIBERATION_SERIF,
};
use resvg::usvg::fontdb::Database;
use rustybuzz::ttf_parser::Face;

/// Font families of the charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Arial's widths.
    Sans,
    /// Arial bold's.
    SansBold,
    /// Times'.
    Serif,
    /// Calibri's.
    Carlito,
    DejaVu,
}

impl Family {
    /// Each family as often as its frequency among the charts.
    pub(super) const ALL: [Self; 8] = [
        Self::Sans,
        Self::Sans,
        Self::Sans,
        Self::SansBold,
        Self::Serif,
        Self::Serif,
        Self::Carlito,
        Self::DejaVu,
    ];

    /// SVG attributes that select the family.
    pub(super) fn attributes(self) -> &'static str {
        match self {
            Self::Sans => "font-family=\"Liberation Sans\"",
            Self::SansBold => "font-family=\"Liberation Sans\" font-weight=\"bold\"",
            Self::Serif => "font-family=\"Liberation Serif\"",
            Self::Carlito => "font-family=\"Carlito\"",
            Self::DejaVu => "font-family=\"DejaVu Sans\"",
        }
    }

    fn face(self) -> Option<&'static Face<'static>> {
        static FACES: LazyLock<[Option<Face<'static>>; 5]> = LazyLock::new(|| {
            [
                LIBERATION_SANS,
                LIBERATION_SANS_BOLD,
                LIBERATION_SERIF,
                CARLITO,
                DEJAVU_SANS,
            ]
            .map(|data| Face::parse(data, 0).ok())
        });
        let index = match self {
            Self::Sans => 0,
            Self::SansBold => 1,
            Self::Serif => 2,
            Self::Carlito => 3,
            Self::DejaVu => 4,
        };
        FACES[index].as_ref()
    }

    /// The width of `text` at `size` pixels, without kerning.
    pub(super) fn width(self, text: &str, size: f64) -> f64 {
        let Some(face) = self.face() else { return 0.0 };
        let em = f64::from(face.units_per_em());
        let advance = |c| {
            face.glyph_index(c)
                .and_then(|glyph| face.glyph_hor_advance(glyph))
                .map_or(em / 2.0, f64::from)
        };
        text.chars().map(advance).sum::<f64>() / em * size
    }
}

/// The font database of the renderer, with the embedded fonts only.
pub(super) fn database() -> Arc<Database> {
    static DATABASE: LazyLock<Arc<Database>> = LazyLock::new(|| {
        let mut database = Database::new();
        for data in [
            DEJAVU_SANS,
            LIBERATION_SANS,
            LIBERATION_SANS_BOLD,
            LIBERATION_SERIF,
            CARLITO,
        ] {
            database.load_font_source(resvg::usvg::fontdb::Source::Binary(Arc::new(data)));
        }
        Arc::new(database)
    });
    Arc::clone(&DATABASE)
}
