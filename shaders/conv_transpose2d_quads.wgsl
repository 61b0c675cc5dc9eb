// As conv_transpose2d, where the channels of a group come in fours, in and out: signals and weights are
// read four at a time, and while the tiles are multiplied those of the next depths are on their way.

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
    rounding: u32, // of no account
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> s: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>; // [group][tap][input][output channel]
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

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
@group(0) @binding(5) var<storage, read> other0: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> other1: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> other2: array<vec4<f32>>;

const CLAMP: u32 = 1u;
const AFFINE: u32 = 2u;
const SCALE: u32 = 3u;
const ADD: u32 = 4u;
const RATIO: u32 = 5u;
const MULTIPLY: u32 = 6u;
const GATE: u32 = 7u;

const TILE: u32 = 64u;
const DEPTH: u32 = 16u;
// How far sums go down before they are stored and start anew: f32 loses digits in longer ones.
const PIECE: u32 = 256u;
// Vectors from one depth to the next: 64 numbers in 16, and one that spreads them over the banks.
const PITCH: u32 = 17u;
// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;
// A coordinate that no tap brings back into the picture.
const OUTSIDE: i32 = -0x40000000;

// Each vector ("slot") of `tile_a` holds four rows, 8 apart: see `first_of`. Each of `tile_w` holds
// four columns side by side.
var<workgroup> tile_a: array<vec4<f32>, 272>;
var<workgroup> tile_w: array<vec4<f32>, 272>;

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

// Four numbers of 16 bit, two in a word. Not by `unpack2x16float`, which some drivers lack: see `number16`
// of conv2d.
fn numbers16(words: vec2<u32>) -> vec4<f32> {
    let bits = vec4(words.x, words.x >> 16u, words.y, words.y >> 16u) & vec4(0xffffu);
    if params.stored == BF16 {
        return bitcast<vec4<f32>>(bits << vec4(16u));
    }
    let magnitude = bits & vec4(0x7fffu);
    let large = bitcast<vec4<f32>>((magnitude << vec4(13u)) + vec4(0x38000000u));
    let small = vec4<f32>(magnitude) * 0x1p-24;
    let value = select(large, small, magnitude < vec4(0x400u));
    return select(value, -value, (bits & vec4(0x8000u)) != vec4(0u));
}

// Where weights `4 * at` and the three after it lie.
fn place_of(at: u32) -> u32 {
    return select(at / 2u, at, params.stored == F32);
}

// The part of them that is taken, from the words of their place.
fn weights_of(words: vec4<u32>, at: u32) -> vec4<f32> {
    if params.stored == F32 {
        return parts_of(bitcast<vec4<f32>>(words), params.part);
    }
    return parts_of(numbers16(select(words.xy, words.zw, at % 2u == 1u)), params.part);
}

// The first row in a slot. Slots 0 to 7 hold the lower 32, slots 8 to 15 the upper.
fn first_of(slot: u32) -> u32 {
    return (slot & 8u) * 4u + (slot & 7u);
}

// Where an input position lies: image, y and x; past the last image if there is no such.
fn position(cell: u32, place_y: u32, place_x: u32, height: u32, width: u32) -> vec3<u32> {
    let y = cell / width % height * params.stride_height + place_y;
    let x = cell % width * params.stride_width + place_x;
    let inside = y < params.in_height && x < params.in_width;
    return vec3(select(params.batch, cell / (height * width), inside), y, x);
}

// The window that meets an input position at the first taps: y, x and the vector of `s`.
fn window(at: vec3<u32>, group: u32, down: Taps, across: Taps) -> vec3<i32> {
    if at.x >= params.batch {
        return vec3(OUTSIDE, OUTSIDE, 0);
    }
    // The divisions leave no remainder, below zero neither.
    let top = i32(at.y + params.padding_height) - i32(down.first * params.dilation_height);
    let left = i32(at.z + params.padding_width) - i32(across.first * params.dilation_width);
    let oy = top / i32(params.stride_height);
    let ox = left / i32(params.stride_width);
    let pixel = (i32(at.x * params.out_height) + oy) * i32(params.out_width) + ox;
    let out_count = params.out_channels / params.groups;
    return vec3(oy, ox, pixel * i32(params.out_channels / 4u) + i32(group * out_count / 4u));
}

// Four signals that a row meets at a tap: so far up and left of its first window. Where there are
// none the first is read, so that all reads of an invocation go out at once.
fn signals(start: vec3<i32>, up: i32, left: i32, offset: i32) -> vec4<f32> {
    // Negative coordinates become large ones.
    let inside = u32(start.x - up) < params.out_height && u32(start.y - left) < params.out_width;
    return select(vec4(0.0), s[select(0, start.z + offset, inside)], inside);
}

