//! Convolution where channels come in fours: [`conv2d`](super::conv2d) with a shader that reads four
//! numbers at a time. Twin of `shaders/conv2d_quads.wgsl`, and the same as that one's.

pub use super::conv2d::{Params, cpu};
use super::kernel;

kernel!("conv2d_quads", [Read, ReadWeight, Read, Update], told: ["part", "stored"], follows: true);

/// Rows and columns of large tiles, where the others have [`TILE`](super::conv2d::TILE).
pub const LARGE: u32 = 128;

/// Invocations of a workgroup that has such a tile.
pub const LARGE_INVOCATIONS: u32 = LARGE * LARGE / 64;

/// Bytes that they share: rows and columns at 16 depths, one vector of four more at each, and the rows' windows.
pub const LARGE_BYTES: u32 = 2 * 16 * (LARGE / 4 + 1) * 16 + LARGE * 16;

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
