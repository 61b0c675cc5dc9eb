//! A picture to draw plots on: lines, circles and polygons with smooth edges, and text of the
//! library's font, so that no font file is needed and every machine draws the same.

use std::convert::Infallible;

use clrp::image::{Font, Picture};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

/// Lines within a row of pixels whose mean a polygon's edge is.
const SUBROWS: u32 = 4;

/// Texts up to this size have the small font.
const SMALL: f64 = 20.0;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// The pixels of a plot; a pixel's centre is where its coordinates are whole.
pub(super) struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    /// White all over.
    pub(super) fn new((width, height): (u32, u32)) -> Self {
        Self { width, height, pixels: vec![255; 3 * width as usize * height as usize] }
    }

    /// What has been drawn.
    pub(super) fn into_picture(self) -> clrp::Result<Picture> {
        Picture::new(self.width, self.height, self.pixels)
    }

    /// Mixes a colour into a pixel, as much of it as is covered; outside nothing happens.
    fn blend(&mut self, (x, y): BackendCoord, color: BackendColor, covered: f64) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if x >= self.width || y >= self.height {
            return;
        }
        let start = 3 * (y as usize * self.width as usize + x as usize);
        let share = (color.alpha * covered).clamp(0.0, 1.0);
        let (red, green, blue) = color.rgb;
        for (channel, to) in self.pixels[start..start + 3].iter_mut().zip([red, green, blue]) {
            let mixed = f64::from(*channel) * (1.0 - share) + f64::from(to) * share;
            *channel = mixed.round() as u8;
        }
    }

    /// Covers what lies nearer than `radius` to a line, by half at that distance.
    fn stroke(&mut self, from: (f64, f64), to: (f64, f64), radius: f64, color: BackendColor) {
        let reach = radius + 1.0;
        let (left, right) = (from.0.min(to.0) - reach, from.0.max(to.0) + reach);
        let (top, bottom) = (from.1.min(to.1) - reach, from.1.max(to.1) + reach);
        for y in self.rows(top, bottom) {
            for x in clamped(left, right, self.width) {
                let distance = distance((f64::from(x), f64::from(y)), from, to);
                self.blend((x, y), color, (radius + 0.5 - distance).clamp(0.0, 1.0));
            }
        }
    }

    fn rows(&self, top: f64, bottom: f64) -> std::ops::Range<i32> {
        clamped(top, bottom, self.height)
    }
}

/// The whole numbers between two, of those that are below `length`.
fn clamped(low: f64, high: f64, length: u32) -> std::ops::Range<i32> {
    let length = f64::from(length);
    low.floor().clamp(0.0, length) as i32..(high.ceil() + 1.0).clamp(0.0, length) as i32
}

/// Of a point from a line between two others.
fn distance(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let along = (to.0 - from.0, to.1 - from.1);
    let square = along.0 * along.0 + along.1 * along.1;
    let dot = (point.0 - from.0) * along.0 + (point.1 - from.1) * along.1;
    let t = if square > 0.0 { (dot / square).clamp(0.0, 1.0) } else { 0.0 };
    let (x, y) = (from.0 + t * along.0 - point.0, from.1 + t * along.1 - point.1);
    (x * x + y * y).sqrt()
}

fn real((x, y): BackendCoord) -> (f64, f64) {
    (f64::from(x), f64::from(y))
}

/// Where the edges of a polygon cross a row, from left to right.
fn crossings(corners: &[(f64, f64)], y: f64) -> Vec<f64> {
    let ends = corners.iter().zip(corners.iter().cycle().skip(1));
    let crossing = |(a, b): (&(f64, f64), &(f64, f64))| {
        ((a.1 <= y) != (b.1 <= y)).then(|| a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0))
    };
    let mut found: Vec<f64> = ends.filter_map(crossing).collect();
    found.sort_unstable_by(f64::total_cmp);
    found
}

fn font(style: &impl BackendTextStyle) -> Font {
    if style.size() <= SMALL { Font::Small } else { Font::Large }
}

