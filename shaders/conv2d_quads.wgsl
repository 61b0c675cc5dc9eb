// As conv2d, where the channels of a group come in fours, in and out: inputs and weights are read four at
// a time, and while the tiles are multiplied those of the next depths are on their way.
//
// What branches would ask for in the innermost loop is known when the pipeline is made: PART and STORED are
// `part` and `stored` of the parameters. Tiles have 64 rows and columns, or 128 by four times as many
// invocations, of which every 64 multiply a quarter.

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
    rounding: u32, // not 1: not exact
}

override PART: u32 = 0u;
override STORED: u32 = 0u;
override SIDE: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>; // [group][tap][input][output channel]
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

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

@group(0) @binding(5) var<uniform> follow: array<Follow, 3>;
@group(0) @binding(6) var<storage, read> other0: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> other1: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read> other2: array<vec4<f32>>;

const CLAMP: u32 = 1u;
const AFFINE: u32 = 2u;
const SCALE: u32 = 3u;
const ADD: u32 = 4u;
const RATIO: u32 = 5u;
const MULTIPLY: u32 = 6u;
const GATE: u32 = 7u;

const DEPTH: u32 = 16u;
// How far sums go down before they are stored and start anew: f32 loses digits in longer ones.
const PIECE: u32 = 256u;
// Vectors from one depth to the next: a side, and one that spreads them over the banks.
override PITCH: u32 = SIDE / 4u + 1u;
override VECTORS: u32 = DEPTH * PITCH;
override LANES: u32 = SIDE * SIDE / 64u;
// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;
// A coordinate that no tap brings back into the picture, and a vector before the first.
const OUTSIDE: i32 = -0x40000000;
// A vector of `out` that is none.
const NOWHERE: u32 = 0xffffffffu;
const NOTHING: u32 = 7u;

// Each vector ("slot") of `tile_a` holds four rows, 8 apart: see `first_of`. Each of `tile_w` holds
// four columns side by side.
var<workgroup> tile_a: array<vec4<f32>, VECTORS>;
var<workgroup> tile_w: array<vec4<f32>, VECTORS>;
// Where each row's window starts: y, x and the vector of `a`.
var<workgroup> tile_rows: array<vec3<i32>, SIDE>;

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
    if STORED == BF16 {
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
    return select(at / 2u, at, STORED == F32);
}

// The part of them that is taken, from the words of their place.
fn weights_of(words: vec4<u32>, at: u32) -> vec4<f32> {
    if STORED == F32 {
        return parts_of(bitcast<vec4<f32>>(words), PART);
    }
    return parts_of(numbers16(select(words.xy, words.zw, at % 2u == 1u)), PART);
}

// The first row in a slot: of every 16, the first eight hold the lower 32 rows of 64, the others the upper.
fn first_of(slot: u32) -> u32 {
    return slot / 8u * 32u + slot % 8u;
}

// Where the window of an output position starts: y, x and the vector of `a`.
fn window(position: u32, group: u32, in_count: u32) -> vec3<i32> {
    let line = position / params.out_width;
    let image = line / params.out_height;
    if image >= params.batch {
        return vec3(OUTSIDE, OUTSIDE, 0);
    }
    let top = line % params.out_height * params.stride_height;
    let left = position % params.out_width * params.stride_width;
    let y = i32(top) - i32(params.padding_height);
    let x = i32(left) - i32(params.padding_width);
    let pixel = (i32(image * params.in_height) + y) * i32(params.in_width) + x;
    return vec3(y, x, pixel * i32(params.in_channels / 4u) + i32(group * in_count / 4u));
}

// Where in the window of each row an invocation reads.
struct Tap {
    channel: u32,
    kx: u32,
    ky: u32,
}

