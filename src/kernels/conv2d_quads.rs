//! Convolution where channels come in fours: [`conv2d`](super::conv2d) with a shader that reads four
//! numbers at a time. Twin of `shaders/conv2d_quads.wgsl`, and the same as that one's.

pub use super::conv2d::{Params, cpu};
use super::kernel;

kernel!("conv2d_quads", [Read, ReadWeight, Read, Update], follows: true);

/// Whether the shader can run it: channels of a group come in fours, in and out, and sums need not
/// keep what f32 loses.
pub const fn suits(p: &Params) -> bool {
    p.in_per_group().is_multiple_of(4) && p.out_per_group().is_multiple_of(4) && !p.is_exact()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Encoding;

    #[test]
    fn only_channels_in_fours_without_exact_sums_suit() {
        let p = Params { out_channels: 8, groups: 2, ..Params::keeping_size([5; 2], 16, 1) };
        assert!(suits(&p) && suits(&Params { stored: Encoding::F16.code(), ..p }));
        for other in [
            Params { groups: 4, ..p },
            Params { in_channels: 12, ..p },
            Params { out_channels: 12, ..p },
            Params { rounding: 1, ..p },
        ] {
            assert!(!suits(&other), "{other:?}");
        }
    }
}
