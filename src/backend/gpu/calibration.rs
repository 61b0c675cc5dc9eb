//! How many workgroups keep a GPU busy, and which tiles it likes, as its clock tells (the host's, if it has none).

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

/// A map that fills a large GPU, for so many pictures: VGG16's third block's.
const LARGE_MAP: [u32; 2] = [56, 256];
const BATCH: u32 = 8;

/// Rounds in which all are run, at most; the best run of each counts.
const ROUNDS: usize = 7;

/// Time after which no other round is begun.
const ENOUGH: Duration = Duration::from_secs(3);

/// What a larger number must gain: less is noise.
const GAIN: f64 = 0.97;

/// What suits a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tuning {
    /// Workgroups that keep it [busy](Gpu::busy).
    pub busy: u32,
    /// Whether [large tiles](Gpu::large_tiles) are faster; none if that was not measured, as on software, whose
    /// cores have no tiles to share.
    pub large_tiles: Option<bool>,
}

/// How the GPU runs some convolutions and their transposes fastest.
pub(super) fn measure(gpu: &Gpu) -> Result<Tuning> {
    let gpu = gpu.clone().large_tiles(false);
    let busy = TRIED.map(|workgroups| gpu.clone().busy(workgroups));
    let busy = TRIED[fastest(&busy, program(1, &MAPS)?)?];
    if gpu.info().is_software() {
        return Ok(Tuning { busy, large_tiles: None });
    }
    // As many as there are: whether they are enough is asked where they are used.
    let gpu = gpu.busy(1);
    let sides = [false, true].map(|large| gpu.clone().large_tiles(large));
    let large_tiles = fastest(&sides, program(BATCH, &[LARGE_MAP])?)? == 1;
    Ok(Tuning { busy, large_tiles: Some(large_tiles) })
}

/// Which of them runs the program fastest: the first, unless a later one gains by it.
fn fastest(gpus: &[Gpu], (program, len): (Program, usize)) -> Result<usize> {
    let input = vec![0.5; len];
    let mut sessions = gpus.iter().map(|gpu| gpu.prepare(&program)).collect::<Result<Vec<_>>>()?;
    // Turn by turn, because clocks rise with the work; the first round only warms up.
    let mut least = vec![Duration::MAX; gpus.len()];
    let begun = Instant::now();
    for round in 0..=ROUNDS {
        for (session, least) in sessions.iter_mut().zip(&mut least) {
            let start = Instant::now();
            let of_steps = session.step_times(&[Input::Float(&input)])?;
            // Without inputs and outputs, which take longer to bring than to make.
            let of_steps = of_steps.map(|times| Duration::from_secs_f64(times.iter().sum()));
            if round > 0 {
                *least = of_steps.unwrap_or_else(|| start.elapsed()).min(*least);
            }
        }
        if round > 0 && begun.elapsed() > ENOUGH {
            break;
        }
    }
    let mut best = 0;
    for (i, time) in least.iter().enumerate() {
        if *time < least[best].mul_f64(GAIN) {
            best = i;
        }
    }
    Ok(best)
}

/// Convolutions and their transposes, each after the other, and how many numbers go in.
fn program(batch: u32, maps: &[[u32; 2]]) -> Result<(Program, usize)> {
    let mut b = Builder::new();
    b.at("calibration", "calibration");
    let len = |[side, channels]: &[u32; 2]| (batch * side * side * channels) as usize;
    let largest = maps.iter().map(len).max();
    let largest = largest.unwrap_or(0);
    let input = b.input(Element::Float, largest);
    let made = |values: Vec<f64>, form| WeightUse {
        source: Source::Made(values),
        form,
        part: (Part::All, 0.0),
    };
    let mut last = input;
    for map @ &[side, channels] in maps {
        let size = channels as usize;
        let packing = Packing { groups: 1, out_per_group: size, in_per_group: size, taps: 9 };
        let w = b.weight(made(vec![1e-4; packing.len()], Form::Filters(packing)));
        let bias = b.weight(made(vec![0.0; size], Form::Vector));
        let p = conv2d::Params { batch, ..conv2d::Params::keeping_size([side; 2], channels, 3) };
        let operands = [Operand::Value(input), w, bias];
        let x = b.emit(Call::Conv2dQuads(p), &operands, len(map));
        let transpose = Call::ConvTranspose2dQuads(conv_transpose2d::Params(p));
        last = b.emit(transpose, &[Operand::Value(x), w], len(map));
    }
    b.output(last);
    Ok((b.finish()?, largest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::gpu::spread::{Means, spread};
    use crate::kernels::conv2d_quads::LARGE;

    #[test]
    fn what_is_compared_are_small_and_large_tiles() {
        let (program, len) = program(BATCH, &[LARGE_MAP]).expect("it is small");
        assert_eq!(len, 8 * 56 * 56 * 256);
        for (large_tiles, side) in [(false, None), (true, Some(LARGE))] {
            let means = Means { busy: 1, numbers: usize::MAX, large_tiles };
            let launches = spread(&program, means).expect("nothing is joined").launches;
            assert_eq!(launches.len(), 2);
            assert!(launches.iter().all(|launch| launch.side == side));
        }
    }
}
