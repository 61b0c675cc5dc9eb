// As conv2d_quads by cooperative matrices: inputs and weights are rounded to 16 bit, their products
// summed in 32. Powers of two bring both to the middle of what 16 bit hold, inputs those of their
// picture.

enable f16;
enable wgpu_cooperative_matrix;

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
    scale: f32, // a power of two that brings weights to the middle of what 16 bit hold
}

// Parameters of these names, known when the pipeline is made.
override PART: u32 = 0u;
override STORED: u32 = 0u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>; // [group][tap][input][output channel]
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> largest: array<f32>; // of each picture
@group(0) @binding(5) var<storage, read_write> out: array<vec4<f32>>;

// Four subgroups, each of which has a quarter of a tile.
override LANES: u32 = 128u;

const TILE: u32 = 64u;
const DEPTH: u32 = 32u;
// Numbers from one row or column to the next: some more than there are, which spreads them over the
// banks.
const PITCH: u32 = 40u;
// Blocks of four depths of four columns in a tile.
const BLOCKS: u32 = 128u;
// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;
// A coordinate that no tap brings back into the picture.
const OUTSIDE: i32 = -0x40000000;
// Weights that are none.
const NOWHERE: u32 = 0xffffffffu;
const NOTHING: u32 = 7u;

alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;

var<workgroup> tile_a: array<vec4<f16>, 640>; // [row][depth]
var<workgroup> tile_w: array<vec4<f16>, 640>; // [column][depth]
var<workgroup> tile_sums: array<vec4<f32>, 256>; // a matrix for each subgroup
// Where each row's window starts: y, x and the vector of `a`; the bits of what it is multiplied by.
var<workgroup> tile_rows: array<vec4<i32>, 64>;

