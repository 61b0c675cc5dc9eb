//! From a picture to the network's input, as torchvision's transforms do it:
//! resize, crop, divide by 255, subtract the mean, divide by the deviation.

use super::picture::Picture;
use super::resample::resample;
use crate::{Error, Result, Shape, Tensor};

/// How a picture is brought to the network's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The short side is resized to `resize`, then the centre is cut out; where
    /// the picture is smaller than that it gets a black border.
    CenterCrop {
        /// Length of the short side before the crop, in pixels.
        resize: u32,
    },
    /// Both sides are resized, whatever that does to the proportions.
    Squash,
    /// The short side is resized to the shorter of the two sizes, nothing is cut
    /// off: the network gets a rectangle as long as the picture.
    ShortSide,
}

/// From a picture to the network's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocess {
    /// How the picture is brought to the size.
    pub mode: Mode,
    /// Height and width of the input, in pixels.
    pub size: (u32, u32),
    /// Mean of red, green and blue, where white is 1.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, where white is 1.
    pub std: [f32; 3],
}

/// Where a picture's pixels go: `x * scaled.0 / picture.0 - offset.0`, the same for y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Width and height of the picture.
    pub picture: (u32, u32),
    /// Width and height of the picture after resizing.
    pub scaled: (u32, u32),
    /// Left column and top row of the input in the resized picture; negative
    /// where there is a border.
    pub offset: (i64, i64),
    /// Width and height of the input.
    pub size: (u32, u32),
}

impl Preprocess {
    /// What most of torchvision's networks were trained on: short side to 256
    /// pixels, the 224x224 in the centre, `ImageNet`'s mean and deviation.
    pub const fn imagenet() -> Self {
        Self {
            mode: Mode::CenterCrop { resize: 256 },
            size: (224, 224),
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }

    /// The normalised input, and the 8-bit picture it shows.
    ///
    /// Resizing is bilinear and antialiased, bit for bit as Pillow does it.
    ///
    /// # Errors
    /// [`Error::Setting`] if a size is 0 or larger than a picture can be, or the
    /// mean and deviation cannot normalise; [`Error::PictureSize`] if the picture
    /// is so long that the input would be too large.
    pub fn apply(&self, picture: &Picture) -> Result<(Tensor, Picture)> {
        let geometry = self.geometry(picture.width(), picture.height())?;
        let seen = geometry.apply(picture)?;
        Ok((self.normalize(&seen)?, seen))
    }

    /// The values of a picture as it is: `(value / 255 - mean) / std`.
    ///
    /// # Errors
    /// [`Error::Setting`] if the mean and deviation cannot normalise.
    pub fn normalize(&self, picture: &Picture) -> Result<Tensor> {
        self.check_normalization()?;
        let size = picture.pixels().len() / 3;
        let mut values = Vec::with_capacity(size * 3);
        for channel in 0..3 {
            let bytes = picture.pixels().iter().skip(channel).step_by(3);
            values.extend(bytes.map(|&byte| self.normalized(channel, f32::from(byte) / 255.0)));
        }
        Tensor::new(Shape::new(3, picture.height() as usize, picture.width() as usize), values)
    }

    /// What a value of a channel becomes, where white is 1.
    pub(crate) fn normalized(&self, channel: usize, value: f32) -> f32 {
        (value - self.mean[channel]) / self.std[channel]
    }

    /// What black becomes, for each channel: the lowest value of an input.
    pub fn low(&self) -> [f32; 3] {
        std::array::from_fn(|channel| self.normalized(channel, 0.0))
    }

    /// What white becomes, for each channel: the highest value of an input.
    pub fn high(&self) -> [f32; 3] {
        std::array::from_fn(|channel| self.normalized(channel, 1.0))
    }

    /// Where the pixels of a picture of this size go.
    ///
    /// # Errors
    /// As [`Preprocess::apply`].
    pub fn geometry(&self, width: u32, height: u32) -> Result<Geometry> {
        let (in_height, in_width) = self.size;
        let picture = (width, height);
        check_length("input height", in_height)?;
        check_length("input width", in_width)?;
        match self.mode {
            Mode::CenterCrop { resize } => {
                check_length("resized short side", resize)?;
                let scaled = short_side_to(resize, width, height)?;
                let offset = (crop_start(scaled.0, in_width), crop_start(scaled.1, in_height));
                Ok(Geometry { picture, scaled, offset, size: (in_width, in_height) })
            }
            Mode::Squash => {
                let size = (in_width, in_height);
                Ok(Geometry { picture, scaled: size, offset: (0, 0), size })
            }
            Mode::ShortSide => {
                let size = short_side_to(in_width.min(in_height), width, height)?;
                if u64::from(size.0) * u64::from(size.1) > Picture::MAX_PIXELS {
                    return Err(too_long(width, height));
                }
                Ok(Geometry { picture, scaled: size, offset: (0, 0), size })
            }
        }
    }

    /// Whether means and deviations make sense.
    pub(crate) fn check_normalization(&self) -> Result<()> {
        let usable = |(mean, std): (&f32, &f32)| mean.is_finite() && std.is_finite() && *std > 0.0;
        if self.mean.iter().zip(&self.std).all(usable) {
            return Ok(());
        }
        Err(Error::Setting {
            what: "normalisation",
            found: format!("mean {:?}, deviation {:?}", self.mean, self.std),
            expected: "finite numbers and deviations above 0".to_owned(),
        })
    }
}

impl Geometry {
    /// Where a point of the picture, column and row, comes to lie in the input. The outer edges of
    /// the first pixel are 0. It may lie outside the input.
    #[must_use]
    pub fn place(&self, point: (f64, f64)) -> (f64, f64) {
        let axis = |at: f64, scaled: u32, length: u32, offset: i64| {
            at * f64::from(scaled) / f64::from(length.max(1)) - offset as f64
        };
        let x = axis(point.0, self.scaled.0, self.picture.0, self.offset.0);
        (x, axis(point.1, self.scaled.1, self.picture.1, self.offset.1))
    }

