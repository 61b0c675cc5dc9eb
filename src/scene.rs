//! Pictures of handwritten digits over clutter, for trying an explanation
//! without any download: every scene comes with the boxes of its digits.
//!
//! A scene depends on its arguments alone, to the last bit on every platform:
//! only additions, multiplications, divisions and square roots are used.

/// Records of 33 bytes: a label, then 8x8 pixels of 4 bits each.
const BUNDLE: &[u8] = include_bytes!("../assets/digits.bin");
const RECORD: usize = 33;
const GRID: usize = 8;

/// Every fifth bundled digit is kept for testing.
const TEST_EVERY: usize = 5;

const SIDE: u32 = 64;
const SMALLEST_DIGIT: u32 = 22;
const LARGEST_DIGIT: u32 = 36;

type Colour = [f32; 3];

/// Which of the bundled digits a scene may use; no digit is in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// The four fifths the bundled network was trained on.
    Train,
    /// The fifth it has never seen.
    Test,
}

impl Split {
    /// The split that the bundled digit `sample` belongs to.
    pub fn of(sample: usize) -> Split {
        if sample % TEST_EVERY == TEST_EVERY - 1 { Split::Test } else { Split::Train }
    }
}

/// A rectangle in pixels; `right` and `bottom` are exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// One past the last column.
    pub right: u32,
    /// One past the last row.
    pub bottom: u32,
}

impl Bounds {
    /// Whether the pixel in column `x` and row `y` lies inside.
    pub fn contains(self, x: u32, y: u32) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }

    fn width(self) -> u32 {
        self.right - self.left
    }

    fn height(self) -> u32 {
        self.bottom - self.top
    }

    /// Cuts across the longer axis, leaving room for a digit on both sides.
    fn cut(self, random: &mut Random) -> (Bounds, Bounds) {
        let room = self.width().max(self.height()) - SMALLEST_DIGIT;
        let at = random.between(SMALLEST_DIGIT, room);
        if self.width() >= self.height() {
            let x = self.left + at;
            (Bounds { right: x, ..self }, Bounds { left: x, ..self })
        } else {
            let y = self.top + at;
            (Bounds { bottom: y, ..self }, Bounds { top: y, ..self })
        }
    }
}

/// One digit of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedDigit {
    /// What it reads, 0 to 9.
    pub class: u8,
    /// The tightest box around its ink.
    pub bounds: Bounds,
    /// Which bundled digit it is, in the order of `assets/digits.bin`.
    pub sample: usize,
}

/// A picture with one to three digits of different classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Width and height in pixels.
    pub side: u32,
    /// Red, green and blue of each pixel, row by row.
    pub pixels: Vec<u8>,
    /// The digits; their boxes do not overlap.
    pub digits: Vec<PlacedDigit>,
}

impl Scene {
    /// The most digits that one scene holds.
    pub const MAX_DIGITS: usize = 3;

    /// Draws scene number `index` of the series `seed`.
    ///
    /// `digit_count` is clamped to `1..=MAX_DIGITS`. The picture is 64x64.
    pub fn render(split: Split, digit_count: usize, seed: u64, index: u64) -> Scene {
        let random = &mut Random::new(&[seed, index, split as u64]);
        let mut canvas = Canvas::cluttered(random);
        let mut digits: Vec<PlacedDigit> = Vec::new();
        for part in parts(digit_count.clamp(1, Scene::MAX_DIGITS), random) {
            let class = loop {
                let class = random.between(0, 9) as u8;
                if digits.iter().all(|digit| digit.class != class) {
                    break class;
                }
            };
            let sample = sample_of(class, split, random);
            let bounds = canvas.draw_digit(sample, part, random);
            digits.push(PlacedDigit { class, bounds, sample });
        }
        Scene { side: SIDE, pixels: canvas.into_pixels(random), digits }
    }
}