// The vector of `a` at which the windows of four rows, 8 apart, are met by a tap; OUTSIDE where it is by
// none.
fn met(row: u32, tap: Tap) -> vec4<i32> {
    let s0 = tile_rows[row];
    let s1 = tile_rows[row + 8u];
    let s2 = tile_rows[row + 16u];
    let s3 = tile_rows[row + 24u];
    let down = i32(tap.ky * params.dilation_height);
    let right = i32(tap.kx * params.dilation_width);
    let y = vec4(s0.x, s1.x, s2.x, s3.x) + down;
    let x = vec4(s0.y, s1.y, s2.y, s3.y) + right;
    let first = vec4(s0.z, s1.z, s2.z, s3.z);
    let further = (down * i32(params.in_width) + right) * i32(params.in_channels / 4u);
    // Negative coordinates become large ones.
    let height = vec4(params.in_height);
    let width = vec4(params.in_width);
    let inside = (vec4<u32>(y) < height) & (vec4<u32>(x) < width);
    return select(vec4(OUTSIDE), first + further, inside);
}

// The next tap whose channels are not all behind.
fn tap_after(tap: Tap, channels: u32, width: u32) -> Tap {
    var next = tap;
    while next.channel >= channels {
        next.channel -= channels;
        next.kx += 1u;
        if next.kx == width {
            next.kx = 0u;
            next.ky += 1u;
        }
    }
    return next;
}

// Four vectors for the tiles to come, as they were read. They are looked at when the tiles before have been
// multiplied: what waits for memory should wait there.
struct Ahead {
    x0: vec4<u32>,
    x1: vec4<u32>,
    x2: vec4<u32>,
    x3: vec4<u32>,
}

// Four inputs of each of four rows. Where there are none the first are read, so that all reads go out at
// once.
fn rows_ahead(at: vec4<i32>) -> Ahead {
    let i = max(at, vec4(0));
    return Ahead(
        bitcast<vec4<u32>>(a[i.x]), bitcast<vec4<u32>>(a[i.y]),
        bitcast<vec4<u32>>(a[i.z]), bitcast<vec4<u32>>(a[i.w]),
    );
}

// The words of four vectors of weights.
fn weights_ahead(at: vec4<u32>) -> Ahead {
    return Ahead(w[place_of(at.x)], w[place_of(at.y)], w[place_of(at.z)], w[place_of(at.w)]);
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
fn put_rows(slot: u32, k: u32, ahead: Ahead, at: vec4<i32>) {
    let none = vec4(0.0);
    let depths = transpose(mat4x4(
        select(none, bitcast<vec4<f32>>(ahead.x0), at.x >= 0),
        select(none, bitcast<vec4<f32>>(ahead.x1), at.y >= 0),
        select(none, bitcast<vec4<f32>>(ahead.x2), at.z >= 0),
        select(none, bitcast<vec4<f32>>(ahead.x3), at.w >= 0),
    ));
    tile_a[k * PITCH + slot] = depths[0];
    tile_a[(k + 1u) * PITCH + slot] = depths[1];
    tile_a[(k + 2u) * PITCH + slot] = depths[2];
    tile_a[(k + 3u) * PITCH + slot] = depths[3];
}

// Puts a slot of columns at `k` and every fourth depth after it.
fn put_columns(slot: u32, k: u32, ahead: Ahead, at: vec4<u32>) {
    tile_w[k * PITCH + slot] = weights_of(ahead.x0, at.x);
    tile_w[(k + 4u) * PITCH + slot] = weights_of(ahead.x1, at.y);
    tile_w[(k + 8u) * PITCH + slot] = weights_of(ahead.x2, at.z);
    tile_w[(k + 12u) * PITCH + slot] = weights_of(ahead.x3, at.w);
}

fn other4(k: u32, i: u32) -> vec4<f32> {
    switch k {
        case 0u: { return other0[i]; }
        case 1u: { return other1[i]; }
        default: { return other2[i]; }
    }
}

// As stabilized_ratio, channel_affine, multiply_add and stabilized_gate have it, for values `4 * i` and
// the three after it.
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
    channels: u32, // of a row
    end: u32, // the first channel past the group's
}

// The vectors of `out` where four rows have a column; NOWHERE for those that are none.
fn vectors_of(rows: vec4<u32>, column: u32, kind: Kind) -> vec4<u32> {
    let inside = (rows != vec4(NOWHERE)) & vec4(column < kind.end);
    return select(vec4(NOWHERE), (rows * kind.channels + column) / 4u, inside);
}

