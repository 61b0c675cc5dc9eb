//! How weights lie in the words that shaders read: those of 16 bit in pairs, the first of a pair in
//! the lower half.

use super::linear::Rows;

/// How weights lie in words of 32 bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Encoding {
    /// A word is an `f32`.
    F32 = 0,
    /// A word is two IEEE numbers of 16 bit.
    F16 = 1,
    /// A word is the upper halves of two `f32`.
    BF16 = 2,
}

impl Encoding {
    /// The encoding that keeps these numbers as they are stored; those of 64 bit become `f32`.
    pub const fn of(numbers: Rows<'_>) -> Self {
        match numbers {
            Rows::F32(_) | Rows::F64(_) => Encoding::F32,
            Rows::F16(_) => Encoding::F16,
            Rows::BF16(_) => Encoding::BF16,
        }
    }

    /// The encoding as shaders number it.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// Numbers in a word.
    pub const fn per_word(self) -> usize {
        match self {
            Encoding::F32 => 1,
            Encoding::F16 | Encoding::BF16 => 2,
        }
    }
}
