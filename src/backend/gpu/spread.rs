//! How convolutions are cut into workgroups. Where there are few tiles, several share the depth of each, and
//! `add_shares` adds up what they give; where there are many, and the GPU likes them, tiles are large.

use std::ops::Range;

use super::follow::Follow;
use crate::kernels::conv2d_quads::LARGE;
use crate::kernels::{Call, Part, add_shares, conv2d};
use crate::program::{Buffer, Element, Operand, Program, Slot, Step, Value};

/// A program with what its steps became.
pub(super) struct Spread {
    /// Without joined steps: those before them write what these would.
    pub(super) program: Program,
    /// How each of its steps is launched.
    pub(super) launches: Vec<Launch>,
    /// Its steps for each one of the program that was spread.
    pub(super) steps_of: Vec<Range<usize>>,
    /// The buffer of what is shared.
    shared: Option<usize>,
}

/// How a step is launched.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Launch {
    /// What follows it.
    pub(super) follow: Follow,
    pub(super) workgroups: [u32; 3],
    /// Rows and columns of its tiles, if they are not those for all.
    pub(super) side: Option<u32>,
}

/// What a device can do with shares and tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    /// Workgroups that keep it busy.
    pub(super) busy: u32,
    /// Numbers that a buffer can have.
    pub(super) numbers: usize,
    /// Whether large tiles are faster.
    pub(super) large_tiles: bool,
}

/// Small tiles that take as long as a large one, where large ones are faster at all: where they have more
/// empty rows and columns, they are not.
const SMALL_FOR_LARGE: u64 = 3;

/// Numbers that all shares of a convolution have at most: what they gain is lost where they are many.
const MOST_NUMBERS: usize = 16 << 20;

/// Depth that a share has at least: a shorter one costs more than it gains.
const LEAST_DEPTH: u32 = 128;

/// Spreads the steps that gain by it. What is shared lies in a buffer of its own, one for all of them. None
/// if joined steps are not such as a GPU can do.
pub(super) fn spread(program: &Program, means: Means) -> Option<Spread> {
    let mut spread = Spread {
        program: Program { steps: Vec::new(), ..program.clone() },
        launches: Vec::with_capacity(program.steps.len()),
        steps_of: Vec::with_capacity(program.steps.len()),
        shared: None,
    };
    for (i, step) in program.steps.iter().enumerate() {
        let first = spread.program.steps.len();
        if step.joined.is_some() {
            spread.steps_of.push(first..first);
            continue;
        }
        let joined = program.steps[i + 1..].iter().take_while(|step| step.joined.is_some());
        let then = &program.steps[i + 1..][..joined.count()];
        let follow = Follow::of(step, then)?;
        let mut step = step.clone();
        if let Some(last) = then.last() {
            step.operands.pop();
            step.operands.extend(last.operands.last());
        }
        let shares = shares(&step.call, means);
        match step.operands.last() {
            Some(Operand::Value(out)) if shares > 1 => {
                spread.push_shared(&step, *out, shares, follow);
            }
            Some(_) | None => {
                let large = large_tiles(&step.call, means);
                let side = large.map(|_| LARGE);
                let workgroups = large.unwrap_or_else(|| step.call.workgroups());
                spread.push(step, Launch { follow, workgroups, side });
            }
        }
        spread.steps_of.push(first..spread.program.steps.len());
    }
    Some(spread)
}

impl Spread {
    fn push(&mut self, step: Step, launch: Launch) {
        self.program.steps.push(step);
        self.launches.push(launch);
    }

    fn push_shared(&mut self, step: &Step, out: Slot, shares: u32, follow: Follow) {
        let total = self.program.values[out.0].len;
        let sums = self.sums(total * shares as usize);
        let [x, y, z] = step.call.workgroups();
        let mut shared = step.clone();
        shared.operands.pop();
        shared.operands.push(Operand::Value(sums));
        self.push(shared, Launch { workgroups: [x, y, z * shares], ..Launch::default() });

        let p = step.call.convolution().expect("only convolutions are shared");
        let is_transpose = step.call.is_transpose();
        let (planes, channels) = match is_transpose {
            true => (p.in_height * p.in_width, p.in_channels),
            false => (p.out_height * p.out_width, p.out_channels),
        };
        debug_assert_eq!(total, (p.batch * planes * channels) as usize, "as the shaders count");
        // A transpose has no bias; something has to stand in its place.
        let (bias, bias_part) = match is_transpose {
            true => (Operand::Value(sums), Part::Nothing.code()),
            false => (step.operands[2], p.bias_part),
        };
        let call = Call::AddShares(add_shares::Params {
            total: u32::try_from(total).expect("kernels count values in 32 bit"),
            shares,
            channels,
            bias_part,
            gamma: p.gamma,
            accumulate: p.accumulate,
        });
        let operands = vec![Operand::Value(sums), bias, Operand::Value(out)];
        let launch = Launch { follow, workgroups: call.workgroups(), side: None };
        self.push(Step { call, operands, ..step.clone() }, launch);
    }

