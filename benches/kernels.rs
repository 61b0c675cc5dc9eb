//! What the kernels cost that nearly all time goes into, one at a time, on every device at hand: the
//! shapes of VGG16, ResNet-50 and AlexNet that differ in kind.
//!
//! `cargo bench -p clrp --bench kernels -- cpu/conv2d` runs a part. Throughput counts multiplications
//! and additions.

use clrp::backend::{Device, DeviceChoice, Input};
use clrp::kernels::conv2d::{Packing, Params as Convolution, Rounding};
use clrp::kernels::linear::Params as Matrix;
use clrp::kernels::{Call, Part, conv_transpose2d, linear_pair, linear_transpose};
use clrp::program::{Builder, Element, Form, Operand, Program, Source, WeightUse};
use clrp::weight::Weight;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Pixels of a side, channels in and out, taps of a side, stride.
const CONVOLUTIONS: [[u32; 5]; 6] = [
    [224, 64, 64, 3, 1],
    [56, 256, 256, 3, 1],
    [14, 512, 512, 3, 1],
    [56, 64, 256, 1, 1],
    [14, 1024, 256, 1, 1],
    [28, 256, 256, 3, 2],
];

/// Inputs and outputs.
const MATRICES: [[u32; 2]; 2] = [[9216, 4096], [4096, 1000]];

fn convolution([side, ins, outs, taps, stride]: [u32; 5]) -> Convolution {
    Convolution {
        batch: 1,
        in_height: side,
        in_width: side,
        in_channels: ins,
        out_height: side.div_ceil(stride),
        out_width: side.div_ceil(stride),
        out_channels: outs,
        kernel_height: taps,
        kernel_width: taps,
        stride_height: stride,
        stride_width: stride,
        padding_height: taps / 2,
        padding_width: taps / 2,
        dilation_height: 1,
        dilation_width: 1,
        groups: 1,
        part: Part::All.code(),
        bias_part: Part::Nothing.code(),
        gamma: 0.0,
        accumulate: 0,
        stored: 0,
        rounding: Rounding::Own.code(),
    }
}

fn matrix([ins, outs]: [u32; 2]) -> Matrix {
    Matrix {
        batch: 1,
        in_features: ins,
        out_features: outs,
        first: 0,
        rows: outs,
        part: Part::Positive.code(),
        bias_part: Part::Nothing.code(),
        gamma: 0.0,
        accumulate: 0,
        stored: 0,
    }
}

/// A weight of numbers between -1 and 1.
fn weight(shape: &[usize], form: Form, part: Part) -> WeightUse {
    let values = (0..shape.iter().product()).map(|i: usize| (i % 255) as f32 / 127.0 - 1.0);
    let source = Source::Stored(Weight::from_f32("weight", shape, values.collect()));
    WeightUse { source, form, part: (part, 0.0) }
}

/// A program of the one step: its weights, numbers that come in and that go out.
fn program(call: Call, weights: Vec<WeightUse>, read: usize, made: &[usize]) -> Program {
    let mut b = Builder::new();
    b.at(call.kernel().name, "bench");
    let mut operands = vec![Operand::Value(b.input(Element::Float, read))];
    operands.extend(weights.into_iter().map(|weight| b.weight(weight)));
    let outs: Vec<_> = made.iter().map(|len| b.value(Element::Float, *len)).collect();
    b.emit_into(call, &operands, &outs);
    // No outputs: what is copied from the device is none of the kernel's cost.
    b.finish().expect("it is small")
}

/// Name, program and multiplications with additions of each.
fn all(has_variants: bool) -> Vec<(String, Program, f64)> {
    let mut all = Vec::new();
    let nothing = || WeightUse {
        source: Source::Made(vec![0.0]),
        form: Form::Vector,
        part: (Part::All, 0.0),
    };
    for shape in CONVOLUTIONS {
        let own = convolution(shape);
        let [outs, ins, taps] =
            [own.out_channels, own.in_channels, own.kernel_height * own.kernel_width];
        let packing = Packing {
            groups: 1,
            out_per_group: outs as usize,
            in_per_group: ins as usize,
            taps: taps as usize,
        };
        let read = (own.in_height * own.in_width * ins) as usize;
        let made = (own.out_height * own.out_width * outs) as usize;
        let flop = 2.0 * made as f64 * f64::from(ins * taps);
        let filters = |part| {
            let [height, width] = [own.kernel_height, own.kernel_width].map(|n| n as usize);
            let shape = [outs as usize, ins as usize, height, width];
            weight(&shape, Form::Filters(packing), part)
        };
        let [side, .., stride] = shape;
        let name =
            |kind: &str| format!("{kind}/{side}x{side} {ins} to {outs}, {taps} taps by {stride}");
        let conv = if has_variants { Call::Conv2dQuads } else { Call::Conv2d };
        let shared = Convolution { rounding: Rounding::Shared.code(), ..own };
        for (kind, p) in [("conv2d", own), ("conv2d, rounding shared", shared)] {
            let weights = vec![filters(Part::All), nothing()];
            all.push((name(kind), program(conv(p), weights, read, &[made]), flop));
        }
        let transpose =
            if has_variants { Call::ConvTranspose2dQuads } else { Call::ConvTranspose2d };
        let call =
            transpose(conv_transpose2d::Params(Convolution { part: Part::Positive.code(), ..own }));
        let weights = vec![filters(Part::Positive)];
        all.push((name("conv_transpose2d"), program(call, weights, made, &[read]), flop));
    }
    for shape in MATRICES {
        let p = matrix(shape);
        let [ins, outs] = shape.map(|n| n as usize);
        let rows = || {
            weight(
                &[outs, ins],
                Form::Rows { rows: 0..outs, columns: ins, many_zeros: false },
                Part::All,
            )
        };
        let flop = 2.0 * (ins * outs) as f64;
        let name = |kind: &str| format!("{kind}/{ins} to {outs}");
        let call = Call::Linear(p);
        all.push((name("linear"), program(call, vec![rows(), nothing()], ins, &[outs]), flop));
        let pair = linear_pair::Params { z: p, own_bias_part: Part::Nothing.code() };
        let call = Call::LinearPair(pair);
        let weights = vec![rows(), nothing()];
        all.push((name("linear_pair"), program(call, weights, ins, &[outs; 2]), 2.0 * flop));
        let call = Call::LinearTranspose(linear_transpose::Params(p));
        all.push((name("linear_transpose"), program(call, vec![rows()], outs, &[ins]), flop));
    }
    all
}

fn kernels(criterion: &mut Criterion) {
    for (label, choice) in [("cpu", DeviceChoice::Cpu), ("gpu", DeviceChoice::Gpu)] {
        let Ok(device) = Device::open(&choice) else { continue };
        let mut group = criterion.benchmark_group(label);
        group.sample_size(10);
        for (name, program, flop) in all(device.limits().has_variants) {
            let read = program.values[program.inputs[0].0].len;
            let values: Vec<f32> = (0..read).map(|i| (i % 127) as f32 / 127.0).collect();
            let mut session = device.prepare(&program).expect("it fits");
            group.throughput(Throughput::Elements(flop as u64));
            group.bench_function(name, |b| b.iter(|| session.run(&[Input::Float(&values)])));
        }
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
