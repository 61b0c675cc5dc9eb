//! Cases of the kernels that treat values, channels or rows alike.

use clrp::kernels::{
    Call, add, add_shares, channel_affine, channel_constant, clamp, copy_channels, dot_rows, gate,
    gather, largest, leaks, local_response_norm, local_response_norm_backward, multiply_add,
    multiply_difference, one_hot, permute, seed, softmax, stabilized_gate, stabilized_ratio,
    sum_rows, tally, top_k,
};
use clrp::program::{Form, Source, WeightUse};
use clrp::weight::Weight;

use super::{Case, Given};
use crate::support::Random;

/// One value, less than a workgroup, more than one, beyond a piece of a CPU thread's.
const COUNTS: [u32; 4] = [1, 255, 1003, 40_001];

fn vector(values: Vec<f32>) -> Given {
    let weight = Weight::from_f32("vector", &[values.len()], values);
    let source = Source::Stored(weight);
    Given::Weight(WeightUse { source, form: Form::Vector, part: (clrp::kernels::Part::All, 0.0) })
}

pub(super) fn add(random: &mut Random) -> Vec<Case> {
    let case = |total: u32| {
        let mut floats = || Given::Float(random.floats(total as usize));
        let operands = vec![floats(), floats(), Given::junk(total as usize)];
        Case { call: Call::Add(add::Params { total }), operands }
    };
    COUNTS.into_iter().map(case).collect()
}

pub(super) fn clamp(random: &mut Random) -> Vec<Case> {
    let relu6 = |total| clamp::Params { total, low: 0.0, high: 6.0, scale: 1.0 };
    let half = |total| clamp::Params { total, low: -0.5, high: 0.25, scale: -0.5 };
    // More than 65,535 workgroups, which go into a second dimension.
    let many = clamp::Params::relu(65_535 * 256 + 300);
    let all = |total| {
        let p = clamp::Params::relu(total);
        [p, clamp::Params::negative(total), clamp::Params::negate(total), relu6(total), half(total)]
    };
    let case = |p: clamp::Params| {
        let total = p.total as usize;
        let a: Vec<f32> = random.floats(total.min(5000)).iter().map(|v| v * 8.0).collect();
        let a = a.into_iter().cycle().take(total).collect();
        Case { call: Call::Clamp(p), operands: vec![Given::Float(a), Given::junk(total)] }
    };
    COUNTS.into_iter().flat_map(all).chain([many]).map(case).collect()
}

pub(super) fn gate(random: &mut Random) -> Vec<Case> {
    use gate::Mode as M;
    let mut cases = Vec::new();
    for mode in [M::Active, M::Guided, M::Deconvnet, M::Negative] {
        for (count, batch, repeat, bounds) in
            [(1, 1, 1, [0.0, f32::MAX]), (301, 2, 3, [0.0, 1.5]), (301, 2, 3, [-1.0, 1.0])]
        {
            let total = count * batch * repeat;
            let p = gate::Params::new(total, count, repeat, mode, bounds);
            let g = Given::Float(random.ties(total as usize));
            let y = Given::Float(random.ties((count * batch) as usize));
            let operands = vec![g, y, Given::junk(total as usize)];
            cases.push(Case { call: Call::Gate(p), operands });
        }
    }
    cases
}

/// Channels, channels of a sum below and above its own, positions.
const NORMS: [(u32, [u32; 2], u32); 4] =
    [(1, [2, 2], 3), (4, [0, 0], 5), (7, [2, 1], 50), (96, [2, 2], 21)];

pub(super) fn local_response_norm(random: &mut Random) -> Vec<Case> {
    let case = |(channels, [before, after], positions): (u32, [u32; 2], u32)| {
        let total = channels * positions;
        let (share, beta, k) = (0.5, 0.75, 2.0);
        let p = local_response_norm::Params { total, channels, before, after, share, beta, k };
        let operands =
            vec![Given::Float(random.floats(total as usize)), Given::junk(total as usize)];
        Case { call: Call::LocalResponseNorm(p), operands }
    };
    NORMS.into_iter().map(case).collect()
}

pub(super) fn local_response_norm_backward(random: &mut Random) -> Vec<Case> {
    let case = |(channels, [before, after], positions): (u32, [u32; 2], u32)| {
        let (batch, repeat, count) = (2, 3, channels * positions);
        let total = count * batch * repeat;
        let p = local_response_norm_backward::Params {
            total,
            count,
            repeat,
            channels,
            before,
            after,
            share: 0.5,
            beta: 0.75,
            k: 2.0,
        };
        let a = Given::Float(random.floats((count * batch) as usize));
        let g = Given::Float(random.floats(total as usize));
        let operands = vec![a, g, Given::junk(total as usize)];
        Case { call: Call::LocalResponseNormBackward(p), operands }
    };
    NORMS.into_iter().map(case).collect()
}

