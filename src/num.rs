//! What the CPU side needs of a number type: `f32` for use, `f64` as the reference.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// `f32` or `f64`.
pub trait Float:
    Copy
    + 'static
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Sum
    + Add<Output = Self>
    + AddAssign
    + Div<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + Sub<Output = Self>
{
    /// Whether this is the type of the reference backend, whose sums need no care.
    const IS_REFERENCE: bool;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// The value, exactly.
    fn to_f64(self) -> f64;
    /// The value, rounded where this type is wider.
    fn to_f32(self) -> f32;
    /// The exact widening of an `f32`.
    fn from_f32(value: f32) -> Self;
    /// The exact widening of as many IEEE numbers of 16 bit.
    ///
    /// # Panics
    /// If there are more or fewer places than numbers.
    fn widen_f16(from: &[f16], to: &mut [Self]);
    /// The exact widening of as many upper halves of `f32`.
    ///
    /// # Panics
    /// If there are more or fewer places than numbers.
    fn widen_bf16(from: &[bf16], to: &mut [Self]);

    /// The numbers as `f32`, if that is what they are.
    fn as_f32(values: &[Self]) -> Option<&[f32]>;
    /// The same where they change.
    fn as_f32_mut(values: &mut [Self]) -> Option<&mut [f32]>;

    /// The larger of two numbers that are not NaN.
    fn maximum(self, other: Self) -> Self {
        if self > other { self } else { other }
    }

    /// The smaller of two numbers that are not NaN.
    fn minimum(self, other: Self) -> Self {
        if self < other { self } else { other }
    }

    /// The absolute value.
    fn magnitude(self) -> Self {
        if self < Self::ZERO { -self } else { self }
    }
}

macro_rules! float {
    ($type:ty, $is_reference:literal, $widen:ident) => {
        impl Float for $type {
            const IS_REFERENCE: bool = $is_reference;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            fn from_f64(value: f64) -> Self {
                value as $type
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn to_f32(self) -> f32 {
                self as f32
            }
            fn from_f32(value: f32) -> Self {
                <$type>::from(value)
            }
            fn widen_f16(from: &[f16], to: &mut [Self]) {
                from.$widen(to);
            }
            fn widen_bf16(from: &[bf16], to: &mut [Self]) {
                from.$widen(to);
            }
            fn as_f32(values: &[Self]) -> Option<&[f32]> {
                (!Self::IS_REFERENCE).then(|| bytemuck::cast_slice(values))
            }
            fn as_f32_mut(values: &mut [Self]) -> Option<&mut [f32]> {
                (!Self::IS_REFERENCE).then(|| bytemuck::cast_slice_mut(values))
            }
        }
    };
}

float!(f32, false, convert_to_f32_slice);
float!(f64, true, convert_to_f64_slice);

/// The finalizer of splitmix64 (Steele et al. 2014): bits that look drawn at random.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
