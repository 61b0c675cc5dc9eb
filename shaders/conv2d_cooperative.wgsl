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
// Numbers from one row to the next, and from one depth to the next: some more than there are, which
// spreads them over the banks.
const PITCH: u32 = 40u;
const PITCH_W: u32 = 72u;
// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;
// A coordinate that no tap brings back into the picture.
const OUTSIDE: i32 = -0x40000000;
const NOTHING: u32 = 7u;

alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sums = coop_mat16x16<f32, C>;

var<workgroup> tile_a: array<f16, 2560>; // [row][depth]
var<workgroup> tile_w: array<f16, 2304>; // [depth][column]
var<workgroup> tile_sums: array<f32, 1024>; // a matrix for each subgroup
// Where each row's window starts: y, x and the vector of `a`; the bits of what it is multiplied by.
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

// Weights `4 * at` and the three after it.
fn weights_at(at: u32) -> vec4<f32> {
    if params.stored == F32 {
        return bitcast<vec4<f32>>(w[at]);
    }
    let eight = w[at / 2u];
    let four = select(eight.xy, eight.zw, at % 2u == 1u);
    if params.stored == BF16 {
        let high = vec4(four.x << 16u, four.x, four.y << 16u, four.y) & vec4(0xffff0000u);
        return bitcast<vec4<f32>>(high);
    }
    return vec4(unpack2x16float(four.x), unpack2x16float(four.y));
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

// Puts four inputs of a row into its tile: so far down and right of the window's corner.
fn put_inputs(row: u32, k: u32, down: i32, right: i32, offset: i32) {
    let start = tile_rows[row];
    // Negative coordinates become large ones.
    let inside = u32(start.x + down) < params.in_height && u32(start.y + right) < params.in_width;
    let found = a[select(0, start.z + offset, inside)] * bitcast<f32>(start.w);
    let inputs = select(vec4(0.0), found, inside);
    tile_a[row * PITCH + k] = f16(inputs.x);
    tile_a[row * PITCH + k + 1u] = f16(inputs.y);
    tile_a[row * PITCH + k + 2u] = f16(inputs.z);
    tile_a[row * PITCH + k + 3u] = f16(inputs.w);
}

// Puts the weights of four columns into their tile.
fn put_weights(k: u32, column: u32, at: u32, inside: bool) {
    let found = parts_of(weights_at(select(0u, at, inside)), params.part);
    let weights = select(vec4(0.0), found * params.scale, inside);
    tile_w[k * PITCH_W + column] = f16(weights.x);
    tile_w[k * PITCH_W + column + 1u] = f16(weights.y);
    tile_w[k * PITCH_W + column + 2u] = f16(weights.z);
    tile_w[k * PITCH_W + column + 3u] = f16(weights.w);
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
        let sums = vec4(
            tile_sums[4u * i], tile_sums[4u * i + 1u],
            tile_sums[4u * i + 2u], tile_sums[4u * i + 3u],
        );
        store(row, group * out_count + column, (group + 1u) * out_count, sums, kind);
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
    // While loading, an invocation has the same four depths of all its rows.
    let four = lane % 8u * 4u;
    let first_tap = (begin + four) / in_count;
    var channel = (begin + four) % in_count;
    var ky = first_tap / params.kernel_width;
    var kx = first_tap % params.kernel_width;
    let own_row = subgroup / 2u * 32u;
    let own_column = subgroup % 2u * 32u;
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    for (var first = begin; first < end_of_share; first += DEPTH) {
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
        let down = select(OUTSIDE, i32(dy), first + four < end_of_share);
        let offset = i32(((dy * params.in_width + dx) * params.in_channels + channel) / 4u);
        for (var row = lane / 8u; row < TILE; row += LANES / 8u) {
            put_inputs(row, four, down, i32(dx), offset);
        }
        channel += DEPTH;
        for (var i = lane; i < DEPTH * TILE / 4u; i += LANES) {
            let k = i / 16u;
            let column = i % 16u * 4u;
            let inside = first + k < end_of_share && first_column + column < out_count;
            let row = group * depth + first + k;
            put_weights(k, column, (row * out_count + first_column + column) / 4u, inside);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k += 16u) {
            let a0 = coopLoadT<Left>(&tile_a[own_row * PITCH + k], PITCH);
            let a1 = coopLoadT<Left>(&tile_a[(own_row + 16u) * PITCH + k], PITCH);
            let w0 = coopLoadT<Right>(&tile_w[k * PITCH_W + own_column], PITCH_W);
            let w1 = coopLoadT<Right>(&tile_w[k * PITCH_W + own_column + 16u], PITCH_W);
            s0 = coopMultiplyAdd(a0, w0, s0);
            s1 = coopMultiplyAdd(a0, w1, s1);
            s2 = coopMultiplyAdd(a1, w0, s2);
            s3 = coopMultiplyAdd(a1, w1, s3);
        }
        workgroupBarrier();
    }
    let own_total = params.batch * params.out_height * params.out_width * params.out_channels / 4u;
    let kind = Kind(shares == 1u, share * own_total);
    coopStoreT(s0, &tile_sums[subgroup * 256u], 16u);
    workgroupBarrier();
    store_all(lane, first_row, first_column, group, kind);
    workgroupBarrier();
    coopStoreT(s1, &tile_sums[subgroup * 256u], 16u);
    workgroupBarrier();
    store_all(lane, first_row, first_column + 16u, group, kind);
    workgroupBarrier();
    coopStoreT(s2, &tile_sums[subgroup * 256u], 16u);
    workgroupBarrier();
    store_all(lane, first_row + 16u, first_column, group, kind);
    workgroupBarrier();
    coopStoreT(s3, &tile_sums[subgroup * 256u], 16u);
    workgroupBarrier();
    store_all(lane, first_row + 16u, first_column + 16u, group, kind);
}
