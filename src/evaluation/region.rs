//! What the boxes of a picture cover of the network's input.

use crate::error::{Error, Result};
use crate::image::{Geometry, Plane};
use crate::scene::Bounds;

/// A rectangle in a picture. Edges, not pixels: the first pixel reaches from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    /// The left edge.
    pub left: f64,
    /// The upper edge.
    pub top: f64,
    /// The right edge.
    pub right: f64,
    /// The lower edge.
    pub bottom: f64,
}

impl BoundingBox {
    /// Where the rectangle lies in the input, if the picture has `size` (width, height).
    #[must_use]
    pub fn placed(self, size: (u32, u32), geometry: &Geometry) -> Self {
        let (left, top) = geometry.place(size, (self.left, self.top));
        let (right, bottom) = geometry.place(size, (self.right, self.bottom));
        Self { left, top, right, bottom }
    }
}

impl From<Bounds> for BoundingBox {
    fn from(bounds: Bounds) -> Self {
        let [left, top] = [bounds.left, bounds.top].map(f64::from);
        let [right, bottom] = [bounds.right, bounds.bottom].map(f64::from);
        Self { left, top, right, bottom }
    }
}

/// Some of the pixels of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    width: usize,
    inside: Vec<bool>,
}

impl Region {
    /// The union of boxes, and how many of them cover no pixel: those that a crop cut away.
    ///
    /// The boxes lie in the input, see [`BoundingBox::placed`]; `size` is its width and height. A
    /// pixel belongs to a box if its centre does.
    ///
    /// # Errors
    /// [`Error::Setting`] if an edge is no finite number or a box has no area.
    pub fn union(size: (usize, usize), boxes: &[BoundingBox]) -> Result<(Self, usize)> {
        let (width, height) = size;
        let mut inside = vec![false; width * height];
        let mut cut_away = 0;
        for bounds in boxes {
            check(bounds)?;
            let columns = pixels(bounds.left, bounds.right, width);
            let rows = pixels(bounds.top, bounds.bottom, height);
            cut_away += usize::from(columns.is_empty() || rows.is_empty());
            for row in rows {
                inside[row * width..][columns.clone()].fill(true);
            }
        }
        Ok((Self { width, inside }, cut_away))
    }

    /// Columns of the input.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of the input.
    pub fn height(&self) -> usize {
        self.inside.len().checked_div(self.width).unwrap_or(0)
    }

    /// How many pixels belong to it.
    pub fn area(&self) -> usize {
        self.inside.iter().filter(|&&inside| inside).count()
    }

    /// Whether the pixel in column `x` and row `y` belongs to it.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        x < self.width && self.inside.get(y * self.width + x).is_some_and(|&inside| inside)
    }

    /// Whether a pixel of it lies within `distance` pixels of column `x` and row `y`.
    pub fn is_near(&self, x: usize, y: usize, distance: usize) -> bool {
        // Wide enough for every square.
        let square = |length: usize| (length as u128).pow(2);
        self.inside.iter().enumerate().filter(|(_, inside)| **inside).any(|(i, _)| {
            let (column, row) = (i % self.width, i / self.width);
            let apart = square(column.abs_diff(x)).saturating_add(square(row.abs_diff(y)));
            apart <= square(distance)
        })
    }

    /// For each pixel, row by row, whether it belongs to the region.
    pub(super) fn inside(&self) -> &[bool] {
        &self.inside
    }

    /// Whether a map has the region's size.
    pub(super) fn check_size(&self, map: &Plane) -> Result<()> {
        let expected = vec![self.height(), self.width()];
        let found = vec![map.height(), map.width()];
        if expected == found {
            return Ok(());
        }
        Err(Error::InputShape { name: "heatmap".to_owned(), expected, found })
    }
}

