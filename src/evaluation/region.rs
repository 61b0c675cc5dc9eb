//! What the boxes of a picture cover of the network's input.

use crate::error::{Error, Result, check_shape};
use crate::image::{Geometry, Picture, Plane};
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
    /// Where the rectangle lies in the input, if it is one of the geometry's picture.
    #[must_use]
    pub fn placed(self, geometry: &Geometry) -> Self {
        let (left, top) = geometry.place((self.left, self.top));
        let (right, bottom) = geometry.place((self.right, self.bottom));
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

/// Some of the pixels of an input: those that belong to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    height: usize,
    width: usize,
    inside: Vec<bool>,
    boxes_without_pixels: usize,
}

impl Region {
    /// The union of boxes that lie in the input, see [`BoundingBox::placed`].
    ///
    /// `size` is the input's height and width, as [`Plane::size`] of a map of it. A pixel belongs
    /// to a box if its centre does; the left and the upper edge belong to the box.
    ///
    /// # Errors
    /// [`Error::Setting`] if the size is 0 or larger than [`Picture::MAX_PIXELS`], an edge is no
    /// finite number or a box has no area.
    pub fn union(size: [usize; 2], boxes: &[BoundingBox]) -> Result<Self> {
        let [height, width] = size;
        let mut inside = vec![false; checked_area(size)?];
        let mut boxes_without_pixels = 0;
        for bounds in boxes {
            check(bounds)?;
            let columns = pixels(bounds.left, bounds.right, width);
            let rows = pixels(bounds.top, bounds.bottom, height);
            boxes_without_pixels += usize::from(columns.is_empty() || rows.is_empty());
            for row in rows {
                inside[row * width..][columns.clone()].fill(true);
            }
        }
        Ok(Self { height, width, inside, boxes_without_pixels })
    }

    /// Rows of the input.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns of the input.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height and width of the input.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// How many pixels belong to it.
    pub fn area(&self) -> usize {
        self.inside.iter().filter(|&&inside| inside).count()
    }

    /// How many of the boxes cover no pixel's centre: those that a crop cut away, and those that
    /// lie between two rows or columns of centres.
    pub fn boxes_without_pixels(&self) -> usize {
        self.boxes_without_pixels
    }

    /// Whether the pixel in column `x` and row `y` belongs to it.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        x < self.width && y < self.height && self.inside[y * self.width + x]
    }

    /// Whether a pixel of it lies less than `distance` pixels of the input away from column `x`
    /// and row `y`. Nothing is nearer than 0.
    pub fn is_near(&self, x: usize, y: usize, distance: usize) -> bool {
        // Wide enough for every square.
        let square = |length: usize| (length as u128).pow(2);
        self.inside.iter().enumerate().filter(|(_, inside)| **inside).any(|(i, _)| {
            let (column, row) = (i % self.width, i / self.width);
            let apart = square(column.abs_diff(x)).saturating_add(square(row.abs_diff(y)));
            apart < square(distance)
        })
    }

    /// For each pixel, row by row, whether it belongs to the region.
    pub(super) fn inside(&self) -> &[bool] {
        &self.inside
    }

    /// That a map has the region's size.
    pub(super) fn check_size(&self, map: &Plane) -> Result<()> {
        check_shape(("heatmap", &map.size()), ("the region", &self.size()))
    }
}

/// How many pixels there are, at least 1.
fn checked_area([height, width]: [usize; 2]) -> Result<usize> {
    let area = height.checked_mul(width);
    area.filter(|&area| area > 0 && area as u64 <= Picture::MAX_PIXELS).ok_or_else(|| {
        Error::Setting {
            what: "size of a region",
            found: format!("{:?}", [height, width]),
            expected: format!("1 to {} pixels", Picture::MAX_PIXELS),
        }
    })
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
        expected: "finite edges with left < right and top < bottom".to_owned(),
    })
}

/// Edges nearer than this to a pixel's centre, in pixels, lie on it: through resize and crop they
/// come out with rounding.
const ON_CENTRE: f64 = 1e-9;

