//! Curves in a coordinate system, with a legend beside it.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::style::{
    BODY, FAINT, HEAD_HEIGHT, Head, INK, LineLook, MARGIN, Side, body, shortened, text_width,
};
use super::{Drawing, Drawn};

const PLOT: (i32, i32) = (720, 480);
/// Left of and below the axes.
const LABELS: i32 = 56;
/// A line of the legend, and the piece of line in it.
const LEGEND_LINE: i32 = 24;
const EXAMPLE: i32 = 36;
const NAME_LENGTH: usize = 32;
/// Marks of a curve with many points.
const MARKS: usize = 10;

/// A method's line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// Which of the looks it has: the same for a method in all charts.
    pub(crate) look: usize,
    /// From left to right.
    pub(crate) points: Vec<(f64, f64)>,
    /// Its interval: x, and the least and greatest y.
    pub(crate) band: Vec<(f64, f64, f64)>,
}

/// Several curves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    pub(crate) head: Head,
    pub(crate) x_title: String,
    pub(crate) y_title: String,
    pub(crate) x: (f64, f64),
    pub(crate) y: (f64, f64),
    /// Names of x = 0, 1, ..., where they are no numbers.
    pub(crate) names: Vec<String>,
    pub(crate) curves: Vec<Curve>,
}

type Axes<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Chart {
    /// More bands than that hide each other: none is drawn.
    pub(crate) const BANDS: usize = 8;

    /// Draws the chart.
    pub(crate) fn plot(&self) -> crate::failure::Result<super::Plotted> {
        Drawing::plot(self)
    }

    fn name_height(&self) -> i32 {
        self.names.iter().map(|name| text_width(&shortened(name, NAME_LENGTH))).max().unwrap_or(0)
    }

    fn legend_width(&self) -> i32 {
        let names =
            self.curves.iter().map(|curve| text_width(&shortened(&curve.name, NAME_LENGTH)));
        EXAMPLE + 2 * MARGIN + names.max().unwrap_or(0)
    }

    fn draw_axes<DB: DrawingBackend>(&self, axes: &mut Axes<'_, DB>) -> Drawn<DB> {
        // Named places have their names drawn below.
        let x_tick = |x: &f64| if self.names.is_empty() { tick(self.x, *x) } else { String::new() };
        let y_tick = |y: &f64| tick(self.y, *y);
        let label = ("sans-serif", BODY).into_font().color(&INK);
        let mut mesh = axes.configure_mesh();
        mesh.x_labels(if self.names.is_empty() { 11 } else { self.names.len().min(60) })
            .y_labels(11)
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT)
            .axis_style(INK)
            .label_style(label.clone())
            .axis_desc_style(label.clone())
            .x_label_formatter(&x_tick)
            .y_label_formatter(&y_tick)
            .x_desc(self.x_title.as_str())
            .y_desc(self.y_title.as_str());
        mesh.draw()
    }

    /// The names of places, downwards from the axis.
    fn draw_names<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        axes: &Axes<'_, DB>,
    ) -> Drawn<DB> {
        let down = ("sans-serif", BODY).into_font().transform(FontTransform::Rotate90);
        let style = down.color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        for (x, name) in (0..).zip(&self.names) {
            let (x, y) = axes.backend_coord(&(f64::from(x), self.y.0));
            let name = shortened(name, NAME_LENGTH);
            area.draw(&Text::new(name, (x, y + MARGIN / 2), style.clone()))?;
        }
        Ok(())
    }

    fn draw_curve<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        axes: &mut Axes<'_, DB>,
        curve: &Curve,
    ) -> Drawn<DB> {
        let look = LineLook(curve.look);
        let points = curve.points.iter().copied();
        match look.dashes() {
            Some((dash, gap)) => {
                axes.draw_series(DashedLineSeries::new(points, dash, gap, look.line()))?;
            }
            None => {
                axes.draw_series(LineSeries::new(points, look.line()))?;
            }
        }
        let step = curve.points.len().div_ceil(MARKS).max(1);
        // Marks of curves that are on each other are beside each other.
        for point in curve.points.iter().skip(3 * curve.look % step).step_by(step) {
            look.mark(area, axes.backend_coord(point))?;
        }
        Ok(())
    }

    fn draw_band<DB: DrawingBackend>(&self, axes: &mut Axes<'_, DB>, curve: &Curve) -> Drawn<DB> {
        let upper = curve.band.iter().map(|&(x, _, high)| (x, high));
        let lower = curve.band.iter().rev().map(|&(x, low, _)| (x, low));
        let corners: Vec<_> = upper.chain(lower).collect();
        if corners.len() > 2 {
            let fill = LineLook(curve.look).colour().mix(0.15).filled();
            axes.draw_series(std::iter::once(Polygon::new(corners, fill)))?;
        }
        Ok(())
    }

    /// The names, in the order of the curves from top to bottom.
    fn draw_legend<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        left: i32,
    ) -> Drawn<DB> {
        let mean = |curve: &Curve| {
            let sum: f64 = curve.points.iter().map(|point| point.1).sum();
            sum / curve.points.len().max(1) as f64
        };
        let mut curves: Vec<&Curve> = self.curves.iter().collect();
        curves.sort_by(|one, other| mean(other).total_cmp(&mean(one)));
        for (i, curve) in (0..).zip(curves) {
            let y = HEAD_HEIGHT + 2 * MARGIN + i * LEGEND_LINE;
            LineLook(curve.look).example(area, (left, y), EXAMPLE)?;
            let name = shortened(&curve.name, NAME_LENGTH);
            area.draw(&Text::new(name, (left + EXAMPLE + 8, y), body(Side::Left, INK)))?;
        }
        Ok(())
    }
}

