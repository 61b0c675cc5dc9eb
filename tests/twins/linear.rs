//! Cases of the kernels that multiply by weights.

use clrp::kernels::conv2d::{Packing, Params as Conv, Rounding};
use clrp::kernels::linear::Params as Matrix;
use clrp::kernels::{
    Call, Encoding, Part, conv_transpose2d, conv_transpose2d_colors, conv_transpose2d_cooperative,
    conv2d_cooperative, conv2d_quads, linear_pair, linear_transpose, winograd,
};
use clrp::program::{Form, Source, WeightUse};
use clrp::weight::{Dtype, Weight};
use half::{bf16, f16};

use super::{Case, Given};
use crate::support::Random;

const PARTS: [Part; 8] = [
    Part::All,
    Part::Positive,
    Part::Negative,
    Part::RaisedPositive,
    Part::RaisedNegative,
    Part::Square,
    Part::One,
    Part::Nothing,
];

/// Pictures; channels in and out, groups; input, kernel, stride, padding, dilation as rows and
/// columns.
pub(super) type Shape = (u32, [u32; 3], [[u32; 2]; 5]);

pub(super) const CONVOLUTIONS: &[Shape] = &[
    // One number.
    (1, [1, 1, 1], [[1, 1], [1, 1], [1, 1], [0, 0], [1, 1]]),
    // VGG's kind, at odd sizes.
    (2, [3, 5, 1], [[7, 9], [3, 3], [1, 1], [1, 1], [1, 1]]),
    // AlexNet's first.
    (1, [3, 64, 1], [[27, 35], [11, 11], [4, 4], [2, 2], [1, 1]]),
    // Strides beyond the kernel: inputs that no window sees.
    (2, [5, 7, 1], [[8, 7], [1, 1], [2, 3], [0, 0], [1, 1]]),
    (1, [4, 3, 1], [[11, 10], [2, 2], [3, 5], [1, 0], [1, 1]]),
    (2, [19, 33, 1], [[8, 7], [1, 1], [2, 3], [0, 0], [1, 1]]),
    (1, [9, 17, 1], [[11, 10], [2, 2], [3, 5], [1, 0], [1, 1]]),
    // Windows that end before the input does.
    (1, [3, 4, 1], [[6, 8], [2, 3], [3, 2], [0, 0], [1, 1]]),
    // Dilation.
    (2, [6, 5, 1], [[9, 8], [3, 3], [1, 1], [2, 2], [2, 2]]),
    (1, [2, 3, 1], [[13, 10], [3, 2], [2, 1], [1, 3], [3, 4]]),
    (2, [18, 35, 1], [[13, 10], [3, 2], [2, 1], [1, 3], [3, 4]]),
    // Inception's rows and columns.
    (1, [8, 6, 1], [[5, 12], [1, 7], [1, 1], [0, 3], [1, 1]]),
    (1, [6, 8, 1], [[12, 5], [7, 1], [1, 1], [3, 0], [1, 1]]),
    // Groups, depthwise and with two filters a channel.
    (2, [6, 10, 2], [[6, 5], [3, 3], [1, 1], [1, 1], [1, 1]]),
    (1, [9, 9, 9], [[7, 7], [3, 3], [2, 2], [1, 1], [1, 1]]),
    (1, [5, 10, 5], [[6, 9], [3, 5], [1, 2], [1, 2], [2, 1]]),
    (1, [134, 138, 2], [[3, 5], [3, 3], [1, 1], [1, 1], [1, 1]]),
    // Beyond one tile of 64 positions, input and output channels.
    (2, [67, 70, 1], [[9, 9], [3, 3], [1, 1], [1, 1], [1, 1]]),
    (1, [17, 130, 1], [[9, 8], [3, 3], [2, 2], [0, 0], [1, 1]]),
    (3, [65, 66, 1], [[12, 11], [1, 1], [1, 1], [0, 0], [1, 1]]),
    // More columns than are unpacked at once on the CPU, deep enough for sums in pieces.
    (1, [60, 131, 1], [[4, 4], [3, 3], [1, 1], [1, 1], [1, 1]]),
    // Columns that the CPU unpacks in more than one go, deep enough for sums in pieces.
    (1, [35, 530, 1], [[3, 2], [2, 2], [1, 1], [0, 0], [1, 1]]),
    // So deep that plain sums in f32 lose digits.
    (1, [10_000, 6, 1], [[1, 7], [1, 1], [1, 1], [0, 0], [1, 1]]),
    // Kernels larger than the input, padding beyond the kernel.
    (2, [3, 4, 1], [[2, 2], [3, 3], [1, 1], [1, 1], [1, 1]]),
    (1, [2, 3, 1], [[3, 4], [2, 2], [1, 1], [3, 4], [1, 1]]),
];

