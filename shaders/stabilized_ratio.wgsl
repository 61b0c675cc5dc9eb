// s = r / (z + epsilon * sign(z)), with sign(0) = 1 and 0 / 0 = 0. One invocation a value.

struct Params {
    total: u32,
    count: u32, // values of a row
    repeat: u32, // rows of a picture
    stride: u32, // from the denominators of one picture to the next
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> r: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read_write> s: array<f32>;

fn ratio(r: f32, z: f32) -> f32 {
    let stable = z + select(params.epsilon, -params.epsilon, z < 0.0);
    if r == 0.0 || stable == 0.0 {
        return 0.0;
    }
    return r / stable;
}

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.total {
        return;
    }
    let image = i / params.count / params.repeat;
    s[i] = ratio(r[i], z[image * params.stride + i % params.count]);
}
