//! Cases of the pools.

use clrp::kernels::avg_pool2d::Params as AvgPool;
use clrp::kernels::max_pool2d::Params as MaxPool;
use clrp::kernels::{Call, avg_pool2d_backward, max_pool2d, max_pool2d_backward};

use super::{Case, Given};
use crate::support::Random;

/// Pictures, channels; input, output, kernel, stride, padding, dilation as rows and columns.
type Shape = ([u32; 2], [[u32; 2]; 6]);

const MAX_POOLS: &[Shape] = &[
    ([1, 1], [[1, 1], [1, 1], [1, 1], [1, 1], [0, 0], [1, 1]]),
    ([2, 5], [[6, 8], [3, 4], [2, 2], [2, 2], [0, 0], [1, 1]]),
    // AlexNet's, whose windows overlap.
    ([1, 70], [[13, 15], [6, 7], [3, 3], [2, 2], [0, 0], [1, 1]]),
    ([2, 35], [[8, 7], [4, 4], [3, 3], [2, 2], [1, 1], [1, 1]]),
    // More values than one piece of work has.
    ([2, 40], [[20, 30], [20, 30], [3, 3], [1, 1], [1, 1], [1, 1]]),
    // SqueezeNet's: the last windows reach past the end.
    ([2, 9], [[8, 12], [4, 6], [3, 3], [2, 2], [0, 0], [1, 1]]),
    // ResNet's padding; GoogLeNet's stride 1.
    ([2, 3], [[9, 7], [5, 4], [3, 3], [2, 2], [1, 1], [1, 1]]),
    ([1, 4], [[5, 6], [5, 6], [3, 3], [1, 1], [1, 1], [1, 1]]),
    // Strides beyond the window; dilation; rows unlike columns.
    ([1, 3], [[9, 11], [3, 4], [2, 1], [4, 3], [1, 0], [1, 1]]),
    ([3, 2], [[10, 9], [8, 3], [2, 3], [1, 2], [0, 0], [2, 2]]),
    ([1, 6], [[7, 9], [3, 5], [3, 3], [2, 2], [1, 1], [2, 1]]),
    // Padding beyond half the window.
    ([1, 4], [[5, 4], [7, 6], [3, 3], [1, 1], [2, 2], [1, 1]]),
    ([2, 3], [[5, 6], [5, 5], [3, 3], [2, 2], [4, 4], [2, 2]]),
];

fn max_pools() -> Vec<MaxPool> {
    let of = |&([batch, channels], [input, output, kernel, stride, padding, dilation]): &Shape| {
        MaxPool {
            batch,
            channels,
            in_height: input[0],
            in_width: input[1],
            out_height: output[0],
            out_width: output[1],
            kernel_height: kernel[0],
            kernel_width: kernel[1],
            stride_height: stride[0],
            stride_width: stride[1],
            padding_height: padding[0],
            padding_width: padding[1],
            dilation_height: dilation[0],
            dilation_width: dilation[1],
        }
    };
    MAX_POOLS.iter().map(of).collect()
}

pub(super) fn max_pool2d(random: &mut Random) -> Vec<Case> {
    let case = |p: MaxPool| {
        let ins = (p.batch * p.in_height * p.in_width * p.channels) as usize;
        let outs = (p.batch * p.out_height * p.out_width * p.channels) as usize;
        let a = if random.yes() { random.ties(ins) } else { random.floats(ins) };
        let (before, winners) = (Given::junk(outs), Given::Index(vec![0; outs]));
        Case { call: Call::MaxPool2d(p), operands: vec![Given::Float(a), before, winners] }
    };
    max_pools().into_iter().chain(max_pools()).map(case).collect()
}

pub(super) fn max_pool2d_backward(random: &mut Random) -> Vec<Case> {
    let case = |(i, p): (usize, MaxPool)| {
        let repeat = [1, 3][i % 2];
        let ins = (p.batch * p.in_height * p.in_width * p.channels) as usize;
        let outs = (p.batch * p.out_height * p.out_width * p.channels) as usize;
        let mut winners = vec![0; outs];
        max_pool2d::cpu(&p, &random.floats(ins), &mut vec![0.0; outs], &mut winners);
        let pool = MaxPool { batch: p.batch * repeat, ..p };
        let r = Given::Float(random.floats(outs * repeat as usize));
        let call = Call::MaxPool2dBackward(max_pool2d_backward::Params { pool, repeat });
        let before = Given::junk(ins * repeat as usize);
        Case { call, operands: vec![Given::Index(winners), r, before] }
    };
    max_pools().into_iter().enumerate().map(case).collect()
}

