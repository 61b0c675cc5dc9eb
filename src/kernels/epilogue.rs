//! What becomes of the sums of a convolution or its transpose on their way to where they are kept:
//! the bias, and what further kernels would do value by value.

use std::cell::Cell;
use std::marker::PhantomData;

use pulp::Simd;

use super::Call;
use super::ahead::fetch;
use super::panels::WIDTH;

/// What a kernel does with each value, for the sums of another while they are at hand. `T` is what it
/// reads besides.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<T> {
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
        /// Channels of a pixel.
        channels: usize,
        /// The factor of each channel.
        scale: T,
        /// What is added to each.
        shift: Option<T>,
    },
    /// As `add`, with as many values.
    Add(T),
    /// As `stabilized_ratio`, where the sums are denominators of one row each.
    StabilizedRatio {
        /// The numerators.
        r: T,
        /// The stabilizer.
        epsilon: f32,
    },
    /// As `multiply_add`.
    MultiplyAdd {
        /// What the sums are multiplied by.
        a: Inputs<T>,
        /// The factor.
        scale: f32,
        /// Whether it is added to what is there.
        accumulate: bool,
    },
    /// As `stabilized_gate`.
    StabilizedGate {
        /// What lets the sums pass.
        a: Inputs<T>,
        /// The factor.
        scale: f32,
        /// The stabilizer.
        epsilon: f32,
    },
}

/// Inputs of a layer, those of each picture for all its rows.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<T> {
    /// The values.
    pub values: T,
    /// Values of a row.
    pub count: usize,
    /// Rows of a picture.
    pub repeat: usize,
    /// From the inputs of one picture to the next.
    pub stride: usize,
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
    if let Call::MultiplyAdd(_) | Call::StabilizedGate(_) = call {
        return &[1];
    }
    &[]
}

impl<T> Epilogue<T> {
    /// What the kernel does where sums stand for its operand `place`; none unless that is one of
    /// [`places`].
    pub fn of(call: &Call, place: usize, operand: impl Fn(usize) -> T) -> Option<Self> {
        if !places(call).contains(&place) {
            return None;
        }
        if let Call::Clamp(p) = call {
            return Some(Self::Clamp { low: p.low, high: p.high, scale: p.scale });
        }
        if let Call::ChannelAffine(p) = call {
            let shift = (p.shifted == 1).then(|| operand(2));
            let channels = p.channels as usize;
            return Some(Self::ChannelAffine { channels, scale: operand(1), shift });
        }
        if let Call::Add(_) = call {
            return Some(Self::Add(operand(1 - place)));
        }
        if let Call::StabilizedRatio(p) = call {
            return Some(Self::StabilizedRatio { r: operand(0), epsilon: p.epsilon });
        }
        if let Call::MultiplyAdd(p) = call {
            let a = Inputs::of(operand(0), [p.count, p.repeat, p.stride]);
            return Some(Self::MultiplyAdd { a, scale: p.scale, accumulate: p.accumulate == 1 });
        }
        if let Call::StabilizedGate(p) = call {
            let a = Inputs::of(operand(0), [p.count, p.repeat, p.stride]);
            return Some(Self::StabilizedGate { a, scale: p.scale, epsilon: p.epsilon });
        }
        None
    }
}

impl<T> Inputs<T> {
    fn of(values: T, numbers: [u32; 3]) -> Self {
        let [count, repeat, stride] = numbers.map(|number| number as usize);
        Self { values, count, repeat, stride }
    }
}

/// What follows sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct Then<'a> {
    /// Where they are kept, too, as they are before that; as many places.
    pub keep: Option<&'a [Cell<f32>]>,
    /// What is done with them, in this order.
    pub steps: &'a [Epilogue<&'a [f32]>],
}

impl Then<'_> {
    /// Whether nothing follows.
    pub const fn is_nothing(&self) -> bool {
        self.keep.is_none() && self.steps.is_empty()
    }
}

/// The bias and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Epilogues<'a> {
    /// What is added to each channel; nothing if it is empty.
    pub bias: &'a [f32],
    /// Whether sums are added to what is there.
    pub accumulate: bool,
    /// What follows.
    pub then: Then<'a>,
}

