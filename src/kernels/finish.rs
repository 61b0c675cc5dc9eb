//! What becomes of the sums of a convolution or its transpose on their way to where they are kept:
//! the bias, and what further kernels would do value by value.

use std::marker::PhantomData;

use super::Call;
use super::panels::WIDTH;
use super::stabilized_ratio::ratio;
use crate::num::Float;

/// What a kernel does with each value, for the sums of another while they are at hand.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a> {
    /// As `clamp`.
    Clamp {
        /// The smallest value let through.
        low: f32,
        /// The largest value let through.
        high: f32,
        /// The factor afterwards.
        scale: f32,
    },
    /// As `channel_affine`.
    ChannelAffine {
        /// The factor of each channel.
        scale: &'a [f32],
        /// What is added to each.
        shift: Option<&'a [f32]>,
    },
    /// As `add`, with as many values.
    Add(&'a [f32]),
    /// As `stabilized_ratio`, where the sums are denominators of one row each.
    StabilizedRatio {
        /// The numerators.
        r: &'a [f32],
        /// The stabilizer.
        epsilon: f32,
    },
    /// As `multiply_add`.
    MultiplyAdd {
        /// What the sums are multiplied by, for each picture.
        a: &'a [f32],
        /// Values of a row.
        count: usize,
        /// Rows of a picture.
        repeat: usize,
        /// From the inputs of one picture to the next.
        stride: usize,
        /// The factor.
        scale: f32,
        /// Whether it is added to what is there.
        accumulate: bool,
    },
}

/// The operands of a kernel that sums of each may stand for on their way, where it makes one value
/// of one.
pub fn places(call: &Call) -> &'static [usize] {
    if let Call::Clamp(_) | Call::ChannelAffine(_) = call {
        return &[0];
    }
    if let Call::Add(_) = call {
        return &[0, 1];
    }
    if let Call::StabilizedRatio(p) = call
        && p.repeat == 1
        && p.stride == p.count
    {
        return &[1];
    }
    if let Call::MultiplyAdd(_) = call {
        return &[1];
    }
    &[]
}

impl<'a> Epilogue<'a> {
    /// What the kernel does where sums stand for its operand `place`, which is one of [`places`].
    pub fn of(call: &Call, place: usize, operand: impl Fn(usize) -> &'a [f32]) -> Option<Self> {
        if let Call::Clamp(p) = call {
            return Some(Self::Clamp { low: p.low, high: p.high, scale: p.scale });
        }
        if let Call::ChannelAffine(p) = call {
            let shift = (p.shifted == 1).then(|| operand(2));
            return Some(Self::ChannelAffine { scale: operand(1), shift });
        }
        if let Call::Add(_) = call {
            return Some(Self::Add(operand(1 - place)));
        }
        if let Call::StabilizedRatio(p) = call {
            return Some(Self::StabilizedRatio { r: operand(0), epsilon: p.epsilon });
        }
        if let Call::MultiplyAdd(p) = call {
            return Some(Self::MultiplyAdd {
                a: operand(0),
                count: p.count as usize,
                repeat: p.repeat as usize,
                stride: p.stride as usize,
                scale: p.scale,
                accumulate: p.accumulate == 1,
            });
        }
        None
    }
}

/// The bias and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// What is added to each channel; nothing if it is empty.
    pub bias: &'a [f32],
    /// Whether sums are added to what is there.
    pub accumulate: bool,
    /// What follows, in this order.
    pub then: &'a [Epilogue<'a>],
}