/// Values of a row, pictures, rows of a picture, and whether all pictures share their inputs.
const ROWS: [(u32, u32, u32, bool); 5] = [
    (1, 1, 1, false),
    (7, 3, 1, false),
    (301, 2, 3, false),
    (301, 2, 3, true),
    (20_011, 1, 2, true),
];

pub(super) fn stabilized_ratio(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (count, batch, repeat, shared) in ROWS {
        for epsilon in [0.0, 1e-9, 0.25] {
            let (total, stride) = (count * batch * repeat, if shared { 0 } else { count });
            let p = stabilized_ratio::Params { total, count, repeat, stride, epsilon };
            let mut r = random.floats(total as usize);
            let pictures = if shared { 1 } else { batch };
            let mut z = random.away_from_zero((count * pictures) as usize);
            r.iter_mut().step_by(5).for_each(|r| *r = 0.0);
            z.iter_mut().step_by(7).for_each(|z| *z = 0.0);
            let operands = vec![Given::Float(r), Given::Float(z), Given::junk(total as usize)];
            cases.push(Case { call: Call::StabilizedRatio(p), operands });
        }
    }
    cases
}

pub(super) fn stabilized_gate(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (count, batch, repeat, shared) in ROWS {
        for epsilon in [0.0, 1e-9, 0.25] {
            let (total, stride) = (count * batch * repeat, if shared { 0 } else { count });
            let p = stabilized_gate::Params { total, count, repeat, stride, scale: -1.5, epsilon };
            let pictures = if shared { 1 } else { batch };
            let mut a = random.away_from_zero((count * pictures) as usize);
            a.iter_mut().step_by(7).for_each(|a| *a = 0.0);
            let c = Given::Float(random.floats(total as usize));
            let operands = vec![Given::Float(a), c, Given::junk(total as usize)];
            cases.push(Case { call: Call::StabilizedGate(p), operands });
        }
    }
    cases
}

pub(super) fn multiply_add(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (count, batch, repeat, shared) in ROWS {
        for (scale, accumulate) in [(1.0, 0), (-2.0, 1)] {
            let (total, stride) = (count * batch * repeat, if shared { 0 } else { count });
            let p = multiply_add::Params { total, count, repeat, stride, scale, accumulate };
            let pictures = if shared { 1 } else { batch };
            let a = Given::Float(random.floats((count * pictures) as usize));
            let c = Given::Float(random.floats(total as usize));
            let r = Given::Float(random.floats(total as usize));
            cases.push(Case { call: Call::MultiplyAdd(p), operands: vec![a, c, r] });
        }
    }
    cases
}

/// Pixels and channels.
const PIXELS: [(u32, u32); 5] = [(1, 1), (1, 7), (50, 3), (9, 64), (700, 67)];

/// Values, shares and channels.
const SHARES: [[u32; 3]; 4] = [[1, 1, 1], [12, 3, 4], [1001, 2, 7], [70_000, 5, 16]];

pub(super) fn add_shares(random: &mut Random) -> Vec<Case> {
    let cases = SHARES.into_iter().enumerate();
    let case = |(i, [total, shares, channels]): (usize, [u32; 3])| {
        let p = add_shares::Params {
            total,
            shares,
            channels,
            bias_part: [7, 0, 1, 3][i],
            gamma: 0.3,
            accumulate: (i % 2) as u32,
        };
        let sums = Given::Float(random.floats((total * shares) as usize));
        let bias = Given::Float(random.floats(channels as usize));
        let before = Given::Float(random.floats(total as usize));
        Case { call: Call::AddShares(p), operands: vec![sums, bias, before] }
    };
    cases.map(case).collect()
}

pub(super) fn channel_affine(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (pixels, channels) in PIXELS {
        for shifted in [0, 1] {
            let total = pixels * channels;
            let p = channel_affine::Params { total, channels, shifted };
            let a = Given::Float(random.floats(total as usize));
            let mut values = || vector(random.floats(channels as usize));
            let operands = vec![a, values(), values(), Given::junk(total as usize)];
            cases.push(Case { call: Call::ChannelAffine(p), operands });
        }
    }
    cases
}

pub(super) fn channel_constant(random: &mut Random) -> Vec<Case> {
    let case = |(pixels, channels): (u32, u32)| {
        let total = pixels * channels;
        let p = channel_constant::Params { total, channels };
        let operands = vec![vector(random.floats(channels as usize)), Given::junk(total as usize)];
        Case { call: Call::ChannelConstant(p), operands }
    };
    PIXELS.into_iter().map(case).collect()
}

