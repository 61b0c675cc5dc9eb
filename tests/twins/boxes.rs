//! Cases of z-box's own kernels. All numbers of the denominators that are made from outputs are multiples of a
//! 32nd, so that the outputs hold exactly what they should.

use clrp::kernels::box_denominators::{Params, constants, suits};
use clrp::kernels::box_relevance;
use clrp::kernels::conv2d::Params as Conv;
use clrp::kernels::{Call, Encoding, Part};
use clrp::program::{Form, Source, WeightUse};
use clrp::weight::{Dtype, Weight};
use half::{bf16, f16};

use super::linear::{CONVOLUTIONS, geometry, packing, random_shape};
use super::{Case, Given, naive};
use crate::support::Random;

/// Weights in torch's order: of every three filters one has no negative ones, and one no positive ones.
fn weight(random: &mut Random, p: &Conv) -> Weight {
    let of_filter = (p.in_channels * p.kernel_height * p.kernel_width) as usize;
    let number = |i: usize, random: &mut Random| {
        let value = random.of(0..=16) as f32 / 8.0 - 1.0;
        match i / of_filter % 3 {
            0 => value.abs(),
            1 => -value.abs(),
            _ => value,
        }
    };
    let values: Vec<f32> =
        (0..of_filter * p.out_channels as usize).map(|i| number(i, random)).collect();
    let shape = [p.out_channels, p.in_channels, p.kernel_height, p.kernel_width];
    let shape = shape.map(|n| n as usize);
    let bits = |of: fn(f32) -> u16| values.iter().map(|value| of(*value)).collect();
    if p.stored == Encoding::F16.code() {
        let bits = bits(|value| f16::from_f32(value).to_bits());
        return Weight::from_bits16("filters", &shape, Dtype::F16, bits);
    }
    if p.stored == Encoding::BF16.code() {
        let bits = bits(|value| bf16::from_f32(value).to_bits());
        return Weight::from_bits16("filters", &shape, Dtype::BF16, bits);
    }
    Weight::from_f32("filters", &shape, values)
}

fn vector(values: Vec<f64>) -> Given {
    let part = (Part::All, 0.0);
    Given::Weight(WeightUse { source: Source::Made(values), form: Form::Vector, part })
}

fn case(random: &mut Random, i: usize, p: Conv) -> Case {
    let channels = p.in_channels as usize;
    let low: Vec<f64> = (0..channels).map(|c| -1.0 - (c % 4) as f64 / 4.0).collect();
    let high: Vec<f64> = (0..channels).map(|c| 1.0 + (c % 3) as f64 / 4.0).collect();
    let numbers = (p.batch * p.in_height * p.in_width * p.in_channels) as usize;
    let value = |at: usize, random: &mut Random| match i % 3 {
        0 => random.of(0..=8) as f32 / 4.0 - 1.0,
        1 => low[at % channels] as f32,
        _ => high[at % channels] as f32,
    };
    let a: Vec<f32> = (0..numbers).map(|at| value(at, random)).collect();
    let weight = weight(random, &p);
    let w: Vec<f32> = (0..weight.len()).map(|i| weight.values().get(i)).collect();
    let bias: Vec<f32> =
        (0..p.out_channels).map(|_| random.of(0..=32) as f32 / 8.0 - 2.0).collect();
    let bias = Weight::from_f32("bias", &[bias.len()], bias);
    let own = Conv { bias_part: Part::All.code(), ..p };
    let outs = (p.batch * p.out_height * p.out_width * p.out_channels) as usize;
    let of_bias: Vec<f32> = (0..bias.len()).map(|i| bias.values().get(i)).collect();
    let y = naive::conv2d(&own, &a, &w, &of_bias, &vec![0.0; outs]);
    let z = naive::box_denominators(&p, &a, &w, &[&low[..], &high].concat());
    // Where nothing is left, rounding would be: a little of what was there, but far more than any tolerance.
    let rounded = y.iter().zip(&z).map(|(y, z)| if *z == 0.0 { y * (1.0 + 1e-3) } else { *y });
    let y = rounded.map(|y| y as f32).collect();
    let params = Params(p);
    let constants = constants(&params, weight.values(), Some(bias.values()), [&low, &high]);
    let filters = WeightUse {
        source: Source::Stored(weight),
        form: Form::Filters(packing(&p)),
        part: (Part::All, 0.0),
    };
    let operands = vec![
        Given::Float(y),
        Given::Float(a),
        Given::Weight(filters),
        vector([low, high].concat()),
        vector(constants),
        Given::junk(outs),
    ];
    Case { call: Call::BoxDenominators(params), operands }
}

