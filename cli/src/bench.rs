//! What `clrp bench` measures: a device's ceilings, the work of a program, and where its time goes.

use std::time::Instant;

use clrp::backend::{Device, Input, Session};
use clrp::kernels::conv2d::{Packing, Params as Convolution};
use clrp::kernels::linear::{Params as Linear, Rows};
use clrp::kernels::{Call, Part, conv2d_cooperative, copy_channels};
use clrp::program::{Builder, Element, Form, Limits, Operand, Program, Source, WeightUse};
use serde::Serialize;

use crate::failure::{Failure, Result};

/// Rows, columns and depth of the product that is the ceiling of arithmetic; the larger one for devices
/// that the smaller does not fill.
const SIDES: [u32; 2] = [1024, 4096];

/// Seconds that the smaller product takes where it does not.
const NO_TIME: f64 = 1e-3;

/// Numbers that the copy copies: more than caches hold.
const COPIED: u32 = 16 << 20;

/// Steps of the shorter and of the longer program: what they share does not count. Where the longer
/// takes hardly more, many more steps.
const STEPS: [[usize; 2]; 2] = [[2, 10], [20, 500]];

/// Seconds that the longer program must take more.
const LEAST: f64 = 0.02;

/// Runs of each, of which the best counts.
const RUNS: usize = 3;

/// What the device reaches where nothing holds it up.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Ceilings {
    /// A product of two matrices by the library's convolution, in GFLOP/s: of 1024 x 1024, or of 4096 x
    /// 4096 where those are done in no time.
    pub(crate) gemm_gflop_s: f64,
    /// A copy of 64 MiB, in bytes read and written, in GB/s.
    pub(crate) copy_gb_s: f64,
}

impl Ceilings {
    pub(crate) fn of(device: &Device) -> Result<Self> {
        let mut gemm_gflop_s = 0.0;
        for side in SIDES {
            let product = 2.0 * [side; 3].map(f64::from).iter().product::<f64>();
            let taken = seconds(device, |steps| gemm(steps, side, device.limits()))?;
            gemm_gflop_s = product / taken / 1e9;
            if taken > NO_TIME {
                break;
            }
        }
        let moved = 2.0 * f64::from(COPIED) * size_of::<f32>() as f64;
        Ok(Self { gemm_gflop_s, copy_gb_s: moved / seconds(device, copy)? / 1e9 })
    }
}

/// What a step of a program takes.
fn seconds(
    device: &Device,
    program: impl Fn(usize) -> clrp::Result<(Program, usize)>,
) -> Result<f64> {
    let mut found = 0.0;
    for [few, many] in STEPS {
        let more = best(device, program(many)?)? - best(device, program(few)?)?;
        found = more / (many - few) as f64;
        if more >= LEAST {
            break;
        }
    }
    Ok(found)
}

