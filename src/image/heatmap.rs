//! From an attribution to colours: the channels become one plane, the plane a picture.

use super::colormap::Colormap;
use super::picture::Picture;
use crate::error::check_shape;
use crate::{Error, Result, Tensor};

/// How the channels of a pixel become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Their sum: for relevance, which is shared out among them.
    Sum,
    /// Their sum if that is above 0, else 0: for differences of relevance.
    PositiveSum,
    /// The maximum of their absolute values: for gradients.
    MaxAbs,
}

/// One number for each pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl Plane {
    /// Wraps values, row by row.
    ///
    /// # Errors
    /// [`Error::InputShape`] if there are none or their number is not `height * width`.
    pub fn new(height: usize, width: usize, values: Vec<f32>) -> Result<Self> {
        let fits = u32::try_from(height).is_ok() && u32::try_from(width).is_ok();
        if !fits || values.is_empty() || height.checked_mul(width) != Some(values.len()) {
            let (expected, found) = (vec![height, width], vec![values.len()]);
            return Err(Error::InputShape { name: "heatmap".to_owned(), expected, found });
        }
        Ok(Self { height, width, values })
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// That all values are finite; else an [`Error::InputValue`] about the map `name`.
    pub(crate) fn check_finite(&self, name: &str) -> Result<()> {
        match self.values.iter().position(|value| !value.is_finite()) {
            Some(index) => {
                let found = self.values[index];
                Err(Error::InputValue { name: name.to_owned(), index, found })
            }
            None => Ok(()),
        }
    }

    /// The largest finite value after `of`, at least 0.
    fn largest(&self, of: impl Fn(f32) -> f32) -> f32 {
        let values = self.values.iter().copied().map(of);
        values.filter(|value| value.is_finite()).fold(0.0, f32::max)
    }
}

/// Turns an attribution of shape channels, height, width into one plane. A pixel with a value that
/// is NaN becomes NaN.
///
/// # Errors
/// [`Error::InputShape`] if it has no values.
pub fn reduce(attribution: &Tensor, reduction: Reduction) -> Result<Plane> {
    let shape = attribution.shape();
    let mut values = vec![0.0; shape.height * shape.width];
    for channel in 0..shape.channels {
        for (value, &other) in values.iter_mut().zip(attribution.plane(channel)) {
            *value = match reduction {
                Reduction::Sum | Reduction::PositiveSum => *value + other,
                // `max` would pass over NaN.
                Reduction::MaxAbs if value.is_nan() || other.is_nan() => f32::NAN,
                Reduction::MaxAbs => value.max(other.abs()),
            };
        }
    }
    if reduction == Reduction::PositiveSum {
        values.iter_mut().filter(|value| **value < 0.0).for_each(|value| *value = 0.0);
    }
    Plane::new(shape.height, shape.width, values)
}

/// Colours a plane.
///
/// Signed palettes have 0 in the middle and the largest absolute value at both
/// ends; the others go from 0 to the largest value and show negative values as 0.
/// Of a plane that is zero everywhere every pixel has the colour of 0. Infinite
/// values get the colours at the ends, NaN that of 0, and neither sets the scale.
pub fn render(plane: &Plane, palette: Colormap) -> Picture {
    let (zero, span) = if palette.is_signed() { (0.5, 0.5) } else { (0.0, 1.0) };
    let scale = if palette.is_signed() { plane.largest(f32::abs) } else { plane.largest(|v| v) };
    let position = |&value: &f32| {
        if value.is_nan() || value == 0.0 {
            return zero;
        }
        // Not NaN: the value is not 0 and the scale not infinite.
        zero + span * (value / scale).clamp(-1.0, 1.0)
    };
    let pixels = plane.values.iter().flat_map(|value| palette.color(position(value))).collect();
    Picture::new(plane.width as u32, plane.height as u32, pixels)
        .expect("a plane is not empty and has one value for each pixel")
}