impl DrawingBackend for &mut Canvas {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        self.blend(point, color, 1.0);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        let radius = f64::from(style.stroke_width()) / 2.0;
        self.stroke(real(from), real(to), radius, style.color());
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let path: Vec<BackendCoord> = path.into_iter().collect();
        path.windows(2).try_for_each(|ends| self.draw_line(ends[0], ends[1], style))
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if !fill {
            let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
            return self.draw_path(corners, style);
        }
        for y in self.rows(f64::from(top), f64::from(bottom) - 1.0) {
            for x in clamped(f64::from(left), f64::from(right) - 1.0, self.width) {
                self.blend((x, y), style.color(), 1.0);
            }
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let (center, radius) = (real(center), f64::from(radius));
        if fill {
            self.stroke(center, center, radius, style.color());
            return Ok(());
        }
        let half = f64::from(style.stroke_width()) / 2.0;
        let reach = radius + half + 1.0;
        for y in self.rows(center.1 - reach, center.1 + reach) {
            for x in clamped(center.0 - reach, center.0 + reach, self.width) {
                let off = (distance(real((x, y)), center, center) - radius).abs();
                self.blend((x, y), style.color(), (half + 0.5 - off).clamp(0.0, 1.0));
            }
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Drawn {
        let corners: Vec<(f64, f64)> = corners.into_iter().map(real).collect();
        let top = corners.iter().fold(f64::INFINITY, |top, corner| top.min(corner.1));
        let bottom = corners.iter().fold(f64::NEG_INFINITY, |bottom, corner| bottom.max(corner.1));
        for y in self.rows(top, bottom) {
            let mut covered = vec![0.0; self.width as usize];
            for subrow in 0..SUBROWS {
                let at = f64::from(y) - 0.5 + (f64::from(subrow) + 0.5) / f64::from(SUBROWS);
                for ends in crossings(&corners, at).chunks_exact(2) {
                    for x in clamped(ends[0], ends[1], self.width) {
                        let (left, right) = (f64::from(x) - 0.5, f64::from(x) + 0.5);
                        let overlap = ends[1].min(right) - ends[0].max(left);
                        covered[x as usize] += overlap.max(0.0) / f64::from(SUBROWS);
                    }
                }
            }
            for (x, covered) in (0..).zip(covered).filter(|(_, covered)| *covered > 0.0) {
                self.blend((x, y), style.color(), covered);
            }
        }
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        (left, top): BackendCoord,
    ) -> Drawn {
        let font = font(style);
        let mask = font.mask(text);
        let (width, height) = (mask.width as i32, font.line_height() as i32);
        let before = match style.anchor().h_pos {
            HPos::Left => 0,
            HPos::Center => width / 2,
            HPos::Right => width,
        };
        let above = match style.anchor().v_pos {
            VPos::Top => 0,
            VPos::Center => height / 2,
            VPos::Bottom => height,
        };
        let turn = style.transform();
        for (y, row) in (0..).zip(mask.coverage.chunks_exact(mask.width.max(1) as usize)) {
            for (x, &covered) in (0..).zip(row) {
                let (x, y) = turn.transform(x - before, y - above);
                self.blend((left + x, top + y), style.color(), f64::from(covered) / 255.0);
            }
        }
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let font = font(style);
        Ok((font.width(text), font.line_height()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: BackendColor = BackendColor { alpha: 1.0, rgb: (0, 0, 0) };

    fn ink(canvas: &Canvas, x: u32, y: u32) -> u8 {
        255 - canvas.pixels[3 * (y * canvas.width + x) as usize]
    }

    fn inks(canvas: &Canvas) -> u32 {
        let all = (0..canvas.height).flat_map(|y| (0..canvas.width).map(move |x| (x, y)));
        all.map(|(x, y)| u32::from(ink(canvas, x, y))).sum()
    }

    #[test]
    fn straight_lines_are_sharp_and_stay_inside() {
        let mut canvas = Canvas::new((9, 5));
        (&mut canvas).draw_line((-4, 2), (20, 2), &BLACK).expect("it can be drawn");
        assert_eq!(inks(&canvas), 9 * 255);
        assert_eq!((ink(&canvas, 0, 2), ink(&canvas, 8, 2)), (255, 255));
    }

    #[test]
    fn polygons_and_circles_have_their_area() {
        let mut canvas = Canvas::new((40, 40));
        // Half of 20 times 10.
        let corners = [(5, 5), (25, 5), (5, 15)];
        (&mut canvas).fill_polygon(corners, &BLACK).expect("it can be drawn");
        let area = f64::from(inks(&canvas)) / 255.0;
        assert!((area - 100.0).abs() < 2.0, "{area}");
        let mut canvas = Canvas::new((40, 40));
        (&mut canvas).draw_circle((20, 20), 10, &BLACK, true).expect("it can be drawn");
        let area = f64::from(inks(&canvas)) / 255.0;
        assert!((area - 314.2).abs() < 4.0, "{area}");
    }

    #[test]
    fn a_filled_rectangle_ends_before_its_lower_right_corner() {
        let mut canvas = Canvas::new((8, 8));
        let gray = BackendColor { alpha: 0.5, rgb: (0, 0, 0) };
        (&mut canvas).draw_rect((1, 2), (4, 4), &gray, true).expect("it can be drawn");
        // 255 * .5 = 127.5 of ink each, rounded.
        assert_eq!(inks(&canvas), 6 * 127);
        assert_eq!([ink(&canvas, 1, 2), ink(&canvas, 4, 2), ink(&canvas, 1, 4)], [127, 0, 0]);
    }
}
