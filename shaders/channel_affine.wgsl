// y = a * scale + shift, each channel with its own. One invocation a value.

struct Params {
    total: u32,
    channels: u32,
    shifted: u32, // 1: add the shift
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read> shift: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.total {
        return;
    }
    let channel = i % params.channels;
    var value = a[i] * scale[channel];
    if params.shifted == 1u {
        value += shift[channel];
    }
    y[i] = value;
}