pub(super) fn geometry((batch, [ins, outs, groups], sizes): Shape) -> Conv {
    let [input, kernel, stride, padding, dilation] = sizes;
    let positions = |axis: usize| {
        let reach = dilation[axis] * (kernel[axis] - 1) + 1;
        (input[axis] + 2 * padding[axis] - reach) / stride[axis] + 1
    };
    Conv {
        batch,
        in_height: input[0],
        in_width: input[1],
        in_channels: ins,
        out_height: positions(0),
        out_width: positions(1),
        out_channels: outs,
        kernel_height: kernel[0],
        kernel_width: kernel[1],
        stride_height: stride[0],
        stride_width: stride[1],
        padding_height: padding[0],
        padding_width: padding[1],
        dilation_height: dilation[0],
        dilation_width: dilation[1],
        groups,
        part: Part::All.code(),
        bias_part: Part::Nothing.code(),
        gamma: 0.0,
        accumulate: 0,
        stored: Encoding::F32.code(),
        rounding: 0,
    }
}

pub(super) fn random_shape(random: &mut Random) -> Shape {
    let mut of = |from: usize, to: usize| random.of(from..=to) as u32;
    let groups = of(1, 3);
    let channels = [groups * of(1, 12), groups * of(1, 12), groups];
    let kernel = [of(1, 4), of(1, 4)];
    let dilation = [of(1, 2), of(1, 3)];
    let padding = [of(0, 3), of(0, 3)];
    let input = [0, 1].map(|i| {
        let reach = dilation[i] * (kernel[i] - 1) + 1;
        reach.saturating_sub(2 * padding[i]).max(1) + of(0, 9)
    });
    (of(1, 3), channels, [input, kernel, [of(1, 4), of(1, 4)], padding, dilation])
}

/// Every shape of the table and some random ones, with changing parts; every part on one shape.
fn convolutions(random: &mut Random) -> Vec<Conv> {
    let drawn = (0..12).map(|_| random_shape(random)).collect::<Vec<_>>();
    let shapes = CONVOLUTIONS.iter().copied().chain(drawn);
    let mut cases: Vec<Conv> = shapes
        .enumerate()
        .map(|(i, shape)| Conv {
            part: (i % 7) as u32,
            bias_part: (i * 3 % 8) as u32,
            gamma: 0.3,
            accumulate: (i / 2 % 2) as u32,
            ..geometry(shape)
        })
        .collect();
    for (i, part) in PARTS.into_iter().enumerate() {
        let gamma = 0.25 * i as f32;
        let bias_part = PARTS[(i + 5) % 8].code();
        let p = Conv { part: part.code(), bias_part, gamma, ..geometry(CONVOLUTIONS[1]) };
        cases.extend([p, Conv { accumulate: 1, ..p }]);
    }
    let halves: Vec<_> = (0..).zip(&cases).map(|(i, p)| Conv { stored: half(i), ..*p }).collect();
    cases.extend(halves);
    let exact = Rounding::Exact.code();
    let exact: Vec<_> = cases.iter().map(|p| Conv { rounding: exact, ..*p }).collect();
    cases.extend(exact);
    cases.extend(transformed(random));
    cases
}

