// Lets a backward signal pass where the layer's output allows it. One invocation a value.

struct Params {
    total: u32,
    count: u32, // values of a row
    repeat: u32, // rows of a picture
    mode: u32, // 0 active, 1 guided, 2 deconvnet, 3 negative
    lower: f32, // outputs at or below it are saturated
    upper: f32, // outputs at or above it are saturated
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

fn passes(g: f32, y: f32) -> bool {
    let on = y > params.lower && y < params.upper;
    switch params.mode {
        case 0u: { return on; }
        case 1u: { return on && g > 0.0; }
        case 2u: { return g > 0.0; }
        default: { return y < 0.0; }
    }
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
    let signal = g[i];
    let open = passes(signal, y[image * params.count + i % params.count]);
    out[i] = select(0.0, signal, open);
}
