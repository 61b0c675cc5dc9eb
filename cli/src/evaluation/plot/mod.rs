//! The summary in pictures: each as PNG and as SVG, the same on every machine.

mod canvas;
mod chart;
mod figures;
mod grid;
mod matrix;
mod style;

use clrp::image::Picture;
use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;

pub(crate) use self::chart::{Chart, Curve};
pub(crate) use self::figures::{Figure, figures};
pub(crate) use self::grid::grid;
pub(crate) use self::matrix::{Matrix, matrix};
pub(crate) use self::style::Head;
use crate::failure::{Failure, Result};

/// What drawing gives.
type Drawn<DB> = std::result::Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// A plot as the content of a PNG file and of an SVG file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plotted {
    pub(crate) png: Vec<u8>,
    pub(crate) svg: String,
}

/// Something to plot.
trait Drawing {
    fn head(&self) -> &Head;

    /// Width and height in pixels.
    fn size(&self) -> (i32, i32);

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB>;

    fn plot(&self) -> Result<Plotted> {
        let (width, height) = self.size();
        let pixels = i64::from(width) * i64::from(height);
        if pixels > Picture::MAX_PIXELS as i64 {
            return Err(Failure::Said(format!(
                "the plot `{}` has {width}x{height} pixels, expected at most {} in all",
                self.head().title,
                Picture::MAX_PIXELS
            )));
        }
        let size = (width as u32, height as u32);
        let mut canvas = canvas::Canvas::new(size);
        self.draw_on(&mut canvas)?;
        let mut svg = String::new();
        self.draw_on(SVGBackend::with_string(&mut svg, size))?;
        Ok(Plotted {
            png: canvas.into_picture()?.encode_png(),
            svg: svg.chars().map(allowed).collect(),
        })
    }

    fn draw_on<DB: DrawingBackend>(&self, backend: DB) -> Result<()> {
        let area = backend.into_drawing_area();
        let drawn = area.fill(&WHITE).and_then(|()| self.draw(&area)).and_then(|()| area.present());
        drawn.map_err(|error| Failure::Said(format!("the plot `{}`: {error}", self.head().title)))
    }
}

/// What XML allows of characters.
fn allowed(character: char) -> char {
    match character {
        '\n' | '\t' => character,
        '\u{fffe}' | '\u{ffff}' => '?',
        character if character.is_control() => '?',
        character => character,
    }
}
