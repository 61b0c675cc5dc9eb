// Local response normalisation: `y = a / s^beta` with `s = k + alpha / size * sum of a^2` over the
// channels around. One invocation a value.

struct Params {
    total: u32,
    channels: u32,
    before: u32, // channels of the sum below its own
    after: u32, // and above it
    share: f32, // alpha / size
    beta: f32,
    k: f32,
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
    let channel = i % params.channels;
    let first = max(channel, params.before) - params.before;
    let last = min(channel + params.after, params.channels - 1u);
    var sum = 0.0;
    for (var c = first; c <= last; c += 1u) {
        let value = a[i - channel + c];
        sum += value * value;
    }
    y[i] = a[i] * pow(params.k + params.share * sum, -params.beta);
}
