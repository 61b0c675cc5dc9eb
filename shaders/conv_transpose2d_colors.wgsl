// As conv_transpose2d, where what comes out has four channels at most, as colours of a picture, what
// goes in has them in fours, and weights have 32 bit: columns of a tile would be empty for the most
// part. Four invocations share an input position, each of which goes through every fourth four of the
// output channels: its sums have few terms, and need not start anew.

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
    groups: u32, // always 1
    part: u32,
    bias_part: u32,
    gamma: f32,
    accumulate: u32, // 1: add to the output
    stored: u32, // always 0: f32
    rounding: u32, // of no account
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> s: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>; // [tap][input][output channel]
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

// Positions of a workgroup.
const TILE: u32 = 64u;
// A coordinate that no tap brings back into the picture.
const OUTSIDE: i32 = -0x40000000;

var<workgroup> tile_sums: array<vec4<f32>, 256>; // [quarter of the positions][invocation]

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

// The weights of four input channels with four output channels. All are read before one is looked at.
fn weights_from(first: u32) -> mat4x4<f32> {
    // Past the last channel, the last again: nobody stores what comes of it.
    let channels = min(vec4(0u, 1u, 2u, 3u), vec4(params.in_channels - 1u));
    let at = vec4(first) + channels * (params.out_channels / 4u);
    let found = mat4x4(
        bitcast<vec4<f32>>(w[at.x]), bitcast<vec4<f32>>(w[at.y]),
        bitcast<vec4<f32>>(w[at.z]), bitcast<vec4<f32>>(w[at.w]),
    );
    return mat4x4(
        parts_of(found[0], params.part), parts_of(found[1], params.part),
        parts_of(found[2], params.part), parts_of(found[3], params.part),
    );
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // Positions at the same place between two strides, and the tiles they fill.
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
    let cell = first_cell + lane / 4u;
    let start0 = window(position(cell, place_y, place_x, height, width), 0u, down, across);
    let start1 = window(position(cell + 16u, place_y, place_x, height, width), 0u, down, across);
    let start2 = window(position(cell + 32u, place_y, place_x, height, width), 0u, down, across);
    let start3 = window(position(cell + 48u, place_y, place_x, height, width), 0u, down, across);

    var sum0 = vec4(0.0);
    var sum1 = vec4(0.0);
    var sum2 = vec4(0.0);
    var sum3 = vec4(0.0);
    for (var ky = 0u; ky < down.count; ky += 1u) {
        for (var kx = 0u; kx < across.count; kx += 1u) {
            let dy = ky * down.hop;
            let dx = kx * across.hop;
            let back = i32((dy * params.out_width + dx) * params.out_channels / 4u);
            let tap_y = down.first + ky * down.step;
            let tap = tap_y * params.kernel_width + across.first + kx * across.step;
            let first = tap * params.in_channels * params.out_channels / 4u;
            for (var four = lane % 4u; four < params.out_channels / 4u; four += 4u) {
                let s0 = signals(start0, i32(dy), i32(dx), i32(four) - back);
                let s1 = signals(start1, i32(dy), i32(dx), i32(four) - back);
                let s2 = signals(start2, i32(dy), i32(dx), i32(four) - back);
                let s3 = signals(start3, i32(dy), i32(dx), i32(four) - back);
                let weights = weights_from(first + four);
                // As many dot products as there are columns.
                sum0 += s0 * weights;
                sum1 += s1 * weights;
                sum2 += s2 * weights;
                sum3 += s3 * weights;
            }
        }
    }
    tile_sums[lane] = sum0;
    tile_sums[lane + 64u] = sum1;
    tile_sums[lane + 128u] = sum2;
    tile_sums[lane + 192u] = sum3;
    workgroupBarrier();

    // Now each invocation has a position.
    let four = 4u * lane;
    let sum = (tile_sums[four] + tile_sums[four + 1u]) + (tile_sums[four + 2u] + tile_sums[four + 3u]);
    let at = position(first_cell + lane, place_y, place_x, height, width);
    if at.x >= params.batch {
        return;
    }
    let first = ((at.x * params.in_height + at.y) * params.in_width + at.z) * params.in_channels;
    for (var channel = 0u; channel < params.in_channels; channel += 1u) {
        var c = sum[channel];
        if params.accumulate == 1u {
            c += out[first + channel];
        }
        out[first + channel] = c;
    }
}