fn check(bounds: &BoundingBox) -> Result<()> {
    let BoundingBox { left, top, right, bottom } = *bounds;
    let finite = [left, top, right, bottom].iter().all(|edge| edge.is_finite());
    if finite && left < right && top < bottom {
        return Ok(());
    }
    Err(Error::Setting {
        what: "box",
        found: format!("({left}, {top}) to ({right}, {bottom})"),
        expected: "finite edges, the right below and beyond the left".to_owned(),
    })
}

/// The pixels of `0..length` whose centres lie between two edges, the second excluded.
fn pixels(start: f64, end: f64, length: usize) -> std::ops::Range<usize> {
    // Casts saturate, so edges far outside end at the border.
    let first = |edge: f64| ((edge - 0.5).ceil().max(0.0) as usize).min(length);
    first(start)..first(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Preprocess;

    fn bounds(left: f64, top: f64, right: f64, bottom: f64) -> BoundingBox {
        BoundingBox { left, top, right, bottom }
    }

    #[test]
    fn a_pixel_belongs_to_a_box_by_its_centre() {
        // Centres .5 to 4.5: of columns 1.5 is in (edges belong), 3.5 is not; of rows only .5.
        let (region, cut) = Region::union((5, 2), &[bounds(1.5, -9.0, 3.5, 1.0)]).expect("ok");
        let columns: Vec<bool> = (0..5).map(|x| region.contains(x, 0)).collect();
        assert_eq!(columns, [false, true, true, false, false]);
        assert_eq!((region.area(), cut), (2, 0));
        assert!(!region.contains(1, 2) && !region.contains(5, 0));
    }

    #[test]
    fn boxes_unite_and_what_a_crop_cut_away_is_counted() {
        let boxes = [
            bounds(0.0, 0.0, 2.0, 2.0),
            bounds(1.0, 1.0, 3.0, 3.0),
            bounds(-7.0, 0.0, -1.0, 4.0),
            bounds(0.0, 4.2, 4.0, 9.0),
        ];
        let (region, cut) = Region::union((4, 4), &boxes).expect("ok");
        // 4 + 4 - 1 in common.
        assert_eq!((region.area(), cut), (7, 2));
    }

    #[test]
    fn boxes_go_through_the_resize_and_the_crop() {
        // 500x375 becomes 341x256, of which columns 58 to 282 and rows 16 to 240 are kept.
        let geometry = Preprocess::imagenet().geometry(500, 375).expect("ok");
        let placed = bounds(100.0, 75.0, 500.0, 375.0).placed((500, 375), &geometry);
        assert!((placed.left - (68.2 - 58.0)).abs() < 1e-9, "{placed:?}");
        assert!((placed.top - (51.2 - 16.0)).abs() < 1e-9, "{placed:?}");
        let (region, _) = Region::union((224, 224), &[placed]).expect("ok");
        // Centres from 10.5 and from 35.5 on.
        assert_eq!(region.area(), (224 - 10) * (224 - 35));
    }

    #[test]
    fn near_is_a_disc() {
        let (region, _) = Region::union((9, 9), &[bounds(0.0, 0.0, 1.0, 1.0)]).expect("ok");
        // 3, 4, 5 is a right triangle.
        assert!(region.is_near(3, 4, 5) && region.is_near(0, 5, 5));
        assert!(!region.is_near(4, 4, 5) && !region.is_near(0, 6, 5));
        assert!(region.is_near(0, 0, 0) && !region.is_near(1, 0, 0));
        assert!(region.is_near(usize::MAX, 0, usize::MAX) && !region.is_near(usize::MAX, 0, 9));
    }

    #[test]
    fn boxes_without_an_area_are_errors() {
        for wrong in [bounds(3.0, 0.0, 3.0, 1.0), bounds(0.0, f64::NAN, 1.0, 1.0)] {
            let error = Region::union((4, 4), &[wrong]).expect_err("it has no area");
            assert!(error.to_string().starts_with("box is (") && !error.to_string().contains('\n'));
        }
    }
}