/// Shapes whose windows the CPU transforms, in both directions or in one: with whole and cut windows, few
/// and many of them, whole and cut panels.
fn transformed(random: &mut Random) -> Vec<Conv> {
    let drawn = (0..16).map(|i| {
        let kernel = if i % 3 == 2 { 5 } else { 3 };
        let mut of = |from: usize, to: usize| random.of(from..=to) as u32;
        let both = i < 9;
        let outs = if both { 16 * of(1, 4) } else { of(16, 70) };
        let padding = [(); 2].map(|()| of(0, if both { kernel - 1 } else { kernel }));
        let input = padding.map(|zeros| of(kernel.saturating_sub(2 * zeros as usize).max(1), 13));
        let channels = [16 * of(1, 3), outs, 1];
        let shape = (of(1, 3), channels, [input, [kernel as u32; 2], [1; 2], padding, [1; 2]]);
        let p = Conv {
            bias_part: [Part::All, Part::Nothing][i % 2].code(),
            accumulate: u32::from(i % 5 > 2),
            rounding: Rounding::Shared.code(),
            ..geometry(shape)
        };
        assert!(winograd::suits(&p) && (!both || winograd::suits_transposed(&p)), "{p:?}");
        p
    });
    let mut cases: Vec<_> = drawn.collect();
    let parts = [Part::All, Part::Positive, Part::Negative].into_iter().cycle();
    let checked = cases.iter().zip(parts).map(|(p, part)| Conv {
        part: part.code(),
        rounding: Rounding::Checked.code(),
        ..*p
    });
    let checked: Vec<_> = checked.collect();
    cases.extend(checked);
    let halves: Vec<_> = (0..).zip(&cases).map(|(i, p)| Conv { stored: half(i), ..*p }).collect();
    cases.extend(halves);
    cases
}

/// One encoding of 16 bit, then the other: the cases of each part come in pairs.
fn half(i: usize) -> u32 {
    [Encoding::F16, Encoding::BF16][i % 2].code()
}

/// A weight of random numbers, with some so small that f16 has no leading one for them.
fn weight(random: &mut Random, name: &str, shape: &[usize], stored: u32) -> Weight {
    let mut values = random.floats(shape.iter().product());
    values.iter_mut().step_by(7).for_each(|value| *value *= 5e-5);
    let bits = |of: fn(f32) -> u16| values.iter().map(|value| of(*value)).collect();
    if stored == Encoding::F16.code() {
        let bits = bits(|value| f16::from_f32(value).to_bits());
        return Weight::from_bits16(name, shape, Dtype::F16, bits);
    }
    if stored == Encoding::BF16.code() {
        let bits = bits(|value| bf16::from_f32(value).to_bits());
        return Weight::from_bits16(name, shape, Dtype::BF16, bits);
    }
    Weight::from_f32(name, shape, values)
}

pub(super) fn packing(p: &Conv) -> Packing {
    Packing {
        groups: p.groups as usize,
        out_per_group: p.out_per_group() as usize,
        in_per_group: p.in_per_group() as usize,
        taps: (p.kernel_height * p.kernel_width) as usize,
    }
}

fn filters(random: &mut Random, p: &Conv) -> WeightUse {
    let shape = [p.out_channels, p.in_per_group(), p.kernel_height, p.kernel_width];
    let shape = shape.map(|n| n as usize);
    WeightUse {
        source: Source::Stored(weight(random, "filters", &shape, p.stored)),
        form: Form::Filters(packing(p)),
        part: (Part::from_code(p.part), p.gamma),
    }
}

/// A bias, or the single zero that layers without one read.
fn bias(random: &mut Random, code: u32, count: u32) -> WeightUse {
    let none = Part::from_code(code) == Part::Nothing;
    let values = if none { vec![0.0] } else { random.floats(count as usize) };
    let weight = Weight::from_f32("bias", &[values.len()], values);
    WeightUse { source: Source::Stored(weight), form: Form::Vector, part: (Part::All, 0.0) }
}

fn in_len(p: &Conv) -> usize {
    (p.batch * p.in_height * p.in_width * p.in_channels) as usize
}

fn out_len(p: &Conv) -> usize {
    (p.batch * p.out_height * p.out_width * p.out_channels) as usize
}

/// The same shapes where channels come in fours.
fn fours(random: &mut Random) -> impl Iterator<Item = Conv> {
    let cases = convolutions(random).into_iter();
    let cases = cases.filter(|p| p.rounding != Rounding::Exact.code());
    cases.map(|p| Conv {
        in_channels: p.groups * p.in_per_group().next_multiple_of(4),
        out_channels: p.groups * p.out_per_group().next_multiple_of(4),
        ..p
    })
}

