//! The mean of a data set's pictures, pixel by pixel.

use crate::error::{Error, Result};
use crate::image::{Picture, Preprocess};
use crate::tensor::{Shape, Tensor};

/// The mean of pictures of one size, pixel by pixel, exact: sums of whole numbers, so that neither
/// the order of the pictures nor how they were shared out changes a bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeanPicture {
    size: (u32, u32),
    sums: Vec<u64>,
    count: u64,
}

impl MeanPicture {
    /// Of no picture yet; `size` is width and height.
    pub fn new(size: (u32, u32)) -> Self {
        Self { size, sums: vec![0; size.0 as usize * size.1 as usize * 3], count: 0 }
    }

    /// How many pictures were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Adds a picture as the network sees it, see [`Preprocess::apply`].
    ///
    /// # Errors
    /// [`Error::InputShape`] if it has another size.
    pub fn add(&mut self, picture: &Picture) -> Result<()> {
        self.check((picture.width(), picture.height()))?;
        let bytes = picture.pixels().iter();
        self.sums.iter_mut().zip(bytes).for_each(|(sum, &byte)| *sum += u64::from(byte));
        self.count += 1;
        Ok(())
    }

    /// Adds all pictures of another mean.
    ///
    /// # Errors
    /// [`Error::InputShape`] if they have another size.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.check(other.size)?;
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| *sum += more);
        self.count += other.count;
        Ok(())
    }

    /// The mean as an input: normalised, not rounded to whole numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] if no picture was added.
    pub fn input(&self, preprocess: &Preprocess) -> Result<Tensor> {
        if self.count == 0 {
            let expected = "1 or more".to_owned();
            return Err(Error::Setting {
                what: "number of pictures",
                found: "0".to_owned(),
                expected,
            });
        }
        let mut values = Vec::with_capacity(self.sums.len());
        for channel in 0..3 {
            let (mean, std) = (preprocess.mean[channel], preprocess.std[channel]);
            let sums = self.sums.iter().skip(channel).step_by(3);
            values.extend(sums.map(|&sum| {
                let value = sum as f64 / self.count as f64 / 255.0;
                ((value - f64::from(mean)) / f64::from(std)) as f32
            }));
        }
        Tensor::new(Shape::new(3, self.size.1 as usize, self.size.0 as usize), values)
    }

    fn check(&self, found: (u32, u32)) -> Result<()> {
        if found == self.size {
            return Ok(());
        }
        let list = |(width, height): (u32, u32)| vec![height as usize, width as usize];
        let (expected, found) = (list(self.size), list(found));
        Err(Error::InputShape { name: "picture".to_owned(), expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(value: u8) -> Picture {
        Picture::new(1, 1, vec![value, 0, 255]).expect("it fits")
    }

    #[test]
    fn the_mean_is_taken_pixel_by_pixel_in_any_order() {
        let mut whole = MeanPicture::new((1, 1));
        [10, 20, 60].iter().for_each(|&value| whole.add(&filled(value)).expect("it fits"));
        let mut parts = [MeanPicture::new((1, 1)), MeanPicture::new((1, 1))];
        parts[0].add(&filled(60)).expect("it fits");
        [20, 10].iter().for_each(|&value| parts[1].add(&filled(value)).expect("it fits"));
        let [mut merged, rest] = parts;
        merged.merge(&rest).expect("it fits");
        assert_eq!((&merged, merged.count()), (&whole, 3));
        let plain = Preprocess { mean: [0.0; 3], std: [1.0, 1.0, 2.0], ..Preprocess::imagenet() };
        // 30 / 255, and 1 over a deviation of 2.
        assert_eq!(whole.input(&plain).expect("ok").values(), [30.0 / 255.0, 0.0, 0.5]);
    }

    #[test]
    fn other_sizes_and_no_pictures_are_errors() {
        let mut mean = MeanPicture::new((2, 1));
        assert!(mean.add(&filled(1)).expect_err("1x1").to_string().contains("picture"));
        let error = mean.input(&Preprocess::imagenet()).expect_err("of nothing");
        assert_eq!(error.to_string(), "number of pictures is 0, expected 1 or more");
    }
}
