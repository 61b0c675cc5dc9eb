//! The memory plan: values whose lives do not overlap share a buffer.
//!
//! Whole buffers, not ranges of one: a dispatch may not bind one buffer for reading and for
//! writing, even in disjoint ranges.

use super::{Buffer, Operand, Program, Slot};

/// First and last step that touches a value.
#[derive(Clone, Copy)]
struct Life {
    start: usize,
    end: usize,
}

/// Gives every value a buffer; returns the buffers.
pub(super) fn plan(program: &mut Program) -> Vec<Buffer> {
    let lives = lives(program);
    let mut starts: Vec<usize> = (0..program.values.len()).collect();
    starts.retain(|&value| lives[value].is_some());
    starts.sort_by_key(|&value| lives[value].map(|life| life.start));
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut busy_until: Vec<usize> = Vec::new();
    for value in starts {
        let life = lives[value].expect("only living values were kept");
        let wanted = program.values[value];
        let free = |buffer: &usize| busy_until[*buffer] < life.start;
        let same = |buffer: &usize| buffers[*buffer].element == wanted.element;
        let candidates: Vec<usize> = (0..buffers.len()).filter(free).filter(same).collect();
        let fitting = candidates.iter().filter(|&&b| buffers[b].fits(&wanted));
        let chosen = fitting
            .min_by_key(|&&b| buffers[b].len)
            .or_else(|| candidates.iter().max_by_key(|&&b| buffers[b].len))
            .copied()
            .unwrap_or_else(|| {
                buffers.push(Buffer { element: wanted.element, len: wanted.len });
                busy_until.push(0);
                buffers.len() - 1
            });
        buffers[chosen].len = buffers[chosen].len.max(wanted.len);
        busy_until[chosen] = life.end;
        program.values[value].buffer = chosen;
    }
    buffers
}

/// Steps count from 1; inputs live from 0, outputs to the end. Values that no step touches have
/// no life.
fn lives(program: &Program) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; program.values.len()];
    let mut touch = |slot: Slot, at: usize| {
        let life = lives[slot.0].get_or_insert(Life { start: at, end: at });
        life.end = life.end.max(at);
    };
    for slot in &program.inputs {
        touch(*slot, 0);
    }
    for (i, step) in program.steps.iter().enumerate() {
        for operand in &step.operands {
            match operand {
                Operand::Value(slot) => touch(*slot, i + 1),
                Operand::Weight(_) => {}
            }
        }
    }
    for slot in &program.outputs {
        touch(*slot, program.steps.len() + 1);
    }
    lives
}

#[cfg(test)]
mod tests {
    use crate::kernels::{Call, clamp};
    use crate::program::{Builder, Element, Operand};

    #[test]
    fn a_chain_takes_two_buffers_and_a_kept_value_its_own() {
        let mut builder = Builder::new();
        let first = builder.input(Element::Float, 8);
        let mut last = first;
        for _ in 0..5 {
            let relu = Call::Clamp(clamp::Params::relu(8));
            last = builder.emit(relu, &[Operand::Value(last)], 8);
        }
        builder.output(last);
        let program = builder.finish().expect("small");
        assert_eq!(program.buffers.len(), 2);
        let mut builder = Builder::new();
        let first = builder.input(Element::Float, 8);
        let mut last = first;
        for _ in 0..5 {
            let relu = Call::Clamp(clamp::Params::relu(8));
            last = builder.emit(relu, &[Operand::Value(last)], 8);
        }
        builder.output(last);
        builder.output(first);
        assert_eq!(builder.finish().expect("small").buffers.len(), 3);
    }
}
