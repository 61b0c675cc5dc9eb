// As conv_transpose2d_quads by cooperative matrices: signals and weights are rounded to 16 bit, their
// products summed in 32. Powers of two bring both to the middle of what 16 bit hold, signals those of
// their row.

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
@group(0) @binding(1) var<storage, read> s: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>; // [group][tap][input][output channel]
@group(0) @binding(3) var<storage, read> largest: array<f32>; // of each row of the signal
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

// Four subgroups, each of which has a quarter of a tile.
override LANES: u32 = 128u;

const TILE: u32 = 64u;
const DEPTH: u32 = 32u;
// Numbers from one row or column to the next: some more than there are, which spreads them over the
// banks.
const PITCH: u32 = 40u;
// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;
// A coordinate that no tap brings back into the picture.
const OUTSIDE: i32 = -0x40000000;
// Weights that are none.
const NOWHERE: u32 = 0xffffffffu;

alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;

var<workgroup> tile_a: array<vec4<f16>, 640>; // [row][depth]
var<workgroup> tile_w: array<vec4<f16>, 640>; // [column][depth]
var<workgroup> tile_sums: array<vec4<f32>, 256>; // a matrix for each subgroup
// The window that meets each row at the first taps: y, x and the vector of `s`; the bits of what it
// is multiplied by.
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

// Where an input position lies: image, y and x; past the last image if there is no such.
fn position(cell: u32, place_y: u32, place_x: u32, height: u32, width: u32) -> vec3<u32> {
    let y = cell / width % height * params.stride_height + place_y;
    let x = cell % width * params.stride_width + place_x;
    let inside = y < params.in_height && x < params.in_width;
    return vec3(select(params.batch, cell / (height * width), inside), y, x);
}

