//! One line of text to positioned glyphs, as libraqm does it for Pillow: bidi runs (UAX 9), split
//! by script, each shaped on its own, in visual order; unhinted advances and kerning in 26.6
//! pixels.

use rustybuzz::{BufferFlags, Direction, Face, Script, UnicodeBuffer, script, ttf_parser::Tag};
use unicode_bidi::BidiInfo;
use unicode_script::UnicodeScript;

/// A glyph and how the pen moves, in 26.6 pixels, y upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glyph {
    pub index: u32,
    pub x_offset: i64,
    pub y_offset: i64,
    pub x_advance: i64,
}

/// Font units to 26.6 pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// 16.16 factor as FreeType rounds it, for advances.
    advance: i64,
    /// 16.16 factor as HarfBuzz truncates it, for kerning and offsets.
    delta: i64,
}

impl Scale {
    /// The scale of a font of `units_per_em` at `pixels` per em.
    pub(super) fn new(pixels: u32, units_per_em: i32) -> Self {
        let (size, units) = (i64::from(pixels) * 64, i64::from(units_per_em.max(1)));
        Self {
            advance: ((size << 16) + units / 2) / units,
            delta: (size << 16) / units,
        }
    }

    /// An unhinted advance: through 16.16 pixels, rounded twice.
    fn advance(self, units: i64) -> i64 {
        ((units * self.advance + 32) / 64 + 512) >> 10
    }

    fn delta(self, units: i64) -> i64 {
        (units * self.delta + (1 << 15)) >> 16
    }
}

/// Shapes `line`, which holds no line break, into glyphs from left to right.
pub(super) fn shape(face: &Face, scale: Scale, line: &str) -> Vec<Glyph> {
    let scripts = resolve_scripts(line);
    let bidi = BidiInfo::new(line, None);
    let mut glyphs = Vec::new();
    for paragraph in &bidi.paragraphs {
        let (levels, runs) = bidi.visual_runs(paragraph, paragraph.range.clone());
        for run in runs {
            let backward = levels.get(run.start).is_some_and(|level| level.is_rtl());
            let mut parts = split_by_script(line, &scripts, run);
            if backward {
                parts.reverse();
            }
            for (range, script) in parts {
                let direction = if backward {
                    Direction::RightToLeft
                } else {
                    Direction::LeftToRight
                };
                shape_run(face, scale, line, range, script, direction, &mut glyphs);
            }
        }
    }
    glyphs
}

type Range = std::ops::Range<usize>;

fn shape_run(
    face: &Face,
    scale: Scale,
    line: &str,
    range: Range,
    script: Script,
    direction: Direction,
    glyphs: &mut Vec<Glyph>,
) {
    let mut buffer = UnicodeBuffer::new();
    buffer.push_str(&line[range.clone()]);
    buffer.set_pre_context(&line[..range.start]);
    buffer.set_post_context(&line[range.end..]);
    buffer.set_script(script);
    buffer.set_direction(direction);
    buffer.set_flags(BufferFlags::BEGINNING_OF_TEXT | BufferFlags::END_OF_TEXT);
    let shaped = rustybuzz::shape(face, &[], buffer);
    for (info, position) in shaped.glyph_infos().iter().zip(shaped.glyph_positions()) {
        let units = u16::try_from(info.glyph_id)
            .ok()
            .and_then(|id| face.glyph_hor_advance(rustybuzz::ttf_parser::GlyphId(id)))
            .map_or(0, i64::from);
        let advance = i64::from(position.x_advance);
        // The advance and what kerning adds are rounded apart; a mark without width is zeroed, not
        // kerned away.
        let x_advance = if advance == 0 {
            0
        } else {
            scale.advance(units) + scale.delta(advance - units)
        };
        glyphs.push(Glyph {
            index: info.glyph_id,
            x_offset: scale.delta(i64::from(position.x_offset)),
            y_offset: scale.delta(i64::from(position.y_offset)),
            x_advance,
        });
    }
}

/// Splits a run (byte range) where the resolved script changes, in logical order.
fn split_by_script(line: &str, scripts: &[(usize, Script)], run: Range) -> Vec<(Range, Script)> {
    let mut parts: Vec<(Range, Script)> = Vec::new();
    let from = scripts.partition_point(|(position, _)| *position < run.start);
    for &(position, script) in scripts
        .iter()
        .skip(from)
        .take_while(|(position, _)| *position < run.end)
    {
        let end = line[position..]
            .chars()
            .next()
            .map_or(position, |c| position + c.len_utf8());
        match parts.last_mut() {
            Some((range, last)) if *last == script => range.end = end,
            _ => parts.push((position..end, script)),
        }
    }
    parts
}

/// Opening and closing marks that take one script together.
const PAIRS: &[(char, char)] = &[
    ('(', ')'),
    ('<', '>'),
    ('[', ']'),
    ('{', '}'),
    ('«', '»'),
    ('‘', '’'),
    ('“', '”'),
    ('‹', '›'),
    ('〈', '〉'),
    ('《', '》'),
    ('「', '」'),
    ('『', '』'),
    ('【', '】'),
    ('〔', '〕'),
    ('〖', '〗'),
    ('〘', '〙'),
    ('〚', '〛'),
];

/// The script of every character, with its byte position: common and inherited characters take the
/// script before them (at the start: after them), a closing mark that of its opening mark.
fn resolve_scripts(line: &str) -> Vec<(usize, Script)> {
    let mut scripts: Vec<(usize, Script)> = Vec::with_capacity(line.len());
    let mut last: Option<Script> = None;
    let mut open: Vec<(char, Script)> = Vec::new();
    for (position, c) in line.char_indices() {
        let own = script_of(c);
        let weak = own == script::COMMON || own == script::INHERITED;
        let resolved = match last {
            Some(previous) if weak => {
                let mut taken = previous;
                if own == script::COMMON && PAIRS.iter().any(|pair| pair.0 == c) {
                    open.push((c, previous));
                } else if own == script::COMMON
                    && let Some(pair) = PAIRS.iter().find(|pair| pair.1 == c)
                {
                    open.truncate(
                        open.iter()
                            .rposition(|(opening, _)| *opening == pair.0)
                            .map_or(0, |i| i + 1),
                    );
                    taken = open.last().map_or(previous, |(_, script)| *script);
                }
                taken
            }
            _ => own,
        };
        last = Some(resolved);
        scripts.push((position, resolved));
    }
    let mut next = None;
    for (_, script) in scripts.iter_mut().rev() {
        if *script == script::COMMON || *script == script::INHERITED {
            *script = next.unwrap_or(*script);
        }
        next = Some(*script);
    }
    scripts
}

fn script_of(c: char) -> Script {
    let name = c.script().short_name();
    let tag = Tag::from_bytes_lossy(name.as_bytes());
    Script::from_iso15924_tag(tag).unwrap_or(script::COMMON)
}
