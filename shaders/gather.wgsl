// The outputs of a layer that are explained, by their numbers. One invocation a number.

struct Params {
    rows: u32,
    count: u32, // outputs of a picture
    repeat: u32, // numbers of a picture
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> units: array<u32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.rows {
        return;
    }
    // A number that the caller gives must not lead out of the picture's outputs.
    let unit = min(units[i], params.count - 1u);
    values[i] = y[i / params.repeat * params.count + unit];
}
