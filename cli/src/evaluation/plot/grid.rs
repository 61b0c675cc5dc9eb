//! A table as a picture, as table 1 of Gu et al. (2018).

use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{HEAD_HEIGHT, Head, INK, MARGIN, Side, body, shortened, text_width};
use super::{Drawing, Drawn, Plotted};
use crate::failure::Result;
use crate::table::Table;

const LINE: i32 = 26;
/// Between columns.
const GAP: i32 = 24;
const CELL_LENGTH: usize = 60;

/// Draws a table.
pub(crate) fn grid(head: Head, table: &Table) -> Result<Plotted> {
    Grid { head, table }.plot()
}

struct Grid<'a> {
    head: Head,
    table: &'a Table,
}

impl Grid<'_> {
    fn widths(&self) -> Vec<i32> {
        let width = |text: &str| text_width(&shortened(text, CELL_LENGTH));
        let widest = |(column, (name, _)): (usize, (&str, bool))| {
            let cells = self.table.rows().iter().map(|row| width(&row[column]));
            cells.max().unwrap_or(0).max(width(name))
        };
        self.table.headings().enumerate().map(widest).collect()
    }

    fn width(&self) -> i32 {
        self.widths().iter().map(|width| width + GAP).sum::<i32>() - GAP
    }

    /// A row's texts, at half its height.
    fn draw_row<'a, DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        cells: impl Iterator<Item = &'a str>,
        y: i32,
    ) -> Drawn<DB> {
        let mut left = MARGIN;
        for ((cell, (_, right)), width) in cells.zip(self.table.headings()).zip(self.widths()) {
            let (x, side) = if right { (left + width, Side::Right) } else { (left, Side::Left) };
            area.draw(&Text::new(shortened(cell, CELL_LENGTH), (x, y), body(side, INK)))?;
            left += width + GAP;
        }
        Ok(())
    }
}

impl Drawing for Grid<'_> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn size(&self) -> (i32, i32) {
        let lines = self.table.rows().len() as i32 + 1;
        let width = self.width().max(self.head.width());
        (width + 2 * MARGIN, 2 * MARGIN + HEAD_HEIGHT + lines * LINE)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        self.head.draw(area)?;
        let top = MARGIN + HEAD_HEIGHT;
        let rule = |y: i32, width: u32| {
            let ends = vec![(MARGIN, y), (MARGIN + self.width(), y)];
            area.draw(&PathElement::new(ends, INK.stroke_width(width)))
        };
        self.draw_row(area, self.table.headings().map(|(name, _)| name), top + LINE / 2)?;
        for (i, row) in (1..).zip(self.table.rows()) {
            self.draw_row(area, row.iter().map(String::as_str), top + i * LINE + LINE / 2)?;
        }
        rule(top, 2)?;
        rule(top + LINE, 1)?;
        rule(top + LINE * (self.table.rows().len() as i32 + 1), 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_their_column_does() {
        let mut table = Table::new(["network", ">lrp", ">clrp1"]);
        table.row(["vgg16\u{1}", "1.5", "10.25"].map(str::to_owned));
        let head = Head { title: "Drops & more".to_owned(), note: String::new() };
        let plotted = grid(head, &table).expect("it can be drawn");
        let document = roxmltree::Document::parse(&plotted.svg).expect("SVG is XML");
        let texts = document.descendants().filter(|node| node.has_tag_name("text"));
        let ends: Vec<_> = texts
            .filter(|text| text.attribute("text-anchor") == Some("end"))
            .map(|text| (text.text().unwrap_or_default().trim(), text.attribute("x")))
            .collect();
        assert_eq!(ends.len(), 4);
        // The heading and the number below it.
        assert_eq!((ends[0].0, ends[2].0, ends[0].1), ("lrp", "1.5", ends[2].1));
        assert!(plotted.svg.contains("vgg16?") && plotted.svg.contains("Drops &amp; more"));
    }
}
