//! Which steps are done value by value while the output of the step before is made.

use super::{Between, Operand, Program, Slot, Step};
use crate::kernels::{Call, epilogue};

/// Channels of sums that can be kept on their way: pixels of more lie so far apart that reading these once
/// more costs less.
const MOST_CHANNELS_KEPT: u32 = 64;

/// Marks them.
pub(super) fn mark(program: &mut Program) {
    let touches = touches(program);
    // The channels of the sums that the step before makes or passes on, and what was made of them.
    let mut sums_before = None;
    let mut made: Vec<Slot> = Vec::new();
    for i in 0..program.steps.len() {
        let step = &program.steps[i];
        let takes = |slot: Slot| {
            let is_it = |operand: &&Operand| **operand == Operand::Value(slot);
            let places = epilogue::places(&step.call).iter();
            let len = |slot: Slot| program.values[slot.0].len;
            // It takes nothing else that is in the making.
            let others = || step.operands.iter().filter(|operand| !is_it(operand));
            places.map(|place| &step.operands[*place]).any(|operand| is_it(&operand))
                && others().count() + 1 == step.operands.len()
                && made.iter().all(|made| !others().any(|other| *other == Operand::Value(*made)))
                && output(step).is_some_and(|out| len(out) == len(slot))
        };
        // The same numbers may be read as pixels of other channels.
        let suits = |channels: u32| {
            let of_step =
                if let Call::ChannelAffine(p) = &step.call { p.channels } else { channels };
            of_step == channels
        };
        let taken = made.last().copied().filter(|slot| takes(*slot));
        let taken = taken.filter(|_| sums_before.is_some_and(suits));
        // It is touched by the step that makes it and by this one.
        let passes = |slot: Slot| touches[slot.0] == 2;
        // Sums themselves can be kept.
        let may_keep =
            made.len() == 1 && sums_before.is_some_and(|channels| channels <= MOST_CHANNELS_KEPT);
        let taken = taken.filter(|slot| may_keep || passes(*slot));
        let joined = taken.map(|slot| match passes(slot) {
            true => Between::Passing,
            false => Between::Kept,
        });
        if joined.is_none() {
            sums_before = sums(&step.call);
            made.clear();
        } else if updates(&step.call) {
            // It adds to what lies where the last one of these steps writes.
            sums_before = None;
        }
        made.extend(output(step));
        program.steps[i].joined = joined;
    }
}

/// Whether a kernel adds to what is there.
fn updates(call: &Call) -> bool {
    if let Call::MultiplyAdd(p) = call { p.accumulate == 1 } else { false }
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
fn sums(call: &Call) -> Option<u32> {
    if let Call::Conv2d(p) = call {
        return (p.accumulate == 0 && p.sums_by_panels()).then_some(p.out_channels);
    }
    if let Call::ConvTranspose2d(p) = call {
        return (p.0.accumulate == 0 && p.sums_by_panels()).then_some(p.0.in_channels);
    }
    None
}
