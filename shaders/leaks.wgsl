// What a division by denominators keeps from the inputs, by cause: of the relevance `r` of an
// output, `r (b + e) / (z + e)` with the stabilizer `e = epsilon sign(z)` goes to the bias `b` and
// to `e`; where no input contributes at all, everything is lost. One workgroup a row.

struct Params {
    rows: u32,
    count: u32, // values of a row
    repeat: u32, // rows of a picture
    stride: u32, // from one picture's denominators to the next
    channels: u32, // 1 where no bias takes part
    epsilon: f32,
    bias_part: u32,
    gamma: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> r: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> lost: array<f32>;

var<workgroup> tile_lost: array<vec3<f32>, 256>;

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

// What of `r` goes to the bias, to the stabilizer, and nowhere.
fn lose(r: f32, z: f32, bias: f32) -> vec3<f32> {
    let epsilon = select(params.epsilon, -params.epsilon, z < 0.0);
    let stable = z + epsilon;
    if r == 0.0 {
        return vec3<f32>();
    }
    if stable == 0.0 || (z == 0.0 && bias == 0.0) {
        return vec3<f32>(0.0, 0.0, r);
    }
    return vec3<f32>(r * (bias / stable), r * (epsilon / stable), 0.0);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let start = group.x * params.count;
    let denominators = group.x / params.repeat * params.stride;
    var sum = vec3<f32>();
    for (var i = lane; i < params.count; i += 256u) {
        let bias = part_of(b[i % params.channels], params.bias_part);
        sum += lose(r[start + i], z[denominators + i], bias);
    }
    tile_lost[lane] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            tile_lost[lane] += tile_lost[lane + half];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        let all = tile_lost[0];
        lost[group.x * 3u] = all.x;
        lost[group.x * 3u + 1u] = all.y;
        lost[group.x * 3u + 2u] = all.z;
    }
}
