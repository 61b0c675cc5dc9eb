//! How much work one submission may hold: systems reset a GPU that does not answer.

use std::ops::Range;

use crate::kernels::{Call, conv2d, linear};
use crate::program::Step;

/// Floating-point operations of a submission.
///
/// Windows resets the GPU after 2 s: 30 GFLOP are one second at 30 GFLOPS, which integrated GPUs
/// of the last ten years exceed. Linux waits 10 s and more. A submission costs tens of
/// microseconds, so that fast GPUs lose a percent at most, and most programs need one or two.
const BUDGET: u64 = if cfg!(windows) { 30_000_000_000 } else { 200_000_000_000 };

/// Splits the steps into submissions.
pub(super) fn submissions(steps: &[Step]) -> Vec<Range<usize>> {
    split(steps.iter().map(|step| work(&step.call)), BUDGET)
}

/// Splits `costs` into runs that stay within the budget, as far as single ones do; one at least.
fn split(costs: impl Iterator<Item = u64>, budget: u64) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut run = 0..0;
    let mut spent = 0;
    for cost in costs {
        if spent + cost > budget && !run.is_empty() {
            let next = run.end..run.end;
            runs.push(std::mem::replace(&mut run, next));
            spent = 0;
        }
        run.end += 1;
        spent += cost;
    }
    runs.push(run);
    runs
}

/// Floating-point operations of a step; of those that only pass over their operands, none.
fn work(call: &Call) -> u64 {
    match call {
        Call::Conv2d(p) | Call::Conv2dQuads(p) => convolution(p),
        Call::Conv2dCooperative(p) => convolution(&p.conv),
        Call::ConvTranspose2d(p)
        | Call::ConvTranspose2dColors(p)
        | Call::ConvTranspose2dQuads(p) => convolution(&p.0),
        Call::ConvTranspose2dCooperative(p) => convolution(&p.0.conv),
        Call::BoxRelevance(p) => 2 * convolution(&p.conv),
        // As many where all of them are made by their formula.
        Call::BoxDenominators(p) => convolution(&p.0),
        Call::Linear(p) => product(p),
        Call::LinearPair(p) => 2 * product(&p.layer()),
        Call::LinearTranspose(p) => product(&p.0),
        Call::Add(_)
        | Call::AddShares(_)
        | Call::Attribution(_)
        | Call::AvgPool2d(_)
        | Call::AvgPool2dBackward(_)
        | Call::ChannelAffine(_)
        | Call::ChannelConstant(_)
        | Call::ChannelDot(_)
        | Call::Clamp(_)
        | Call::CopyChannels(_)
        | Call::DotRows(_)
        | Call::Gate(_)
        | Call::Gather(_)
        | Call::Heatmap(_)
        | Call::Largest(_)
        | Call::Leaks(_)
        | Call::LocalResponseNorm(_)
        | Call::LocalResponseNormBackward(_)
        | Call::MaxPool2d(_)
        | Call::MaxPool2dBackward(_)
        | Call::MultiplyAdd(_)
        | Call::MultiplyDifference(_)
        | Call::MultiplyPlanes(_)
        | Call::OneHot(_)
        | Call::Permute(_)
        | Call::Seed(_)
        | Call::Softmax(_)
        | Call::StabilizedGate(_)
        | Call::StabilizedRatio(_)
        | Call::SumRows(_)
        | Call::Tally(_)
        | Call::TopK(_)
        | Call::Upsample2d(_) => 0,
    }
}

/// What exact sums cost, by the instructions of a product.
const EXACT_COST: u64 = 14;

fn convolution(p: &conv2d::Params) -> u64 {
    let positions = u64::from(p.batch) * u64::from(p.out_height) * u64::from(p.out_width);
    let window = u64::from(p.kernel_height) * u64::from(p.kernel_width);
    let once = 2 * positions * u64::from(p.out_channels) * window * u64::from(p.in_per_group());
    if p.is_exact() { EXACT_COST * once } else { once }
}

fn product(p: &linear::Params) -> u64 {
    2 * u64::from(p.batch) * u64::from(p.in_features) * u64::from(p.rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stay_within_the_budget() {
        let runs = |costs: &[u64]| split(costs.iter().copied(), 10);
        assert_eq!(runs(&[]), std::slice::from_ref(&(0..0)));
        assert_eq!(runs(&[4, 6, 0, 1]), [0..3, 3..4]);
        assert_eq!(runs(&[0, 25, 0, 10]), [0..1, 1..2, 2..4]);
    }

    #[test]
    fn a_convolution_costs_its_multiplications_and_additions() {
        // VGG16's second layer: 224 * 224 positions, 64 * 64 channels, 9 taps.
        let p = conv2d::Params::keeping_size([224; 2], 64, 3);
        assert_eq!(work(&Call::Conv2d(p)), 3_699_376_128);
        let exact = conv2d::Params { rounding: 1, ..p };
        assert_eq!(work(&Call::Conv2d(exact)), 14 * 3_699_376_128);
    }
}