impl<'a> Epilogues<'a> {
    /// For pixels of so many channels.
    ///
    /// # Panics
    /// If biases or factors are not as many, or other operands do not suit the pixels.
    pub(super) fn into(self, values: &'a mut [f32], channels: usize) -> Destination<'a> {
        let suits = |of: &[f32]| of.len() == channels;
        assert!(self.bias.is_empty() || suits(self.bias), "a bias for each channel");
        let keep = self.then.keep;
        assert!(keep.is_none_or(|keep| keep.len() == values.len()), "as many places");
        for then in self.then.steps {
            match *then {
                Epilogue::Clamp { .. } => {}
                Epilogue::ChannelAffine { channels: own, scale, shift } => {
                    assert!(
                        own == channels && suits(scale) && shift.is_none_or(suits),
                        "factors for each channel"
                    );
                }
                Epilogue::Add(other) | Epilogue::StabilizedRatio { r: other, .. } => {
                    assert_eq!(other.len(), values.len(), "as many values");
                }
                Epilogue::MultiplyAdd { a, .. } | Epilogue::StabilizedGate { a, .. } => {
                    a.suit(values.len(), channels);
                }
            }
        }
        let (len, values) = (values.len(), values.as_mut_ptr());
        Destination { epilogues: self, channels, values, len, lives: PhantomData }
    }
}

/// Where sums are kept, which tasks write at places of their own.
#[derive(Clone, Copy)]
pub(super) struct Destination<'a> {
    epilogues: Epilogues<'a>,
    channels: usize,
    values: *mut f32,
    len: usize,
    lives: PhantomData<&'a mut [f32]>,
}

#[expect(unsafe_code, reason = "no two tasks write the same place: see `Destination::put`")]
// SAFETY: its values and the cells of `keep` outlive the tasks. `put` alone reads or writes either, at the places of
// its own task, and as long as this lives, they are borrowed from whoever could touch them besides.
unsafe impl Send for Destination<'_> {}
#[expect(unsafe_code, reason = "no two tasks write the same place: see `Destination::put`")]
// SAFETY: as above.
unsafe impl Sync for Destination<'_> {}

impl Destination<'_> {
    /// Asks for the lines that [`put`](Self::put) reads and writes of these pixels, from `channel` on, where a panel
    /// begins. Pixels may lie past the end.
    #[inline(always)]
    pub(super) fn fetch<const PIXELS: usize>(&self, pixels: [usize; PIXELS], channel: usize) {
        let firsts = pixels.map(|pixel| pixel * self.channels + channel);
        let lines = |of: *const f32, firsts: [usize; PIXELS]| {
            for first in firsts {
                fetch(of.wrapping_add(first));
            }
        };
        lines(self.values, firsts);
        if let Some(keep) = self.epilogues.then.keep {
            lines(keep.as_ptr().cast(), firsts);
        }
        for step in self.epilogues.then.steps {
            match step {
                Epilogue::Clamp { .. } | Epilogue::ChannelAffine { .. } => {}
                Epilogue::Add(other) | Epilogue::StabilizedRatio { r: other, .. } => {
                    lines(other.as_ptr(), firsts);
                }
                Epilogue::MultiplyAdd { a, .. } | Epilogue::StabilizedGate { a, .. } => {
                    lines(a.values.as_ptr(), a.places(firsts));
                }
            }
        }
    }

    /// Keeps the sums of some pixels' channels from `channel` on, for each of the first `kept` pixels those
    /// of a panel; those past the last channel are left out. Of the other pixels, which may be the same
    /// ones again, nothing is kept: so many at once stay in registers.
    ///
    /// # Safety
    /// There is such a channel, and nobody else reads or writes it and those after it in these pixels
    /// meanwhile.
    #[inline(always)]
    #[expect(unsafe_code, reason = "tasks share the target")]
    pub(super) unsafe fn put<S: Simd, const PIXELS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        sums: [[S::f32s; VECTORS]; PIXELS],
        (pixels, kept): ([usize; PIXELS], usize),
        channel: usize,
    ) {
        let firsts = pixels.map(|pixel| pixel * self.channels + channel);
        let places = |count| Places { firsts, channel, count };
        // Of a whole panel the length is known beforehand.
        let count = WIDTH.min(self.channels - channel);
        if count == WIDTH {
            // SAFETY: as this function's.
            unsafe { self.put_some(simd, sums, places(WIDTH), kept) };
        } else {
            // SAFETY: as this function's.
            unsafe { self.put_some(simd, sums, places(count), kept) };
        }
    }

    /// # Safety
    /// As [`put`](Self::put).
    #[inline(always)]
    #[expect(unsafe_code, reason = "tasks share the target")]
    unsafe fn put_some<S: Simd, const PIXELS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        mut sums: [[S::f32s; VECTORS]; PIXELS],
        places: Places<PIXELS>,
        kept: usize,
    ) {
        let Epilogues { bias, accumulate, then: Then { keep, steps } } = self.epilogues;
        let Places { firsts, channel, count } = places;
        let end = firsts.iter().fold(0, |end, first| end.max(first + count));
        assert!(end <= self.len, "pixels inside the target");
        let out = |first: usize| {
            // SAFETY: it lies inside, and nobody else is there.
            unsafe { std::slice::from_raw_parts_mut(self.values.add(first), count) }
        };
        if !bias.is_empty() {
            let bias = load::<S, VECTORS>(simd, &bias[channel..][..count]);
            for i in 0..PIXELS {
                add(simd, &mut sums[i], bias);
            }
        }
        if accumulate {
            for i in 0..PIXELS {
                add(simd, &mut sums[i], load(simd, out(firsts[i])));
            }
        }
        if let Some(keep) = keep {
            for i in 0..PIXELS {
                if i < kept {
                    // SAFETY: there are as many places as in the target, and nobody else is there.
                    let places = unsafe {
                        let first = keep.as_ptr().add(firsts[i]).cast::<f32>().cast_mut();
                        std::slice::from_raw_parts_mut(first, count)
                    };
                    store(simd, sums[i], places);
                }
            }
        }
        for step in steps {
            // SAFETY: as this function's.
            unsafe { step.go(simd, &mut sums, places, self.values) };
        }
        for i in 0..PIXELS {
            if i < kept {
                store(simd, sums[i], out(firsts[i]));
            }
        }
    }
}

