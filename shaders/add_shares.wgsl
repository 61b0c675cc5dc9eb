// Adds up what workgroups that shared the depth of a convolution have stored: `[share][value]`.

struct Params {
    total: u32, // values
    shares: u32,
    channels: u32,
    bias_part: u32,
    gamma: f32,
    accumulate: u32, // 1: add to the output
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const NOTHING: u32 = 7u;

fn part_of(w: f32, part: u32) -> f32 {
    switch part {
        case 1u: { return max(w, 0.0); }
        case 2u: { return min(w, 0.0); }
        case 3u: { return w + params.gamma * max(w, 0.0); }
        case 4u: { return w + params.gamma * min(w, 0.0); }
        case 5u: { return w * w; }
        case 6u: { return 1.0; }
        case 7u: { return 0.0; }
        default: { return w; }
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
    var sum = sums[i];
    for (var share = 1u; share < params.shares; share += 1u) {
        sum += sums[share * params.total + i];
    }
    if params.bias_part != NOTHING {
        sum += part_of(b[i % params.channels], params.bias_part);
    }
    if params.accumulate == 1u {
        sum += out[i];
    }
    out[i] = sum;
}
