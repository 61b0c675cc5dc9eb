//! Which steps are done value by value while the output of the step before is made.

use super::{Operand, Program, Slot, Step};
use crate::kernels::{Call, epilogue};

/// Marks them.
pub(super) fn mark(program: &mut Program) {
    let touches = touches(program);
    let is_between = |slot: Slot| touches[slot.0] == 2;
    // The channels of the sums that the step before makes or passes on.
    let mut sums_before = None;
    for i in 0..program.steps.len() {
        let made = i.checked_sub(1).and_then(|before| output(&program.steps[before]));
        let step = &program.steps[i];
        let takes = |slot: Slot| {
            let places = epilogue::places(&step.call).iter();
            let len = |slot: Slot| program.values[slot.0].len;
            is_between(slot)
                && places.clone().any(|place| step.operands[*place] == Operand::Value(slot))
                && output(step).is_some_and(|out| len(out) == len(slot))
        };
        // The same numbers may be read as pixels of other channels.
        let suits = |channels: u32| {
            let of_step =
                if let Call::ChannelAffine(p) = &step.call { p.channels } else { channels };
            of_step == channels
        };
        let joined = sums_before.is_some_and(suits) && made.is_some_and(takes);
        sums_before = if joined { sums_before } else { sums(&step.call) };
        program.steps[i].joined = joined;
    }
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
