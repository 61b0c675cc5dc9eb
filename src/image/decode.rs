//! Decoding picture files: JPEG, PNG and WebP.

use std::io::{BufRead, Cursor, ErrorKind, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::picture::Picture;
use crate::file::{open_file, read_file};
use crate::{Error, Result};

/// The most bytes a picture file may have.
const MAX_FILE: u64 = 512 << 20;

impl Picture {
    /// Reads and decodes a picture file, see [`Picture::decode`].
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, else as [`Picture::decode`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let bytes = read_file(path.as_ref(), MAX_FILE, "picture")?;
        Self::decode(path, &bytes)
    }

    /// Reads a picture as its pixels are stored, whatever EXIF orientation it has: as those see it
    /// who draw boxes in data sets, and Pillow and torchvision's loaders.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn open_as_stored(path: impl AsRef<Path>) -> Result<Self> {
        let bytes = read_file(path.as_ref(), MAX_FILE, "picture")?;
        let (stored, _) = decode(path.as_ref(), &bytes)?;
        Self::of_image(stored)
    }

    /// Width and height of a picture file as they are stored, before any EXIF orientation; the
    /// pixels are not read.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, else as [`Picture::decode`] for what the start of the
    /// file tells.
    pub fn size_of(path: impl AsRef<Path>) -> Result<(u32, u32)> {
        let path = path.as_ref();
        let failed = |source| Error::File { action: "read", path: path.to_owned(), source };
        let mut file = open_file(path)?;
        let format = format_of(path, file.fill_buf().map_err(failed)?)?;
        Ok(decoder(path, format, file)?.dimensions())
    }

    /// Decodes JPEG, PNG or WebP, told apart by their content; `name` is for errors.
    ///
    /// The EXIF orientation is applied. Grey becomes RGB. Transparency is ignored,
    /// as Pillow's `convert("RGB")` does, which torchvision's loaders use: a
    /// transparent pixel shows the colour stored under it. 16-bit values become
    /// `round(value / 257)`. Colour profiles are ignored. Of an animation this is
    /// the first frame.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not such a picture, or only a part of one;
    /// [`Error::PictureSize`] if a side is shorter than 2 pixels or the picture
    /// is larger than [`Picture::MAX_SIDE`] and [`Picture::MAX_PIXELS`] allow.
    /// The size is checked before memory is taken for the pixels.
    pub fn decode(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let (mut image, orientation) = decode(name.as_ref(), bytes)?;
        orientation.into_iter().for_each(|orientation| image.apply_orientation(orientation));
        Self::of_image(image)
    }

    fn of_image(image: DynamicImage) -> Result<Self> {
        Self::new(image.width(), image.height(), image.into_bytes())
    }
}

/// RGB as it is stored, and the orientation that it should have.
fn decode(name: &Path, bytes: &[u8]) -> Result<(DynamicImage, Option<Orientation>)> {
    let malformed = |found| malformed(name, found);
    let format = format_of(name, bytes)?;
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(malformed("the file is truncated".to_owned()));
    }
    let mut decoder = decoder(name, format, Cursor::new(bytes))?;
    let (most, found) = (Limits::default().max_alloc.unwrap_or(u64::MAX), decoder.total_bytes());
    if found > most {
        return Err(malformed(format!("its pixels take {found} bytes, expected at most {most}")));
    }
    // A picture whose metadata cannot be read is upright.
    let orientation = decoder.orientation().ok();

    let rgb = DynamicImage::from_decoder(decoder);
    let rgb = rgb.map_err(|error| malformed(describe(&error)))?.into_rgb8();
    Ok((DynamicImage::ImageRgb8(rgb), orientation))
}

fn malformed(name: &Path, found: String) -> Error {
    Error::Malformed { path: name.to_owned(), expected: "picture", found }
}

/// The format that the start of a file tells.
fn format_of(name: &Path, bytes: &[u8]) -> Result<ImageFormat> {
    let found = match image::guess_format(bytes).ok() {
        Some(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => {
            return Ok(format);
        }
        Some(format) => format!("the format is {}", format!("{format:?}").to_uppercase()),
        None if bytes.is_empty() => "the file is empty".to_owned(),
        None => "the content is no picture".to_owned(),
    };
    Err(malformed(name, format!("{found}, expected JPEG, PNG or WebP")))
}

/// A decoder that has read how large the picture is, if that is neither too small nor too large.
fn decoder<'a>(
    name: &Path,
    format: ImageFormat,
    bytes: impl BufRead + Seek + 'a,
) -> Result<impl ImageDecoder + 'a> {
    let mut reader = ImageReader::with_format(bytes, format);
    reader.limits(Limits::default());
    let decoder = reader.into_decoder().map_err(|error| malformed(name, describe(&error)))?;
    let (width, height) = decoder.dimensions();
    check_size(name, width, height)?;
    Ok(decoder)
}

