//! Numbers as a chequered plane, as figure 5c of Gu et al. (2018): what ablating the places of
//! each neuron's map costs each neuron.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{FAINT, HEAD_HEIGHT, Head, INK, MARGIN, Side, body, shortened, text_width};
use super::{Drawing, Drawn, Plotted};
use crate::failure::{Failure, Result};

const CELL: (i32, i32) = (84, 36);
const LABEL_LENGTH: usize = 28;
/// Colours of the greatest and of the least value.
const ABOVE: [u8; 3] = [213, 94, 0];
const BELOW: [u8; 3] = [0, 114, 178];

/// Numbers with labels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) head: Head,
    /// What rows and columns are.
    pub(crate) row_title: String,
    pub(crate) column_title: String,
    pub(crate) rows: Vec<String>,
    pub(crate) columns: Vec<String>,
    /// Row by row; what is no finite number has an empty cell.
    pub(crate) values: Vec<Vec<f64>>,
}

/// Draws a matrix.
pub(crate) fn matrix(matrix: &Matrix) -> Result<Plotted> {
    let expected = (matrix.rows.len(), matrix.columns.len());
    let wrong = matrix.values.iter().position(|row| row.len() != expected.1);
    if matrix.values.len() != expected.0 || wrong.is_some() {
        let numbers =
            wrong.map(|row| format!(", {} numbers in row {row}", matrix.values[row].len()));
        return Err(Failure::Said(format!(
            "the matrix `{}` has {} rows{}, expected {} of {} numbers",
            matrix.head.title,
            matrix.values.len(),
            numbers.unwrap_or_default(),
            expected.0,
            expected.1
        )));
    }
    matrix.plot()
}

impl Matrix {
    /// The greatest size of a value; 1 where all are 0.
    fn scale(&self) -> f64 {
        let finite = self.values.iter().flatten().filter(|value| value.is_finite());
        let most = finite.fold(0.0_f64, |most, value| most.max(value.abs()));
        if most > 0.0 { most } else { 1.0 }
    }

    /// The upper left corner of the first cell.
    fn corner(&self) -> (i32, i32) {
        let widths = self.rows.iter().map(|label| text_width(&shortened(label, LABEL_LENGTH)));
        let label = widths.max().unwrap_or(0).max(text_width(&self.row_title));
        (2 * MARGIN + label, MARGIN + HEAD_HEIGHT + 3 * CELL.1 / 2)
    }

    fn cell_width(&self) -> i32 {
        let widths = self.columns.iter().map(|label| text_width(&shortened(label, LABEL_LENGTH)));
        widths.max().unwrap_or(0).max(CELL.0 - MARGIN) + MARGIN
    }

    fn draw_cell<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        (left, top): (i32, i32),
        value: f64,
    ) -> Drawn<DB> {
        let corners = [(left, top), (left + self.cell_width(), top + CELL.1)];
        if value.is_finite() {
            let [red, green, blue] = colour(value / self.scale());
            area.draw(&Rectangle::new(corners, RGBColor(red, green, blue).filled()))?;
            // Rec. 601: what is darker than the middle has white text.
            let light = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
            let ink = if light < 128_000 { WHITE } else { INK };
            let middle = (left + self.cell_width() / 2, top + CELL.1 / 2);
            area.draw(&Text::new(shown(value), middle, body(Side::Middle, ink)))?;
        }
        area.draw(&Rectangle::new(corners, FAINT.stroke_width(1)))
    }
}

/// Three decimals or so, without the minus of a zero.
fn shown(value: f64) -> String {
    if value.abs() < 0.0005 { "0".to_owned() } else { crate::table::number(value) }
}

/// White for 0, and the stronger the nearer -1 or 1.
fn colour(share: f64) -> [u8; 3] {
    let full = if share < 0.0 { BELOW } else { ABOVE };
    let share = share.abs().min(1.0);
    full.map(|channel| (255.0 + share * (f64::from(channel) - 255.0)).round() as u8)
}

impl Drawing for Matrix {
    fn head(&self) -> &Head {
        &self.head
    }

