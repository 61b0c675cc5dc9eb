//! Networks for benchmarks.

use clrp::graph::Weights;
use clrp::models::Model;
use clrp::weight::Weight;

/// Noise of about unit gain, so that no layer dies out.
pub(crate) fn random_weights(model: &Model) -> clrp::Result<Weights> {
    let mut state = 1_u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let graph = model.graph(model.input_shape(), model.classes())?;
    let weights = graph.weight_specs().into_iter().map(|spec| {
        let fan_in: usize = spec.shape[1..].iter().product();
        let gain = (6.0 / fan_in as f32).sqrt();
        let values = (0..spec.shape.iter().product()).map(|_| gain * noise()).collect();
        Weight::from_f32(spec.name, &spec.shape, values)
    });
    Ok(Weights::from_weights("random weights", weights))
}
