// Convolution with a part of the weights, as a matrix product: rows are output positions, columns
// the output channels of a group, the depth runs over taps and input channels. One workgroup
// makes 64 x 64 sums, each of its 64 invocations 8 x 8, going down in blocks of 16.

struct Params {
    batch: u32,
    in_height: u32,
    in_width: u32,
    in_channels: u32,
    out_height: u32,
    out_width: u32,
    out_channels: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_height: u32,
    stride_width: u32,
    padding_height: u32,
    padding_width: u32,
    dilation_height: u32,
    dilation_width: u32,
    groups: u32,
    part: u32,
    bias_part: u32,
    gamma: f32,
    accumulate: u32, // 1: add to the output
    stored: u32, // 0: f32; 1: f16, 2: bf16, two in a word
    rounding: u32, // 1: run with EXACT; 0, 2: without
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<u32>; // [group][tap][input][output channel]
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
// How far sums go down before they are stored and start anew: f32 loses digits in longer ones.
const PIECE: u32 = 256u;
// Whether sums keep what f32 loses.
override EXACT: bool = false;
// Vectors from one depth to the next: 64 numbers in 16, and one that spreads them over the banks.
const PITCH: u32 = 17u;
// A coordinate that no tap brings back into the picture.
const OUTSIDE: i32 = -0x40000000;
const NOTHING: u32 = 7u;
// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;

// Each vector ("slot") holds four rows or columns, 8 apart: see `first_of`.
var<workgroup> tile_a: array<vec4<f32>, 272>;
var<workgroup> tile_w: array<vec4<f32>, 272>;
// Of each row: y and x of its window's corner, where that lies in `a`, where its sums go.
var<workgroup> tile_rows: array<vec4<i32>, 64>;

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

// The first row or column in a slot. Slots 0 to 7 hold the lower 32, slots 8 to 15 the upper.
fn first_of(slot: u32) -> u32 {
    return slot / 8u * 32u + slot % 8u;
}

// Where the window of an output position starts.
fn window(position: u32, group: u32, in_count: u32) -> vec4<i32> {
    let line = position / params.out_width;
    let image = line / params.out_height;
    if image >= params.batch {
        return vec4(OUTSIDE, OUTSIDE, 0, -1);
    }
    let top = line % params.out_height * params.stride_height;
    let left = position % params.out_width * params.stride_width;
    let y = i32(top) - i32(params.padding_height);
    let x = i32(left) - i32(params.padding_width);
    let pixel = (i32(image * params.in_height) + y) * i32(params.in_width) + x;
    let corner = pixel * i32(params.in_channels) + i32(group * in_count);
    return vec4(y, x, corner, i32(position * params.out_channels));
}

// The input that row `row` meets at a tap: so far down and right of the corner. Where there is none the first
// is read, so that all reads of an invocation go out at once.
fn input(row: u32, down: i32, right: i32, offset: i32) -> f32 {
    let start = tile_rows[row];
    // Negative coordinates become large ones.
    let inside = u32(start.x + down) < params.in_height && u32(start.y + right) < params.in_width;
    return select(0.0, a[select(0, start.z + offset, inside)], inside);
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

// The parts of four weights, `step` apart, that are taken; 0 where there are none, but the first is read, so
// that all reads of an invocation go out at once.
fn weights(at: u32, step: u32, live: vec4<bool>) -> vec4<f32> {
    let i = select(vec4(0u), vec4(at) + step * vec4(0u, 1u, 2u, 3u), live);
    var found = vec4(0.0);
    if params.stored == F32 {
        found = bitcast<vec4<f32>>(vec4(w[i.x], w[i.y], w[i.z], w[i.w]));
    } else {
        found = vec4(number16(i.x), number16(i.y), number16(i.z), number16(i.w));
    }
    return select(vec4(0.0), parts_of(found, params.part), live);
}

// Adds what the tiles hold at `count` depths: the eight rows in slots `row` and `row + 8` by the
// eight columns in slots `column` and `column + 8`, two vectors a row.
fn multiply(
    sums: ptr<function, array<vec4<f32>, 16>>, first: u32, count: u32, row: u32, column: u32,
) {
    for (var k = first; k < first + count; k += 1u) {
        let a = tile_a[k * PITCH + row];
        let b = tile_a[k * PITCH + row + 8u];
        let v = tile_w[k * PITCH + column];
        let w = tile_w[k * PITCH + column + 8u];
        (*sums)[0] += a.x * v;
        (*sums)[1] += a.x * w;
        (*sums)[2] += a.y * v;
        (*sums)[3] += a.y * w;
        (*sums)[4] += a.z * v;
        (*sums)[5] += a.z * w;
        (*sums)[6] += a.w * v;
        (*sums)[7] += a.w * w;
        (*sums)[8] += b.x * v;
        (*sums)[9] += b.x * w;
        (*sums)[10] += b.y * v;
        (*sums)[11] += b.y * w;
        (*sums)[12] += b.z * v;
        (*sums)[13] += b.z * w;
        (*sums)[14] += b.w * v;
        (*sums)[15] += b.w * w;
    }
}

// The same numbers: the mask is 0 when it runs, which no compiler knows. Without it they would take
// `(old + more) - old` for `more`, and what a sum loses for 0.
fn opaque(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) ^ vec4(params.rounding ^ 1u));
}

