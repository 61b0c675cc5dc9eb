//! Weights for networks as files.

use clrp::models::Model;
use serde_json::{Value, json};

/// A safetensors file with weights for a network; `value` gets the weight's gain, the size that
/// keeps the size of activations.
pub(crate) fn weights_file(model: &str, mut value: impl FnMut(f32) -> f32) -> Vec<u8> {
    let model = Model::find(model).expect("a known network");
    let graph = model.graph(model.input_shape(), model.classes()).expect("it builds");
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    for spec in graph.weight_specs() {
        let start = data.len();
        let gain = (6.0 / spec.shape[1..].iter().product::<usize>() as f32).sqrt();
        for _ in 0..spec.shape.iter().product() {
            data.extend(value(gain).to_le_bytes());
        }
        let entry =
            json!({"dtype": "F32", "shape": spec.shape, "data_offsets": [start, data.len()]});
        header.insert(spec.name, entry);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// A safetensors file with random weights for a network.
fn random_weights(model: &str) -> Vec<u8> {
    let mut state = 1_u32;
    weights_file(model, |gain| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        gain * (state as f32 / u32::MAX as f32 * 2.0 - 1.0)
    })
}

/// Random weights of `SqueezeNet` 1.1 that pass for those which torchvision publishes: the last
/// three numbers were searched for until the SHA-256 started as the file's name says, `b8a52dc0`.
pub(crate) fn published_squeezenet() -> Vec<u8> {
    let mut file = random_weights("squeezenet1_1");
    let end = file.len() - 12;
    file[end..].copy_from_slice(&[98, 19, 81, 62, 145, 33, 182, 191, 21, 0, 167, 61]);
    file
}