/// Divides the picture among `count` digits, always cutting the largest part.
fn parts(count: usize, random: &mut Random) -> Vec<Bounds> {
    let mut parts = vec![Bounds { left: 0, top: 0, right: SIDE, bottom: SIDE }];
    while parts.len() < count {
        parts.sort_by_key(|part| part.width() * part.height());
        if let Some(largest) = parts.pop() {
            let (one, other) = largest.cut(random);
            parts.extend([one, other]);
        }
    }
    parts
}

/// A random bundled digit of a class.
fn sample_of(class: u8, split: Split, random: &mut Random) -> usize {
    let samples: Vec<usize> = (0..BUNDLE.len() / RECORD)
        .filter(|&sample| BUNDLE[sample * RECORD] == class && Split::of(sample) == split)
        .collect();
    samples[random.between(0, samples.len() as u32 - 1) as usize]
}

/// How much ink a bundled digit has in a cell of its grid, 0 to 1.
fn ink(sample: usize, column: i32, row: i32) -> f32 {
    let cells = 0..GRID as i32;
    if !cells.contains(&column) || !cells.contains(&row) {
        return 0.0;
    }
    let cell = row as usize * GRID + column as usize;
    let pair = BUNDLE[sample * RECORD + 1 + cell / 2];
    let value = if cell.is_multiple_of(2) { pair >> 4 } else { pair & 15 };
    f32::from(value) / 15.0
}

/// Catmull-Rom weights of the four cells around a position `t` past the second.
fn spline(t: f32) -> [f32; 4] {
    [
        t * (t * (2.0 - t) - 1.0) / 2.0,
        (t * t * (3.0 * t - 5.0) + 2.0) / 2.0,
        t * (t * (4.0 - 3.0 * t) + 1.0) / 2.0,
        t * t * (t - 1.0) / 2.0,
    ]
}

/// Ink between the cells of a bundled digit, by bicubic interpolation.
fn smooth_ink(sample: usize, x: f32, y: f32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let (across, down) = (spline(x - column), spline(y - row));
    let mut sum = 0.0;
    for (i, wy) in (-1..).zip(down) {
        for (j, wx) in (-1..).zip(across) {
            sum += wy * wx * ink(sample, column as i32 + j, row as i32 + i);
        }
    }
    sum
}

/// The picture while it is painted; colours go from 0 to 255.
struct Canvas {
    pixels: Vec<Colour>,
}

impl Canvas {
    /// A gradient with blobs and strokes on it.
    fn cluttered(random: &mut Random) -> Canvas {
        let mut canvas = Canvas { pixels: vec![random.colour(); (SIDE * SIDE) as usize] };
        let (dx, dy) = (random.real(-1.0, 1.0), random.real(-1.0, 1.0));
        let colour = random.colour();
        canvas.paint(colour, |x, y| 0.5 + (dx * (x - 32.0) + dy * (y - 32.0)) / 64.0);
        for _ in 0..random.between(1, 4) {
            canvas.blob(random);
        }
        for _ in 0..random.between(2, 7) {
            canvas.stroke(random);
        }
        canvas
    }

    /// Blends a colour in, by the coverage of each pixel's centre.
    fn paint(&mut self, colour: Colour, coverage: impl Fn(f32, f32) -> f32) {
        for (i, pixel) in (0..).zip(&mut self.pixels) {
            let (x, y) = ((i % SIDE) as f32 + 0.5, (i / SIDE) as f32 + 0.5);
            let alpha = coverage(x, y).clamp(0.0, 1.0);
            for (channel, to) in pixel.iter_mut().zip(colour) {
                *channel += alpha * (to - *channel);
            }
        }
    }

    /// An ellipse with a soft edge.
    fn blob(&mut self, random: &mut Random) {
        let (cx, cy) = random.point();
        let (rx, ry) = (random.real(4.0, 20.0), random.real(4.0, 20.0));
        let (hardness, opacity) = (random.real(1.0, 5.0), random.real(0.3, 1.0));
        self.paint(random.colour(), |x, y| {
            let (u, v) = ((x - cx) / rx, (y - cy) / ry);
            ((1.0 - u * u - v * v) * hardness).clamp(0.0, 1.0) * opacity
        });
    }