// The upper 12 bits of each number: the product of two such is exact.
fn upper(x: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) & vec4(0xfffff000u));
}

// Adds `a * w` to sum `i`, and what rounding takes from it to `lost`: the exact product of the upper
// halves by an addition whose error is known (Knuth's), the rest of the product directly (Ogita,
// Rump and Oishi's dot product).
fn add_exactly(
    sums: ptr<function, array<vec4<f32>, 16>>, lost: ptr<function, array<vec4<f32>, 16>>,
    i: u32, a: f32, a_upper: f32, w: vec4<f32>, w_upper: vec4<f32>,
) {
    let more = a_upper * w_upper;
    let rest = a * (w - w_upper) + (a - a_upper) * w_upper;
    let old = (*sums)[i];
    let sum = opaque(old + more);
    let added = opaque(sum - old);
    let error = (old - opaque(sum - added)) + (more - added);
    (*sums)[i] = sum;
    (*lost)[i] += error + rest;
}

// As `multiply`, at all depths; the sums want `lost` added at the end.
fn multiply_exactly(
    sums: ptr<function, array<vec4<f32>, 16>>, lost: ptr<function, array<vec4<f32>, 16>>,
    row: u32, column: u32,
) {
    for (var k = 0u; k < DEPTH; k += 1u) {
        let a = tile_a[k * PITCH + row];
        let b = tile_a[k * PITCH + row + 8u];
        let v = tile_w[k * PITCH + column];
        let w = tile_w[k * PITCH + column + 8u];
        let a_upper = upper(a);
        let b_upper = upper(b);
        let v_upper = upper(v);
        let w_upper = upper(w);
        add_exactly(sums, lost, 0u, a.x, a_upper.x, v, v_upper);
        add_exactly(sums, lost, 1u, a.x, a_upper.x, w, w_upper);
        add_exactly(sums, lost, 2u, a.y, a_upper.y, v, v_upper);
        add_exactly(sums, lost, 3u, a.y, a_upper.y, w, w_upper);
        add_exactly(sums, lost, 4u, a.z, a_upper.z, v, v_upper);
        add_exactly(sums, lost, 5u, a.z, a_upper.z, w, w_upper);
        add_exactly(sums, lost, 6u, a.w, a_upper.w, v, v_upper);
        add_exactly(sums, lost, 7u, a.w, a_upper.w, w, w_upper);
        add_exactly(sums, lost, 8u, b.x, b_upper.x, v, v_upper);
        add_exactly(sums, lost, 9u, b.x, b_upper.x, w, w_upper);
        add_exactly(sums, lost, 10u, b.y, b_upper.y, v, v_upper);
        add_exactly(sums, lost, 11u, b.y, b_upper.y, w, w_upper);
        add_exactly(sums, lost, 12u, b.z, b_upper.z, v, v_upper);
        add_exactly(sums, lost, 13u, b.z, b_upper.z, w, w_upper);
        add_exactly(sums, lost, 14u, b.w, b_upper.w, v, v_upper);
        add_exactly(sums, lost, 15u, b.w, b_upper.w, w, w_upper);
    }
}

// The biases of every 8th column from `column` on.
fn biases_from(column: u32, end: u32) -> vec4<f32> {
    if params.bias_part == NOTHING {
        return vec4(0.0);
    }
    let columns = vec4(column) + vec4(0u, 8u, 16u, 24u);
    let i = select(vec4(0u), columns, columns < vec4(end));
    return parts_of(vec4(b[i.x], b[i.y], b[i.z], b[i.w]), params.bias_part);
}

// Stores a sum, or adds it to what is there.
fn store(at: i32, channel: u32, end: u32, sum: f32, anew: bool) {
    if at < 0 || channel >= end {
        return;
    }
    let i = u32(at) + channel;
    var z = sum;
    if !anew || params.accumulate == 1u {
        z += out[i];
    }
    out[i] = z;
}