/// A number at an axis, as exact as the axis is long.
fn tick((low, high): (f64, f64), x: f64) -> String {
    let (decimals, unit) = match high - low {
        20.0.. => (0, 1.0),
        2.0.. => (1, 0.1),
        _ => (2, 0.01),
    };
    // Without the minus of a zero.
    let x = if x.abs() < unit / 2.0 { 0.0 } else { x };
    format!("{x:.decimals$}")
}

impl Drawing for Chart {
    fn head(&self) -> &Head {
        &self.head
    }

    fn size(&self) -> (i32, i32) {
        let width = (PLOT.0 + self.legend_width()).max(self.head.width() + 2 * MARGIN);
        let legend = HEAD_HEIGHT + 3 * MARGIN + self.curves.len() as i32 * LEGEND_LINE;
        (width, (HEAD_HEIGHT + PLOT.1 + self.name_height()).max(legend))
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Drawn<DB> {
        self.head.draw(area)?;
        let (width, _) = self.size();
        let mut axes = ChartBuilder::on(area)
            .margin(MARGIN)
            .margin_top(MARGIN + HEAD_HEIGHT)
            .margin_right(width - PLOT.0 + MARGIN)
            .x_label_area_size(LABELS + self.name_height())
            .y_label_area_size(LABELS + MARGIN)
            .build_cartesian_2d(self.x.0..self.x.1, self.y.0..self.y.1)?;
        self.draw_axes(&mut axes)?;
        self.draw_names(area, &axes)?;
        if self.curves.len() <= Self::BANDS {
            self.curves.iter().try_for_each(|curve| self.draw_band(&mut axes, curve))?;
        }
        for curve in &self.curves {
            self.draw_curve(area, &mut axes, curve)?;
        }
        self.draw_legend(area, PLOT.0)
    }
}

#[cfg(test)]
mod tests {
    use clrp::image::Picture;

    use super::*;

    fn chart() -> Chart {
        let points = vec![(0.0, 0.25), (1.0, 0.75), (2.0, 0.5)];
        let band = vec![(0.0, 0.1, 0.4), (2.0, 0.4, 0.6)];
        let curve = |look| Curve {
            name: format!("method {look}"),
            look,
            points: points.clone(),
            band: band.clone(),
        };
        Chart {
            head: Head { title: "Title".to_owned(), note: "of what".to_owned() },
            x_title: "across".to_owned(),
            y_title: "upwards".to_owned(),
            x: (0.0, 2.0),
            y: (0.0, 1.0),
            names: ["a", "b", "c\u{2}"].map(str::to_owned).to_vec(),
            curves: (0..12).map(curve).collect(),
        }
    }

    #[test]
    fn a_chart_names_axes_places_and_curves() {
        let plotted = chart().plot().expect("it can be drawn");
        let document = roxmltree::Document::parse(&plotted.svg).expect("SVG is XML");
        let texts: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name("text"))
            .filter_map(|node| Some(node.text()?.trim()))
            .collect();
        for text in
            ["Title", "of what", "across", "upwards", "a", "c?", "0.50", "method 0", "method 11"]
        {
            assert!(texts.contains(&text), "`{text}` in {texts:?}");
        }
        assert!(Picture::decode("chart", &plotted.png).is_ok());
    }

    #[test]
    fn bands_are_drawn_while_they_can_be_told_apart() {
        let polygons = |count: usize| {
            let mut chart = chart();
            chart.curves.truncate(count);
            let svg = chart.plot().expect("it can be drawn").svg;
            svg.lines().filter(|line| line.contains("<polygon opacity=\"0.15\"")).count()
        };
        let most = Chart::BANDS;
        assert_eq!([polygons(2), polygons(most), polygons(most + 1)], [2, most, 0]);
    }

    #[test]
    fn ticks_are_as_exact_as_their_axis_is_long() {
        let found =
            [((0.0, 100.0), 40.0), ((0.0, 5.0), 2.5), ((0.0, 1.0), 0.25), ((-1.0, 1.0), -1e-17)];
        assert_eq!(found.map(|(axis, x)| tick(axis, x)), ["40", "2.5", "0.25", "0.0"]);
    }
}