/// Pictures, channels; input, output, kernel, stride, padding.
const AVG_POOLS: &[([u32; 2], [[u32; 2]; 5])] = &[
    ([1, 1], [[1, 1], [1, 1], [1, 1], [1, 1], [0, 0]]),
    ([2, 5], [[6, 8], [3, 4], [2, 2], [2, 2], [0, 0]]),
    ([1, 70], [[13, 15], [6, 7], [3, 3], [2, 2], [0, 0]]),
    ([2, 40], [[20, 30], [20, 30], [3, 3], [1, 1], [1, 1]]),
    ([2, 9], [[8, 12], [4, 6], [3, 3], [2, 2], [0, 0]]),
    ([1, 4], [[5, 6], [5, 6], [3, 3], [1, 1], [1, 1]]),
    ([2, 3], [[9, 7], [5, 4], [3, 3], [2, 2], [1, 1]]),
    ([1, 3], [[9, 11], [3, 4], [2, 1], [4, 3], [1, 0]]),
    // Windows past the end and into the padding.
    ([1, 2], [[6, 5], [4, 3], [3, 4], [2, 2], [1, 1]]),
    // Padding beyond half the window.
    ([1, 3], [[5, 4], [7, 6], [3, 3], [1, 1], [2, 2]]),
];

/// Pictures, channels; input, output.
const ADAPTIVE_POOLS: &[([u32; 2], [[u32; 2]; 2])] = &[
    ([2, 70], [[13, 13], [1, 1]]),
    ([1, 3], [[7, 7], [7, 7]]),
    ([1, 5], [[13, 10], [6, 7]]),
    // Fewer cells than windows.
    ([2, 4], [[3, 1], [7, 6]]),
    ([1, 2], [[71, 73], [1, 2]]),
];

fn avg_pools() -> Vec<AvgPool> {
    let none = AvgPool {
        batch: 0,
        channels: 0,
        in_height: 0,
        in_width: 0,
        out_height: 0,
        out_width: 0,
        kernel_height: 1,
        kernel_width: 1,
        stride_height: 1,
        stride_width: 1,
        padding_height: 0,
        padding_width: 0,
        end_height: 0,
        end_width: 0,
        count_include_pad: 0,
        adaptive: 0,
    };
    let planes = |[batch, channels]: [u32; 2], input: [u32; 2], output: [u32; 2]| AvgPool {
        batch,
        channels,
        in_height: input[0],
        in_width: input[1],
        out_height: output[0],
        out_width: output[1],
        ..none
    };
    let sliding = AVG_POOLS.iter().flat_map(|(many, [input, output, kernel, stride, padding])| {
        [0, 1].map(|count_include_pad| AvgPool {
            kernel_height: kernel[0],
            kernel_width: kernel[1],
            stride_height: stride[0],
            stride_width: stride[1],
            padding_height: padding[0],
            padding_width: padding[1],
            end_height: padding[0],
            end_width: padding[1],
            count_include_pad,
            ..planes(*many, *input, *output)
        })
    });
    let adaptive = ADAPTIVE_POOLS
        .iter()
        .map(|(many, [input, output])| AvgPool { adaptive: 1, ..planes(*many, *input, *output) });
    // Two rows and one column more of padding than at the start, which make the last windows.
    let asymmetric = [0, 1].map(|count_include_pad| AvgPool {
        kernel_height: 3,
        kernel_width: 3,
        stride_height: 2,
        stride_width: 2,
        padding_width: 1,
        end_height: 2,
        end_width: 2,
        count_include_pad,
        ..planes([2, 3], [6, 7], [3, 4])
    });
    sliding.chain(adaptive).chain(asymmetric).collect()
}

pub(super) fn avg_pool2d(random: &mut Random) -> Vec<Case> {
    let case = |p: AvgPool| {
        let ins = (p.batch * p.in_height * p.in_width * p.channels) as usize;
        let outs = (p.batch * p.out_height * p.out_width * p.channels) as usize;
        let a = Given::Float(random.floats(ins));
        Case { call: Call::AvgPool2d(p), operands: vec![a, Given::junk(outs)] }
    };
    avg_pools().into_iter().map(case).collect()
}

pub(super) fn avg_pool2d_backward(random: &mut Random) -> Vec<Case> {
    let case = |p: AvgPool| {
        let ins = (p.batch * p.in_height * p.in_width * p.channels) as usize;
        let outs = (p.batch * p.out_height * p.out_width * p.channels) as usize;
        let r = Given::Float(random.floats(outs));
        let call = Call::AvgPool2dBackward(avg_pool2d_backward::Params(p));
        Case { call, operands: vec![r, Given::junk(ins)] }
    };
    avg_pools().into_iter().map(case).collect()
}
