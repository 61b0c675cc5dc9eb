//! A picture: 8-bit RGB pixels, saved as PNG.

use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::file::write_file_atomically;
use crate::{Error, Result};

/// An 8-bit RGB picture of at least one pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// The most pixels that a picture file may have.
    pub const MAX_PIXELS: u64 = 100_000_000;

    /// The most pixels that a picture file may have along one side.
    pub const MAX_SIDE: u32 = 65_535;

    /// Wraps pixels: red, green and blue of each, row by row.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no pixel or their number does not fit.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self> {
        let expected = 3 * u128::from(width) * u128::from(height);
        if expected == 0 || expected != pixels.len() as u128 {
            return Err(Error::Setting {
                what: "a picture's pixels",
                found: format!("{} bytes for {width}x{height} pixels", pixels.len()),
                expected: "three bytes for each of at least one pixel".to_owned(),
            });
        }
        Ok(Self { width, height, pixels })
    }

    /// A picture of one colour; both sides are at least 1.
    pub(super) fn filled(width: u32, height: u32, colour: [u8; 3]) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self { width, height, pixels: colour.repeat(width as usize * height as usize) }
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Height and width, in the order of [`Plane::size`](super::Plane::size); that of
    /// [`Picture::size_of`] is the other.
    pub fn size(&self) -> [usize; 2] {
        [self.height as usize, self.width as usize]
    }

    /// Red, green and blue of each pixel, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The colour in column `x` and row `y`, if that is inside.
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        let start = self.start(x, y)?;
        Some([self.pixels[start], self.pixels[start + 1], self.pixels[start + 2]])
    }

    fn start(&self, x: u32, y: u32) -> Option<usize> {
        let inside = x < self.width && y < self.height;
        inside.then_some((y as usize * self.width as usize + x as usize) * 3)
    }

    /// Mixes a colour into a pixel; outside nothing happens.
    pub(super) fn blend(&mut self, x: u32, y: u32, colour: [u8; 3], opacity: u8) {
        let Some(start) = self.start(x, y) else { return };
        for (channel, to) in self.pixels[start..start + 3].iter_mut().zip(colour) {
            let (from, to, opacity) = (u32::from(*channel), u32::from(to), u32::from(opacity));
            *channel = ((from * (255 - opacity) + to * opacity + 127) / 255) as u8;
        }
    }

    /// Copies `other` into this picture; what lies outside is cut off.
    pub(super) fn paste(&mut self, other: &Picture, left: u32, top: u32) {
        let columns = other.width.min(self.width.saturating_sub(left)) as usize;
        for y in 0..other.height.min(self.height.saturating_sub(top)) {
            let (Some(to), Some(from)) = (self.start(left, top + y), other.start(0, y)) else {
                continue;
            };
            self.pixels[to..][..columns * 3].copy_from_slice(&other.pixels[from..][..columns * 3]);
        }
    }

    /// Each pixel as a square of `factor` times `factor`.
    pub(super) fn enlarged(&self, factor: u32) -> Picture {
        let factor = factor.max(1) as usize;
        let row_length = self.width as usize * 3;
        let mut pixels = Vec::with_capacity(self.pixels.len() * factor * factor);
        for row in self.pixels.chunks_exact(row_length) {
            let wide: Vec<u8> =
                row.chunks_exact(3).flat_map(|pixel| pixel.repeat(factor)).collect();
            (0..factor).for_each(|_| pixels.extend_from_slice(&wide));
        }
        let factor = factor as u32;
        Picture { width: self.width * factor, height: self.height * factor, pixels }
    }

    /// The picture as the content of a PNG file.
    pub fn encode_png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
            .write_image(&self.pixels, self.width, self.height, ExtendedColorType::Rgb8)
            .expect("the size is not 0 and fits the pixels, and memory accepts all bytes");
        bytes
    }

    /// Saves the picture as PNG, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<()> {
        write_file_atomically(path, &self.encode_png())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_survives_saving_and_opening() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pixels = (0..45).map(|i| i * 5).collect();
        let picture = Picture::new(5, 3, pixels).expect("the length fits");
        // The name lies: the content decides.
        let path = folder.path().join("picture.jpg");
        picture.save_png(&path).expect("it can be saved");
        assert_eq!(Picture::open(&path).expect("it can be opened"), picture);
    }

    #[test]
    fn pixels_must_fit_the_size() {
        assert!(Picture::new(2, 2, vec![0; 12]).is_ok());
        assert!(Picture::new(0, 2, Vec::new()).is_err());
        let error = Picture::new(2, 2, vec![0; 11]).expect_err("one byte is missing");
        let expected = "a picture's pixels is 11 bytes for 2x2 pixels, \
                        expected three bytes for each of at least one pixel";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn pasting_and_blending_stay_inside() {
        let mut picture = Picture::filled(3, 2, [0; 3]);
        picture.paste(&Picture::filled(5, 5, [200; 3]), 2, 1);
        picture.paste(&Picture::filled(5, 5, [200; 3]), 9, 9);
        picture.blend(0, 0, [100; 3], 128);
        picture.blend(7, 0, [100; 3], 255);
        let reds: Vec<u8> = picture.pixels.iter().copied().step_by(3).collect();
        assert_eq!(reds, [50, 0, 0, 0, 0, 200]);
        assert_eq!(Picture::filled(1, 1, [1, 2, 3]).enlarged(2).pixels, [1, 2, 3].repeat(4));
    }
}
