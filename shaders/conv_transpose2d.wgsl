// Transpose of a convolution, as a matrix product: rows are input positions, columns the input
// channels of a group, the depth runs over taps and output channels. The tiles are conv2d's, but
// all rows of one stand at the same place between two strides, so that they meet the same taps.

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
    rounding: u32, // takes no notice: it stays like conv2d's
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<u32>; // [group][tap][input][output channel]
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
// How far sums go down before they are stored and start anew: f32 loses digits in longer ones.
const PIECE: u32 = 256u;
// Vectors from one depth to the next: 64 numbers in 16, and one that spreads them over the banks.
const PITCH: u32 = 17u;
// A coordinate that no tap brings back into the picture.
const OUTSIDE: i32 = -0x40000000;
// So few columns (the channels of an image) are made by one invocation a row.
const NARROW: u32 = 4u;
// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;

// Each vector ("slot") holds four rows or columns, 8 apart: see `first_of`.
var<workgroup> tile_a: array<vec4<f32>, 272>;
var<workgroup> tile_w: array<vec4<f32>, 272>;
// Of each row: y and x of the window that meets it at the first tap, where that lies in `s`,
// where its sums go.
var<workgroup> tile_rows: array<vec4<i32>, 64>;

// The taps that rows meet along one axis.
struct Taps {
    first: u32,
    step: u32,
    count: u32,
    hop: u32, // windows back from one to the next
}

// The taps `k` for which a window starts at `place + padding - k * dilation`.
fn taps(place: u32, kernel: u32, stride: u32, padding: u32, dilation: u32) -> Taps {
    var first = 0u;
    while first < kernel && (place + padding + first * dilation * (stride - 1u)) % stride != 0u {
        first += 1u;
    }
    var step = 1u;
    while step * dilation % stride != 0u {
        step += 1u;
    }
    let count = (kernel - first + step - 1u) / step;
    return Taps(first, step, count, step * dilation / stride);
}

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

// The window that meets input position (y, x) at the first taps.
fn window(image: u32, y: u32, x: u32, group: u32, down: Taps, across: Taps) -> vec4<i32> {
    if image >= params.batch || y >= params.in_height || x >= params.in_width {
        return vec4(OUTSIDE, OUTSIDE, 0, -1);
    }
    // The divisions leave no remainder, below zero neither.
    let top = i32(y + params.padding_height) - i32(down.first * params.dilation_height);
    let left = i32(x + params.padding_width) - i32(across.first * params.dilation_width);
    let oy = top / i32(params.stride_height);
    let ox = left / i32(params.stride_width);
    let pixel = (i32(image * params.out_height) + oy) * i32(params.out_width) + ox;
    let out_count = params.out_channels / params.groups;
    let start = pixel * i32(params.out_channels) + i32(group * out_count);
    let cell = (image * params.in_height + y) * params.in_width + x;
    return vec4(oy, ox, start, i32(cell * params.in_channels));
}