/// Lays a coloured plane over a picture of the same size; `alpha` is the share of
/// the colours, 0.5 by convention.
///
/// # Errors
/// [`Error::ShapeMismatch`] if the sizes differ, [`Error::Setting`] if `alpha` is not
/// between 0 and 1.
pub fn overlay(picture: &Picture, plane: &Plane, palette: Colormap, alpha: f32) -> Result<Picture> {
    check_shape(("heatmap", &plane.size()), ("the picture", &picture.size()))?;
    if !(0.0..=1.0).contains(&alpha) {
        return Err(Error::Setting {
            what: "overlay alpha",
            found: alpha.to_string(),
            expected: "0 to 1".to_owned(),
        });
    }
    let colours = render(plane, palette);
    let mixed = picture.pixels().iter().zip(colours.pixels()).map(|(&below, &above)| {
        (f32::from(below) * (1.0 - alpha) + f32::from(above) * alpha).round() as u8
    });
    Picture::new(picture.width(), picture.height(), mixed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn row(values: &[f32]) -> Plane {
        Plane::new(1, values.len(), values.to_vec()).expect("it is not empty")
    }

    fn colours(values: &[f32], palette: Colormap) -> Vec<[u8; 3]> {
        let picture = render(&row(values), palette);
        picture.pixels().chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }

    const WHITE: [u8; 3] = [255; 3];
    const BLACK: [u8; 3] = [0; 3];

    #[test]
    fn channels_are_summed_or_their_largest_magnitude_taken() {
        let values = vec![1.0, -2.0, 3.0, 1.0, -5.0, 0.5];
        let tensor = Tensor::new(Shape::new(3, 1, 2), values).expect("it fits");
        let reduced = |reduction| reduce(&tensor, reduction).expect("it is not empty");
        // 1 + 3 - 5 = -1 and -2 + 1 + 0.5 = -0.5.
        assert_eq!(reduced(Reduction::Sum), row(&[-1.0, -0.5]));
        assert_eq!(reduced(Reduction::MaxAbs), row(&[5.0, 2.0]));
        assert_eq!(reduced(Reduction::PositiveSum), row(&[0.0, 0.0]));
        assert!(reduce(&Tensor::zeros(Shape::new(3, 0, 0)), Reduction::Sum).is_err());
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for reduction in [Reduction::Sum, Reduction::PositiveSum, Reduction::MaxAbs] {
            for values in [[f32::NAN, 1.0], [1.0, f32::NAN]] {
                let tensor = Tensor::new(Shape::new(2, 1, 1), values.to_vec()).expect("it fits");
                let plane = reduce(&tensor, reduction).expect("it is not empty");
                assert!(plane.values()[0].is_nan(), "{reduction:?} of {values:?}");
            }
        }
    }

    #[test]
    fn signed_palettes_are_symmetric_about_zero() {
        // -4 sets the scale: 2 is at .5 + .5 * 2/4 = .75, half white, half red.
        let found = colours(&[-4.0, 0.0, 2.0], Colormap::Bwr);
        assert_eq!(found, [[0, 0, 255], WHITE, [255, 128, 128]]);
    }

    #[test]
    fn other_palettes_start_at_zero() {
        // -4 counts as 0, and 2 sets the scale: 0.4 / 2 * 255 = 51.
        let found = colours(&[-4.0, 0.0, 0.4, 2.0], Colormap::Gray);
        assert_eq!(found, [BLACK, BLACK, [51; 3], WHITE]);
    }

    #[test]
    fn a_map_of_zeros_has_the_colour_of_zero() {
        assert_eq!(colours(&[0.0, -0.0], Colormap::Bwr), [WHITE; 2]);
        assert_eq!(colours(&[0.0, 0.0], Colormap::Coldnhot), [BLACK; 2]);
        assert_eq!(colours(&[-1.0, -2.0], Colormap::Gray), [BLACK; 2]);
    }

    #[test]
    fn values_that_are_not_finite_do_not_set_the_scale() {
        let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0, -1.0, 0.0];
        let (red, blue) = ([255, 0, 0], [0, 0, 255]);
        assert_eq!(colours(&values, Colormap::Bwr), [WHITE, red, blue, red, blue, WHITE]);
        assert_eq!(colours(&[f32::NAN, f32::INFINITY], Colormap::Gray), [BLACK, WHITE]);
        // The smallest and the largest numbers there are.
        assert_eq!(colours(&[1e-45, -1e-45], Colormap::Bwr), [red, blue]);
        assert_eq!(colours(&[f32::MAX, f32::MIN], Colormap::Bwr), [red, blue]);
    }

    #[test]
    fn an_overlay_mixes_picture_and_colours() {
        let picture = Picture::filled(2, 1, [100, 100, 100]);
        let half = overlay(&picture, &row(&[0.0, 1.0]), Colormap::Bwr, 0.5).expect("it fits");
        // (100 + 255) / 2 = 177.5 and (100 + 0) / 2.
        assert_eq!(half.pixels(), [178, 178, 178, 178, 50, 50]);
        let none = overlay(&picture, &row(&[0.0, 1.0]), Colormap::Bwr, 0.0).expect("it fits");
        assert_eq!(none, picture);
        let message = |values: &[f32], alpha| {
            overlay(&picture, &row(values), Colormap::Bwr, alpha).expect_err("wrong").to_string()
        };
        let size = "heatmap has shape [1, 1], expected [1, 2] as the picture";
        assert_eq!(message(&[0.0], 0.5), size);
        assert_eq!(message(&[0.0, 1.0], f32::NAN), "overlay alpha is NaN, expected 0 to 1");
    }

    #[test]
    fn a_plane_is_not_empty_and_has_a_value_for_each_pixel() {
        assert!(Plane::new(0, 3, Vec::new()).is_err());
        assert!(Plane::new(2, 3, vec![0.0; 5]).is_err());
        assert!(Plane::new(usize::MAX, 2, vec![0.0; 5]).is_err());
    }
}