    fn apply(&self, picture: &Picture) -> Result<Picture> {
        let axis = |scaled: u32, offset: i64, size: u32| {
            let part = offset.max(0)..(offset + i64::from(size)).min(i64::from(scaled));
            // Both ends lie in 0..=scaled.
            (part.start as u32..part.end as u32, offset.min(0).unsigned_abs() as u32)
        };
        let (columns, left) = axis(self.scaled.0, self.offset.0, self.size.0);
        let (rows, top) = axis(self.scaled.1, self.offset.1, self.size.1);
        let part = resample(picture, self.scaled, columns, rows)?;
        if (part.width(), part.height()) == self.size {
            return Ok(part);
        }
        let mut bordered = Picture::filled(self.size.0, self.size.1, [0; 3]);
        bordered.paste(&part, left, top);
        Ok(bordered)
    }
}

fn check_length(what: &'static str, length: u32) -> Result<()> {
    const MAX: u32 = 8192;
    if (1..=MAX).contains(&length) {
        return Ok(());
    }
    let expected = format!("1 to {MAX} pixels");
    Err(Error::Setting { what, found: length.to_string(), expected })
}

/// Width and height with the short side resized: torchvision's `Resize(length)`.
fn short_side_to(length: u32, width: u32, height: u32) -> Result<(u32, u32)> {
    let (short, long) = (width.min(height), width.max(height));
    // torchvision truncates the long side.
    let long = u64::from(length) * u64::from(long) / u64::from(short.max(1));
    let long = u32::try_from(long).map_err(|_| too_long(width, height))?;
    Ok(if width <= height { (length, long) } else { (long, length) })
}

/// Where `CenterCrop` starts: the half difference, rounded to even as Python's
/// `round` does, or minus the half border, rounded down, if there must be one.
fn crop_start(length: u32, crop: u32) -> i64 {
    let difference = i64::from(length) - i64::from(crop);
    let half = difference / 2;
    if difference < 0 {
        return half;
    }
    half + difference % 2 * (half % 2)
}

fn too_long(width: u32, height: u32) -> Error {
    let expected = "a long side nearer to the short side".to_owned();
    Error::PictureSize { name: "picture".to_owned(), width, height, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(mode: Mode, height: u32, width: u32) -> Preprocess {
        Preprocess { mode, size: (height, width), ..Preprocess::imagenet() }
    }

    #[test]
    fn the_long_side_is_truncated_and_the_crop_rounded_to_even() {
        let geometry = |width, height| Preprocess::imagenet().geometry(width, height).expect("ok");
        // 256 * 500 / 375 = 341.33; (341 - 224) / 2 = 58.5, to even 58; (256 - 224) / 2 = 16.
        let size = (224, 224);
        let wide = Geometry { picture: (500, 375), scaled: (341, 256), offset: (58, 16), size };
        assert_eq!(geometry(500, 375), wide);
        // 256 * 343 / 256 = 343; (343 - 224) / 2 = 59.5, to even 60.
        let tall = Geometry { picture: (256, 343), scaled: (256, 343), offset: (16, 60), size };
        assert_eq!(geometry(256, 343), tall);
    }

    #[test]
    fn a_picture_smaller_than_the_crop_gets_a_black_border() {
        let white = Picture::filled(4, 2, [255; 3]);
        // Resized to 4x2; 5 - 2 = 3 rows are missing: 1 above, 2 below.
        let crop = with(Mode::CenterCrop { resize: 2 }, 5, 3);
        let (tensor, seen) = crop.apply(&white).expect("ok");
        let reds: Vec<u8> = seen.pixels().iter().copied().step_by(3).collect();
        assert_eq!(reds, [0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0]);
        assert_eq!(tensor.shape(), Shape::new(3, 5, 3));
        assert_eq!(tensor.plane(1)[0], crop.low()[1]);
        assert_eq!(tensor.plane(1)[3], crop.high()[1]);
    }

    #[test]
    fn squash_and_short_side_keep_the_whole_picture() {
        let size = |mode| with(mode, 24, 32).geometry(100, 300).expect("ok").size;
        assert_eq!(size(Mode::Squash), (32, 24));
        // 24 * 300 / 100 = 72.
        assert_eq!(size(Mode::ShortSide), (24, 72));
    }

    #[test]
    fn values_are_normalised_channel_by_channel() {
        let picture = Picture::new(2, 1, vec![0, 51, 102, 255, 204, 153]).expect("it fits");
        let plain = Preprocess { mean: [0.0, 0.2, 0.4], std: [1.0, 0.5, 0.1], ..with_size() };
        let tensor = plain.normalize(&picture).expect("ok");
        let expected = [0.0, 1.0, 0.0, 1.2, 0.0, 2.0];
        for (value, expected) in tensor.values().iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{value} {expected}");
        }
    }

    #[test]
    fn normalising_is_torchvisions_formula_to_the_last_bit() {
        let preprocess = Preprocess::imagenet();
        let pixels: Vec<u8> = (0..=255).flat_map(|byte| [byte; 3]).collect();
        let tensor = preprocess.normalize(&Picture::new(16, 16, pixels).expect("it fits"));
        let tensor = tensor.expect("ok");
        for channel in 0..3 {
            for (byte, value) in (0..=255_u8).zip(tensor.plane(channel)) {
                let expected =
                    (f32::from(byte) / 255.0 - preprocess.mean[channel]) / preprocess.std[channel];
                assert_eq!(value.to_bits(), expected.to_bits(), "{byte} in channel {channel}");
            }
        }
    }

    #[test]
    fn points_go_where_their_pixels_go() {
        // 500x375 becomes 341x256, of which columns 58 on and rows 16 on are kept.
        let geometry = Preprocess::imagenet().geometry(500, 375).expect("ok");
        let (x, y) = geometry.place((100.0, 75.0));
        assert!((x - (68.2 - 58.0)).abs() < 1e-9 && (y - (51.2 - 16.0)).abs() < 1e-9, "{x} {y}");
    }

    fn with_size() -> Preprocess {
        with(Mode::Squash, 1, 2)
    }

    #[test]
    fn the_bounds_are_those_of_black_and_white() {
        let close = |found: [f32; 3], expected: [f32; 3]| {
            found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 5e-5)
        };
        assert!(close(Preprocess::imagenet().low(), [-2.1179, -2.0357, -1.8044]));
        assert!(close(Preprocess::imagenet().high(), [2.2489, 2.4286, 2.6400]));
    }