/// Values of some pixels: `count` channels of each from `channel` on.
#[derive(Clone, Copy)]
struct Places<const PIXELS: usize> {
    /// Where they begin.
    firsts: [usize; PIXELS],
    channel: usize,
    count: usize,
}

impl Inputs<&[f32]> {
    /// # Panics
    /// If they are not enough for so many values in pixels of so many channels.
    fn suit(&self, values: usize, channels: usize) {
        let Inputs { values: own, count, repeat, stride } = *self;
        assert!(count.is_multiple_of(channels), "rows of whole pixels");
        assert!(values.is_multiple_of(count), "whole rows");
        let pictures = values.checked_div(count).unwrap_or(0).div_ceil(repeat);
        // The last one's, if there is one.
        let end = pictures.checked_sub(1).map_or(Some(0), |last| {
            last.checked_mul(stride).and_then(|first| first.checked_add(count))
        });
        assert!(end.is_some_and(|end| end <= own.len()), "inputs of each picture");
    }

    /// Where those of some pixels begin, whose values begin there.
    #[inline(always)]
    fn places<const PIXELS: usize>(&self, firsts: [usize; PIXELS]) -> [usize; PIXELS] {
        let Inputs { count, repeat, stride, .. } = *self;
        match repeat {
            1 if count == stride => firsts,
            _ => firsts.map(|first| first / count / repeat * stride + first % count),
        }
    }
}