/// The pixels of `0..length` whose centres lie between two edges, the second excluded.
fn pixels(start: f64, end: f64, length: usize) -> std::ops::Range<usize> {
    // Casts saturate, so edges far outside end at the border.
    let first = |edge: f64| ((edge - 0.5 - ON_CENTRE).ceil().max(0.0) as usize).min(length);
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
    fn rounding_moves_no_edge_over_a_centre() {
        for rounding in [-1e-12, 0.0, 1e-12] {
            assert_eq!(pixels(1.5 + rounding, 3.5 + rounding, 9), 1..3, "{rounding}");
        }
        assert_eq!(pixels(1.5 + 1e-6, 3.5 + 1e-6, 9), 2..4);
    }

    #[test]
    fn a_pixel_belongs_to_a_box_by_its_centre() {
        // Centres .5 to 4.5: of columns 1.5 is in (edges belong), 3.5 is not; of rows only .5.
        let region = Region::union([2, 5], &[bounds(1.5, -9.0, 3.5, 1.0)]).expect("ok");
        let columns: Vec<bool> = (0..5).map(|x| region.contains(x, 0)).collect();
        assert_eq!(columns, [false, true, true, false, false]);
        assert_eq!((region.area(), region.boxes_without_pixels()), (2, 0));
        assert_eq!((region.height(), region.width(), region.size()), (2, 5, [2, 5]));
    }

    #[test]
    fn what_lies_outside_does_not_belong_to_it() {
        let region = Region::union([2, 5], &[bounds(0.0, 0.0, 9.0, 9.0)]).expect("ok");
        assert!(region.contains(4, 1));
        let outside = [(5, 0), (0, 2), (usize::MAX, 0), (0, usize::MAX), (4, usize::MAX)];
        assert!(outside.iter().all(|&(x, y)| !region.contains(x, y)));
    }

    #[test]
    fn boxes_unite_and_those_without_pixels_are_counted() {
        let boxes = [
            bounds(0.0, 0.0, 2.0, 2.0),
            bounds(1.0, 1.0, 3.0, 3.0),
            // Outside on the left, and below.
            bounds(-7.0, 0.0, -1.0, 4.0),
            bounds(0.0, 4.2, 4.0, 9.0),
            // Between two centres.
            bounds(0.6, 0.0, 1.4, 4.0),
        ];
        let region = Region::union([4, 4], &boxes).expect("ok");
        // 4 + 4 - 1 in common.
        assert_eq!((region.area(), region.boxes_without_pixels()), (7, 3));
        let nothing = Region::union([4, 4], &[]).expect("ok");
        assert_eq!((nothing.area(), nothing.boxes_without_pixels()), (0, 0));
    }

    #[test]
    fn boxes_go_through_the_resize_and_the_crop() {
        // 500x375 becomes 341x256, of which columns 58 to 282 and rows 16 to 240 are kept.
        let geometry = Preprocess::imagenet().geometry(500, 375).expect("ok");
        let placed = bounds(100.0, 75.0, 500.0, 375.0).placed(&geometry);
        assert!((placed.left - (68.2 - 58.0)).abs() < 1e-9, "{placed:?}");
        assert!((placed.top - (51.2 - 16.0)).abs() < 1e-9, "{placed:?}");
        let region = Region::union([224, 224], &[placed]).expect("ok");
        // Centres from 10.5 and from 35.5 on.
        assert_eq!(region.area(), (224 - 10) * (224 - 35));
    }

    #[test]
    fn near_is_a_disc_without_its_rim() {
        let region = Region::union([9, 9], &[bounds(0.0, 0.0, 1.0, 1.0)]).expect("ok");
        // 3, 4, 5 is a right triangle.
        assert!(region.is_near(3, 4, 6) && !region.is_near(3, 4, 5));
        assert!(region.is_near(0, 4, 5) && !region.is_near(0, 5, 5));
        assert!(region.is_near(0, 0, 1) && !region.is_near(0, 0, 0) && !region.is_near(1, 0, 1));
        assert!(region.is_near(usize::MAX - 1, 0, usize::MAX));
        assert!(!region.is_near(usize::MAX, usize::MAX, usize::MAX));
    }

    #[test]
    fn boxes_without_an_area_are_errors() {
        let message = |wrong| Region::union([4, 4], &[wrong]).expect_err("no area").to_string();
        let expected = "expected finite edges with left < right and top < bottom";
        let flat = message(bounds(3.0, 0.5, 3.0, 1.0));
        assert_eq!(flat, format!("box is (3, 0.5) to (3, 1), {expected}"));
        let turned = message(bounds(0.0, 2.0, 1.0, 1.0));
        assert_eq!(turned, format!("box is (0, 2) to (1, 1), {expected}"));
        let nan = message(bounds(0.0, f64::NAN, 1.0, 1.0));
        assert_eq!(nan, format!("box is (0, NaN) to (1, 1), {expected}"));
        let endless = message(bounds(0.0, 0.0, f64::INFINITY, 1.0));
        assert_eq!(endless, format!("box is (0, 0) to (inf, 1), {expected}"));
    }

    #[test]
    fn sizes_of_0_and_sizes_that_no_picture_has_are_errors() {
        for size in [[0, 5], [5, 0], [usize::MAX, 2], [10_000, 10_001]] {
            let error = Region::union(size, &[]).expect_err("it is no input's size");
            let expected = format!("size of a region is {size:?}, expected 1 to 100000000 pixels");
            assert_eq!(error.to_string(), expected);
        }
    }
}
