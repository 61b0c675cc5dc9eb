// Transpose of a linear layer, for a shard of the rows of its weights. One workgroup makes 32
// columns for four rows of the signal; 8 invocations share a column's weights.

struct Params {
    batch: u32,
    in_features: u32,
    out_features: u32,
    first: u32, // the first output of the shard
    rows: u32, // of the shard
    part: u32,
    bias_part: u32,
    gamma: f32,
    accumulate: u32, // 1: add to the output
    stored: u32, // 0: f32; 1: f16, 2: bf16, two in a word
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const COLUMNS: u32 = 32u;
const SHARES: u32 = 8u;
// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;

var<workgroup> tile_sums: array<vec4<f32>, 256>;

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

// Number `at` of the weights.
fn number(at: u32) -> f32 {
    if params.stored == F32 {
        return bitcast<f32>(w[at]);
    }
    return number16(at);
}

// What four rows of the signal hold for an output of the shard.
fn signal(start: vec4<u32>, single: bool, output: u32) -> vec4<f32> {
    if output >= params.rows {
        return vec4(0.0);
    }
    let first = s[start.x + output];
    if single {
        return vec4(first, 0.0, 0.0, 0.0);
    }
    return vec4(first, s[start.y + output], s[start.z + output], s[start.w + output]);
}

// A weight, which need not come from memory where it meets no signal.
fn weight(output: u32, column: u32, signal: vec4<f32>) -> f32 {
    if any(signal != vec4(0.0)) {
        return part_of(number(output * params.in_features + column), params.part);
    }
    return 0.0;
}

fn column_sum(column: u32, share: u32, start: vec4<u32>, single: bool) -> vec4<f32> {
    var sum = vec4(0.0);
    // Four at a time: their weights are under way together, and the sum has fewer terms to round.
    for (var output = share; output < params.rows; output += 4u * SHARES) {
        let s0 = signal(start, single, output);
        let s1 = signal(start, single, output + SHARES);
        let s2 = signal(start, single, output + 2u * SHARES);
        let s3 = signal(start, single, output + 3u * SHARES);
        let w0 = weight(output, column, s0);
        let w1 = weight(output + SHARES, column, s1);
        let w2 = weight(output + 2u * SHARES, column, s2);
        let w3 = weight(output + 3u * SHARES, column, s3);
        sum += (w0 * s0 + w1 * s1) + (w2 * s2 + w3 * s3);
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = id.x * COLUMNS + lane % COLUMNS;
    let first = id.y * 4u;
    // Past the last row of the signal, the last again.
    let rows = min(vec4(first) + vec4(0u, 1u, 2u, 3u), vec4(params.batch - 1u));
    let start = rows * params.out_features + vec4(params.first);
    let single = first + 1u == params.batch;

    var sum = vec4(0.0);
    if column < params.in_features {
        sum = column_sum(column, lane / COLUMNS, start, single);
    }
    tile_sums[lane] = sum;
    workgroupBarrier();
    for (var half = 128u; half >= COLUMNS; half /= 2u) {
        if lane < half {
            tile_sums[lane] += tile_sums[lane + half];
        }
        workgroupBarrier();
    }
    // Invocations 0 to 127: four rows of 32 columns.
    let row = first + lane / COLUMNS;
    if lane < 4u * COLUMNS && row < params.batch && column < params.in_features {
        let i = row * params.in_features + column;
        var c = tile_sums[lane % COLUMNS][lane / COLUMNS];
        if params.accumulate == 1u {
            c += out[i];
        }
        out[i] = c;
    }
}