// Adds what the tiles hold: the eight rows in slots `row` and `row + 8` by the eight columns in slots
// `column` and `column + 8`, two vectors a row.
fn multiply_tiles(sums: ptr<function, array<vec4<f32>, 16>>, row: u32, column: u32) {
    for (var k = 0u; k < DEPTH; k += 1u) {
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

// Puts four rows of four depths into a slot at `k` and the three depths after it.
fn put_rows(slot: u32, k: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) {
    tile_a[k * PITCH + slot] = vec4(a.x, b.x, c.x, d.x);
    tile_a[(k + 1u) * PITCH + slot] = vec4(a.y, b.y, c.y, d.y);
    tile_a[(k + 2u) * PITCH + slot] = vec4(a.z, b.z, c.z, d.z);
    tile_a[(k + 3u) * PITCH + slot] = vec4(a.w, b.w, c.w, d.w);
}

// The same for four columns.
fn put_columns(slot: u32, k: u32, e: vec4<f32>, f: vec4<f32>, g: vec4<f32>, h: vec4<f32>) {
    tile_w[k * PITCH + slot] = vec4(e.x, f.x, g.x, h.x);
    tile_w[(k + 1u) * PITCH + slot] = vec4(e.y, f.y, g.y, h.y);
    tile_w[(k + 2u) * PITCH + slot] = vec4(e.z, f.z, g.z, h.z);
    tile_w[(k + 3u) * PITCH + slot] = vec4(e.w, f.w, g.w, h.w);
}

fn other4(k: u32, i: u32) -> vec4<f32> {
    switch k {
        case 0u: { return other0[i]; }
        case 1u: { return other1[i]; }
        default: { return other2[i]; }
    }
}

// As stabilized_ratio, channel_affine, multiply_add and stabilized_gate have it, for values `4 * i` and the three after it.
fn followed4(kind: u32, step: u32, k: u32, i: u32, sums: vec4<f32>) -> vec4<f32> {
    let p = follow[step];
    switch kind {
        case CLAMP: { return min(max(sums, vec4(p.low)), vec4(p.high)) * p.scale; }
        case AFFINE: {
            let channel = i % (p.channels / 4u);
            return sums * other4(k, channel) + other4(k + 1u, channel);
        }
        case SCALE: { return sums * other4(k, i % (p.channels / 4u)); }
        case ADD: { return sums + other4(k, i); }
        case RATIO: {
            let r = other4(k, i);
            let stable = sums + select(vec4(p.epsilon), vec4(-p.epsilon), sums < vec4(0.0));
            let nothing = (r == vec4(0.0)) | (stable == vec4(0.0));
            return select(r / select(stable, vec4(1.0), nothing), vec4(0.0), nothing);
        }
        case MULTIPLY: {
            let count = p.count / 4u;
            let image = i / count / p.repeat;
            return p.scale * other4(k, image * (p.stride / 4u) + i % count) * sums;
        }
        case GATE: {
            let count = p.count / 4u;
            let image = i / count / p.repeat;
            let a = other4(k, image * (p.stride / 4u) + i % count);
            let stable = a + select(vec4(p.epsilon), vec4(-p.epsilon), a < vec4(0.0));
            let nothing = a == vec4(0.0);
            return select(p.scale * sums * (a / select(stable, vec4(1.0), nothing)), vec4(0.0), nothing);
        }
        default: { return sums; }
    }
}

fn followed_by_all4(i: u32, sums: vec4<f32>) -> vec4<f32> {
    let first = followed4(STEP0, 0u, 0u, i, sums);
    return followed4(STEP2, 2u, FROM2, i, followed4(STEP1, 1u, FROM1, i, first));
}

// How sums are stored.
struct Kind {
    anew: bool, // or added to those of the depths before
    is_last: bool, // or those of further depths are added
    is_whole: bool, // or those of a share of the depth
    first: u32, // the vector of `out` where their share begins
}

// Stores the sums of one row in columns `column` and `column + 32` and the three after each, or adds
// them to what is there.
fn store_both(
    at: vec3<u32>, column: u32, end: u32, lower: vec4<f32>, upper: vec4<f32>, kind: Kind,
) {
    if at.x >= params.batch {
        return;
    }
    let cell = (at.x * params.in_height + at.y) * params.in_width + at.z;
    store(cell, column, end, lower, kind);
    store(cell, column + 32u, end, upper, kind);
}

fn store(cell: u32, channel: u32, end: u32, sums: vec4<f32>, kind: Kind) {
    if channel >= end {
        return;
    }
    let i = kind.first + (cell * params.in_channels + channel) / 4u;
    var c = sums;
    if !kind.anew || (kind.is_whole && params.accumulate == 1u) {
        c += out[i];
    }
    if kind.is_last && kind.is_whole {
        c = followed_by_all4(i, c);
    }
    out[i] = c;
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
    // Where tiles are few, more workgroups share their depth: each of those stores its sums in a
    // place of its own, and `add_shares` adds them up.
    let tiles = column_tiles * params.groups;
    let shares = groups.z / tiles;
    let share = id.z / tiles;
    let group = id.z % tiles / column_tiles;
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
    let first_cell = tile % row_tiles * TILE;

    // While loading, an invocation has four depths in 16 of the four rows and of the four columns of
    // a slot.
    let depth = down.count * across.count * out_count;
    let most = (depth + shares * DEPTH - 1u) / (shares * DEPTH) * DEPTH;
    let begin = min(share * most, depth);
    let end_of_share = min(begin + most, depth);
    let four = lane % 4u * 4u;
    let slot = lane / 4u;
    let cell = first_cell + first_of(slot);
    let start0 = window(position(cell, place_y, place_x, height, width), group, down, across);
    let start1 = window(position(cell + 8u, place_y, place_x, height, width), group, down, across);
    let start2 = window(position(cell + 16u, place_y, place_x, height, width), group, down, across);
    let start3 = window(position(cell + 24u, place_y, place_x, height, width), group, down, across);
    let column = first_column + 4u * slot;
    let step = out_count / 4u;
    let first_tap = (begin + four) / out_count;
    let own_total = params.batch * params.in_height * params.in_width * params.in_channels / 4u;
    var channel = (begin + four) % out_count;
    var ky = first_tap / max(across.count, 1u);
    var kx = first_tap % max(across.count, 1u);
    let end = (group + 1u) * in_count;
    let own_column = group * in_count + first_column + 4u * (lane % 8u);
    let own_cell = first_cell + lane / 8u;
    // At least once: where there is nothing to add, there are zeros to store.
    for (var piece = begin; piece == begin || piece < end_of_share; piece += PIECE) {
        let piece_end = min(piece + PIECE, end_of_share);
        var sums = array<vec4<f32>, 16>();
        var s0 = vec4(0.0);
        var s1 = vec4(0.0);
        var s2 = vec4(0.0);
        var s3 = vec4(0.0);
        var w0 = vec4(0u);
        var w1 = vec4(0u);
        var w2 = vec4(0u);
        var w3 = vec4(0u);
        var at_w = vec4(0u);
        // One round more: the last one only multiplies.
        for (var first = piece; first < piece_end + DEPTH; first += DEPTH) {
            if first > piece {
                put_rows(slot, four, s0, s1, s2, s3);
                put_columns(
                    slot, four,
                    weights_of(w0, at_w.x), weights_of(w1, at_w.y),
                    weights_of(w2, at_w.z), weights_of(w3, at_w.w),
                );
                workgroupBarrier();
            }
            if first < piece_end {
                while channel >= out_count {
                    channel -= out_count;
                    kx += 1u;
                    if kx == across.count {
                        kx = 0u;
                        ky += 1u;
                    }
                }
                let live = first + four < depth;
                let dy = ky * down.hop;
                let dx = kx * across.hop;
                // What lies outside on the other side is as far away.
                let up = select(-OUTSIDE, i32(dy), live);
                let back = (dy * params.out_width + dx) * params.out_channels / 4u;
                let offset = i32(channel / 4u) - i32(back);
                s0 = signals(start0, up, i32(dx), offset);
                s1 = signals(start1, up, i32(dx), offset);
                s2 = signals(start2, up, i32(dx), offset);
                s3 = signals(start3, up, i32(dx), offset);
                let tap_y = group * params.kernel_height + down.first + ky * down.step;
                let tap = tap_y * params.kernel_width + across.first + kx * across.step;
                // What lies outside meets signals of 0 or columns that nobody stores.
                let inside = live && column < in_count;
                let first_w = ((tap * in_count + column) * out_count + channel) / 4u;
                let at = select(0u, first_w, inside);
                let apart = select(0u, step, inside);
                at_w = vec4(at) + vec4(0u, 1u, 2u, 3u) * apart;
                w0 = w[place_of(at_w.x)];
                w1 = w[place_of(at_w.y)];
                w2 = w[place_of(at_w.z)];
                w3 = w[place_of(at_w.w)];
                channel += DEPTH;
            }
            if first > piece {
                multiply_tiles(&sums, lane / 8u, lane % 8u);
                workgroupBarrier();
            }
        }
        let kind = Kind(
            piece == begin, piece + PIECE >= end_of_share, shares == 1u, share * own_total,
        );
        // No loop: arrays whose indices are constants stay in registers.
        var at = position(own_cell, place_y, place_x, height, width);
        store_both(at, own_column, end, sums[0], sums[1], kind);
        at = position(own_cell + 8u, place_y, place_x, height, width);
        store_both(at, own_column, end, sums[2], sums[3], kind);
        at = position(own_cell + 16u, place_y, place_x, height, width);
        store_both(at, own_column, end, sums[4], sums[5], kind);
        at = position(own_cell + 24u, place_y, place_x, height, width);
        store_both(at, own_column, end, sums[6], sums[7], kind);
        at = position(own_cell + 32u, place_y, place_x, height, width);
        store_both(at, own_column, end, sums[8], sums[9], kind);
        at = position(own_cell + 40u, place_y, place_x, height, width);
        store_both(at, own_column, end, sums[10], sums[11], kind);
        at = position(own_cell + 48u, place_y, place_x, height, width);
        store_both(at, own_column, end, sums[12], sums[13], kind);
        at = position(own_cell + 56u, place_y, place_x, height, width);
        store_both(at, own_column, end, sums[14], sums[15], kind);
    }
}
