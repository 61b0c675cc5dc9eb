//! Which part of a weight or bias enters a sum.

use crate::num::Float;

/// A function of the weight (and, where a bias takes part, of the bias).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Part {
    /// `w`.
    All = 0,
    /// `max(w, 0)`.
    Positive = 1,
    /// `min(w, 0)`.
    Negative = 2,
    /// `w + gamma * max(w, 0)`.
    RaisedPositive = 3,
    /// `w + gamma * min(w, 0)`.
    RaisedNegative = 4,
    /// `w * w`.
    Square = 5,
    /// 1.
    One = 6,
    /// 0: the bias does not take part.
    Nothing = 7,
}

impl Part {
    /// The part as shaders number it.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The part of that number.
    ///
    /// # Panics
    /// If there is none: the number comes from [`code`](Self::code).
    pub fn from_code(code: u32) -> Self {
        use Part as P;
        let all = [P::All, P::Positive, P::Negative, P::RaisedPositive, P::RaisedNegative];
        let all = all.into_iter().chain([P::Square, P::One, P::Nothing]);
        all.into_iter().nth(code as usize).expect("a number made by `code`")
    }

    /// The part of the number `w`.
    #[inline(always)]
    pub fn of<F: Float>(self, w: F, gamma: F) -> F {
        match self {
            Part::All => w,
            Part::Positive => w.maximum(F::ZERO),
            Part::Negative => w.minimum(F::ZERO),
            Part::RaisedPositive => w + gamma * w.maximum(F::ZERO),
            Part::RaisedNegative => w + gamma * w.minimum(F::ZERO),
            Part::Square => w * w,
            Part::One => F::ONE,
            Part::Nothing => F::ZERO,
        }
    }

    /// Whether sums of this part of weights over inputs of one sign are of one sign, too: what rounding
    /// takes of the terms is then a small part of each.
    pub const fn is_of_one_sign(self) -> bool {
        matches!(self, Part::Positive | Part::Negative | Part::Square | Part::One)
    }

    /// Takes the part of every number.
    pub(super) fn take<F: Float>(self, values: &mut [F], gamma: F) {
        fn each<F: Float>(values: &mut [F], part: impl Fn(F) -> F) {
            values.iter_mut().for_each(|w| *w = part(*w));
        }
        // One loop a part, so that the choice does not stand inside it.
        match self {
            Part::All => {}
            Part::Positive => each(values, |w| w.maximum(F::ZERO)),
            Part::Negative => each(values, |w| w.minimum(F::ZERO)),
            Part::RaisedPositive => each(values, |w| Part::RaisedPositive.of(w, gamma)),
            Part::RaisedNegative => each(values, |w| Part::RaisedNegative.of(w, gamma)),
            Part::Square => each(values, |w| w * w),
            Part::One | Part::Nothing => values.fill(self.of(F::ZERO, gamma)),
        }
    }

    /// The part that does to `-w` what this one does to `w`, up to the sign of the result.
    pub const fn mirrored(self) -> Self {
        match self {
            Part::Positive => Part::Negative,
            Part::Negative => Part::Positive,
            Part::RaisedPositive => Part::RaisedNegative,
            Part::RaisedNegative => Part::RaisedPositive,
            Part::All => Part::All,
            Part::Square => Part::Square,
            Part::One => Part::One,
            Part::Nothing => Part::Nothing,
        }
    }
}
