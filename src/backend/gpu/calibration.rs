//! How many workgroups keep a GPU busy, as its clock tells.

use std::time::{Duration, Instant};

use super::Gpu;
use crate::backend::{Input, Session};
use crate::error::Result;
use crate::kernels::conv2d::Packing;
use crate::kernels::{Call, Part, conv_transpose2d, conv2d};
use crate::program::{Builder, Element, Form, Operand, Program, Source, WeightUse};

/// Numbers of workgroups that are tried.
const TRIED: [u32; 8] = [1, 32, 64, 128, 256, 512, 1024, 2048];

/// Rows and columns of the maps, and channels, of 3x3 convolutions that fill no large GPU: VGG16's,
/// GoogLeNet's and ResNet's last ones for one picture.
const MAPS: [[u32; 2]; 4] = [[28, 256], [14, 256], [14, 512], [7, 512]];

/// Rounds in which all are run, at most; the best run of each counts.
const ROUNDS: usize = 7;

/// Time after which no other round is begun.
const ENOUGH: Duration = Duration::from_secs(3);

/// What a larger number must gain: less is noise.
const GAIN: f64 = 0.97;

/// The number by which some convolutions and their transposes run fastest.
pub(super) fn busy(gpu: &Gpu) -> Result<u32> {
    let (program, len) = program()?;
    let input = vec![0.5; len];
    let prepare = |workgroups: &u32| gpu.clone().busy(*workgroups).prepare(&program);
    let mut sessions = TRIED.iter().map(prepare).collect::<Result<Vec<_>>>()?;
    // Turn by turn, because clocks rise with the work; the first round only warms up.
    let mut least = [Duration::MAX; TRIED.len()];
    let begun = Instant::now();
    for round in 0..=ROUNDS {
        for (session, least) in sessions.iter_mut().zip(&mut least) {
            let start = Instant::now();
            session.run(&[Input::Float(&input)])?;
            if round > 0 {
                *least = start.elapsed().min(*least);
            }
        }
        if round > 0 && begun.elapsed() > ENOUGH {
            break;
        }
    }
    let mut best = (TRIED[0], least[0]);
    for (workgroups, least) in TRIED.into_iter().zip(least) {
        if least < best.1.mul_f64(GAIN) {
            best = (workgroups, least);
        }
    }
    Ok(best.0)
}

/// Convolutions and their transposes, each after the other, and how many numbers go in.
fn program() -> Result<(Program, usize)> {
    let mut b = Builder::new();
    b.at("calibration", "calibration");
    let largest = MAPS.iter().map(|[side, channels]| (side * side * channels) as usize).max();
    let largest = largest.unwrap_or(0);
    let input = b.input(Element::Float, largest);
    let made = |values: Vec<f64>, form| WeightUse {
        source: Source::Made(values),
        form,
        part: (Part::All, 0.0),
    };
    let mut last = input;
    for [side, channels] in MAPS {
        let size = channels as usize;
        let packing = Packing { groups: 1, out_per_group: size, in_per_group: size, taps: 9 };
        let w = b.weight(made(vec![1e-4; packing.len()], Form::Filters(packing)));
        let bias = b.weight(made(vec![0.0; size], Form::Vector));
        let p = conv2d::Params::keeping_size([side; 2], channels, 3);
        let len = (side * side * channels) as usize;
        let operands = [Operand::Value(input), w, bias];
        let x = b.emit(Call::Conv2dQuads(p), &operands, len);
        let transpose = Call::ConvTranspose2dQuads(conv_transpose2d::Params(p));
        last = b.emit(transpose, &[Operand::Value(x), w], len);
    }
    b.output(last);
    Ok((b.finish()?, largest))
}