pub(super) fn box_denominators(random: &mut Random) -> Vec<Case> {
    let drawn = (0..12).map(|_| random_shape(random)).collect::<Vec<_>>();
    let shapes = CONVOLUTIONS.iter().copied().chain(drawn);
    let all = shapes.map(geometry).filter(|p| suits(&Params(*p)));
    let all: Vec<Conv> = all.flat_map(|p| [p; 3]).collect();
    let encodings = [Encoding::F32, Encoding::F16, Encoding::BF16].map(Encoding::code);
    let all = all.into_iter().enumerate();
    all.map(|(i, p)| case(random, i, Conv { stored: encodings[i / 3 % 3], ..p })).collect()
}

pub(super) fn box_relevance(random: &mut Random) -> Vec<Case> {
    // Rows of the signal for each of two pictures, and shapes: widths of less than a vector, of some and of
    // more than are made at once, axes that have nothing in common, a single pixel.
    let shapes: [(u32, [u32; 2], [[u32; 2]; 5]); 10] = [
        (1, [3, 64], [[40, 43], [7; 2], [2; 2], [3; 2], [1; 2]]),
        (2, [1, 24], [[33, 36], [3; 2], [1; 2], [1; 2], [1; 2]]),
        (1, [3, 8], [[12, 15], [5; 2], [1; 2], [4; 2], [2; 2]]),
        (2, [3, 40], [[21, 24], [2; 2], [3; 2], [0; 2], [1; 2]]),
        (1, [1, 100], [[5, 8], [3; 2], [1; 2], [0; 2], [1; 2]]),
        (1, [3, 4], [[130, 133], [3; 2], [1; 2], [1; 2], [1; 2]]),
        (1, [3, 12], [[66, 69], [11; 2], [4; 2], [2; 2], [1; 2]]),
        (2, [3, 4], [[9, 12], [1; 2], [1; 2], [0; 2], [1; 2]]),
        (1, [3, 12], [[8, 19], [3, 2], [1, 3], [4, 0], [2, 1]]),
        (2, [1, 4], [[1; 2], [3; 2], [1; 2], [1; 2], [1; 2]]),
    ];
    let case = |(repeat, [ins, outs], sizes): (u32, [u32; 2], [[u32; 2]; 5])| {
        let conv = geometry((2 * repeat, [ins, outs, 1], sizes));
        assert!(box_relevance::suits(&conv));
        let shape = [outs, ins, conv.kernel_height, conv.kernel_width].map(|n| n as usize);
        let weights = random.floats(shape.iter().product());
        let filters = WeightUse {
            source: Source::Stored(Weight::from_f32("filters", &shape, weights)),
            form: Form::Filters(packing(&conv)),
            part: (Part::All, 0.0),
        };
        let signal = conv.batch * conv.out_height * conv.out_width * outs;
        let inputs = 2 * conv.in_height * conv.in_width * ins;
        let bounds = (0..2 * ins).map(|i| if i < ins { -1.5 } else { 1.0 + f64::from(i) / 4.0 });
        let operands = vec![
            Given::Float(random.floats(signal as usize)),
            Given::Weight(filters),
            Given::Float(random.floats(inputs as usize)),
            vector(bounds.collect()),
            Given::junk((inputs * repeat) as usize),
        ];
        Case { call: Call::BoxRelevance(box_relevance::Params { conv, repeat }), operands }
    };
    shapes.map(case).into()
}