/// Those with few pairs of a part and an encoding: their shaders are compiled for each. How parts and encodings
/// are read they share with others, word for word.
fn quads(random: &mut Random) -> Vec<Conv> {
    let pairs = [
        (Part::All, Encoding::F32),
        (Part::Positive, Encoding::F16),
        (Part::RaisedNegative, Encoding::BF16),
    ];
    let pairs = pairs.map(|(part, stored)| (part.code(), stored.code())).into_iter().cycle();
    fours(random).zip(pairs).map(|(p, (part, stored))| Conv { part, stored, ..p }).collect()
}

/// Shapes that GPUs have large tiles for, if asked to, which their last rows and columns do not fill.
fn large() -> [Conv; 4] {
    let [part, other] = [Part::Positive, Part::All].map(Part::code);
    let stored = Encoding::F16.code();
    let shape = (2, [124, 124, 1], [[6, 10], [3; 2], [1; 2], [1; 2], [1; 2]]);
    let deep = Conv { part, stored, accumulate: 1, ..geometry(shape) };
    // Two tiles of columns for each group.
    let shape = (2, [504, 504, 2], [[25, 5], [1; 2], [1; 2], [0; 2], [1; 2]]);
    let grouped = Conv { part: other, bias_part: other, ..geometry(shape) };
    let shape = (2, [68, 72, 1], [[10, 18], [3; 2], [2; 2], [1; 2], [1; 2]]);
    let strided = Conv { part: other, ..geometry(shape) };
    // Three of four inputs meet no tap.
    let shape = (2, [124, 124, 1], [[20, 26], [1; 2], [2; 2], [0; 2], [1; 2]]);
    let part = Part::RaisedNegative.code();
    let sparse = Conv { part, gamma: 0.3, bias_part: other, accumulate: 1, ..geometry(shape) };
    let sparse = Conv { stored: Encoding::BF16.code(), ..sparse };
    let cases = [deep, grouped, strided, sparse];
    let many = |of: [u32; 3]| of.into_iter().product::<u32>();
    for p in &cases {
        let transpose = Call::ConvTranspose2dQuads(conv_transpose2d::Params(*p));
        for call in [Call::Conv2dQuads(*p), transpose] {
            let large = call.workgroups_by(conv2d_quads::LARGE).expect("it has large tiles");
            assert!(many(call.workgroups()) > 3 * many(large), "{p:?}");
        }
    }
    cases
}

fn forward(random: &mut Random, cases: Vec<Conv>, call: fn(Conv) -> Call) -> Vec<Case> {
    let case = |p: Conv| {
        let a = Given::Float(random.floats(in_len(&p)));
        let w = Given::Weight(filters(random, &p));
        let b = Given::Weight(bias(random, p.bias_part, p.out_channels));
        let before = Given::Float(random.floats(out_len(&p)));
        Case { call: call(p), operands: vec![a, w, b, before] }
    };
    cases.into_iter().map(case).collect()
}

pub(super) fn conv2d(random: &mut Random) -> Vec<Case> {
    let cases = convolutions(random);
    forward(random, cases, Call::Conv2d)
}

pub(super) fn conv2d_quads(random: &mut Random) -> Vec<Case> {
    let cases = [quads(random), large().to_vec()].concat();
    forward(random, cases, Call::Conv2dQuads)
}

/// Those that matrices are not empty for, for the most part.
fn cooperative(random: &mut Random) -> Vec<Conv> {
    let mut cases = quads(random);
    for p in &mut cases {
        let fill = |of_group: u32| p.groups * of_group.max(16);
        let [ins, outs] = [p.in_per_group(), p.out_per_group()].map(fill);
        (p.in_channels, p.out_channels) = (ins, outs);
    }
    assert!(cases.iter().all(conv2d_cooperative::suits));
    cases
}

/// The largest magnitude of each row.
fn largest(rows: &Given, count: u32) -> Given {
    let rows = rows.floats();
    let of_row = |row: &[f32]| row.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    Given::Float(rows.chunks(rows.len() / count as usize).map(of_row).collect())
}