    /// A value of so many numbers in the buffer of what is shared.
    fn sums(&mut self, len: usize) -> Slot {
        let Program { values, buffers, .. } = &mut self.program;
        let buffer = *self.shared.get_or_insert_with(|| {
            buffers.push(Buffer { element: Element::Float, len });
            buffers.len() - 1
        });
        buffers[buffer].len = buffers[buffer].len.max(len);
        values.push(Value { element: Element::Float, len, buffer });
        Slot(values.len() - 1)
    }
}

/// The workgroups of a step with large tiles, if it gains by them: they have to be enough to keep the device
/// busy, and to be filled.
fn large_tiles(call: &Call, means: Means) -> Option<[u32; 3]> {
    let large = call.workgroups_by(LARGE).filter(|_| means.large_tiles)?;
    let count = |workgroups: [u32; 3]| workgroups.into_iter().map(u64::from).product::<u64>();
    let (few, many) = (count(large), count(call.workgroups()));
    (few >= u64::from(means.busy) && many > few * SMALL_FOR_LARGE).then_some(large)
}

/// How many workgroups share the depth of a tile; 1 for other kernels.
fn shares(call: &Call, means: Means) -> u32 {
    let Some(p) = call.convolution().filter(|_| call.can_share()) else { return 1 };
    let tiles = call.workgroups().into_iter().map(u64::from).product::<u64>();
    let wanted = u64::from(means.busy) / tiles.max(1);
    let (depth, outputs) = match call.is_transpose() {
        true => (depth_of_transpose(p), p.in_height * p.in_width * p.in_channels),
        false => {
            let depth = p.kernel_height * p.kernel_width * p.in_per_group();
            (depth, p.out_height * p.out_width * p.out_channels)
        }
    };
    let fit = means.numbers.min(MOST_NUMBERS) / (p.batch as usize * outputs as usize).max(1);
    let most = u64::from(depth / LEAST_DEPTH).min(fit as u64).max(1);
    u32::try_from(wanted.clamp(1, most)).unwrap_or(1)
}

