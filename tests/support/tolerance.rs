//! How far results of the library may be apart, and why. No tolerance of the tests in this folder
//! stands anywhere else.

use std::fmt::Display;

/// Kernels that only move, compare or negate numbers give the reference's bits.
pub(crate) const EXACT: f64 = 0.0;

/// A value that comes of a few f32 operations: each rounds by 2^-24 = 6e-8, and Vulkan allows a
/// division 2.5 units of 1.2e-7. Of the value itself: nothing cancels.
pub(crate) const ROUNDED_F32: f64 = 1e-6;

/// A power in f32: Vulkan allows `exp2(y log2 x)`, each with 3 units of 1.2e-7 and more as the
/// exponent grows, here to about 3.
pub(crate) const POWER_F32: f64 = 4e-6;

/// A sum in f32 whose terms may cancel, of the largest result. Rounding walks randomly: after n
/// terms it is about sqrt(n / 2) * 6e-8 of the sum of that many random terms, 3e-6 for the 5000
/// terms of the longest one here; a missing term would be 1e-2.
pub(crate) const SUMMED_F32: f64 = 5e-6;

/// A sum in f32 that keeps what is lost, of the largest result: what is left are, in linear layers,
/// the roundings of each product, and everywhere those of the bias, of the old value and of the
/// result, each 6e-8.
pub(crate) const KEPT_F32: f64 = 3e-7;

/// A sum in f32 of products of numbers that were rounded to 16 bit, of the largest result: each is
/// off by 2^-12 = 2.4e-4 on average, which the sum of many takes as many ways; a missing term would
/// be 1e-2.
pub(crate) const SUMMED_F16: f64 = 1.5e-3;

/// The same sum in f64, in another order: 2^-53 = 1.1e-16 in place of 6e-8.
pub(crate) const SUMMED_F64: f64 = 1e-14;

/// Maps against their definition in f64: a few dozen roundings of 1.1e-16 a layer, which
/// denominators of mixed sign, as those of LRP-0, magnify by a thousand or so.
pub(crate) const MAP_F64: f64 = 1e-11;

/// CLRP in one pass against two in f64: what the project promises. The two maps are nearly equal,
/// so that their difference has lost digits.
pub(crate) const ONE_PASS_F64: f64 = 1e-9;

/// Maps in f32 against f64: what the project promises against PyTorch, with room for the
/// denominators of mixed sign that random layers have.
pub(crate) const MAP_F32: f64 = 1e-3;

/// Maps of small networks in f32 against f64: a few roundings of 6e-8 a layer, which contrasts,
/// small differences of maps, magnify by a hundred or so.
pub(crate) const SMALL_F32: f64 = 1e-4;

/// Maps in f64 against PyTorch and zennit in f64: what the project promises. Both sides sum in
/// their own order, bounds and stabilizers are rounded to f32 here, and the references of
/// torchvision's networks are stored in f32.
pub(crate) const MAP_TORCH_F64: f64 = 1e-6;

/// LRP by sums of numbers of 16 bit against f64: 2.4e-4 for each number, which three products a layer
/// and a ReLU or a max pool that decides otherwise here and there make ten times as much.
pub(crate) const FAST: f64 = 5e-3;

/// The same of contrasts, differences of maps: 1.3e-2 is the most that was seen.
pub(crate) const FAST_CONTRAST: f64 = 2e-2;

/// What f32's error is in f64: 2^-53 / 2^-24 = 2^-29, and 32 times that, because a reference and
/// a result in f64 each sum thousands of terms in their own order.
pub(crate) const REFERENCE_ROUNDING: f64 = 32.0 / (1_u64 << 29) as f64;

/// PyTorch's error in f32 from which on a map says nothing of f32: no two digits are left.
pub(crate) const NO_DIGITS_LEFT: f64 = 0.05;

/// How much worse than CLRP1 its variant by logits may be: it divides either map by its sum before
/// the difference is taken, two roundings more of each number. 1.3 is the most that was seen.
pub(crate) const DIVIDED_BY_SUMS: f64 = 1.5;

/// One rule on one layer in f32: a few sums and one division by a stabilized denominator, which
/// magnifies the sums' errors by at most 1 / 0.1.
pub(crate) const RULE_F32: f64 = 1e-5;

/// The same work in f32, put together in another way: sums in another order, whose rounding a
/// contrast, a small difference of maps, magnifies by ten or so.
pub(crate) const SAME_F32: f64 = 1e-5;

/// What is missing in the account of relevance in f32, of the largest relevance of a layer: what
/// the project promises.
pub(crate) const LEDGER_F32: f64 = 1e-4;

/// The same in f64, where sums over layers of a few thousand outputs round by 1e-16 each.
pub(crate) const LEDGER_F64: f64 = 1e-11;

/// What follows from maps that were computed in f64 and handed out as f32: a few roundings of
/// 6e-8, of the largest of them.
pub(crate) const OF_F32_MAPS: f64 = 1e-6;

/// Measures that two programs take in f64 of the same f32 maps: a few thousand roundings of 1e-16.
pub(crate) const MEASURED_F64: f64 = 1e-12;

/// A probability of 0.5 in f32 whose gradient, p (1 - p) and -p q, sums to 0: roundings of 6e-8.
pub(crate) const SHARES_F32: f64 = 1e-6;

/// A score that is no more than this is nothing that a map could be divided by.
pub(crate) const NO_SCORE: f64 = 1e-6;

/// More than any rounding: what differs so much differs in kind.
pub(crate) const CHANGED: f64 = 1e-3;

/// How far apart two results are, by the norm of their difference over that of the expected one.
pub(crate) fn distance(actual: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len(), "numbers of a result");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut actual.iter().zip(expected).map(|(a, e)| a - e));
    let size = norm(&mut expected.iter().copied());
    if difference == 0.0 { 0.0 } else { difference / size }
}

/// Holds a result against the expected one by [`distance`].
pub(crate) fn assert_close(actual: &[f64], expected: &[f64], tolerance: f64, what: impl Display) {
    let distance = distance(actual, expected);
    // Not `>`: a NaN is never close.
    let close = distance <= tolerance;
    assert!(close, "{what}: apart by {distance:.2e}, allowed {tolerance:.0e}");
}

/// Holds each value against the expected one, allowing `tolerance` of what `scale` says of it.
pub(crate) fn assert_each_close(
    actual: &[f64],
    expected: &[f64],
    tolerance: f64,
    scale: impl Fn(f64) -> f64,
    what: impl Display,
) {
    assert_eq!(actual.len(), expected.len(), "{what}: numbers of a result");
    let close = |a: f64, e: f64| a == e || (a - e).abs() <= tolerance * scale(e);
    if let Some(i) = actual.iter().zip(expected).position(|(&a, &e)| !close(a, e)) {
        let (a, e) = (actual[i], expected[i]);
        let error = (a - e).abs() / scale(e);
        panic!(
            "{what}: value {i} is {a}, expected {e}: off by {error:.2e}, allowed {tolerance:.0e}"
        );
    }
}