// The window that meets an input position at the first taps.
fn window(at: vec3<u32>, group: u32, down: Taps, across: Taps) -> vec4<i32> {
    if at.x >= params.batch {
        return vec4(OUTSIDE, OUTSIDE, 0, 0);
    }
    // The divisions leave no remainder, below zero neither.
    let top = i32(at.y + params.padding_height) - i32(down.first * params.dilation_height);
    let left = i32(at.z + params.padding_width) - i32(across.first * params.dilation_width);
    let oy = top / i32(params.stride_height);
    let ox = left / i32(params.stride_width);
    let pixel = (i32(at.x * params.out_height) + oy) * i32(params.out_width) + ox;
    let out_count = params.out_channels / params.groups;
    let first = pixel * i32(params.out_channels / 4u) + i32(group * out_count / 4u);
    return vec4(oy, ox, first, bitcast<i32>(raise(largest[at.x])));
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

// The vector of `s` at which a row's first window is met by a tap; OUTSIDE where there is no such window.
fn met(row: u32, tap: Tap, down: Taps, across: Taps, live: bool) -> i32 {
    let start = tile_rows[min(row, TILE - 1u)];
    let up = i32(tap.ky * down.hop);
    let left = i32(tap.kx * across.hop);
    // Negative coordinates become large ones.
    let inside = u32(start.x - up) < params.out_height && u32(start.y - left) < params.out_width;
    let back = (up * i32(params.out_width) + left) * i32(params.out_channels / 4u);
    return select(OUTSIDE, start.z - back + i32(tap.channel / 4u), inside && live && row < TILE);
}

// The same for the four rows that an invocation reads ahead.
fn all_met(row: u32, tap: Tap, down: Taps, across: Taps, live: bool) -> vec4<i32> {
    return vec4(
        met(row, tap, down, across, live), met(row + LANES / 8u, tap, down, across, live),
        met(row + LANES / 4u, tap, down, across, live), met(row + LANES / 8u * 3u, tap, down, across, live),
    );
}

// Four signals of each of four rows. Where there are none the first are read, so that all reads go out at
// once.
fn rows_ahead(at: vec4<i32>) -> Ahead {
    let i = max(at, vec4(0));
    return Ahead(
        bitcast<vec4<u32>>(s[i.x]), bitcast<vec4<u32>>(s[i.y]),
        bitcast<vec4<u32>>(s[i.z]), bitcast<vec4<u32>>(s[i.w]),
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
    first: u32, // in the group
    count: u32, // that there are
    group: u32,
}

// Where a column's four weights lie that meet a tap.
fn column_at(column: u32, tap: Tap, down: Taps, across: Taps, columns: Columns, live: bool) -> u32 {
    let ky = columns.group * params.kernel_height + down.first + tap.ky * down.step;
    let kx = across.first + tap.kx * across.step;
    let in_count = params.in_channels / params.groups;
    let row = (ky * params.kernel_width + kx) * in_count + columns.first + column;
    let at = row * (params.out_channels / params.groups / 4u) + tap.channel / 4u;
    return select(NOWHERE, at, live && column < columns.count && column < TILE);
}

fn all_columns_at(
    column: u32, tap: Tap, down: Taps, across: Taps, columns: Columns, live: bool,
) -> vec4<u32> {
    return vec4(
        column_at(column, tap, down, across, columns, live),
        column_at(column + LANES / 8u, tap, down, across, columns, live),
        column_at(column + LANES / 4u, tap, down, across, columns, live),
        column_at(column + LANES / 8u * 3u, tap, down, across, columns, live),
    );
}

// Puts what was read of a column's four weights into their tile; it may have no such column.
fn put_column(column: u32, k: u32, words: vec4<u32>, at: u32) {
    if column < TILE {
        tile_w[(column * PITCH + k) / 4u] = raised_weights(words, at);
    }
}

fn put_columns(column: u32, k: u32, ahead: Ahead, at: vec4<u32>) {
    put_column(column, k, ahead.x0, at.x);
    put_column(column + LANES / 8u, k, ahead.x1, at.y);
    put_column(column + LANES / 4u, k, ahead.x2, at.z);
    put_column(column + LANES / 8u * 3u, k, ahead.x3, at.w);
}

// How sums are stored.
struct Kind {
    is_whole: bool, // or those of a share of the depth
    first: u32, // the vector of `out` where their share begins
}

// Stores four sums, or adds them to what is there.
fn store(at: vec3<u32>, channel: u32, end: u32, sums: vec4<f32>, kind: Kind) {
    if at.x >= params.batch || channel >= end {
        return;
    }
    let cell = (at.x * params.in_height + at.y) * params.in_width + at.z;
    let i = kind.first + (cell * params.in_channels + channel) / 4u;
    var c = sums * inverse(params.scale, raise(largest[at.x]));
    if kind.is_whole && params.accumulate == 1u {
        c += out[i];
    }
    out[i] = c;
}

// Where the positions of a tile lie.
struct Place {
    first_cell: u32,
    y: u32,
    x: u32,
    height: u32,
    width: u32,
}

// Stores the sums of all four subgroups, one matrix of each; its first row and column in their
// quarter.
fn store_all(lane: u32, place: Place, row: u32, first_column: u32, group: u32, kind: Kind) {
    let in_count = params.in_channels / params.groups;
    for (var i = lane; i < 256u; i += LANES) {
        let cell = place.first_cell + row + i / 128u * 32u + i / 4u % 16u;
        let column = first_column + i / 64u % 2u * 32u + i % 4u * 4u;
        let at = position(cell, place.y, place.x, place.height, place.width);
        store(at, group * in_count + column, (group + 1u) * in_count, tile_sums[i], kind);
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
    let place_number = tile / row_tiles;
    if place_number >= params.stride_height * params.stride_width {
        return;
    }
    let place_y = place_number / params.stride_width;
    let place_x = place_number % params.stride_width;
    let place = Place(tile % row_tiles * TILE, place_y, place_x, height, width);
    let down = taps(
        place_y, params.kernel_height,
        params.stride_height, params.padding_height, params.dilation_height,
    );
    let across = taps(
        place_x, params.kernel_width,
        params.stride_width, params.padding_width, params.dilation_width,
    );
    for (var row = lane; row < TILE; row += LANES) {
        let at = position(place.first_cell + row, place_y, place_x, height, width);
        tile_rows[row] = window(at, group, down, across);
    }
    workgroupBarrier();

    let depth = down.count * across.count * out_count;
    let most = (depth + shares * DEPTH - 1u) / (shares * DEPTH) * DEPTH;
    let begin = min(share * most, depth);
    let end_of_share = min(begin + most, depth);
    // While loading, an invocation has the same four depths of all its rows and columns, of which it
    // reads four ahead; in small workgroups the others are read when their tile is made.
    let four = lane % 8u * 4u;
    let row = lane / 8u;
    let first_tap = (begin + four) / out_count;
    var tap = Tap(
        (begin + four) % out_count, first_tap % max(across.count, 1u), first_tap / max(across.count, 1u),
    );
    let columns = Columns(first_column, in_count - first_column, group);
    let begins = begin + four < end_of_share;
    var at_s = all_met(row, tap, down, across, begins);
    var at_w = all_columns_at(row, tap, down, across, columns, begins);
    var ahead_s = rows_ahead(at_s);
    var ahead_w = words_ahead(at_w);
    let own_row = subgroup / 2u * 32u;
    let own_column = subgroup % 2u * 32u;
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    for (var first = begin; first < end_of_share; first += DEPTH) {
        put_four_rows(row, four, ahead_s, at_s);
        put_columns(row, four, ahead_w, at_w);
        for (var i = row + LANES / 2u; i < TILE; i += LANES / 8u) {
            let live = first + four < end_of_share;
            let at = met(i, tap, down, across, live);
            put_row(i, four, bitcast<vec4<u32>>(s[max(at, 0)]), at);
            let of_column = column_at(i, tap, down, across, columns, live);
            put_column(i, four, w[place_of(select(of_column, 0u, of_column == NOWHERE))], of_column);
        }
        workgroupBarrier();
        let next = first + DEPTH;
        if next < end_of_share {
            tap.channel += DEPTH;
            tap = tap_after(tap, out_count, across.count);
            let live = next + four < end_of_share;
            at_s = all_met(row, tap, down, across, live);
            at_w = all_columns_at(row, tap, down, across, columns, live);
            ahead_s = rows_ahead(at_s);
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
    let own_total = params.batch * params.in_height * params.in_width * params.in_channels / 4u;
    let kind = Kind(shares == 1u, share * own_total);
    coopStoreT(s0, &tile_sums[subgroup * 64u], 4u);
    workgroupBarrier();
    store_all(lane, place, 0u, first_column, group, kind);
    workgroupBarrier();
    coopStoreT(s1, &tile_sums[subgroup * 64u], 4u);
    workgroupBarrier();
    store_all(lane, place, 0u, first_column + 16u, group, kind);
    workgroupBarrier();
    coopStoreT(s2, &tile_sums[subgroup * 64u], 4u);
    workgroupBarrier();
    store_all(lane, place, 16u, first_column, group, kind);
    workgroupBarrier();
    coopStoreT(s3, &tile_sums[subgroup * 64u], 4u);
    workgroupBarrier();
    store_all(lane, place, 16u, first_column + 16u, group, kind);
}
