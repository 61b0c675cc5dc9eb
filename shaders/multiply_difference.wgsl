// r = (y - b) * c. One invocation a value.

struct Params {
    total: u32,
    count: u32, // values of a row
    repeat: u32, // rows of a picture
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> c: array<f32>;
@group(0) @binding(4) var<storage, read_write> r: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.total {
        return;
    }
    let of_picture = i / params.count / params.repeat * params.count + i % params.count;
    r[i] = (y[of_picture] - b[of_picture]) * c[i];
}