impl Epilogue<&[f32]> {
    /// What becomes of the sums of some pixels, each of which goes to its place in `out`.
    ///
    /// # Safety
    /// `out` has these places, nobody else reads or writes them meanwhile, and operands are as
    /// [`Epilogues::into`] asks for.
    #[inline(always)]
    #[expect(unsafe_code, reason = "tasks share the target")]
    unsafe fn go<S: Simd, const PIXELS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        sums: &mut [[S::f32s; VECTORS]; PIXELS],
        places: Places<PIXELS>,
        out: *const f32,
    ) {
        // Each kind goes through all pixels: what it needs of the channels is loaded once. The loops are
        // of known length, and sums have known places, so that they stay in registers.
        let Places { firsts, channel, count } = places;
        match *self {
            Epilogue::Clamp { low, high, scale } => {
                let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
                let scale = simd.splat_f32s(scale);
                for i in 0..PIXELS {
                    for v in 0..VECTORS {
                        let clamped = simd.min_f32s(simd.max_f32s(sums[i][v], low), high);
                        sums[i][v] = simd.mul_f32s(clamped, scale);
                    }
                }
            }
            Epilogue::ChannelAffine { scale, shift, .. } => {
                let scale = load::<S, VECTORS>(simd, &scale[channel..][..count]);
                for i in 0..PIXELS {
                    for v in 0..VECTORS {
                        sums[i][v] = simd.mul_f32s(sums[i][v], scale[v]);
                    }
                }
                if let Some(shift) = shift {
                    let shift = load(simd, &shift[channel..][..count]);
                    for i in 0..PIXELS {
                        add(simd, &mut sums[i], shift);
                    }
                }
            }
            Epilogue::Add(other) => {
                for i in 0..PIXELS {
                    // SAFETY: there are as many as in `out`.
                    add(simd, &mut sums[i], unsafe { load_at(simd, other, firsts[i], count) });
                }
            }
            Epilogue::StabilizedRatio { r, epsilon } => {
                for i in 0..PIXELS {
                    // SAFETY: there are as many as in `out`.
                    let r: [S::f32s; VECTORS] = unsafe { load_at(simd, r, firsts[i], count) };
                    for v in 0..VECTORS {
                        sums[i][v] = ratio(simd, r[v], sums[i][v], epsilon);
                    }
                }
            }
            Epilogue::MultiplyAdd { a, scale, accumulate } => {
                let scale = simd.splat_f32s(scale);
                let inputs = a.places(firsts);
                for i in 0..PIXELS {
                    // SAFETY: they are enough for the last picture, and rows have whole pixels.
                    let a: [S::f32s; VECTORS] =
                        unsafe { load_at(simd, a.values, inputs[i], count) };
                    for v in 0..VECTORS {
                        sums[i][v] = simd.mul_f32s(simd.mul_f32s(scale, a[v]), sums[i][v]);
                    }
                }
                if accumulate {
                    for i in 0..PIXELS {
                        // SAFETY: as this function's.
                        let out = unsafe { std::slice::from_raw_parts(out.add(firsts[i]), count) };
                        add(simd, &mut sums[i], load(simd, out));
                    }
                }
            }
            Epilogue::StabilizedGate { a, scale, epsilon } => {
                let (scale, zero) = (simd.splat_f32s(scale), simd.splat_f32s(0.0));
                let inputs = a.places(firsts);
                for i in 0..PIXELS {
                    // SAFETY: as for products.
                    let a: [S::f32s; VECTORS] =
                        unsafe { load_at(simd, a.values, inputs[i], count) };
                    for v in 0..VECTORS {
                        let share = simd.div_f32s(a[v], stable(simd, a[v], epsilon));
                        let passed = simd.mul_f32s(simd.mul_f32s(scale, sums[i][v]), share);
                        let is_nothing = simd.equal_f32s(a[v], zero);
                        sums[i][v] = simd.select_f32s(is_nothing, zero, passed);
                    }
                }
            }
        }
    }
}

/// As `stabilized_ratio.rs` has it.
#[inline(always)]
fn ratio<S: Simd>(simd: S, r: S::f32s, z: S::f32s, epsilon: f32) -> S::f32s {
    let (zero, stable) = (simd.splat_f32s(0.0), stable(simd, z, epsilon));
    let is_nothing = simd.or_m32s(simd.equal_f32s(r, zero), simd.equal_f32s(stable, zero));
    simd.select_f32s(is_nothing, zero, simd.div_f32s(r, stable))
}

#[inline(always)]
fn stable<S: Simd>(simd: S, z: S::f32s, epsilon: f32) -> S::f32s {
    let (zero, epsilon) = (simd.splat_f32s(0.0), simd.splat_f32s(epsilon));
    let is_negative = simd.less_than_f32s(z, zero);
    simd.select_f32s(is_negative, simd.sub_f32s(z, epsilon), simd.add_f32s(z, epsilon))
}

#[inline(always)]
fn add<S: Simd, const VECTORS: usize>(
    simd: S,
    sums: &mut [S::f32s; VECTORS],
    others: [S::f32s; VECTORS],
) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum = simd.add_f32s(*sum, other);
    }
}

