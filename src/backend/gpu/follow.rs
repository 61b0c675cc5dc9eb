//! What joined steps do with the sums of the one before them, as its shader is told: their kinds as
//! constants of the pipeline, their parameters in a uniform buffer, and the values and weights that they
//! read.

use crate::kernels::{Call, Word};
use crate::program::{Between, Operand, Step};

/// Steps that can follow, and what they can read besides the sums; the shaders have places for these.
pub(super) const MOST: usize = 3;

/// Words of a step's parameters.
const WORDS: usize = 8;

/// Steps that follow another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Follow {
    pub(super) kinds: Kinds,
    /// The content of the uniform buffer.
    pub(super) words: [u32; MOST * WORDS],
    /// What they read, in the order of the shader's bindings.
    pub(super) reads: Vec<Operand>,
}

/// What tells the pipelines of a kernel apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Kinds {
    /// By the numbers that shaders know them by; 0 for none.
    steps: [u32; MOST],
    /// The first of the operands that each reads.
    from: [u32; MOST],
}

impl Kinds {
    /// The constants of a pipeline.
    pub(super) fn constants(self) -> [(&'static str, f64); 5] {
        let ([step0, step1, step2], [_, from1, from2]) = (self.steps, self.from);
        [
            ("STEP0", f64::from(step0)),
            ("STEP1", f64::from(step1)),
            ("STEP2", f64::from(step2)),
            ("FROM1", f64::from(from1)),
            ("FROM2", f64::from(from2)),
        ]
    }
}

impl Follow {
    /// Of steps that are joined with the first; none where the shaders cannot do them.
    pub(super) fn of(first: &Step, then: &[Step]) -> Option<Self> {
        let mut follow = Self::default();
        if then.is_empty() {
            return Some(follow);
        }
        if !first.call.kernel().follows || then.len() > MOST {
            return None;
        }
        let before = std::iter::once(first).chain(then);
        for (i, (before, step)) in before.zip(then).enumerate() {
            let (handed, reads) = (before.operands.last()?, &step.operands);
            let (kind, words, reads) = kind(step, reads, handed)?;
            if step.joined != Some(Between::Passing) {
                return None;
            }
            follow.kinds.steps[i] = kind;
            follow.kinds.from[i] = follow.reads.len() as u32;
            follow.words[i * WORDS..][..WORDS].copy_from_slice(&words);
            follow.reads.extend(reads);
        }
        (follow.reads.len() <= MOST).then_some(follow)
    }
}

/// A step's number, parameters and what it reads besides `handed`, in the order of the shaders.
fn kind(
    step: &Step,
    operands: &[Operand],
    handed: &Operand,
) -> Option<(u32, [u32; WORDS], Vec<Operand>)> {
    let takes = |place: usize| operands[place] == *handed;
    // low, high, scale, epsilon; channels, count, repeat, stride.
    let mut words = [0; WORDS];
    if let Call::Clamp(p) = &step.call {
        words[..3].copy_from_slice(&[p.low, p.high, p.scale].map(Word::word));
        return takes(0).then_some((1, words, Vec::new()));
    }
    if let Call::ChannelAffine(p) = &step.call {
        words[4] = p.channels;
        let (kind, reads) =
            if p.shifted == 1 { (2, &operands[1..3]) } else { (3, &operands[1..2]) };
        return takes(0).then(|| (kind, words, reads.to_vec()));
    }
    if let Call::Add(_) = &step.call {
        let other = if takes(0) { 1 } else { 0 };
        return takes(1 - other).then(|| (4, words, vec![operands[other]]));
    }
    if let Call::StabilizedRatio(p) = &step.call
        && p.repeat == 1
        && p.stride == p.count
    {
        words[3] = p.epsilon.word();
        return takes(1).then(|| (5, words, vec![operands[0]]));
    }
    if let Call::MultiplyAdd(p) = &step.call
        && p.accumulate == 0
    {
        words[2] = p.scale.word();
        words[5..].copy_from_slice(&[p.count, p.repeat, p.stride]);
        return takes(1).then(|| (6, words, vec![operands[0]]));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{add, channel_affine, clamp, conv2d, stabilized_ratio};
    use crate::program::{Slot, WeightSlot};

    fn step(call: Call, operands: &[Operand], joined: Option<Between>) -> Step {
        Step { call, operands: operands.to_vec(), layer: 0, note: 0, joined }
    }

    #[test]
    fn steps_have_places_for_what_they_read() {
        let v = |i| Operand::Value(Slot(i));
        let w = |i| Operand::Weight(WeightSlot(i));
        let conv = Call::Conv2dQuads(conv2d::Params::keeping_size([2; 2], 4, 1));
        let first = step(conv, &[v(0), w(0), w(1), v(1)], None);
        let passing = Some(Between::Passing);
        let affine = channel_affine::Params { total: 16, channels: 4, shifted: 1 };
        let affine = step(Call::ChannelAffine(affine), &[v(1), w(2), w(3), v(2)], passing);
        let add = step(Call::Add(add::Params { total: 16 }), &[v(9), v(2), v(3)], passing);
        let relu = Call::Clamp(clamp::Params::relu(16));
        let relu = step(relu, &[v(3), v(4)], passing);
        let then = [affine.clone(), add, relu];
        let follow = Follow::of(&first, &then).expect("three steps and three operands");
        assert_eq!(follow.reads, [w(2), w(3), v(9)]);
        assert_eq!(follow.kinds, Kinds { steps: [2, 4, 1], from: [0, 2, 3] });
        assert_eq!(follow.words[4], 4);
        assert_eq!(Follow::of(&first, &[]), Some(Follow::default()));
        // What is kept has no place, nor has what adds to what is there, nor a fourth operand.
        let kept = Step { joined: Some(Between::Kept), ..affine.clone() };
        assert_eq!(Follow::of(&first, &[kept]), None);
        let ratio =
            stabilized_ratio::Params { total: 16, count: 16, repeat: 1, stride: 16, epsilon: 0.5 };
        let ratio = step(Call::StabilizedRatio(ratio), &[v(8), v(3), v(4)], passing);
        let four = [then[0].clone(), then[1].clone(), ratio];
        assert_eq!(Follow::of(&first, &four), None);
        let plain = Call::Conv2d(conv2d::Params::keeping_size([2; 2], 4, 1));
        assert_eq!(Follow::of(&Step { call: plain, ..first }, &[affine]), None);
    }
}