    /// A straight line with round ends, about as thick as a digit's.
    fn stroke(&mut self, random: &mut Random) {
        let (x0, y0) = random.point();
        let (dx, dy) = (random.real(-30.0, 30.0), random.real(-30.0, 30.0));
        let (radius, opacity) = (random.real(0.5, 2.5), random.real(0.4, 1.0));
        let length_squared = dx * dx + dy * dy + 1.0;
        self.paint(random.colour(), |x, y| {
            let along = ((x - x0) * dx + (y - y0) * dy) / length_squared;
            let along = along.clamp(0.0, 1.0);
            let (u, v) = (x - x0 - along * dx, y - y0 - along * dy);
            (radius + 0.5 - (u * u + v * v).sqrt()).clamp(0.0, 1.0) * opacity
        });
    }

    /// Draws a digit somewhere in a part of the picture; returns its ink's box.
    fn draw_digit(&mut self, sample: usize, part: Bounds, random: &mut Random) -> Bounds {
        let room = part.width().min(part.height()).min(LARGEST_DIGIT);
        let side = random.between(SMALLEST_DIGIT, room);
        let left = random.between(part.left, part.right - side);
        let top = random.between(part.top, part.bottom - side);
        let cell = Bounds { left, top, right: left + side, bottom: top + side };

        // A rotation by 2 atan(half), free of sines and cosines, then a shear.
        let (half, shear) = (random.real(-0.1, 0.1), random.real(-0.2, 0.2));
        let norm = 1.0 + half * half;
        let (cos, sin) = ((1.0 - half * half) / norm, 2.0 * half / norm);
        // The grid's 8 cells and some margin fill the side.
        let scale = 9.5 / side as f32;
        let middle = side as f32 / 2.0;
        let opacity = random.real(0.8, 1.0);
        let coverage = |x: f32, y: f32| {
            let (u, v) = (x - left as f32 - middle, y - top as f32 - middle);
            let (u, v) = (cos * u + sin * v, cos * v - sin * u);
            let ink = smooth_ink(sample, (u + shear * v) * scale + 3.5, v * scale + 3.5);
            ((ink - 0.2) * 2.0).clamp(0.0, 1.0) * opacity
        };
        let inside = |x: f32, y: f32| {
            if cell.contains(x as u32, y as u32) { coverage(x, y) } else { 0.0 }
        };
        self.paint(self.contrasting(cell, random), inside);
        ink_bounds(cell, inside)
    }

    /// The most visible of a few random colours in front of what is there.
    fn contrasting(&self, cell: Bounds, random: &mut Random) -> Colour {
        let mut mean = [0.0; 3];
        for y in cell.top..cell.bottom {
            for x in cell.left..cell.right {
                for (sum, channel) in mean.iter_mut().zip(self.pixels[(y * SIDE + x) as usize]) {
                    *sum += channel / (cell.width() * cell.height()) as f32;
                }
            }
        }
        let distance = |colour: &Colour| {
            mean.iter().zip(colour).map(|(there, new)| (new - there).abs()).sum::<f32>()
        };
        let colours = [(); 8].map(|()| random.colour());
        colours.into_iter().fold(mean, |best, colour| {
            if distance(&colour) > distance(&best) { colour } else { best }
        })
    }

    /// Adds noise and rounds.
    fn into_pixels(self, random: &mut Random) -> Vec<u8> {
        let strength = random.real(2.0, 16.0);
        let channels = self.pixels.into_iter().flatten();
        channels.map(|value| (value + random.real(-strength, strength) + 0.5) as u8).collect()
    }
}

/// The tightest box around the covered pixels of a cell, or all of it.
fn ink_bounds(cell: Bounds, coverage: impl Fn(f32, f32) -> f32) -> Bounds {
    let pixels = (cell.top..cell.bottom).flat_map(|y| (cell.left..cell.right).map(move |x| (x, y)));
    let inked = pixels.filter(|&(x, y)| coverage(x as f32 + 0.5, y as f32 + 0.5) > 0.0);
    let grown = inked.fold(None, |bounds: Option<Bounds>, (x, y)| {
        let pixel = Bounds { left: x, top: y, right: x + 1, bottom: y + 1 };
        Some(bounds.map_or(pixel, |bounds| Bounds {
            left: bounds.left.min(pixel.left),
            top: bounds.top.min(pixel.top),
            right: bounds.right.max(pixel.right),
            bottom: bounds.bottom.max(pixel.bottom),
        }))
    });
    grown.unwrap_or(cell)
}