impl<'a> Finish<'a> {
    /// For pixels of so many channels.
    ///
    /// # Panics
    /// If biases or factors are not as many.
    pub(super) fn into(self, values: &'a mut [f32], channels: usize) -> Target<'a> {
        let suits = |of: &[f32]| of.is_empty() || of.len() == channels;
        assert!(suits(self.bias), "a bias for each channel");
        for then in self.then {
            if let Epilogue::ChannelAffine { scale, shift } = then {
                assert!(suits(scale) && shift.is_none_or(suits), "factors for each channel");
            }
        }
        let (len, values) = (values.len(), values.as_mut_ptr());
        Target { finish: self, channels, values, len, lives: PhantomData }
    }
}

/// Where sums are kept, which tasks write at places of their own.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    finish: Finish<'a>,
    channels: usize,
    values: *mut f32,
    len: usize,
    lives: PhantomData<&'a mut [f32]>,
}

#[expect(unsafe_code, reason = "no two tasks write the same place: see `Target::put`")]
// SAFETY: it is a pointer to floats that outlive the tasks.
unsafe impl Send for Target<'_> {}
#[expect(unsafe_code, reason = "no two tasks write the same place: see `Target::put`")]
// SAFETY: as above.
unsafe impl Sync for Target<'_> {}

impl Target<'_> {
    /// Keeps the sums of a pixel's channels from `channel` on; a panel's, but for those past the
    /// last channel.
    ///
    /// # Safety
    /// Nobody else reads or writes these channels of the pixel meanwhile.
    #[inline(always)]
    #[expect(unsafe_code, reason = "tasks share the target")]
    pub(super) unsafe fn put(&self, sums: &[f32], pixel: usize, channel: usize) {
        let mut values = [0.0; WIDTH];
        values.copy_from_slice(&sums[..WIDTH]);
        let first = pixel * self.channels + channel;
        let count = WIDTH.min(self.channels - channel);
        assert!(first + count <= self.len, "a pixel inside the target");
        // SAFETY: it lies inside, and nobody else is there.
        let out = unsafe { std::slice::from_raw_parts_mut(self.values.add(first), count) };
        // Of a whole panel the length is known beforehand.
        match count {
            WIDTH => self.finish.go(&mut values, first, channel, &mut out[..WIDTH]),
            _ => self.finish.go(&mut values[..count], first, channel, out),
        }
    }
}

impl Finish<'_> {
    /// `first` is the place of the first value among all.
    #[inline(always)]
    fn go(&self, values: &mut [f32], first: usize, channel: usize, out: &mut [f32]) {
        let count = out.len();
        if !self.bias.is_empty() {
            let bias = &self.bias[channel..][..count];
            values.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        }
        if self.accumulate {
            values.iter_mut().zip(&*out).for_each(|(value, old)| *value += old);
        }
        for then in self.then {
            match *then {
                Epilogue::Clamp { low, high, scale } => {
                    values
                        .iter_mut()
                        .for_each(|v| *v = Float::minimum(Float::maximum(*v, low), high) * scale);
                }
                Epilogue::ChannelAffine { scale, shift } => {
                    let scale = &scale[channel..][..count];
                    values.iter_mut().zip(scale).for_each(|(value, scale)| *value *= scale);
                    if let Some(shift) = shift {
                        let shift = &shift[channel..][..count];
                        values.iter_mut().zip(shift).for_each(|(value, shift)| *value += shift);
                    }
                }
                Epilogue::Add(other) => {
                    let other = &other[first..][..count];
                    values.iter_mut().zip(other).for_each(|(value, other)| *value += other);
                }
                Epilogue::StabilizedRatio { r, epsilon } => {
                    let r = &r[first..][..count];
                    values.iter_mut().zip(r).for_each(|(z, r)| *z = ratio(*r, *z, epsilon));
                }
                Epilogue::MultiplyAdd { a, count: row, repeat, stride, scale, accumulate } => {
                    let at = first / row / repeat * stride + first % row;
                    let a = &a[at..][..count];
                    values.iter_mut().zip(a).for_each(|(c, a)| *c *= scale * a);
                    if accumulate {
                        values.iter_mut().zip(&*out).for_each(|(value, old)| *value += old);
                    }
                }
            }
        }
        out.copy_from_slice(values);
    }
}
