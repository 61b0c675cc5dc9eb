// y = clamp(a, low, high) * scale. One invocation a value.

struct Params {
    total: u32,
    low: f32,
    high: f32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.total {
        return;
    }
    y[i] = min(max(a[i], params.low), params.high) * params.scale;
}
