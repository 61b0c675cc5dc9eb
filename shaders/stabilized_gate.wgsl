// s = scale * c * a / (a + epsilon * sign(a)), 0 where a is 0. One invocation a value.

struct Params {
    total: u32,
    count: u32, // values of a row
    repeat: u32, // rows of a picture
    stride: u32, // from the inputs of one picture to the next
    scale: f32,
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> s: array<f32>;

fn gate(a: f32, c: f32) -> f32 {
    if a == 0.0 {
        return 0.0;
    }
    let stable = a + select(params.epsilon, -params.epsilon, a < 0.0);
    return params.scale * c * (a / stable);
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
    s[i] = gate(a[image * params.stride + i % params.count], c[i]);
}
