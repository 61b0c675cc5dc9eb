//! The gradient of local response normalisation:
//! `g_in = g / s^beta - 2 beta alpha / size * a * sum of g a / s^(beta + 1)` over the channels
//! around. Twin of `shaders/local_response_norm_backward.wgsl`; the shader gathers, the twin
//! scatters.

use super::{kernel, lanes, local_response_norm, parallel, params};
use crate::num::Float;

params! {
    /// The inputs of each picture serve all its rows.
    pub struct Params {
        /// Values in all rows.
        pub total: u32,
        /// Values of a row.
        pub count: u32,
        /// Rows of a picture.
        pub repeat: u32,
        /// Channels.
        pub channels: u32,
        /// Channels of a sum below its own.
        pub before: u32,
        /// Channels of a sum above its own.
        pub after: u32,
        /// `alpha / size`.
        pub share: f32,
        /// The power of the denominator.
        pub beta: f32,
        /// What is added to a sum.
        pub k: f32,
    }
}

kernel!("local_response_norm_backward", [Read, Read, Write]);

impl Params {
    /// One invocation a value.
    pub fn workgroups(&self) -> [u32; 3] {
        lanes(self.total)
    }

    fn forward(&self) -> local_response_norm::Params {
        let Params { total, channels, before, after, share, beta, k, count: _, repeat: _ } = *self;
        local_response_norm::Params { total, channels, before, after, share, beta, k }
    }
}

/// Operands: inputs `a` of the layer, signal at its outputs, signal at its inputs.
pub fn cpu<F: Float>(p: &Params, a: &[F], g: &[F], g_in: &mut [F]) {
    let (channels, count) = (p.channels as usize, p.count as usize);
    let (before, after, beta) = (p.before as usize, p.after as usize, f64::from(p.beta));
    let forward = p.forward();
    parallel::pieces(g_in, channels, |first, piece| {
        for (i, g_in) in piece.chunks_exact_mut(channels).enumerate() {
            let at = first + i * channels;
            let image = at / count / p.repeat as usize;
            let a = &a[image * count + at % count..][..channels];
            let g = &g[at..][..channels];
            let s = forward.denominators(a);
            let mut sums: Vec<f64> =
                (0..channels).map(|c| g[c].to_f64() * s[c].powf(-beta)).collect();
            for c in 0..channels {
                let sent = g[c].to_f64() * a[c].to_f64() * s[c].powf(-beta - 1.0);
                for to in c.saturating_sub(before)..(c + after + 1).min(channels) {
                    sums[to] -= 2.0 * beta * f64::from(p.share) * a[to].to_f64() * sent;
                }
            }
            for (g_in, sum) in g_in.iter_mut().zip(sums) {
                *g_in = F::from_f64(sum);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_slope_of_the_normalisation() {
        let forward = local_response_norm::Params {
            total: 4,
            channels: 4,
            before: 2,
            after: 1,
            share: 0.3,
            beta: 0.75,
            k: 2.0,
        };
        let p = Params {
            total: 4,
            count: 4,
            repeat: 1,
            channels: 4,
            before: 2,
            after: 1,
            share: 0.3,
            beta: 0.75,
            k: 2.0,
        };
        let (a, g) = ([1.0, -2.0, 3.0, 0.5], [0.7, -0.2, 0.4, 1.0]);
        let weighed = |a: &[f64; 4]| {
            let mut y = [0.0; 4];
            local_response_norm::cpu(&forward, a, &mut y);
            y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
        };
        let mut g_in = [0.0; 4];
        cpu(&p, &a, &g, &mut g_in);
        for c in 0..4 {
            let (mut more, mut less) = (a, a);
            more[c] += 1e-6;
            less[c] -= 1e-6;
            let slope = (weighed(&more) - weighed(&less)) / 2e-6;
            assert!((slope - g_in[c]).abs() < 1e-8, "{slope} {}", g_in[c]);
        }
    }
}
