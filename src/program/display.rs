//! The listing: one line a step, with what it reads and writes.

use std::fmt;

use super::{Between, Operand, Program};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            let kernel = step.call.kernel();
            let name = |operand: &Operand| match operand {
                Operand::Value(slot) => format!("v{}", slot.0),
                Operand::Weight(weight) => format!("w{}", weight.0),
            };
            let list = |writes: bool| {
                let operands = step.operands.iter().zip(kernel.operands);
                let chosen = operands.filter(|(_, access)| access.writes() == writes);
                chosen.map(|(operand, _)| name(operand)).collect::<Vec<_>>().join(" ")
            };
            let operands = format!("{} -> {}", list(false), list(true));
            let (layer, note) = (&self.layers[step.layer], &self.notes[step.note]);
            // Done together with the step before, whose output is kept or not.
            let mark = match step.joined {
                None => ' ',
                Some(Between::Passing) => '+',
                Some(Between::Kept) => '&',
            };
            writeln!(f, "{i:>4}{mark} {:<20} {operands:<24} {layer:<24} {note}", kernel.name)?;
        }
        let floats: usize = self.buffer_bytes(4);
        write!(
            f,
            "{} steps, {} values in {} buffers of {floats} bytes, {} weights",
            self.steps.len(),
            self.values.len(),
            self.buffers.len(),
            self.weights.len()
        )
    }
}