fn check_size(name: &Path, width: u32, height: u32) -> Result<()> {
    let sides = 2..=Picture::MAX_SIDE;
    let pixels = u64::from(width) * u64::from(height);
    if sides.contains(&width) && sides.contains(&height) && pixels <= Picture::MAX_PIXELS {
        return Ok(());
    }
    Err(Error::PictureSize {
        name: name.display().to_string(),
        width,
        height,
        expected: format!(
            "2 to {} along each side and at most {} in all",
            Picture::MAX_SIDE,
            Picture::MAX_PIXELS
        ),
    })
}

/// The decoder's message in one line.
fn describe(error: &ImageError) -> String {
    if let ImageError::IoError(error) = error
        && error.kind() == ErrorKind::UnexpectedEof
    {
        return "the file is truncated".to_owned();
    }
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a JPEG file reaches its end marker.
///
/// The decoder paints what is missing grey instead of failing. This walks over the
/// segments, so that the end of a thumbnail or bytes after the end do not count.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&byte) = bytes.get(at) {
        let marker = bytes.get(at + 1).copied();
        at += match (byte, marker) {
            (0xFF, Some(0xD9)) => return true,
            // Fill bytes, stuffed zeros, restarts and others without a content.
            (0xFF, Some(0xFF)) => 1,
            (0xFF, Some(0x00 | 0x01 | 0xD0..=0xD8)) => 2,
            (0xFF, Some(_)) => match bytes.get(at + 2..at + 4) {
                Some(length) => 2 + usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => return false,
            },
            _ => 1,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::codecs::png::PngEncoder;
    use image::codecs::webp::WebPEncoder;
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    const RGB: ExtendedColorType = ExtendedColorType::Rgb8;

    /// EXIF metadata that holds only the orientation, tag 0x0112.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut bytes = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        bytes.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    fn png(width: u32, height: u32, pixels: &[u8], colour: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new(&mut bytes);
        encoder.write_image(pixels, width, height, colour).expect("it can be encoded");
        bytes
    }

    fn jpeg(picture: &Picture, orientation: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 100);
        encoder.set_exif_metadata(exif(orientation)).expect("JPEG has EXIF");
        let (width, height) = (picture.width(), picture.height());
        encoder.write_image(picture.pixels(), width, height, RGB).expect("it can be encoded");
        bytes
    }

    fn gradient(width: u32, height: u32) -> Picture {
        let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, 77]));
        Picture::new(width, height, pixels.collect()).expect("the length fits")
    }

    fn message(bytes: &[u8]) -> String {
        let error = Picture::decode("some.file", bytes).expect_err("it is not a picture");
        let message = error.to_string();
        assert!(message.contains("`some.file`") && !message.contains('\n'), "{message}");
        message
    }

    /// A PNG header with a correct checksum and nothing behind it.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut chunk = b"IHDR".to_vec();
        chunk.extend(width.to_be_bytes());
        chunk.extend(height.to_be_bytes());
        chunk.extend([8, 2, 0, 0, 0]);
        let crc = !chunk.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
        });
        let ending = [&crc.to_be_bytes()[..], &[0, 0, 0, 0], b"IDAT"].concat();
        [b"\x89PNG\r\n\x1a\n\0\0\0\x0d", &chunk[..], &ending].concat()
    }

    #[test]
    fn each_exif_orientation_is_turned_upright() {
        // Stored:   1 2      The tag says where the first row and column belong.
        //           3 4
        //           5 6
        let stored: Vec<u8> = (1..=6).flat_map(|value| [value; 3]).collect();
        let upright: [(u8, u32, [u8; 6]); 8] = [
            (1, 2, [1, 2, 3, 4, 5, 6]),
            (2, 2, [2, 1, 4, 3, 6, 5]),
            (3, 2, [6, 5, 4, 3, 2, 1]),
            (4, 2, [5, 6, 3, 4, 1, 2]),
            (5, 3, [1, 3, 5, 2, 4, 6]),
            (6, 3, [5, 3, 1, 6, 4, 2]),
            (7, 3, [6, 4, 2, 5, 3, 1]),
            (8, 3, [2, 4, 6, 1, 3, 5]),
        ];
        for (orientation, width, expected) in upright {
            let mut bytes = Vec::new();
            let mut encoder = PngEncoder::new(&mut bytes);
            encoder.set_exif_metadata(exif(orientation)).expect("PNG has EXIF");
            encoder.write_image(&stored, 2, 3, RGB).expect("it can be encoded");
            let picture = Picture::decode("turned.png", &bytes).expect("it is a picture");
            let reds: Vec<u8> = picture.pixels().iter().copied().step_by(3).collect();
            assert_eq!((picture.width(), &reds[..]), (width, &expected[..]), "{orientation}");
        }
    }

    #[test]
    fn the_orientation_of_a_jpeg_counts_as_well() {
        let picture = gradient(32, 16);
        let size = |orientation| {
            let bytes = jpeg(&picture, orientation);
            let decoded = Picture::decode("turned.jpg", &bytes).expect("it is a picture");
            (decoded.width(), decoded.height())
        };
        assert_eq!([1, 3, 6, 8].map(size), [(32, 16), (32, 16), (16, 32), (16, 32)]);
    }

    #[test]
    fn other_pixel_kinds_become_8_bit_rgb() {
        use ExtendedColorType as Kind;
        let decoded = |pixels: &[u8], kind| {
            Picture::decode("two.png", &png(2, 2, pixels, kind))
                .expect("it is a picture")
                .pixels()
                .to_vec()
        };
        let grey = [9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6];
        assert_eq!(decoded(&[9, 8, 7, 6], Kind::L8), grey);
        // Transparency is dropped, whatever it is.
        assert_eq!(decoded(&[9, 0, 8, 255, 7, 3, 6, 128], Kind::La8), grey);
        let rgba = [9, 9, 9, 0, 8, 8, 8, 255, 7, 7, 7, 1, 6, 6, 6, 128];
        assert_eq!(decoded(&rgba, Kind::Rgba8), grey);
        // 16 bit, native order: 128 / 257 = 0.498, 129 / 257 = 0.502, 65535 / 257 = 255.
        let deep = [128u16, 129, 0x1234, 65535].map(u16::to_ne_bytes).concat();
        assert_eq!(decoded(&deep, Kind::L16), [0, 0, 0, 1, 1, 1, 18, 18, 18, 255, 255, 255]);
    }

    #[test]
    fn webp_is_read() {
        let picture = gradient(5, 3);
        let mut bytes = Vec::new();
        let encoder = WebPEncoder::new_lossless(&mut bytes);
        encoder.write_image(picture.pixels(), 5, 3, RGB).expect("it can be encoded");
        assert_eq!(Picture::decode("a.webp", &bytes).expect("it is a picture"), picture);
        message(&bytes[..bytes.len() - 4]);
    }

    #[test]
    fn what_is_not_a_picture_is_named() {
        assert!(message(b"").ends_with("the file is empty, expected JPEG, PNG or WebP"));
        assert!(message(b"hello, world").contains("the content is no picture"));
        assert!(message(b"GIF89a\x01\0\x01\0").contains("the format is GIF, expected JPEG"));
        assert!(message(b"\x89PNG\r\n\x1a\n garbage").contains("not a usable picture"));
        let missing = Picture::open("no/such/picture.png").expect_err("there is none");
        assert!(missing.to_string().starts_with("cannot read `no/such/picture.png`: "));
    }

    #[test]
    fn every_truncated_file_is_an_error() {
        let whole = gradient(40, 30);
        for bytes in [whole.encode_png(), jpeg(&whole, 1)] {
            // The last 12 bytes of a PNG are its end marker, which adds nothing.
            for length in (8..bytes.len() - 12).step_by(7) {
                message(&bytes[..length]);
            }
        }
        let bytes = jpeg(&whole, 1);
        assert!(message(&bytes[..bytes.len() - 2]).ends_with("the file is truncated"));
        let followed = [&bytes[..], b"more"].concat();
        assert!(Picture::decode("followed.jpg", &followed).is_ok());
    }

    #[test]
    fn sizes_are_checked_before_decoding() {
        let range = "expected 2 to 65535 along each side and at most 100000000 in all";
        for (width, height) in [(1, 1), (1, 50), (50, 1), (20_000, 20_000), (65_536, 2)] {
            let expected = format!("`some.file` has {width}x{height} pixels, {range}");
            assert_eq!(message(&png_header(width, height)), expected);
        }
        assert!(message(&png_header(10_000, 10_000)).contains("not a usable picture"));
        assert!(message(&png_header(0, 7)).contains("not a usable picture"));
    }
}
