// The sum over channels, each with its weight: one plane a row. One invocation a position.

struct Params {
    total: u32, // positions in all rows
    positions: u32, // of a row
    channels: u32,
    repeat: u32, // rows of a picture
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> planes: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.total {
        return;
    }
    let row = i / params.positions;
    let pixel = row / params.repeat * params.positions + i % params.positions;
    var sum = 0.0;
    for (var channel = 0u; channel < params.channels; channel += 1u) {
        sum += w[row * params.channels + channel] * a[pixel * params.channels + channel];
    }
    planes[i] = sum;
}
