//! What joined steps do with the sums of the one before them, as its shader is told: their kinds as
//! constants of the pipeline, their parameters in a uniform buffer, and the values and weights that they
//! read.

use crate::kernels::epilogue::{self, Epilogue};
use crate::kernels::follow::{Kind, MOST, Params, told};
use crate::program::{Between, Operand, Step};

/// Steps that follow another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Follow {
    pub(super) kinds: Kinds,
    params: [Params; MOST],
    /// What they read, in the order of the shader's bindings.
    pub(super) reads: Vec<Operand>,
}

/// What tells the pipelines of a kernel apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Kinds {
    steps: [Kind; MOST],
    /// The first of the operands that each reads.
    from: [u32; MOST],
}

impl Kinds {
    /// The constants of a pipeline.
    pub(super) fn constants(self) -> [(&'static str, f64); 5] {
        let ([step0, step1, step2], [_, from1, from2]) = (self.steps, self.from);
        let code = |kind: Kind| f64::from(kind as u32);
        [
            ("STEP0", code(step0)),
            ("STEP1", code(step1)),
            ("STEP2", code(step2)),
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
            if step.joined != Some(Between::Passing) {
                return None;
            }
            let handed = before.operands.last()?;
            let mut places = epilogue::places(&step.call).iter();
            let place = places.find(|place| step.operands[**place] == *handed)?;
            let epilogue = Epilogue::of(&step.call, *place, |i| step.operands[i])?;
            let (kind, params, reads) = told(epilogue)?;
            follow.kinds.steps[i] = kind;
            follow.kinds.from[i] = follow.reads.len() as u32;
            follow.params[i] = params;
            follow.reads.extend(reads);
        }
        (follow.reads.len() <= MOST).then_some(follow)
    }

    /// The content of the uniform buffer.
    pub(super) fn words(&self) -> Vec<u32> {
        self.params.iter().flat_map(Params::words).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Call, add, channel_affine, clamp, conv2d, stabilized_ratio};
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
        assert_eq!(
            follow.kinds,
            Kinds { steps: [Kind::Affine, Kind::Add, Kind::Clamp], from: [0, 2, 3] }
        );
        assert_eq!(follow.params.map(|params| params.channels), [4, 0, 0]);
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
