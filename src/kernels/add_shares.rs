//! Sums that workgroups have shared among them: `out[i] = sum over shares, + M(b)`. Twin of
//! `shaders/add_shares.wgsl`. Programs do not hold it: a GPU runs it where convolutions have so few
//! tiles that several workgroups share the depth of each.

use super::{Part, kernel, lanes, parallel, params};
use crate::num::Float;

params! {
    /// What was shared.
    pub struct Params {
        /// Values.
        pub total: u32,
        /// Sums of each value.
        pub shares: u32,
        /// Channels, which values have side by side.
        pub channels: u32,
        /// Which [`Part`] of the bias is added.
        pub bias_part: u32,
        /// The factor of the raised parts.
        pub gamma: f32,
        /// 1: add to the output.
        pub accumulate: u32,
    }
}

kernel!("add_shares", [Read, Read, Update], follows: true);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }
}

/// Operands: sums (`[share][value]`), a bias for each channel, values.
pub fn cpu<F: Float>(p: &Params, sums: &[F], b: &[F], out: &mut [F]) {
    let part = Part::from_code(p.bias_part);
    let gamma = F::from_f32(p.gamma);
    let total = p.total as usize;
    parallel::each(out, |i, out| {
        let mut sum = sums[i];
        for share in 1..p.shares as usize {
            sum += sums[share * total + i];
        }
        if part != Part::Nothing {
            sum += part.of(b[i % p.channels as usize], gamma);
        }
        *out = if p.accumulate == 1 { *out + sum } else { sum };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_bias_and_what_is_there_are_added() {
        let p = Params {
            total: 4,
            shares: 2,
            channels: 2,
            bias_part: Part::Positive.code(),
            gamma: 0.0,
            accumulate: 1,
        };
        let sums = [1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0];
        let mut out = [100.0; 4];
        cpu(&p, &sums, &[0.5, -0.5], &mut out);
        assert_eq!(out, [111.5, 122.0, 133.5, 144.0]);
    }
}