/// What a program takes at best.
fn best(device: &Device, (program, inputs): (Program, usize)) -> Result<f64> {
    let mut session = device.prepare(&program)?;
    let input = vec![0.5; inputs];
    let mut best = f64::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        session.run(&[Input::Float(&input)])?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Products one after the other: convolutions of 1x1, by the fastest kernel that the device has.
fn gemm(steps: usize, side: u32, limits: Limits) -> clrp::Result<(Program, usize)> {
    let conv = Convolution::keeping_size([1, side], side, 1);
    // A product keeps the size of its numbers.
    let share = 1.0 / f64::from(side);
    let call = if limits.cooperative {
        let scale = conv2d_cooperative::scale(Rows::F64(&[share]), Part::All, 0.0);
        Call::Conv2dCooperative(conv2d_cooperative::Params { conv, scale })
    } else if limits.has_variants {
        Call::Conv2dQuads(conv)
    } else {
        Call::Conv2d(conv)
    };
    let side = side as usize;
    let packing = Packing { groups: 1, out_per_group: side, in_per_group: side, taps: 1 };
    let made = |values: Vec<f64>, form| WeightUse {
        source: Source::Made(values),
        form,
        part: (Part::All, 0.0),
    };
    let mut program = Builder::new();
    program.at("gemm", "ceiling");
    let weights = program.weight(made(vec![share; side * side], Form::Filters(packing)));
    let bias = program.weight(made(vec![0.0; side], Form::Vector));
    let largest = program.weight(made(vec![1.0], Form::Vector));
    let mut x = program.input(Element::Float, side * side);
    for _ in 0..steps {
        let mut operands = vec![Operand::Value(x), weights, bias];
        operands.extend(limits.cooperative.then_some(largest));
        x = program.emit(call, &operands, side * side);
    }
    program.output(x);
    Ok((program.finish()?, side * side))
}

/// Copies one after the other.
fn copy(steps: usize) -> clrp::Result<(Program, usize)> {
    let channels = 1024;
    let call = Call::CopyChannels(copy_channels::Params {
        positions: COPIED / channels,
        from_channels: channels,
        from_first: 0,
        to_channels: channels,
        to_first: 0,
        count: channels,
    });
    let mut program = Builder::new();
    program.at("copy", "ceiling");
    let mut x = program.input(Element::Float, COPIED as usize);
    for _ in 0..steps {
        x = program.emit(call, &[Operand::Value(x)], COPIED as usize);
    }
    program.output(x);
    Ok((program.finish()?, COPIED as usize))
}

/// Multiplications and additions of a program's convolutions and linear layers.
pub(crate) fn flop(program: &Program) -> f64 {
    program.steps.iter().map(|step| flop_of(&step.call)).sum()
}

/// Those of a step; 0 of other kernels, which wait for memory.
pub(crate) fn flop_of(call: &Call) -> f64 {
    let convolution = |p: &Convolution| {
        let outputs = [p.batch, p.out_height, p.out_width, p.out_channels];
        let products = [p.in_per_group(), p.kernel_height, p.kernel_width];
        2.0 * outputs.into_iter().chain(products).map(f64::from).product::<f64>()
    };
    let linear =
        |p: &Linear| 2.0 * [p.batch, p.in_features, p.rows].map(f64::from).iter().product::<f64>();
    if let Some(p) = call.convolution() {
        return convolution(p);
    }
    if let Call::BoxRelevance(p) = call {
        return convolution(&p.conv);
    }
    if let Call::Linear(p) = call {
        return linear(p);
    }
    if let Call::LinearPair(p) = call {
        return 2.0 * linear(&p.layer());
    }
    if let Call::LinearTranspose(p) = call {
        return linear(&p.0);
    }
    0.0
}

/// What the steps of a program take, in seconds: for each the least of some runs.
pub(crate) fn step_times(
    session: &mut dyn Session,
    inputs: &[Input<'_>],
    runs: usize,
) -> Result<Vec<f64>> {
    let mut least: Vec<f64> = Vec::new();
    for _ in 0..runs {
        let Some(times) = session.step_times(inputs)? else {
            let message = "--layers: the device has no clock that tells what steps take";
            return Err(Failure::Said(message.to_owned()));
        };
        least.resize(times.len(), f64::MAX);
        least.iter_mut().zip(times).for_each(|(least, time)| *least = least.min(time));
    }
    Ok(least)
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The most memory that this process had, in bytes, where Linux tells it.
pub(crate) fn peak_memory() -> Option<u64> {
    memory("VmHWM:")
}

/// The memory that it has now.
pub(crate) fn present_memory() -> Option<u64> {
    memory("VmRSS:")
}

fn memory(kind: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(kind))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use clrp::backend::DeviceChoice;

    use super::*;

    #[test]
    fn the_work_of_a_product_is_that_of_its_formula() {
        let (program, inputs) = gemm(3, 1024, Limits::NONE).expect("it is small");
        assert_eq!((flop(&program), inputs), (3.0 * 2.0 * 1024_f64.powi(3), 1 << 20));
        let (program, _) = copy(2).expect("it is small");
        assert_eq!(flop(&program), 0.0);
    }

    #[test]
    fn products_keep_their_numbers() {
        let device = Device::open(&DeviceChoice::Cpu).expect("there is a CPU");
        let (program, inputs) = gemm(2, 1024, Limits::NONE).expect("it is small");
        let mut session = device.prepare(&program).expect("it fits");
        let input = vec![0.5; inputs];
        let outputs = session.run(&[Input::Float(&input)]).expect("it runs");
        let values = outputs[0].to_f32();
        assert!(values.iter().all(|value| (value - 0.5).abs() < 1e-6), "{}", values[0]);
        let times = step_times(&mut *session, &[Input::Float(&input)], 2).expect("it runs");
        assert!(times.len() == 2 && times.iter().all(|time| *time > 0.0 && *time < 60.0));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[1.0])), (2.0, 1.0));
    }
}