    fn size(&self) -> (i32, i32) {
        let (left, top) = self.corner();
        let count = |labels: &[String]| i32::try_from(labels.len()).unwrap_or(i32::MAX);
        let right = left.saturating_add(count(&self.columns).saturating_mul(self.cell_width()));
        let bottom = top.saturating_add(count(&self.rows).saturating_mul(CELL.1));
        let head = self.head.width().max(left + text_width(&self.column_title));
        (right.max(head).saturating_add(MARGIN), bottom.saturating_add(MARGIN))
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        self.head.draw(area)?;
        let (left, top) = self.corner();
        let x = |column: usize| left + column as i32 * self.cell_width();
        let y = |row: usize| top + row as i32 * CELL.1;
        let write = |text: &str, place: (i32, i32), side: Side| {
            area.draw(&Text::new(shortened(text, LABEL_LENGTH), place, body(side, INK)))
        };
        write(&self.column_title, (left, top - CELL.1), Side::Left)?;
        write(&self.row_title, (left - MARGIN / 2, top - CELL.1 / 3), Side::Right)?;
        for (column, label) in self.columns.iter().enumerate() {
            let middle = x(column) + self.cell_width() / 2;
            write(label, (middle, top - CELL.1 / 3), Side::Middle)?;
        }
        for (row, (label, values)) in self.rows.iter().zip(&self.values).enumerate() {
            write(label, (left - MARGIN / 2, y(row) + CELL.1 / 2), Side::Right)?;
            for (column, &value) in values.iter().enumerate() {
                self.draw_cell(area, (x(column), y(row)), value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clrp::image::Picture;

    use super::*;

    fn example() -> Matrix {
        let labels = |letter: char| (0..3).map(|i| format!("{letter}{i}")).collect();
        Matrix {
            head: Head { title: "Drops".to_owned(), note: "of values".to_owned() },
            row_title: "map of".to_owned(),
            column_title: "activation of".to_owned(),
            rows: labels('r'),
            columns: labels('c'),
            values: vec![vec![2.0, 0.0, -2.0], vec![0.0, f64::NAN, 1.0], vec![0.5, -0.25, 0.0]],
        }
    }

    #[test]
    fn cells_have_the_colour_of_their_value() {
        let example = example();
        let plotted = matrix(&example).expect("it can be drawn");
        let png = Picture::decode("matrix", &plotted.png).expect("PNG is a picture");
        let (left, top) = example.corner();
        let at = |row: i32, column: i32| {
            let (x, y) = (left + column * example.cell_width() + 4, top + row * CELL.1 + 4);
            png.pixel(x as u32, y as u32)
        };
        assert_eq!([at(0, 0), at(0, 2), at(1, 1)], [Some(ABOVE), Some(BELOW), Some([255; 3])]);
        // Half of the way from white.
        assert_eq!(at(1, 2), Some([234, 175, 128]));
        let document = roxmltree::Document::parse(&plotted.svg).expect("SVG is XML");
        let texts = document.descendants().filter_map(|node| node.text()).map(str::trim);
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        assert!(
            texts.contains(&"-2.0000") && texts.contains(&"of values") && texts.contains(&"c2"),
            "{texts:?}"
        );
        assert_eq!(matrix(&example).expect("it can be drawn"), plotted);
    }

    #[test]
    fn a_matrix_must_be_complete() {
        let mut short = example();
        short.values[1].pop();
        let error = matrix(&short).expect_err("a number is missing").to_string();
        let expected = "the matrix `Drops` has 3 rows, 2 numbers in row 1, expected 3 of 3 numbers";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_matrix_that_is_too_large_or_empty_is_no_panic() {
        let mut wide = example();
        wide.columns = vec!["c".to_owned(); 600_000];
        wide.values = vec![vec![0.0; 600_000]; 3];
        let error = matrix(&wide).expect_err("it is too large").to_string();
        assert!(error.starts_with("the plot `Drops` has"), "{error}");
        let none = Matrix { rows: vec![], columns: vec![], values: vec![], ..example() };
        assert!(matrix(&none).is_ok());
    }
}