// Four vectors of rows or of weights for the tiles to come, as they were read. They are looked at when
// the tiles before have been multiplied: what waits for memory should wait there.
struct Ahead {
    x0: vec4<u32>,
    x1: vec4<u32>,
    x2: vec4<u32>,
    x3: vec4<u32>,
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

// Where weights `4 * at` and the three after it lie.
fn place_of(at: u32) -> u32 {
    return select(at / 2u, at, STORED == F32);
}

// The part of them that is taken, from the words of their place, brought to the middle of what 16 bit hold.
fn raised_weights(words: vec4<u32>, at: u32) -> vec4<f16> {
    if at == NOWHERE {
        return vec4<f16>();
    }
    var value = bitcast<vec4<f32>>(words);
    let four = select(words.xy, words.zw, at % 2u == 1u);
    if STORED == BF16 {
        let high = vec4(four.x << 16u, four.x, four.y << 16u, four.y) & vec4(0xffff0000u);
        value = bitcast<vec4<f32>>(high);
    } else if STORED != F32 {
        value = vec4(unpack2x16float(four.x), unpack2x16float(four.y));
    }
    return vec4<f16>(parts_of(value, PART) * params.scale);
}

// The words of weights `4 * at` and the three after it; those of the first ones in place of none.
fn words_ahead(at: vec4<u32>) -> Ahead {
    let i = select(at, vec4(0u), at == vec4(NOWHERE));
    return Ahead(w[place_of(i.x)], w[place_of(i.y)], w[place_of(i.z)], w[place_of(i.w)]);
}

// A power of two that brings the largest magnitude to 1024 or less than twice that.
fn raise(largest: f32) -> f32 {
    // Exponents count from 127, and no power may leave what f32 hold, nor may its inverse.
    return bitcast<f32>(clamp(264u - (bitcast<u32>(largest) >> 23u), 1u, 253u) << 23u);
}

// 1 by the product of two powers of two, which f32 need not hold: 0 where that is too large.
fn inverse(one: f32, other: f32) -> f32 {
    let exponent = 381 - i32(bitcast<u32>(one) >> 23u) - i32(bitcast<u32>(other) >> 23u);
    return bitcast<f32>(u32(clamp(exponent, 0, 254)) << 23u);
}

// Where the window of an output position starts.
fn window(position: u32, group: u32, in_count: u32) -> vec4<i32> {
    let line = position / params.out_width;
    let image = line / params.out_height;
    if image >= params.batch {
        return vec4(OUTSIDE, OUTSIDE, 0, 0);
    }
    let top = line % params.out_height * params.stride_height;
    let left = position % params.out_width * params.stride_width;
    let y = i32(top) - i32(params.padding_height);
    let x = i32(left) - i32(params.padding_width);
    let pixel = (i32(image * params.in_height) + y) * i32(params.in_width) + x;
    let first = pixel * i32(params.in_channels / 4u) + i32(group * in_count / 4u);
    return vec4(y, x, first, bitcast<i32>(raise(largest[image])));
}

// Where in the windows of its rows an invocation reads.
struct Tap {
    channel: u32,
    kx: u32,
    ky: u32,
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

// The vector of `a` at which a row's window is met by a tap; OUTSIDE where it is by none.
fn met(row: u32, tap: Tap, live: bool) -> i32 {
    let start = tile_rows[min(row, TILE - 1u)];
    let down = i32(tap.ky * params.dilation_height);
    let right = i32(tap.kx * params.dilation_width);
    // Negative coordinates become large ones.
    let inside = u32(start.x + down) < params.in_height && u32(start.y + right) < params.in_width;
    let further = (down * i32(params.in_width) + right) * i32(params.in_channels / 4u);
    return select(OUTSIDE, start.z + further + i32(tap.channel / 4u), inside && live && row < TILE);
}

// The same for the four rows that an invocation reads ahead.
fn all_met(row: u32, tap: Tap, live: bool) -> vec4<i32> {
    return vec4(
        met(row, tap, live), met(row + LANES / 8u, tap, live),
        met(row + LANES / 4u, tap, live), met(row + LANES / 8u * 3u, tap, live),
    );
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

// Puts what was read of a row into its tile, times the row's power of two; the tile may have no such row.
fn put_row(row: u32, k: u32, words: vec4<u32>, at: i32) {
    if row < TILE {
        let found = bitcast<vec4<f32>>(words) * bitcast<f32>(tile_rows[row].w);
        tile_a[(row * PITCH + k) / 4u] = vec4<f16>(select(vec4(0.0), found, at >= 0));
    }
}

fn put_four_rows(row: u32, k: u32, ahead: Ahead, at: vec4<i32>) {
    put_row(row, k, ahead.x0, at.x);
    put_row(row + LANES / 8u, k, ahead.x1, at.y);
    put_row(row + LANES / 4u, k, ahead.x2, at.z);
    put_row(row + LANES / 8u * 3u, k, ahead.x3, at.w);
}

// The columns of a tile.
struct Columns {
    first: u32, // the first weights of the group at these columns
    count: u32, // that there are
    step: u32, // to the next depth
    end: u32, // depths that there are
}

// Where four depths of a block's columns lie, in the tile that begins at a depth.
fn block_at(block: u32, depth: u32, columns: Columns) -> vec4<u32> {
    let k = vec4(depth + block / 16u * 4u) + vec4(0u, 1u, 2u, 3u);
    let has_columns = block < BLOCKS && block % 16u * 4u < columns.count;
    let inside = (k < vec4(columns.end)) & vec4(has_columns);
    return select(vec4(NOWHERE), columns.first + k * columns.step + block % 16u, inside);
}

// Puts what was read of a block into the tile; it may have no such.
fn put_block(block: u32, ahead: Ahead, at: vec4<u32>) {
    if block >= BLOCKS {
        return;
    }
    let x0 = raised_weights(ahead.x0, at.x);
    let x1 = raised_weights(ahead.x1, at.y);
    let x2 = raised_weights(ahead.x2, at.z);
    let x3 = raised_weights(ahead.x3, at.w);
    let i = (block % 16u * 4u * PITCH + block / 16u * 4u) / 4u;
    tile_w[i] = vec4(x0.x, x1.x, x2.x, x3.x);
    tile_w[i + PITCH / 4u] = vec4(x0.y, x1.y, x2.y, x3.y);
    tile_w[i + PITCH / 2u] = vec4(x0.z, x1.z, x2.z, x3.z);
    tile_w[i + PITCH / 4u * 3u] = vec4(x0.w, x1.w, x2.w, x3.w);
}

// How sums are stored.
struct Kind {
    is_whole: bool, // or those of a share of the depth
    first: u32, // the vector of `out` where their share begins
}

// Stores four sums with their bias, or adds them to what is there.
fn store(position: u32, channel: u32, end: u32, sums: vec4<f32>, kind: Kind) {
    if position >= params.batch * params.out_height * params.out_width || channel >= end {
        return;
    }
    let i = kind.first + (position * params.out_channels + channel) / 4u;
    let image = position / (params.out_height * params.out_width);
    var z = sums * inverse(params.scale, raise(largest[image]));
    if kind.is_whole && params.bias_part != NOTHING {
        let bias = vec4(b[channel], b[channel + 1u], b[channel + 2u], b[channel + 3u]);
        z += parts_of(bias, params.bias_part);
    }
    if kind.is_whole && params.accumulate == 1u {
        z += out[i];
    }
    out[i] = z;
}

// Stores the sums of all four subgroups, one matrix of each; its first row and column in their
// quarter.
fn store_all(lane: u32, first_row: u32, first_column: u32, group: u32, kind: Kind) {
    let out_count = params.out_channels / params.groups;
    for (var i = lane; i < 256u; i += LANES) {
        let row = first_row + i / 128u * 32u + i / 4u % 16u;
        let column = first_column + i / 64u % 2u * 32u + i % 4u * 4u;
        store(row, group * out_count + column, (group + 1u) * out_count, tile_sums[i], kind);
    }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let in_count = params.in_channels / params.groups;
    let out_count = params.out_channels / params.groups;
    let column_tiles = (out_count + TILE - 1u) / TILE;
    // Where tiles are few, more workgroups share their depth: each of those stores its sums in a
    // place of its own, and `add_shares` adds them up.
    let tiles = column_tiles * params.groups;
    let shares = groups.z / tiles;
    let share = id.z / tiles;
    let group = id.z % tiles / column_tiles;
    let first_column = id.z % column_tiles * TILE;
    let first_row = (id.y * groups.x + id.x) * TILE;
    if first_row >= params.batch * params.out_height * params.out_width {
        return;
    }
    for (var row = lane; row < TILE; row += LANES) {
        tile_rows[row] = window(first_row + row, group, in_count);
    }
    workgroupBarrier();

    let depth = params.kernel_height * params.kernel_width * in_count;
    let most = (depth + shares * DEPTH - 1u) / (shares * DEPTH) * DEPTH;
    let begin = min(share * most, depth);
    let end_of_share = min(begin + most, depth);
    // While loading, an invocation has the same four depths of all its rows, of which it reads four ahead; in
    // small workgroups the others are read when their tile is made, as are weights.
    let four = lane % 8u * 4u;
    let row = lane / 8u;
    var tap = Tap(
        (begin + four) % in_count, (begin + four) / in_count % params.kernel_width,
        (begin + four) / in_count / params.kernel_width,
    );
    let columns = Columns(
        (group * depth * out_count + first_column) / 4u, out_count - first_column, out_count / 4u,
        end_of_share,
    );
    var at_a = all_met(row, tap, begin + four < end_of_share);
    var at_w = block_at(lane, begin, columns);
    var ahead_a = rows_ahead(at_a);
    var ahead_w = words_ahead(at_w);
    let own_row = subgroup / 2u * 32u;
    let own_column = subgroup % 2u * 32u;
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    for (var first = begin; first < end_of_share; first += DEPTH) {
        put_four_rows(row, four, ahead_a, at_a);
        put_block(lane, ahead_w, at_w);
        for (var i = row + LANES / 2u; i < TILE; i += LANES / 8u) {
            let at = met(i, tap, first + four < end_of_share);
            put_row(i, four, bitcast<vec4<u32>>(a[max(at, 0)]), at);
        }
        for (var block = lane + LANES; block < BLOCKS; block += LANES) {
            let at = block_at(block, first, columns);
            put_block(block, words_ahead(at), at);
        }
        workgroupBarrier();
        let next = first + DEPTH;
        if next < end_of_share {
            tap.channel += DEPTH;
            tap = tap_after(tap, in_count, params.kernel_width);
            at_a = all_met(row, tap, next + four < end_of_share);
            at_w = block_at(lane, next, columns);
            ahead_a = rows_ahead(at_a);
            ahead_w = words_ahead(at_w);
        }
        for (var k = 0u; k < DEPTH; k += 16u) {
            let a0 = coopLoadT<Left>(&tile_a[(own_row * PITCH + k) / 4u], PITCH / 4u);
            let a1 = coopLoadT<Left>(&tile_a[((own_row + 16u) * PITCH + k) / 4u], PITCH / 4u);
            let w0 = coopLoad<Right>(&tile_w[(own_column * PITCH + k) / 4u], PITCH / 4u);
            let w1 = coopLoad<Right>(&tile_w[((own_column + 16u) * PITCH + k) / 4u], PITCH / 4u);
            s0 = coopMultiplyAdd(a0, w0, s0);
            s1 = coopMultiplyAdd(a0, w1, s1);
            s2 = coopMultiplyAdd(a1, w0, s2);
            s3 = coopMultiplyAdd(a1, w1, s3);
        }
        workgroupBarrier();
    }
    let own_total = params.batch * params.out_height * params.out_width * params.out_channels / 4u;
    let kind = Kind(shares == 1u, share * own_total);
    coopStoreT(s0, &tile_sums[subgroup * 64u], 4u);
    workgroupBarrier();
    store_all(lane, first_row, first_column, group, kind);
    workgroupBarrier();
    coopStoreT(s1, &tile_sums[subgroup * 64u], 4u);
    workgroupBarrier();
    store_all(lane, first_row, first_column + 16u, group, kind);
    workgroupBarrier();
    coopStoreT(s2, &tile_sums[subgroup * 64u], 4u);
    workgroupBarrier();
    store_all(lane, first_row + 16u, first_column, group, kind);
    workgroupBarrier();
    coopStoreT(s3, &tile_sums[subgroup * 64u], 4u);
    workgroupBarrier();
    store_all(lane, first_row + 16u, first_column + 16u, group, kind);
}
