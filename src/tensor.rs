//! Shapes and dense values at the public surface: row-major, `f32`, NCHW.

use std::fmt;

/// The shape of one picture's activation: channels, height, width.
///
/// Vectors (the input and output of a linear layer) have height and width 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Channels, or the length of a vector.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// A stack of planes.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// A vector.
    pub const fn vector(length: usize) -> Self {
        Self::new(length, 1, 1)
    }

    /// How many values there are; the greatest number where they are more than can be counted.
    pub const fn len(self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }

    /// Channels, height and width as a list, as messages tell them.
    pub const fn dims(self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Whether there are no values.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether height and width are 1.
    pub const fn is_vector(self) -> bool {
        self.height == 1 && self.width == 1
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_vector() {
            write!(f, "{}", self.channels)
        } else {
            write!(f, "{}x{}x{}", self.channels, self.height, self.width)
        }
    }
}

/// One picture's values: `shape.len()` numbers, channel by channel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Shape,
    values: Vec<f32>,
}

impl Tensor {
    /// Wraps `values`, which are in channel, row, column order.
    ///
    /// # Errors
    /// [`Error::InputShape`](crate::Error::InputShape) if their number is not `shape.len()`.
    pub fn new(shape: Shape, values: Vec<f32>) -> crate::Result<Self> {
        if values.len() != shape.len() {
            return Err(crate::Error::InputShape {
                name: "tensor".to_owned(),
                expected: shape.dims().to_vec(),
                found: vec![values.len()],
            });
        }
        Ok(Self { shape, values })
    }

    /// A tensor of zeros.
    pub fn zeros(shape: Shape) -> Self {
        Self { shape, values: vec![0.0; shape.len()] }
    }

    /// Channels, height, width.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The values, channel by channel, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values, taken out.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The plane of one channel, row by row.
    pub fn plane(&self, channel: usize) -> &[f32] {
        let size = self.shape.height * self.shape.width;
        &self.values[channel * size..][..size]
    }
}
