//! Which steps are done value by value while the output of the step before is made.

use super::{Between, Joins, Operand, Program, Slot, Step};
use crate::kernels::{Call, epilogue, follow};

/// Channels of sums that can be kept on their way. Sums are made a few pixels and channels at a time; where
/// pixels have many channels, two values written so take longer than reading one again (docs/PERFORMANCE.md
/// has the numbers).
const MOST_CHANNELS_KEPT: u32 = 64;

/// Whether a program's joined steps follow sums that a device with such joins makes.
pub(crate) fn joins_suit(program: &Program, joins: Joins) -> bool {
    let mut first = None;
    program.steps.iter().all(|step| {
        first = first.filter(|_| step.joined.is_some()).or(Some(step));
        step.joined.is_none() || first.is_some_and(|first| sums(&first.call, joins).is_some())
    })
}

/// Marks them.
pub(super) fn mark(program: &mut Program, joins: Joins) {
    let touches = touches(program);
    // A value that passes is touched by the step that makes it and by the next one.
    let passes = |slot: Slot| touches[slot.0] == 2;
    let mut chain = Chain::default();
    for i in 0..program.steps.len() {
        let step = &program.steps[i];
        let taken = chain.hands_to(program, step).filter(|_| chain.can_go_on(step, joins));
        let joined = taken.and_then(|slot| match passes(slot) {
            true => Some(Between::Passing),
            false => chain.can_keep(joins).then_some(Between::Kept),
        });
        match joined {
            None => chain = Chain::starting(step, joins),
            Some(_) => chain.go_on(step),
        }
        program.steps[i].joined = joined;
    }
}

/// A step that makes sums and those that are joined with it.
#[derive(Default)]
struct Chain {
    /// The channels of the sums, as long as something can follow.
    channels: Option<u32>,
    /// What its steps make.
    made: Vec<Slot>,
    /// Operands that joined steps read besides.
    reads: usize,
}

impl Chain {
    fn starting(step: &Step, joins: Joins) -> Self {
        Self {
            channels: sums(&step.call, joins),
            made: output(step).into_iter().collect(),
            reads: 0,
        }
    }

    /// The value that a step takes of the last one, if that is all that it takes of the chain, and it
    /// makes one value of one.
    fn hands_to(&self, program: &Program, step: &Step) -> Option<Slot> {
        let slot = *self.made.last()?;
        let handed = Operand::Value(slot);
        let is_taken = epilogue::places(&step.call).iter().any(|i| step.operands[*i] == handed);
        let others = || step.operands.iter().filter(|operand| **operand != handed);
        let is_in_the_making =
            |operand: &Operand| self.made.iter().any(|made| *operand == Operand::Value(*made));
        let len = |slot: Slot| program.values[slot.0].len;
        let takes = is_taken
            && others().count() + 1 == step.operands.len()
            && !others().any(is_in_the_making)
            && output(step).is_some_and(|out| len(out) == len(slot));
        takes.then_some(slot)
    }

    /// Whether the device can do the step, too.
    fn can_go_on(&self, step: &Step, joins: Joins) -> bool {
        let Some(channels) = self.channels else { return false };
        // The same numbers may be read as pixels of other channels.
        if let Call::ChannelAffine(p) = &step.call
            && p.channels != channels
        {
            return false;
        }
        match joins {
            Joins::None => false,
            Joins::Panels => true,
            Joins::Quads => {
                self.made.len() <= follow::MOST
                    && self.reads + reads(step) <= follow::MOST
                    && !updates(step)
            }
        }
    }

    /// Whether what the last step makes can be kept for others: sums themselves can be.
    fn can_keep(&self, joins: Joins) -> bool {
        let is_near = self.channels.is_some_and(|channels| channels <= MOST_CHANNELS_KEPT);
        joins == Joins::Panels && self.made.len() == 1 && is_near
    }

    fn go_on(&mut self, step: &Step) {
        if updates(step) {
            // It adds to what lies where the last one of these steps writes.
            self.channels = None;
        }
        self.made.extend(output(step));
        self.reads += reads(step);
    }
}

/// Operands that a joined step reads besides what it takes of the chain.
fn reads(step: &Step) -> usize {
    step.operands.len().saturating_sub(2)
}

/// Whether a step adds to what is there.
fn updates(step: &Step) -> bool {
    if let Call::MultiplyAdd(p) = &step.call { p.accumulate == 1 } else { false }
}

/// How often steps and callers touch each value.
fn touches(program: &Program) -> Vec<usize> {
    let mut touches = vec![0; program.values.len()];
    let of_steps = program.steps.iter().flat_map(|step| &step.operands);
    let of_steps = of_steps.filter_map(|operand| match operand {
        Operand::Value(slot) => Some(*slot),
        Operand::Weight(_) => None,
    });
    for slot in of_steps.chain(program.inputs.iter().chain(&program.outputs).copied()) {
        touches[slot.0] += 1;
    }
    touches
}

/// The last operand, which all kernels that take part write.
fn output(step: &Step) -> Option<Slot> {
    match step.operands.last() {
        Some(Operand::Value(slot)) => Some(*slot),
        Some(Operand::Weight(_)) | None => None,
    }
}

/// The channels of the sums that a kernel makes, where something can follow.
fn sums(call: &Call, joins: Joins) -> Option<u32> {
    match joins {
        Joins::None => {}
        Joins::Panels => {
            if let Call::Conv2d(p) = call {
                return (p.accumulate == 0 && p.sums_by_panels()).then_some(p.out_channels);
            }
            if let Call::ConvTranspose2d(p) = call {
                return (p.0.accumulate == 0 && p.sums_by_panels()).then_some(p.0.in_channels);
            }
        }
        Joins::Quads => {
            if let Call::Conv2dQuads(p) = call {
                return (p.accumulate == 0).then_some(p.out_channels);
            }
            if let Call::ConvTranspose2dQuads(p) = call {
                return (p.0.accumulate == 0).then_some(p.0.in_channels);
            }
        }
    }
    None
}