// A vector that can be read: the first in place of none, which nobody looks at, be it written meanwhile.
fn readable(i: u32) -> u32 {
    return select(i, 0u, i == NOWHERE);
}

fn put(i: u32, first: u32, value: vec4<f32>) {
    if i != NOWHERE {
        out[first + i] = value;
    }
}

// Stores the sums of four rows in columns `column` and `column + 32` and the three after each, with their
// biases, or adds them to what is there. All that is read goes out before anything is stored.
fn store_four(
    rows: vec4<u32>, column: u32, kind: Kind, biases: array<vec4<f32>, 2>,
    a0: vec4<f32>, a1: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>,
    c0: vec4<f32>, c1: vec4<f32>, d0: vec4<f32>, d1: vec4<f32>,
) {
    let i = vectors_of(rows, column, kind);
    let j = vectors_of(rows, column + 32u, kind);
    var lower = mat4x4(a0, b0, c0, d0);
    var upper = mat4x4(a1, b1, c1, d1);
    if kind.anew && kind.is_whole {
        lower += mat4x4(biases[0], biases[0], biases[0], biases[0]);
        upper += mat4x4(biases[1], biases[1], biases[1], biases[1]);
    }
    if !kind.anew || (kind.is_whole && params.accumulate == 1u) {
        lower += mat4x4(
            out[kind.first + readable(i.x)], out[kind.first + readable(i.y)],
            out[kind.first + readable(i.z)], out[kind.first + readable(i.w)],
        );
        upper += mat4x4(
            out[kind.first + readable(j.x)], out[kind.first + readable(j.y)],
            out[kind.first + readable(j.z)], out[kind.first + readable(j.w)],
        );
    }
    if STEP0 != 0u && kind.is_last && kind.is_whole {
        lower = mat4x4(
            followed_by_all4(readable(i.x), lower[0]), followed_by_all4(readable(i.y), lower[1]),
            followed_by_all4(readable(i.z), lower[2]), followed_by_all4(readable(i.w), lower[3]),
        );
        upper = mat4x4(
            followed_by_all4(readable(j.x), upper[0]), followed_by_all4(readable(j.y), upper[1]),
            followed_by_all4(readable(j.z), upper[2]), followed_by_all4(readable(j.w), upper[3]),
        );
    }
    put(i.x, kind.first, lower[0]);
    put(j.x, kind.first, upper[0]);
    put(i.y, kind.first, lower[1]);
    put(j.y, kind.first, upper[1]);
    put(i.z, kind.first, lower[2]);
    put(j.z, kind.first, upper[2]);
    put(i.w, kind.first, lower[3]);
    put(j.w, kind.first, upper[3]);
}

// The numbers of four output positions, 8 apart; NOWHERE for those that are none.
fn rows_from(row: u32) -> vec4<u32> {
    let rows = vec4(row) + vec4(0u, 8u, 16u, 24u);
    let count = params.batch * params.out_height * params.out_width;
    return select(vec4(NOWHERE), rows, rows < vec4(count));
}