// The signal that row `row` meets at a tap: so far up and left of its first window. Where there is none the
// first is read, so that all reads of an invocation go out at once.
fn signal(row: u32, up: i32, left: i32, offset: i32) -> f32 {
    let start = tile_rows[row];
    // Negative coordinates become large ones.
    let inside = u32(start.x - up) < params.out_height && u32(start.y - left) < params.out_width;
    return select(0.0, s[select(0, start.z + offset, inside)], inside);
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

// As `multiply`, for all columns of one row.
fn multiply_narrow(sums: ptr<function, array<vec4<f32>, 16>>, row: u32) {
    for (var k = 0u; k < DEPTH; k += 1u) {
        let a = tile_a[k * PITCH + (row & 7u) + (row & 32u) / 4u][row / 8u % 4u];
        let at = k * PITCH;
        let w = vec4(tile_w[at].x, tile_w[at + 1u].x, tile_w[at + 2u].x, tile_w[at + 3u].x);
        (*sums)[0] += a * w;
    }
}

// Stores a sum, or adds it to what is there.
fn store(at: i32, channel: u32, end: u32, sum: f32, anew: bool) {
    if at < 0 || channel >= end {
        return;
    }
    let i = u32(at) + channel;
    var c = sum;
    if !anew || params.accumulate == 1u {
        c += out[i];
    }
    out[i] = c;
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

// Stores the sums of an invocation, or adds them to what is there.
fn store_sums(
    sums: ptr<function, array<vec4<f32>, 16>>,
    lane: u32, start: u32, end: u32, narrow: bool, anew: bool,
) {
    if narrow {
        let at = tile_rows[lane].w;
        store(at, start, end, (*sums)[0].x, anew);
        store(at, start + 1u, end, (*sums)[0].y, anew);
        store(at, start + 2u, end, (*sums)[0].z, anew);
        store(at, start + 3u, end, (*sums)[0].w, anew);
        return;
    }
    let column = start + lane % 8u;
    let row = lane / 8u;
    // No loop: arrays whose indices are constants stay in registers.
    store_row(row, column, end, (*sums)[0], (*sums)[1], anew);
    store_row(row + 8u, column, end, (*sums)[2], (*sums)[3], anew);
    store_row(row + 16u, column, end, (*sums)[4], (*sums)[5], anew);
    store_row(row + 24u, column, end, (*sums)[6], (*sums)[7], anew);
    store_row(row + 32u, column, end, (*sums)[8], (*sums)[9], anew);
    store_row(row + 40u, column, end, (*sums)[10], (*sums)[11], anew);
    store_row(row + 48u, column, end, (*sums)[12], (*sums)[13], anew);
    store_row(row + 56u, column, end, (*sums)[14], (*sums)[15], anew);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let in_count = params.in_channels / params.groups;
    let out_count = params.out_channels / params.groups;
    let column_tiles = (in_count + TILE - 1u) / TILE;
    let group = id.z / column_tiles;
    let first_column = id.z % column_tiles * TILE;

    // Rows at the same place between two strides, and the tiles they fill.
    let height = (params.in_height + params.stride_height - 1u) / params.stride_height;
    let width = (params.in_width + params.stride_width - 1u) / params.stride_width;
    let row_tiles = (params.batch * height * width + TILE - 1u) / TILE;
    let tile = id.y * groups.x + id.x;
    let place = tile / row_tiles;
    if place >= params.stride_height * params.stride_width {
        return;
    }
    let place_y = place / params.stride_width;
    let place_x = place % params.stride_width;
    let down = taps(
        place_y, params.kernel_height,
        params.stride_height, params.padding_height, params.dilation_height,
    );
    let across = taps(
        place_x, params.kernel_width,
        params.stride_width, params.padding_width, params.dilation_width,
    );
    let cell = tile % row_tiles * TILE + lane;
    let y = cell / width % height * params.stride_height + place_y;
    let x = cell % width * params.stride_width + place_x;
    tile_rows[lane] = window(cell / (height * width), y, x, group, down, across);
    workgroupBarrier();

    // While loading, an invocation stays at one depth in 16: neighbours read neighbouring
    // channels.
    let depth = down.count * across.count * out_count;
    let narrow = in_count <= NARROW;
    let low = lane % 16u;
    let high = lane / 16u;
    let w_slots = select(16u, 4u, narrow);
    var channel = low;
    var ky = 0u;
    var kx = 0u;
    let start = group * in_count + first_column;
    let end = (group + 1u) * in_count;
    // At least once: without a tap there is nothing to add, but zeros to store.
    for (var piece = 0u; piece == 0u || piece < depth; piece += PIECE) {
        let piece_end = min(piece + PIECE, depth);
        var sums = array<vec4<f32>, 16>();
        for (var first = piece; first < piece_end; first += DEPTH) {
            while channel >= out_count {
                channel -= out_count;
                kx += 1u;
                if kx == across.count {
                    kx = 0u;
                    ky += 1u;
                }
            }
            let live = first + low < depth;
            let dy = ky * down.hop;
            let dx = kx * across.hop;
            // What lies outside on the other side is as far away.
            let up = select(-OUTSIDE, i32(dy), live);
            let offset = i32(channel) - i32((dy * params.out_width + dx) * params.out_channels);
            for (var slot = high; slot < 16u; slot += 4u) {
                let row = first_of(slot);
                tile_a[low * PITCH + slot] = vec4(
                    signal(row, up, i32(dx), offset),
                    signal(row + 8u, up, i32(dx), offset),
                    signal(row + 16u, up, i32(dx), offset),
                    signal(row + 24u, up, i32(dx), offset),
                );
            }
            let tap_y = group * params.kernel_height + down.first + ky * down.step;
            let tap = tap_y * params.kernel_width + across.first + kx * across.step;
            for (var slot = high; slot < w_slots; slot += 4u) {
                let column = first_column + first_of(slot);
                let at = (tap * in_count + column) * out_count + channel;
                let columns = vec4(column) + vec4(0u, 8u, 16u, 24u);
                let inside = vec4(live) & (columns < vec4(in_count));
                tile_w[low * PITCH + slot] = weights(at, 8u * out_count, inside);
            }
            channel += DEPTH;
            workgroupBarrier();
            if narrow {
                multiply_narrow(&sums, lane);
            } else {
                multiply(&sums, 0u, DEPTH, lane / 8u, lane % 8u);
            }
            workgroupBarrier();
        }
        store_sums(&sums, lane, start, end, narrow, piece == 0u);
    }
}