/// Products of an input that meets the most taps: every so many along each axis.
fn depth_of_transpose(p: &conv2d::Params) -> u32 {
    let taps = |kernel: u32, stride: u32, dilation: u32| {
        let step = (1..stride).find(|step| (step * dilation).is_multiple_of(stride));
        kernel.div_ceil(step.unwrap_or(stride))
    };
    let down = taps(p.kernel_height, p.stride_height, p.dilation_height);
    down * taps(p.kernel_width, p.stride_width, p.dilation_width) * p.out_per_group()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{clamp, conv_transpose2d, conv2d_quads};
    use crate::program::{Between, Builder, Form, Source, WeightUse};

    /// VGG16's last convolutions for one picture.
    const LAST: conv2d::Params = conv2d::Params::keeping_size([14; 2], 512, 3);
    const MEANS: Means = Means { busy: 256, numbers: usize::MAX, large_tiles: false };

    #[test]
    fn few_tiles_are_shared_and_many_are_not() {
        // 4 x 8 tiles.
        assert_eq!(shares(&Call::Conv2dQuads(LAST), MEANS), 8);
        let transpose = Call::ConvTranspose2dQuads(conv_transpose2d::Params(LAST));
        assert_eq!(shares(&transpose, MEANS), 8);
        assert_eq!(shares(&Call::Conv2d(LAST), MEANS), 1);
        assert_eq!(shares(&Call::Conv2dQuads(conv2d::Params { batch: 8, ..LAST }), MEANS), 1);
        let shallow = conv2d::Params { kernel_height: 1, kernel_width: 1, ..LAST };
        assert_eq!(shares(&Call::Conv2dQuads(shallow), MEANS), 4);
        let narrow = Means { numbers: 3 * 14 * 14 * 512, ..MEANS };
        assert_eq!(shares(&Call::Conv2dQuads(LAST), narrow), 3);
    }

    #[test]
    fn large_tiles_are_for_many_that_are_full() {
        let means = Means { large_tiles: true, ..MEANS };
        let many = conv2d::Params { batch: 32, ..conv2d::Params::keeping_size([28; 2], 512, 3) };
        assert_eq!(large_tiles(&Call::Conv2dQuads(many), means), Some([196, 1, 4]));
        assert_eq!(large_tiles(&Call::Conv2dQuads(many), MEANS), None);
        let transpose = Call::ConvTranspose2dQuads(conv_transpose2d::Params(many));
        assert_eq!(large_tiles(&transpose, means), Some([196, 1, 4]));
        // Half of each would be empty, they are too few, or the kernel has none.
        let narrow = conv2d::Params { out_channels: 64, in_channels: 64, ..many };
        assert_eq!(large_tiles(&Call::Conv2dQuads(narrow), means), None);
        assert_eq!(large_tiles(&Call::Conv2dQuads(LAST), means), None);
        assert_eq!(large_tiles(&Call::Conv2d(many), means), None);
    }

    #[test]
    fn what_is_shared_is_added_up_where_it_was_to_be() {
        assert!(conv2d_quads::suits(&LAST));
        let mut b = Builder::new();
        let len = 14 * 14 * 512;
        let mut x = b.input(Element::Float, len);
        let made = |len: usize| WeightUse {
            source: Source::Made(vec![0.0; len]),
            form: Form::Vector,
            part: (Part::All, 0.0),
        };
        let (w, bias) = (b.weight(made(9 * 512 * 512)), b.weight(made(512)));
        for _ in 0..2 {
            x = b.emit(Call::Conv2dQuads(LAST), &[Operand::Value(x), w, bias], len);
        }
        b.output(x);
        let program = b.finish().expect("it is small");
        let spread = spread(&program, MEANS).expect("nothing is joined");
        assert_eq!(spread.steps_of, [0..2, 2..4]);
        assert_eq!(spread.launches[0].workgroups, [4, 1, 64]);
        assert_eq!(spread.program.buffers.len(), program.buffers.len() + 1);
        for (before, after) in program.steps.iter().zip(&spread.steps_of) {
            let [shared, added] = &spread.program.steps[after.clone()] else { panic!("two steps") };
            assert_eq!(shared.operands[..3], before.operands[..3]);
            assert_eq!(added.operands[0], shared.operands[3]);
            assert_eq!(
                (added.operands[1], added.operands[2]),
                (before.operands[2], before.operands[3])
            );
        }
    }

    #[test]
    fn what_follows_goes_with_the_step_that_ends_the_sums() {
        let slot = |i: usize| Operand::Value(Slot(i));
        let step = |call: Call, operands: &[Operand], joined| Step {
            call,
            operands: operands.to_vec(),
            layer: 0,
            note: 0,
            joined,
        };
        let len = 14 * 14 * 512;
        let relu = Call::Clamp(clamp::Params::relu(len as u32));
        let program = Program {
            steps: vec![
                step(Call::Conv2dQuads(LAST), &[slot(0), slot(1), slot(2), slot(3)], None),
                step(relu, &[slot(3), slot(4)], Some(Between::Passing)),
            ],
            values: vec![Value { element: Element::Float, len, buffer: 0 }; 5],
            ..Builder::new().finish().expect("it is empty")
        };
        let follow = Follow::of(&program.steps[0], &program.steps[1..]).expect("GPUs can do it");
        assert_ne!(follow, Follow::default());
        for (busy, follows) in [(1, vec![follow.clone()]), (256, vec![Follow::default(), follow])] {
            let spread = spread(&program, Means { busy, ..MEANS }).expect("GPUs can do it");
            let found = spread.launches.iter().map(|launch| &launch.follow);
            assert!(found.eq(&follows));
            let count = follows.len();
            assert_eq!(spread.steps_of, [0..count, count..count]);
            let last = spread.program.steps.last().expect("there is one");
            assert_eq!(last.operands.last(), Some(&slot(4)));
        }
        let mut of_another = program;
        of_another.steps[0].call = Call::Conv2d(LAST);
        assert!(spread(&of_another, MEANS).is_none());
    }
}
