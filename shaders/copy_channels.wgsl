// Copies a range of channels into a range of channels. One invocation a copied value.

struct Params {
    positions: u32,
    from_channels: u32,
    from_first: u32,
    to_channels: u32,
    to_first: u32,
    count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> destination: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.positions * params.count {
        return;
    }
    let position = i / params.count;
    let channel = i % params.count;
    destination[position * params.to_channels + params.to_first + channel] =
        source[position * params.from_channels + params.from_first + channel];
}