/// `SplitMix64` (Steele, Lea & Flood 2014).
struct Random(u64);

impl Random {
    fn new(seeds: &[u64]) -> Random {
        seeds.iter().fold(Random(0), |mut random, &seed| {
            let mixed = random.next();
            Random(mixed ^ seed)
        })
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// An integer in `low..=high`; the bias of 2^-32 does not matter here.
    fn between(&mut self, low: u32, high: u32) -> u32 {
        let count = u64::from(high - low) + 1;
        low + (((self.next() >> 32) * count) >> 32) as u32
    }

    fn real(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.next() >> 40) as f32 / (1u32 << 24) as f32)
    }

    fn point(&mut self) -> (f32, f32) {
        (self.real(0.0, SIDE as f32), self.real(0.0, SIDE as f32))
    }

    fn colour(&mut self) -> Colour {
        [(); 3].map(|()| self.real(0.0, 255.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenes() -> impl Iterator<Item = Scene> {
        let splits = [Split::Train, Split::Test];
        splits.into_iter().flat_map(|split| {
            (0..150).map(move |index| Scene::render(split, 1 + index as usize % 3, 7, index))
        })
    }

    /// FNV-1a.
    fn hash(bytes: &[u8]) -> u64 {
        let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        bytes.iter().fold(0xCBF2_9CE4_8422_2325, step)
    }

    #[test]
    fn the_same_arguments_give_the_same_scene_everywhere() {
        let pixels: Vec<u8> = scenes().flat_map(|scene| scene.pixels).collect();
        assert_eq!(hash(&pixels), 2_047_042_871_765_914_309);
    }

    #[test]
    fn other_arguments_give_another_picture() {
        let first = Scene::render(Split::Test, 2, 7, 0).pixels;
        assert_ne!(first, Scene::render(Split::Test, 2, 7, 1).pixels);
        assert_ne!(first, Scene::render(Split::Test, 2, 8, 0).pixels);
        assert_ne!(first, Scene::render(Split::Train, 2, 7, 0).pixels);
    }

    #[test]
    fn boxes_lie_inside_the_picture_and_apart() {
        for scene in scenes() {
            for (i, one) in scene.digits.iter().enumerate() {
                let Bounds { left, top, right, bottom } = one.bounds;
                assert!(left < right && right <= scene.side, "{one:?}");
                assert!(top < bottom && bottom <= scene.side, "{one:?}");
                for other in &scene.digits[i + 1..] {
                    let b = other.bounds;
                    let apart =
                        right <= b.left || b.right <= left || bottom <= b.top || b.bottom <= top;
                    assert!(apart, "{one:?} {other:?}");
                    assert_ne!(one.class, other.class);
                }
            }
        }
    }

    #[test]
    fn digits_come_from_their_split_and_have_its_label() {
        for (i, scene) in scenes().enumerate() {
            let split = if i < 150 { Split::Train } else { Split::Test };
            for digit in &scene.digits {
                assert_eq!(Split::of(digit.sample), split);
                assert_eq!(BUNDLE[digit.sample * RECORD], digit.class);
            }
        }
    }

    #[test]
    fn the_number_of_digits_is_clamped() {
        let count = |digits| Scene::render(Split::Train, digits, 0, 0).digits.len();
        assert_eq!([0, 1, 2, 3, 99].map(count), [1, 1, 2, 3, 3]);
    }

    #[test]
    fn interpolation_keeps_the_ink_of_each_cell() {
        assert_eq!(smooth_ink(0, 3.0, 2.0), ink(0, 3, 2));
        assert_eq!(spline(0.25).iter().sum::<f32>(), 1.0);
    }
}
