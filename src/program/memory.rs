//! The memory plan: values whose lives do not overlap share a buffer.
//!
//! Whole buffers, not ranges of one: a dispatch may not bind one buffer for reading and for
//! writing, even in disjoint ranges.

use std::cmp::Reverse;

use super::{Between, Buffer, Operand, Program, Slot, Step};

/// First and last step that touches a value.
#[derive(Clone, Copy)]
struct Life {
    start: usize,
    end: usize,
}

impl Life {
    fn overlaps(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// Gives every value a buffer; returns the buffers. The largest values choose first, so that no
/// buffer grows for a later one: what the program takes is close to what lives at once.
pub(super) fn plan(program: &mut Program) -> Vec<Buffer> {
    let lives = lives(program);
    let living = |value: usize| lives[value].map(|life| (value, life));
    let mut order: Vec<(usize, Life)> = (0..program.values.len()).filter_map(living).collect();
    order.sort_by_key(|(value, life)| (Reverse(program.values[*value].len), life.start));
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut tenants: Vec<Vec<Life>> = Vec::new();
    for (value, life) in order {
        let wanted = program.values[value];
        let free = |buffer: &usize| {
            buffers[*buffer].element == wanted.element
                && tenants[*buffer].iter().all(|tenant| !tenant.overlaps(life))
        };
        // All buffers are large enough, the last ones the least too large.
        let chosen = (0..buffers.len()).rev().find(free).unwrap_or_else(|| {
            buffers.push(Buffer { element: wanted.element, len: wanted.len });
            tenants.push(Vec::new());
            buffers.len() - 1
        });
        tenants[chosen].push(life);
        program.values[value].buffer = chosen;
    }
    buffers
}

/// Steps count from 1, joined ones as one; inputs live from 0, outputs to the end. Values that no
/// step touches have no life, nor have those that pass between joined steps.
fn lives(program: &Program) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; program.values.len()];
    let mut touch = |slot: Slot, at: usize| {
        let life = lives[slot.0].get_or_insert(Life { start: at, end: at });
        life.end = life.end.max(at);
    };
    for slot in &program.inputs {
        touch(*slot, 0);
    }
    let mut now = 0;
    for step in &program.steps {
        now += usize::from(step.joined.is_none());
        for operand in &step.operands {
            match operand {
                Operand::Value(slot) => touch(*slot, now),
                Operand::Weight(_) => {}
            }
        }
    }
    for slot in &program.outputs {
        touch(*slot, now + 1);
    }
    let passing = |pair: &&[Step]| pair[1].joined == Some(Between::Passing);
    for pair in program.steps.windows(2).filter(passing) {
        if let Some(Operand::Value(handed)) = pair[0].operands.last() {
            lives[handed.0] = None;
        }
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