// Stores the sums of one row in columns `column` and `column + 32` and every 8th after them.
fn store_row(
    row: u32, column: u32, end: u32, lower: vec4<f32>, upper: vec4<f32>, anew: bool,
) {
    let at = tile_rows[row].w;
    for (var i = 0u; i < 4u; i += 1u) {
        store(at, column + 8u * i, end, lower[i], anew);
        store(at, column + 8u * i + 32u, end, upper[i], anew);
    }
}

// Stores the sums of every 8th row from `row` on with their biases, or adds them to what is there. No loop:
// arrays whose indices are constants stay in registers.
fn store_rows(
    sums: ptr<function, array<vec4<f32>, 16>>, row: u32, column: u32, end: u32, anew: bool,
) {
    var below = vec4(0.0);
    var above = vec4(0.0);
    if anew {
        below = biases_from(column, end);
        above = biases_from(column + 32u, end);
    }
    store_row(row, column, end, (*sums)[0] + below, (*sums)[1] + above, anew);
    store_row(row + 8u, column, end, (*sums)[2] + below, (*sums)[3] + above, anew);
    store_row(row + 16u, column, end, (*sums)[4] + below, (*sums)[5] + above, anew);
    store_row(row + 24u, column, end, (*sums)[6] + below, (*sums)[7] + above, anew);
    store_row(row + 32u, column, end, (*sums)[8] + below, (*sums)[9] + above, anew);
    store_row(row + 40u, column, end, (*sums)[10] + below, (*sums)[11] + above, anew);
    store_row(row + 48u, column, end, (*sums)[12] + below, (*sums)[13] + above, anew);
    store_row(row + 56u, column, end, (*sums)[14] + below, (*sums)[15] + above, anew);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let in_count = params.in_channels / params.groups;
    let out_count = params.out_channels / params.groups;
    let column_tiles = (out_count + TILE - 1u) / TILE;
    let group = id.z / column_tiles;
    let first_column = id.z % column_tiles * TILE;
    let first_row = (id.y * groups.x + id.x) * TILE;
    if first_row >= params.batch * params.out_height * params.out_width {
        return;
    }
    let depth = params.kernel_height * params.kernel_width * in_count;
    tile_rows[lane] = window(first_row + lane, group, in_count);
    workgroupBarrier();

    // While loading, an invocation stays at one depth in 16 for inputs, and in one slot of 16
    // for weights: neighbours read neighbouring channels.
    let low = lane % 16u;
    let high = lane / 16u;
    var channel = low;
    var ky = 0u;
    var kx = 0u;
    let row = lane / 8u;
    let start = group * out_count + first_column + lane % 8u;
    let end = (group + 1u) * out_count;
    let length = select(PIECE, depth, EXACT);
    for (var piece = 0u; piece < depth; piece += length) {
        let piece_end = min(piece + length, depth);
        var sums = array<vec4<f32>, 16>();
        var lost = array<vec4<f32>, 16>();
        for (var first = piece; first < piece_end; first += DEPTH) {
            while channel >= in_count {
                channel -= in_count;
                kx += 1u;
                if kx == params.kernel_width {
                    kx = 0u;
                    ky += 1u;
                }
            }
            let dy = ky * params.dilation_height;
            let dx = kx * params.dilation_width;
            let down = select(OUTSIDE, i32(dy), first + low < depth);
            let offset = i32((dy * params.in_width + dx) * params.in_channels + channel);
            for (var slot = high; slot < 16u; slot += 4u) {
                let row = first_of(slot);
                tile_a[low * PITCH + slot] = vec4(
                    input(row, down, i32(dx), offset),
                    input(row + 8u, down, i32(dx), offset),
                    input(row + 16u, down, i32(dx), offset),
                    input(row + 24u, down, i32(dx), offset),
                );
            }
            let column = first_column + first_of(low);
            for (var k = high; k < DEPTH; k += 4u) {
                let at = (group * depth + first + k) * out_count + column;
                let live = first + k < depth;
                let columns = vec4(column) + vec4(0u, 8u, 16u, 24u);
                let inside = vec4(live) & (columns < vec4(out_count));
                tile_w[k * PITCH + low] = weights(at, 8u, inside);
            }
            channel += DEPTH;
            workgroupBarrier();
            if EXACT {
                multiply_exactly(&sums, &lost, row, lane % 8u);
            } else {
                multiply(&sums, 0u, DEPTH, row, lane % 8u);
            }
            workgroupBarrier();
        }
        if EXACT {
            for (var i = 0u; i < 16u; i += 1u) {
                sums[i] += lost[i];
            }
        }
        store_rows(&sums, row, start, end, piece == 0u);
    }
}
