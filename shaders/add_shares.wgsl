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

// What further kernels do with the sums while they are at hand, one after the other: the kinds below, the
// first of the operands that the second and the third read, and their parameters.
override STEP0: u32 = 0u;
override STEP1: u32 = 0u;
override STEP2: u32 = 0u;
override FROM1: u32 = 0u;
override FROM2: u32 = 0u;

struct Follow {
    low: f32,
    high: f32,
    scale: f32,
    epsilon: f32,
    channels: u32,
    count: u32, // values of a row
    repeat: u32, // rows of a picture
    stride: u32, // from the factors of one picture to the next
}

@group(0) @binding(4) var<uniform> follow: array<Follow, 3>;
@group(0) @binding(5) var<storage, read> other0: array<f32>;
@group(0) @binding(6) var<storage, read> other1: array<f32>;
@group(0) @binding(7) var<storage, read> other2: array<f32>;

const CLAMP: u32 = 1u;
const AFFINE: u32 = 2u;
const SCALE: u32 = 3u;
const ADD: u32 = 4u;
const RATIO: u32 = 5u;
const MULTIPLY: u32 = 6u;
const GATE: u32 = 7u;

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

fn other(k: u32, i: u32) -> f32 {
    switch k {
        case 0u: { return other0[i]; }
        case 1u: { return other1[i]; }
        default: { return other2[i]; }
    }
}

// As stabilized_ratio, channel_affine, multiply_add and stabilized_gate have it, for value `i`.
fn followed(kind: u32, step: u32, k: u32, i: u32, sums: f32) -> f32 {
    let p = follow[step];
    switch kind {
        case CLAMP: { return min(max(sums, p.low), p.high) * p.scale; }
        case AFFINE: {
            let channel = i % p.channels;
            return sums * other(k, channel) + other(k + 1u, channel);
        }
        case SCALE: { return sums * other(k, i % p.channels); }
        case ADD: { return sums + other(k, i); }
        case RATIO: {
            let r = other(k, i);
            let stable = sums + select(p.epsilon, -p.epsilon, sums < 0.0);
            let nothing = r == 0.0 || stable == 0.0;
            return select(r / select(stable, 1.0, nothing), 0.0, nothing);
        }
        case MULTIPLY: {
            let count = p.count;
            let image = i / count / p.repeat;
            return p.scale * other(k, image * p.stride + i % count) * sums;
        }
        case GATE: {
            let count = p.count;
            let image = i / count / p.repeat;
            let a = other(k, image * p.stride + i % count);
            let stable = a + select(p.epsilon, -p.epsilon, a < 0.0);
            let nothing = a == 0.0;
            return select(p.scale * sums * (a / select(stable, 1.0, nothing)), 0.0, nothing);
        }
        default: { return sums; }
    }
}

fn followed_by_all(i: u32, sums: f32) -> f32 {
    let first = followed(STEP0, 0u, 0u, i, sums);
    return followed(STEP2, 2u, FROM2, i, followed(STEP1, 1u, FROM1, i, first));
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
    out[i] = followed_by_all(i, sum);
}