/// A panel's values, 0 where there are fewer.
#[inline(always)]
fn load<S: Simd, const VECTORS: usize>(simd: S, values: &[f32]) -> [S::f32s; VECTORS] {
    let (whole, rest) = S::as_simd_f32s(values);
    let mut loaded = [simd.splat_f32s(0.0); VECTORS];
    for (to, from) in loaded.iter_mut().zip(whole) {
        *to = *from;
    }
    if !rest.is_empty() {
        loaded[whole.len()] = simd.partial_load_f32s(rest);
    }
    loaded
}

/// The same from a place on that is known to have so many: bounds that are asked for eight times over keep
/// the compiler from holding sums in registers.
///
/// # Safety
/// There are `first + count` values.
#[inline(always)]
#[expect(unsafe_code, reason = "asked once for all")]
unsafe fn load_at<S: Simd, const VECTORS: usize>(
    simd: S,
    values: &[f32],
    first: usize,
    count: usize,
) -> [S::f32s; VECTORS] {
    // SAFETY: as this function's.
    load(simd, unsafe { values.get_unchecked(first..first + count) })
}

/// As many of a panel's values as there are places.
#[inline(always)]
fn store<S: Simd, const VECTORS: usize>(simd: S, values: [S::f32s; VECTORS], places: &mut [f32]) {
    let (whole, rest) = S::as_mut_simd_f32s(places);
    for (to, from) in whole.iter_mut().zip(values) {
        *to = from;
    }
    if !rest.is_empty() {
        simd.partial_store_f32s(rest, values[whole.len()]);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn operands_that_do_not_suit_are_refused_before_they_are_read() {
        // Two rows of three pixels with four channels.
        let enough = &[0.0; 24];
        let multiply = |values: &'static [f32], count, repeat, stride| {
            let a = Inputs { values, count, repeat, stride };
            Epilogue::MultiplyAdd { a, scale: 1.0, accumulate: false }
        };
        let takes = |then: Epilogue<&[f32]>, len: usize| {
            catch_unwind(|| {
                let mut out = vec![0.0; len];
                let then = Then { keep: None, steps: &[then] };
                Epilogues { bias: &[], accumulate: false, then }.into(&mut out, 4);
            })
            .is_ok()
        };
        assert!(takes(Epilogue::Add(enough), 24));
        assert!(!takes(Epilogue::Add(&enough[1..]), 24));
        assert!(!takes(Epilogue::StabilizedRatio { r: &enough[1..], epsilon: 0.0 }, 24));
        let affine = |channels, scale| Epilogue::ChannelAffine { channels, scale, shift: None };
        assert!(takes(affine(4, &enough[..4]), 24));
        assert!(!takes(affine(4, &[]), 24));
        assert!(!takes(affine(2, &enough[..4]), 24));
        assert!(takes(multiply(enough, 12, 1, 12), 24));
        // Rows of one picture share its factors; pictures may share theirs.
        assert!(takes(multiply(&enough[..12], 12, 2, 12), 24));
        assert!(takes(multiply(&enough[..12], 12, 1, 0), 24));
        assert!(takes(multiply(&[], 12, 1, 12), 0));
        assert!(!takes(multiply(&enough[1..], 12, 1, 12), 24));
        assert!(!takes(multiply(enough, 16, 1, 16), 24));
        assert!(!takes(multiply(&[], 24, 1, 24), 12));
        assert!(!takes(multiply(enough, 10, 1, 10), 20));
        assert!(!takes(multiply(enough, 12, 1, usize::MAX), 24));
        let gate = |values: &'static [f32]| {
            let a = Inputs { values, count: 12, repeat: 1, stride: 12 };
            Epilogue::StabilizedGate { a, scale: 1.0, epsilon: 1.0 }
        };
        assert!(takes(gate(enough), 24));
        assert!(!takes(gate(&enough[1..]), 24));
        for (places, suits) in [(24, true), (23, false), (25, false)] {
            let kept = catch_unwind(|| {
                let (mut out, mut room) = (vec![0.0; 24], vec![0.0; places]);
                let keep = Some(Cell::from_mut(&mut room[..]).as_slice_of_cells());
                let then = Then { keep, steps: &[] };
                Epilogues { bias: &[], accumulate: false, then }.into(&mut out, 4);
            });
            assert_eq!(kept.is_ok(), suits, "{places} places");
        }
    }
}