/// A convolution with numbers so large and so small that 16 bit would not hold them.
fn scaled(p: Conv, weight: &WeightUse) -> conv2d_cooperative::Params {
    let Source::Stored(filters) = &weight.source else { panic!("filters are stored") };
    let scale = conv2d_cooperative::scale(filters.values(), weight.part.0, p.gamma);
    conv2d_cooperative::Params { conv: p, scale }
}

pub(super) fn conv2d_cooperative(random: &mut Random) -> Vec<Case> {
    let cases = cooperative(random).into_iter().enumerate();
    let case = |(i, p): (usize, Conv)| {
        let factor = [1.0, 1e7, 1e-12][i % 3];
        let of_scale = |len, random: &mut Random| {
            Given::Float(random.floats(len).into_iter().map(|value| factor * value).collect())
        };
        let a = of_scale(in_len(&p), random);
        let w = filters(random, &p);
        let b = Given::Weight(bias(random, p.bias_part, p.out_channels));
        let largest = largest(&a, p.batch);
        let before = of_scale(out_len(&p), random);
        let call = Call::Conv2dCooperative(scaled(p, &w));
        Case { call, operands: vec![a, Given::Weight(w), b, largest, before] }
    };
    cases.map(case).collect()
}

pub(super) fn conv_transpose2d_cooperative(random: &mut Random) -> Vec<Case> {
    let cases = cooperative(random).into_iter().enumerate();
    let case = |(i, p): (usize, Conv)| {
        let factor = [1.0, 1e9, 1e-15][i % 3];
        let of_scale = |len, random: &mut Random| {
            Given::Float(random.floats(len).into_iter().map(|value| factor * value).collect())
        };
        let s = of_scale(out_len(&p), random);
        let w = filters(random, &p);
        let largest = largest(&s, p.batch);
        let before = of_scale(in_len(&p), random);
        let params = conv_transpose2d_cooperative::Params(scaled(p, &w));
        let call = Call::ConvTranspose2dCooperative(params);
        Case { call, operands: vec![s, Given::Weight(w), largest, before] }
    };
    cases.map(case).collect()
}

fn backward(
    random: &mut Random,
    cases: Vec<Conv>,
    call: fn(conv_transpose2d::Params) -> Call,
) -> Vec<Case> {
    let case = |p: Conv| {
        let s = Given::Float(random.floats(out_len(&p)));
        let w = Given::Weight(filters(random, &p));
        let before = Given::Float(random.floats(in_len(&p)));
        Case { call: call(conv_transpose2d::Params(p)), operands: vec![s, w, before] }
    };
    cases.into_iter().map(case).collect()
}

pub(super) fn conv_transpose2d(random: &mut Random) -> Vec<Case> {
    let cases = convolutions(random);
    backward(random, cases, Call::ConvTranspose2d)
}

/// The same shapes with few channels below and fours of them above.
pub(super) fn conv_transpose2d_colors(random: &mut Random) -> Vec<Case> {
    let cases = fours(random).filter(|p| p.stored == Encoding::F32.code());
    let cases =
        cases.enumerate().map(|(i, p)| Conv { in_channels: 1 + i as u32 % 4, groups: 1, ..p });
    let suits = |p: &Conv| conv_transpose2d_colors::suits(&conv_transpose2d::Params(*p));
    let cases: Vec<_> = cases.collect();
    assert!(cases.iter().all(suits));
    backward(random, cases, Call::ConvTranspose2dColors)
}

pub(super) fn conv_transpose2d_quads(random: &mut Random) -> Vec<Case> {
    let cases = [quads(random), large().to_vec()].concat();
    backward(random, cases, Call::ConvTranspose2dQuads)
}

/// Pictures, inputs, outputs, the first output of the shard and how many it has.
const MATRICES: &[[u32; 5]] = &[
    [1, 1, 1, 0, 1],
    [3, 7, 5, 0, 5],
    [1, 64, 64, 0, 64],
    [2, 1025, 3, 0, 3],
    [5, 130, 67, 0, 67],
    [4, 33, 129, 0, 129],
    [9, 5000, 6, 0, 6],
    // Shards.
    [2, 130, 67, 20, 30],
    [3, 31, 40, 0, 1],
    [6, 257, 10, 9, 1],
    // One that starts and ends in the middle of a pair.
    [2, 31, 7, 3, 3],
];

