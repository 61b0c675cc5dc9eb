//! What becomes of the sums of a convolution or its transpose in the shaders that [follow](super::Kernel):
//! how they are told what further kernels would do value by value.

use super::epilogue::{Epilogue, Inputs};
use super::params;

/// Steps that can follow, and what they can read besides the sums; the shaders have places for these.
pub const MOST: usize = 3;

/// What a step that follows does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// Nothing.
    #[default]
    Nothing = 0,
    /// As `clamp`.
    Clamp = 1,
    /// As `channel_affine`.
    Affine = 2,
    /// The same without a shift.
    Scale = 3,
    /// As `add`.
    Add = 4,
    /// As `stabilized_ratio`, where the sums are denominators of one row each.
    Ratio = 5,
    /// As `multiply_add`, where nothing is added.
    Multiply = 6,
    /// As `stabilized_gate`.
    Gate = 7,
}

params! {
    /// What a step that follows is told; each kind looks at some of it.
    #[derive(Default)]
    pub struct Params {
        /// The smallest value let through.
        pub low: f32,
        /// The largest value let through.
        pub high: f32,
        /// The factor of all values.
        pub scale: f32,
        /// The stabilizer.
        pub epsilon: f32,
        /// Channels of a pixel.
        pub channels: u32,
        /// Values of a row.
        pub count: u32,
        /// Rows of a picture.
        pub repeat: u32,
        /// From the factors of one picture to the next.
        pub stride: u32,
    }
}

/// What the shaders are told of a step, and what it reads besides the sums, in their order; none
/// if shaders cannot do it.
pub fn told<T>(epilogue: Epilogue<T>) -> Option<(Kind, Params, Vec<T>)> {
    let nothing = Params::default();
    Some(match epilogue {
        Epilogue::Clamp { low, high, scale } => {
            (Kind::Clamp, Params { low, high, scale, ..nothing }, Vec::new())
        }
        Epilogue::ChannelAffine { channels, scale, shift } => {
            let params = Params { channels: word(channels), ..nothing };
            match shift {
                Some(shift) => (Kind::Affine, params, vec![scale, shift]),
                None => (Kind::Scale, params, vec![scale]),
            }
        }
        Epilogue::Add(other) => (Kind::Add, nothing, vec![other]),
        Epilogue::StabilizedRatio { r, epsilon } => {
            (Kind::Ratio, Params { epsilon, ..nothing }, vec![r])
        }
        // What is added to what is there would need `out` twice.
        Epilogue::MultiplyAdd { accumulate: true, .. } => return None,
        Epilogue::MultiplyAdd { a, scale, accumulate: false } => {
            (Kind::Multiply, Params { scale, ..of_inputs(&a) }, vec![a.values])
        }
        Epilogue::StabilizedGate { a, scale, epsilon } => {
            (Kind::Gate, Params { scale, epsilon, ..of_inputs(&a) }, vec![a.values])
        }
    })
}

fn of_inputs<T>(a: &Inputs<T>) -> Params {
    let [count, repeat, stride] = [a.count, a.repeat, a.stride].map(word);
    Params { count, repeat, stride, ..Params::default() }
}

fn word(count: usize) -> u32 {
    u32::try_from(count).expect("kernels count values in 32 bit")
}