pub(super) fn permute(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (positions, channels) in PIXELS {
        for (batch, to_planes) in [(1, 0), (3, 1), (2, 0), (1, 1)] {
            let total = batch * positions * channels;
            let p = permute::Params { total, channels, positions, to_planes };
            let from = Given::Float(random.floats(total as usize));
            let operands = vec![from, Given::junk(total as usize)];
            cases.push(Case { call: Call::Permute(p), operands });
        }
    }
    cases
}

pub(super) fn copy_channels(random: &mut Random) -> Vec<Case> {
    // Positions; channels of the source, first, channels of the destination, first, count.
    let shapes =
        [[1, 1, 0, 1, 0, 1], [50, 7, 0, 7, 0, 7], [33, 5, 0, 12, 7, 5], [333, 70, 3, 9, 2, 6]];
    let case = |[positions, from_channels, from_first, to_channels, to_first, count]: [u32; 6]| {
        let from = Given::Float(random.floats((positions * from_channels) as usize));
        let to = Given::Float(random.floats((positions * to_channels) as usize));
        let call = Call::CopyChannels(copy_channels::Params {
            positions,
            from_channels,
            from_first,
            to_channels,
            to_first,
            count,
        });
        Case { call, operands: vec![from, to] }
    };
    shapes.into_iter().map(case).collect()
}

pub(super) fn seed(random: &mut Random) -> Vec<Case> {
    use seed::Mode as M;
    let mut cases = Vec::new();
    let modes = [M::Score, M::Contrast, M::OtherScores, M::One, M::OneAgainst, M::Probability];
    for mode in modes {
        // Pictures, values of a row, rows, first row, targets.
        for [batch, count, rows, first, targets] in
            [[1, 1, 1, 0, 1], [1, 2, 1, 0, 1], [2, 10, 5, 1, 3], [3, 1000, 4, 2, 2]]
        {
            let mode = mode as u32;
            let p = seed::Params { batch, count, rows, first, targets, mode };
            let of_targets = (batch * targets) as usize;
            let numbers = of_targets * count as usize;
            let y = Given::Float(random.floats((batch * count) as usize));
            // Some weights are 0: those of the other outputs.
            let w = Given::Float(random.ties(numbers));
            let duals: Vec<f32> = random.ties(numbers).iter().map(|d| d.abs().min(1.0)).collect();
            let mut dual_sums: Vec<f32> =
                duals.chunks_exact(count as usize).map(|duals| duals.iter().sum()).collect();
            dual_sums[0] = 0.0;
            let sums = Given::Float(random.floats(of_targets));
            let before = Given::junk((batch * rows * count) as usize);
            let operands = vec![y, w, Given::Float(duals), sums, Given::Float(dual_sums), before];
            cases.push(Case { call: Call::Seed(p), operands });
        }
    }
    cases
}

/// Rows and values of a row.
const SUMS: [(u32, u32); 5] = [(1, 1), (3, 255), (5, 256), (2, 5000), (130, 77)];

pub(super) fn multiply_difference(random: &mut Random) -> Vec<Case> {
    let case = |(count, batch, repeat, _)| {
        let total = count * batch * repeat;
        let p = multiply_difference::Params { total, count, repeat };
        let lengths = [count * batch, count * batch, total];
        let reads = lengths.map(|length| Given::Float(random.floats(length as usize)));
        let operands = reads.into_iter().chain([Given::junk(total as usize)]).collect();
        Case { call: Call::MultiplyDifference(p), operands }
    };
    ROWS.into_iter().map(case).collect()
}

pub(super) fn one_hot(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows, count) in SUMS {
        for others in [0, 1] {
            let total = rows * count;
            // One past the end, too.
            let unit = || random.of(0..=count as usize) as u32;
            let units = std::iter::repeat_with(unit).take(rows as usize).collect();
            let operands = vec![Given::Index(units), Given::junk(total as usize)];
            let p = one_hot::Params { total, count, others };
            cases.push(Case { call: Call::OneHot(p), operands });
        }
    }
    cases
}

pub(super) fn gather(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (batch, count) in SUMS {
        for repeat in [1, 3] {
            let rows = batch * repeat;
            // One past the end, too.
            let unit = || random.of(0..=count as usize) as u32;
            let units = std::iter::repeat_with(unit).take(rows as usize).collect();
            let y = Given::Float(random.floats((batch * count) as usize));
            let p = gather::Params { rows, count, repeat };
            let operands = vec![Given::Index(units), y, Given::junk(rows as usize)];
            cases.push(Case { call: Call::Gather(p), operands });
        }
    }
    cases
}