fn matrices(random: &mut Random) -> Vec<Matrix> {
    let drawn = (0..8).map(|_| {
        let rows = random.of(1..=90) as u32;
        let [first, rest] = [random.of(0..=20), random.of(0..=20)].map(|n| n as u32);
        let (batch, columns) = (random.of(1..=7) as u32, random.of(1..=700) as u32);
        [batch, columns, first + rows + rest, first, rows]
    });
    let shapes = MATRICES.iter().copied().chain(drawn.collect::<Vec<_>>());
    let of = |(i, [batch, in_features, out_features, first, rows]): (usize, [u32; 5])| Matrix {
        batch,
        in_features,
        out_features,
        first,
        rows,
        part: (i % 7) as u32,
        bias_part: (i * 3 % 8) as u32,
        gamma: 0.3,
        accumulate: (i / 2 % 2) as u32,
        stored: Encoding::F32.code(),
    };
    let mut cases: Vec<Matrix> = shapes.enumerate().map(of).collect();
    for (i, part) in PARTS.into_iter().enumerate() {
        let bias_part = PARTS[(i + 5) % 8].code();
        let p = Matrix { part: part.code(), bias_part, gamma: 0.25 * i as f32, ..cases[7] };
        cases.extend([Matrix { accumulate: 0, ..p }, Matrix { accumulate: 1, ..p }]);
    }
    let halves: Vec<_> = (0..).zip(&cases).map(|(i, p)| Matrix { stored: half(i), ..*p }).collect();
    cases.extend(halves);
    cases
}

fn rows(random: &mut Random, p: &Matrix) -> WeightUse {
    let shape = [p.out_features as usize, p.in_features as usize];
    WeightUse {
        source: Source::Stored(weight(random, "matrix", &shape, p.stored)),
        form: Form::Rows {
            rows: p.first as usize..(p.first + p.rows) as usize,
            columns: shape[1],
            many_zeros: false,
        },
        part: (Part::All, 0.0),
    }
}

pub(super) fn linear(random: &mut Random) -> Vec<Case> {
    let cases = matrices(random);
    let case = |p: Matrix| {
        let a = Given::Float(random.floats((p.batch * p.in_features) as usize));
        let w = Given::Weight(rows(random, &p));
        let b = Given::Weight(bias(random, p.bias_part, p.out_features));
        let before = Given::Float(random.floats((p.batch * p.out_features) as usize));
        Case { call: Call::Linear(p), operands: vec![a, w, b, before] }
    };
    cases.into_iter().map(case).collect()
}

/// Both with a bias or both without.
pub(super) fn linear_pair(random: &mut Random) -> Vec<Case> {
    let cases = matrices(random).into_iter().filter(|p| p.accumulate == 0);
    let cases: Vec<_> = cases.collect();
    let case = |(i, p): (usize, Matrix)| {
        let own_bias_part = [Part::All, Part::Nothing][i % 2].code();
        let bias_part = if i % 2 == 0 { p.bias_part } else { Part::Nothing.code() };
        let pair = linear_pair::Params { z: Matrix { bias_part, ..p }, own_bias_part };
        let a = Given::Float(random.floats((p.batch * p.in_features) as usize));
        let w = Given::Weight(rows(random, &p));
        let b = Given::Weight(bias(random, own_bias_part, p.out_features));
        let [y, z] =
            [(); 2].map(|()| Given::Float(random.floats((p.batch * p.out_features) as usize)));
        Case { call: Call::LinearPair(pair), operands: vec![a, w, b, y, z] }
    };
    cases.into_iter().enumerate().map(case).collect()
}

pub(super) fn linear_transpose(random: &mut Random) -> Vec<Case> {
    let cases = matrices(random);
    let case = |p: Matrix| {
        let mut s = random.floats((p.batch * p.out_features) as usize);
        // Outputs behind a ReLU: many carry no signal.
        s.iter_mut().step_by(3).for_each(|s| *s = 0.0);
        let w = Given::Weight(rows(random, &p));
        let before = Given::Float(random.floats((p.batch * p.in_features) as usize));
        let call = Call::LinearTranspose(linear_transpose::Params(p));
        Case { call, operands: vec![Given::Float(s), w, before] }
    };
    cases.into_iter().map(case).collect()
}
