// The gradient of local response normalisation:
// `g_in = g / s^beta - 2 beta alpha / size * a * sum of g a / s^(beta + 1)` over the channels
// around. One invocation a value.

struct Params {
    total: u32,
    count: u32, // values of a row
    repeat: u32, // rows of a picture
    channels: u32,
    before: u32, // channels of a sum below its own
    after: u32, // and above it
    share: f32, // alpha / size
    beta: f32,
    k: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read_write> g_in: array<f32>;

// The denominator before its power at a channel of the position whose channels start at `start`.
fn denominator(start: u32, channel: u32) -> f32 {
    let first = max(channel, params.before) - params.before;
    let last = min(channel + params.after, params.channels - 1u);
    var sum = 0.0;
    for (var c = first; c <= last; c += 1u) {
        sum += a[start + c] * a[start + c];
    }
    return params.k + params.share * sum;
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
    let channel = i % params.channels;
    let image = i / params.count / params.repeat;
    let start = image * params.count + i % params.count - channel;
    // The channels whose sums hold this one.
    let first = max(channel, params.after) - params.after;
    let last = min(channel + params.before, params.channels - 1u);
    var sum = 0.0;
    for (var c = first; c <= last; c += 1u) {
        let s = denominator(start, c);
        sum += g[i - channel + c] * a[start + c] * pow(s, -params.beta - 1.0);
    }
    let own = g[i] * pow(denominator(start, channel), -params.beta);
    g_in[i] = own - 2.0 * params.beta * params.share * a[start + channel] * sum;
}
