//! How the methods' lines differ: by colour, and in grey by dashes and marks.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Drawn;

/// Okabe & Ito (2008), which colour-blind eyes tell apart; yellow is the last, as it is faint.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(240, 228, 66),
];

/// Lengths of dashes and gaps in pixels; none for a line without gaps.
const DASHES: [Option<(u32, u32)>; 4] = [None, Some((10, 5)), Some((3, 4)), Some((18, 6))];

pub(super) const INK: RGBColor = RGBColor(32, 32, 32);
pub(super) const FAINT: RGBColor = RGBColor(208, 208, 208);

/// Half of a mark's size in pixels.
const MARK: i32 = 4;

/// How a method's line looks.
#[derive(Clone, Copy)]
pub(super) struct LineLook(pub(super) usize);

impl LineLook {
    pub(super) fn colour(self) -> RGBColor {
        COLOURS[self.0 % COLOURS.len()]
    }

    pub(super) fn line(self) -> ShapeStyle {
        self.colour().stroke_width(2)
    }

    pub(super) fn dashes(self) -> Option<(u32, u32)> {
        // Colours come again with other dashes.
        DASHES[(self.0 + self.0 / COLOURS.len()) % DASHES.len()]
    }

    /// Draws the mark of the line at a place.
    pub(super) fn mark<DB: DrawingBackend>(
        self,
        area: &DrawingArea<DB, Shift>,
        (x, y): (i32, i32),
    ) -> Drawn<DB> {
        let colour = self.colour().filled();
        let polygon = |corners: &[(i32, i32)]| {
            let corners = corners.iter().map(|(dx, dy)| (x + dx * MARK, y + dy * MARK));
            area.draw(&Polygon::new(corners.collect::<Vec<_>>(), colour))
        };
        let stroke = |ends: [(i32, i32); 2]| {
            let ends = ends.map(|(dx, dy)| (x + dx * MARK, y + dy * MARK));
            area.draw(&PathElement::new(ends.to_vec(), self.line()))
        };
        match self.0 % 7 {
            0 => area.draw(&Circle::new((x, y), MARK, colour)),
            1 => polygon(&[(-1, -1), (1, -1), (1, 1), (-1, 1)]),
            2 => polygon(&[(-1, 1), (1, 1), (0, -1)]),
            3 => polygon(&[(-1, 0), (0, -1), (1, 0), (0, 1)]),
            4 => {
                stroke([(-1, -1), (1, 1)])?;
                stroke([(-1, 1), (1, -1)])
            }
            5 => {
                stroke([(-1, 0), (1, 0)])?;
                stroke([(0, -1), (0, 1)])
            }
            _ => area.draw(&Circle::new((x, y), MARK, self.line())),
        }
    }

    /// Draws a piece of the line with its mark, as legends have it.
    pub(super) fn example<DB: DrawingBackend>(
        self,
        area: &DrawingArea<DB, Shift>,
        (x, y): (i32, i32),
        length: i32,
    ) -> Drawn<DB> {
        let (dash, gap) = self.dashes().unwrap_or((length as u32, 0));
        for start in (0..length).step_by((dash + gap) as usize) {
            let end = length.min(start + dash as i32);
            area.draw(&PathElement::new(vec![(x + start, y), (x + end, y)], self.line()))?;
        }
        self.mark(area, (x + length / 2, y))
    }
}

/// Where a text stands at its place.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Left,
    Middle,
    Right,
}

/// Body text, at half its height.
pub(super) fn body(side: Side, colour: RGBColor) -> TextStyle<'static> {
    let h_pos = match side {
        Side::Left => HPos::Left,
        Side::Middle => HPos::Center,
        Side::Right => HPos::Right,
    };
    ("sans-serif", BODY).into_font().color(&colour).pos(Pos::new(h_pos, VPos::Center))
}

/// The sizes of texts.
pub(super) const BODY: i32 = 17;
pub(super) const TITLE: i32 = 22;

/// What stands above a plot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) title: String,
    /// Below the title: of what it is, and how it was made.
    pub(crate) note: String,
}

impl Head {
    /// Draws it in the upper left corner.
    pub(super) fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        let style = ("sans-serif", TITLE).into_font().color(&INK);
        area.draw(&Text::new(self.title.clone(), (MARGIN, MARGIN - 4), style))?;
        let middle = (MARGIN, MARGIN + TITLE + BODY / 2);
        area.draw(&Text::new(self.shown_note(), middle, body(Side::Left, INK)))
    }

    pub(super) fn width(&self) -> i32 {
        title_width(&self.title).max(text_width(&self.shown_note()))
    }

    fn shown_note(&self) -> String {
        shortened(&self.note, NOTE_LENGTH)
    }
}

/// Characters of a note.
const NOTE_LENGTH: usize = 120;

/// Around each plot, and what its head needs besides.
pub(super) const MARGIN: i32 = 16;
pub(super) const HEAD_HEIGHT: i32 = 54;

/// The width that a text of the body gets.
pub(super) fn text_width(text: &str) -> i32 {
    i32::try_from(clrp::image::Font::Small.width(text)).unwrap_or(i32::MAX / 4)
}

/// The width of a title.
fn title_width(title: &str) -> i32 {
    i32::try_from(clrp::image::Font::Large.width(title)).unwrap_or(i32::MAX / 4)
}

/// A text of at most so many characters.
pub(super) fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length.saturating_sub(3)).collect::<String>() + "..."
}
