//! The mean of a data set's pictures, pixel by pixel.

use crate::error::{Error, Result, check_shape};
use crate::image::{Picture, Preprocess};
use crate::tensor::{Shape, Tensor};

/// The mean of pictures of one size, pixel by pixel, exact: sums of whole numbers, so that neither
/// the order of the pictures nor how they were shared out changes a bit.
///
/// The first picture decides the size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeanPicture {
    /// Height and width; without meaning while there is no picture.
    size: [usize; 2],
    sums: Vec<u64>,
    count: u64,
}

impl MeanPicture {
    /// Of no picture yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many pictures were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds a picture as the network sees it, see [`Preprocess::apply`].
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if it has another size than those before.
    pub fn add(&mut self, picture: &Picture) -> Result<()> {
        if self.count == 0 {
            (self.size, self.sums) = (picture.size(), vec![0; picture.pixels().len()]);
        }
        check_shape(("picture", &picture.size()), ("those before", &self.size))?;
        let bytes = picture.pixels().iter();
        self.sums.iter_mut().zip(bytes).for_each(|(sum, &byte)| *sum += u64::from(byte));
        self.count += 1;
        Ok(())
    }

    /// Adds all pictures of another mean.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if both have pictures, of different sizes.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.count == 0 {
            return Ok(());
        }
        if self.count == 0 {
            self.clone_from(other);
            return Ok(());
        }
        check_shape(("other mean picture", &other.size), ("this one", &self.size))?;
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| *sum += more);
        self.count += other.count;
        Ok(())
    }

    /// The mean as an input of shape 3, height, width: normalised as [`Preprocess::normalize`] does
    /// it, to the last bit, but not rounded to whole numbers first.
    ///
    /// Size and mode of `preprocess` play no part: the pictures have been through them.
    ///
    /// # Errors
    /// [`Error::Setting`] if no picture was added, or the mean and deviation cannot normalise.
    pub fn input(&self, preprocess: &Preprocess) -> Result<Tensor> {
        preprocess.check_normalization()?;
        if self.count == 0 {
            let (found, expected) = ("0".to_owned(), "1 or more".to_owned());
            return Err(Error::Setting { what: "number of pictures", found, expected });
        }
        let mut values = Vec::with_capacity(self.sums.len());
        for channel in 0..3 {
            let sums = self.sums.iter().skip(channel).step_by(3);
            values.extend(sums.map(|&sum| {
                // Rounded twice, which for whole numbers equals a division in 32 bit.
                let value = sum as f64 / self.count as f64 / 255.0;
                preprocess.normalized(channel, value as f32)
            }));
        }
        let [height, width] = self.size;
        Tensor::new(Shape::new(3, height, width), values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(value: u8) -> Picture {
        Picture::new(1, 1, vec![value, 0, 255]).expect("it fits")
    }

    fn mean_of(values: &[u8]) -> MeanPicture {
        let mut mean = MeanPicture::new();
        values.iter().for_each(|&value| mean.add(&filled(value)).expect("one size"));
        mean
    }

    #[test]
    fn the_mean_is_taken_pixel_by_pixel_in_any_order() {
        let whole = mean_of(&[10, 20, 60]);
        let mut merged = mean_of(&[60]);
        merged.merge(&mean_of(&[20, 10])).expect("one size");
        assert_eq!((&merged, merged.count()), (&whole, 3));
        let plain = Preprocess { mean: [0.0; 3], std: [1.0, 1.0, 2.0], ..Preprocess::imagenet() };
        // 30 / 255, and 1 over a deviation of 2.
        assert_eq!(whole.input(&plain).expect("ok").values(), [30.0 / 255.0, 0.0, 0.5]);
    }

    #[test]
    fn a_mean_of_nothing_is_merged_either_way() {
        let mut some = mean_of(&[7]);
        some.merge(&MeanPicture::new()).expect("nothing to do");
        assert_eq!(some, mean_of(&[7]));
        let mut none = MeanPicture::new();
        none.merge(&some).expect("nothing has no size");
        assert_eq!((&none, none.count()), (&some, 1));
    }

    #[test]
    fn the_mean_of_equal_pictures_is_their_input_to_the_last_bit() {
        // All bytes in all channels, in 8 rows of 32.
        let pixels = (0..=255).flat_map(|byte: u8| [byte, byte.wrapping_add(85), !byte]).collect();
        let picture = Picture::new(32, 8, pixels).expect("it fits");
        let preprocess = Preprocess::imagenet();
        let expected = preprocess.normalize(&picture).expect("ok");
        assert_eq!(expected.shape(), Shape::new(3, 8, 32));
        let mut mean = MeanPicture::new();
        for count in 1..=7 {
            mean.add(&picture).expect("one size");
            assert_eq!(mean.input(&preprocess).expect("ok"), expected, "{count} pictures");
        }
    }

    #[test]
    fn other_sizes_are_errors() {
        let wide = Picture::new(2, 1, vec![0; 6]).expect("it fits");
        let mut mean = mean_of(&[1]);
        let error = mean.add(&wide).expect_err("2x1");
        let expected = "picture has shape [1, 2], expected [1, 1] as those before";
        assert_eq!(error.to_string(), expected);
        let mut other = MeanPicture::new();
        other.add(&wide).expect("the first");
        let error = mean.merge(&other).expect_err("2x1");
        let expected = "other mean picture has shape [1, 2], expected [1, 1] as this one";
        assert_eq!(error.to_string(), expected);
        // Neither left a trace.
        assert_eq!(mean, mean_of(&[1]));
    }

    #[test]
    fn no_pictures_and_deviations_of_0_are_errors() {
        let error = MeanPicture::new().input(&Preprocess::imagenet()).expect_err("of nothing");
        assert_eq!(error.to_string(), "number of pictures is 0, expected 1 or more");
        let flat = Preprocess { mean: [0.5; 3], std: [1.0, 0.0, 1.0], ..Preprocess::imagenet() };
        let expected = "normalisation is mean [0.5, 0.5, 0.5], deviation [1.0, 0.0, 1.0], \
                        expected finite numbers and deviations above 0";
        assert_eq!(mean_of(&[1]).input(&flat).expect_err("0").to_string(), expected);
    }
}