    #[test]
    fn long_strips_are_cropped_without_computing_the_rest() {
        // Resized it would have 256 * 65535 * 256 pixels.
        let strip = Picture::filled(65_535, 1, [9, 8, 7]);
        let (_, seen) = Preprocess::imagenet().apply(&strip).expect("ok");
        assert_eq!(seen.pixel(223, 223), Some([9, 8, 7]));
        let error = with(Mode::ShortSide, 224, 224).apply(&strip).expect_err("it is too long");
        assert!(error.to_string().starts_with("`picture` has 65535x1 pixels"), "{error}");
    }

    #[test]
    fn senseless_settings_are_errors() {
        let picture = Picture::filled(4, 4, [0; 3]);
        let message = |preprocess: Preprocess| {
            preprocess.apply(&picture).expect_err("it makes no sense").to_string()
        };
        assert_eq!(
            message(with(Mode::Squash, 0, 3)),
            "input height is 0, expected 1 to 8192 pixels"
        );
        let crop = Mode::CenterCrop { resize: 99_999 };
        assert!(message(with(crop, 3, 3)).starts_with("resized short side is 99999"));
        let flat = Preprocess { std: [1.0, 0.0, 1.0], ..Preprocess::imagenet() };
        assert!(message(flat).contains("deviations above 0"));
    }
}