pub(super) fn dot_rows(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (batch, count) in SUMS {
        for repeat in [1, 3] {
            let rows = batch * repeat;
            let w = Given::Float(random.floats((rows * count) as usize));
            let y = Given::Float(random.floats((batch * count) as usize));
            let p = dot_rows::Params { rows, count, repeat };
            let operands = vec![w, y, Given::junk(rows as usize)];
            cases.push(Case { call: Call::DotRows(p), operands });
        }
    }
    cases
}

pub(super) fn softmax(random: &mut Random) -> Vec<Case> {
    let case = |(batch, count): (u32, u32)| {
        let numbers = (batch * count) as usize;
        let scores = random.floats(numbers).iter().map(|score| score * 5.0).collect();
        let call = Call::Softmax(softmax::Params { batch, count });
        Case { call, operands: vec![Given::Float(scores), Given::junk(numbers)] }
    };
    SUMS.into_iter().map(case).collect()
}

pub(super) fn tally(random: &mut Random) -> Vec<Case> {
    let case = |(rows, count): (u32, u32)| {
        let values = Given::Float(random.floats((rows * count) as usize));
        let call = Call::Tally(tally::Params { rows, count });
        let before = Given::junk(rows as usize * tally::FIELDS_OF_A_ROW);
        Case { call, operands: vec![values, before] }
    };
    SUMS.into_iter().map(case).collect()
}

/// Rows, values of a row, pieces.
const PIECES: [[u32; 3]; 6] =
    [[1, 1, 1], [3, 7, 1], [2, 5, 4], [4, 1000, 3], [2, 70_000, 17], [66_000, 2, 1]];

pub(super) fn largest(random: &mut Random) -> Vec<Case> {
    let case = |[rows, count, pieces]: [u32; 3]| {
        let p = largest::Params { rows, count, pieces };
        let values = Given::Float(random.floats((rows * count) as usize));
        let operands = vec![values, Given::junk((rows * pieces) as usize)];
        Case { call: Call::Largest(p), operands }
    };
    PIECES.into_iter().map(case).collect()
}

pub(super) fn leaks(random: &mut Random) -> Vec<Case> {
    use clrp::kernels::Part as P;
    let mut cases = Vec::new();
    let parts =
        [P::All, P::Positive, P::Negative, P::RaisedPositive, P::Square, P::One, P::Nothing];
    for (count, batch, repeat, shared) in ROWS {
        for (part, epsilon) in parts.into_iter().zip([0.0, 1e-9, 0.25].into_iter().cycle()) {
            let rows = batch * repeat;
            let channels = if part == P::Nothing || count % 7 != 0 { 1 } else { 7 };
            let mut r = random.floats((rows * count) as usize);
            let pictures = if shared { 1 } else { batch };
            let mut z = random.away_from_zero((count * pictures) as usize);
            r.iter_mut().step_by(5).for_each(|r| *r = 0.0);
            z.iter_mut().step_by(3).for_each(|z| *z = 0.0);
            let p = leaks::Params {
                rows,
                count,
                repeat,
                stride: if shared { 0 } else { count },
                channels,
                epsilon,
                bias_part: part.code(),
                gamma: 0.5,
            };
            let bias = vector(random.away_from_zero(channels as usize));
            let before = Given::junk(rows as usize * leaks::CAUSES);
            let operands = vec![Given::Float(r), Given::Float(z), bias, before];
            cases.push(Case { call: Call::Leaks(p), operands });
        }
    }
    cases
}

pub(super) fn sum_rows(random: &mut Random) -> Vec<Case> {
    let case = |(rows, count): (u32, u32)| {
        let values = Given::Float(random.floats((rows * count) as usize));
        let call = Call::SumRows(sum_rows::Params { rows, count });
        Case { call, operands: vec![values, Given::junk(rows as usize)] }
    };
    SUMS.into_iter().map(case).collect()
}

pub(super) fn top_k(random: &mut Random) -> Vec<Case> {
    let case = |[batch, classes, k]: [u32; 3]| {
        // Equal scores and different ones.
        let count = (batch * classes) as usize;
        let scores = if random.yes() { random.ties(count) } else { random.floats(count) };
        let call = Call::TopK(top_k::Params { batch, classes, k });
        let before = Given::Index(vec![77; (batch * k) as usize]);
        Case { call, operands: vec![Given::Float(scores), before] }
    };
    let shapes = [[1, 1, 1], [2, 5, 5], [3, 10, 1], [2, 1000, 5], [1, 1000, 40], [4, 257, 3]];
    shapes.into_iter().chain(shapes).map(case).collect()
}
