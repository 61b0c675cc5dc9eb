// Matrix product with the weights and with a part of them, for a shard of their rows. One workgroup
// a row; a read of the row serves both and four pictures.

struct Params {
    batch: u32,
    in_features: u32,
    out_features: u32,
    first: u32, // the first output of the shard
    rows: u32, // of the shard
    part: u32,
    bias_part: u32,
    gamma: f32,
    accumulate: u32, // always 0
    stored: u32, // 0: f32; 1: f16, 2: bf16, two in a word
    own_bias_part: u32, // that of `y`
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<u32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> z: array<f32>;

const NOTHING: u32 = 7u;
// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;

var<workgroup> tile_own: array<vec4<f32>, 128>;
var<workgroup> tile_part: array<vec4<f32>, 128>;

fn parts_of(w: vec4<f32>, part: u32) -> vec4<f32> {
    switch part {
        case 1u: { return max(w, vec4(0.0)); }
        case 2u: { return min(w, vec4(0.0)); }
        case 3u: { return w + params.gamma * max(w, vec4(0.0)); }
        case 4u: { return w + params.gamma * min(w, vec4(0.0)); }
        case 5u: { return w * w; }
        case 6u: { return vec4(1.0); }
        case 7u: { return vec4(0.0); }
        default: { return w; }
    }
}

// Number `at` of weights of 16 bit, two in a word. Not by `unpack2x16float`, which some drivers lack:
// below 0x400 an f16 is so many times 2^-24, from there on the exponent counts from 112 less.
fn number16(at: u32) -> f32 {
    let bits = w[at / 2u] >> (at % 2u * 16u);
    if params.stored == BF16 {
        return bitcast<f32>(bits << 16u);
    }
    let magnitude = bits & 0x7fffu;
    let small = f32(magnitude) * 0x1p-24;
    let value = select(bitcast<f32>((magnitude << 13u) + 0x38000000u), small, magnitude < 0x400u);
    return select(value, -value, (bits & 0x8000u) != 0u);
}

// Four numbers of the weights. Asks once for them all how they are stored, so that all reads go out at once.
fn numbers(at: vec4<u32>) -> vec4<f32> {
    if params.stored == F32 {
        return bitcast<vec4<f32>>(vec4(w[at.x], w[at.y], w[at.z], w[at.w]));
    }
    return vec4(number16(at.x), number16(at.y), number16(at.z), number16(at.w));
}

// The same numbers: the mask is 0 when it runs, which no compiler knows. Without it they would take
// `(old + more) - old` for `more`, and what a sum loses for 0.
fn opaque(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4(params.accumulate >> 1u));
}

fn bias(output: u32, part: u32) -> f32 {
    if part == NOTHING {
        return 0.0;
    }
    return parts_of(vec4(b[output]), part).x;
}

// Inputs of a picture at four places: 0 past the last.
fn inputs(start: u32, places: vec4<u32>) -> vec4<f32> {
    let i = start + min(places, vec4(params.in_features - 1u));
    return select(vec4(0.0), vec4(a[i.x], a[i.y], a[i.z], a[i.w]), places < vec4(params.in_features));
}

// The same for four pictures, or for the first of them: a column for each place.
fn all_inputs(start: vec4<u32>, single: bool, places: vec4<u32>) -> mat4x4<f32> {
    let first = inputs(start.x, places);
    if single {
        return transpose(mat4x4(first, first, first, first));
    }
    return transpose(mat4x4(
        first, inputs(start.y, places), inputs(start.z, places), inputs(start.w, places),
    ));
}

// Adds and keeps what the sum has too much (Kahan's summation): reading the weights takes longer.
fn add_keeping(sum: ptr<function, vec4<f32>>, lost: ptr<function, vec4<f32>>, more: vec4<f32>) {
    let old = *sum;
    let rest = more - *lost;
    *sum = opaque(old + rest);
    *lost = opaque(*sum - old) - rest;
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = id.y * groups.x + id.x;
    if row >= params.rows {
        return;
    }
    for (var first = 0u; first < params.batch; first += 4u) {
        // Past the last picture, the last again.
        let images = min(vec4(first) + vec4(0u, 1u, 2u, 3u), vec4(params.batch - 1u));
        let start = images * params.in_features;
        let single = first + 1u == params.batch;
        var own = vec4(0.0);
        var sum = vec4(0.0);
        var own_lost = vec4(0.0);
        var lost = vec4(0.0);
        // Four at a time: their weights are under way together. Past the last, the last meets 0.
        for (var i = lane; i < params.in_features; i += 512u) {
            let places = vec4(i) + vec4(0u, 128u, 256u, 384u);
            let at = row * params.in_features + min(places, vec4(params.in_features - 1u));
            let weights = numbers(at);
            let parts = parts_of(weights, params.part);
            let of_places = all_inputs(start, single, places);
            add_keeping(&own, &own_lost, weights.x * of_places[0]);
            add_keeping(&sum, &lost, parts.x * of_places[0]);
            add_keeping(&own, &own_lost, weights.y * of_places[1]);
            add_keeping(&sum, &lost, parts.y * of_places[1]);
            add_keeping(&own, &own_lost, weights.z * of_places[2]);
            add_keeping(&sum, &lost, parts.z * of_places[2]);
            add_keeping(&own, &own_lost, weights.w * of_places[3]);
            add_keeping(&sum, &lost, parts.w * of_places[3]);
        }
        tile_own[lane] = own;
        tile_part[lane] = sum;
        workgroupBarrier();
        for (var half = 64u; half > 0u; half /= 2u) {
            if lane < half {
                tile_own[lane] += tile_own[lane + half];
                tile_part[lane] += tile_part[lane + half];
            }
            workgroupBarrier();
        }
        if lane < 4u && first + lane < params.batch {
            let output = params.first + row;
            let at = (first + lane) * params.out_features + output;
            y[at] = tile_own[0][lane] + bias(output, params.own_bias_part);
            z[at] = tile_part[0][lane] + bias(output, params.bias_part);
        }
        workgroupBarrier();
    }
}