fn bias_of(column: u32, end: u32) -> vec4<f32> {
    if params.bias_part == NOTHING {
        return vec4(0.0);
    }
    let i = select(0u, column, column < end);
    return parts_of(vec4(b[i], b[i + 1u], b[i + 2u], b[i + 3u]), params.bias_part);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let in_count = params.in_channels / params.groups;
    let out_count = params.out_channels / params.groups;
    let column_tiles = (out_count + SIDE - 1u) / SIDE;
    // Where tiles are few, more workgroups share their depth: each of those stores its sums in a
    // place of its own, and `add_shares` adds them up.
    let tiles = column_tiles * params.groups;
    let shares = groups.z / tiles;
    let share = id.z / tiles;
    let group = id.z % tiles / column_tiles;
    let first_column = id.z % column_tiles * SIDE;
    let first_row = (id.y * groups.x + id.x) * SIDE;
    if first_row >= params.batch * params.out_height * params.out_width {
        return;
    }
    let depth = params.kernel_height * params.kernel_width * in_count;
    let most = (depth + shares * DEPTH - 1u) / (shares * DEPTH) * DEPTH;
    let begin = min(share * most, depth);
    let end_of_share = min(begin + most, depth);

    for (var row = lane; row < SIDE; row += LANES) {
        tile_rows[row] = window(first_row + row, group, in_count);
    }
    workgroupBarrier();

    // While loading, an invocation has four depths in 16 of the four rows of a slot, and a slot of
    // columns at every fourth depth; in large tiles only one of the two.
    let is_small = SIDE == 64u;
    let has_rows = is_small || lane < SIDE;
    let has_columns = is_small || lane >= SIDE;
    let four = lane % 4u * 4u;
    let slot = lane % SIDE / 4u;
    let row = first_of(slot);
    let low = lane % (SIDE / 4u);
    let high = lane % SIDE / (SIDE / 4u);
    let column = first_column + 4u * low;
    let step = select(0u, out_count / 4u, column < out_count);
    let start_w = select(0u, (group * depth * out_count + column) / 4u, column < out_count);
    var tap = Tap(
        (begin + four) % in_count, (begin + four) / in_count % params.kernel_width,
        (begin + four) / in_count / params.kernel_width,
    );
    var windows = met(row, tap);
    let own_total = params.batch * params.out_height * params.out_width * params.out_channels / 4u;
    let end = (group + 1u) * out_count;
    let quarter = lane / 64u;
    let own_column = group * out_count + first_column + quarter % 2u * 64u + 4u * (lane % 8u);
    let own_row = first_row + quarter / 2u * 64u + lane % 64u / 8u;
    var at_a = windows + i32(tap.channel / 4u) + select(OUTSIDE, 0, begin + four < depth);
    // What lies outside meets inputs of 0 or columns that nobody stores.
    let depths = vec4(high) + vec4(0u, 4u, 8u, 12u);
    var at_w = vec4(start_w) + min(begin + depths, vec4(depth - 1u)) * step;
    // Of a large tile an invocation reads rows or columns, of a small one both.
    var ahead = Ahead();
    var ahead_w = Ahead();
    if has_rows {
        ahead = rows_ahead(at_a);
    }
    if is_small {
        ahead_w = weights_ahead(at_w);
    } else if has_columns {
        ahead = weights_ahead(at_w);
    }
    // At least once: where there is nothing to add, there are zeros to store.
    for (var piece = begin; piece == begin || piece < end_of_share; piece += PIECE) {
        let piece_end = min(piece + PIECE, end_of_share);
        var sums = array<vec4<f32>, 16>();
        for (var first = piece; first < piece_end; first += DEPTH) {
            if has_rows {
                put_rows(slot, four, ahead, at_a);
            }
            if is_small {
                put_columns(low, high, ahead_w, at_w);
            } else if has_columns {
                put_columns(low, high, ahead, at_w);
            }
            workgroupBarrier();
            let next = first + DEPTH;
            if next < end_of_share {
                tap.channel += DEPTH;
                // Windows are looked at again where another tap begins.
                if tap.channel >= in_count {
                    tap = tap_after(tap, in_count, params.kernel_width);
                    windows = met(row, tap);
                }
                at_a = windows + i32(tap.channel / 4u) + select(OUTSIDE, 0, next + four < depth);
                at_w = vec4(start_w) + min(next + depths, vec4(depth - 1u)) * step;
                if has_rows {
                    ahead = rows_ahead(at_a);
                }
                if is_small {
                    ahead_w = weights_ahead(at_w);
                } else if has_columns {
                    ahead = weights_ahead(at_w);
                }
            }
            multiply_tiles(
                &sums, quarter / 2u * 16u + lane % 64u / 8u, quarter % 2u * 16u + lane % 8u,
            );
            workgroupBarrier();
        }
        let kind = Kind(
            piece == begin, piece + PIECE >= end_of_share, shares == 1u, share * own_total,
            params.out_channels, end,
        );
        let biases = array(bias_of(own_column, end), bias_of(own_column + 32u, end));
        // No loop: arrays whose indices are constants stay in registers.
        store_four(
            rows_from(own_row), own_column, kind, biases,
            sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7],
        );
        store_four(
            rows_from(own_row + 32u), own_column, kind, biases,
            sums[8], sums[9], sums[10], sums[11], sums[12], sums[13], sums[14], sums[15],
        );
    }
}
