// What the z-box rule hands down through a convolution of colors, `(a - low) c+ + (a - high) c-`: the
// transposes by the positive and the negative weights, as conv_transpose2d_colors makes one, side by side.
// Four invocations share an input position, each of which goes through every fourth four of the output
// channels: its sums have few terms, and need not start anew.

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
    part: u32, // always all
    bias_part: u32,
    gamma: f32,
    accumulate: u32, // always 0
    stored: u32, // always 0: f32
    rounding: u32, // of no account
    repeat: u32, // rows of the signal for each picture
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> s: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> w: array<vec4<u32>>; // [tap][input][output channel]
@group(0) @binding(3) var<storage, read> a: array<f32>;
@group(0) @binding(4) var<storage, read> bounds: array<f32>; // [low, high][input channel]
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

// Positions of a workgroup.
const TILE: u32 = 64u;
// A coordinate that no tap brings back into the picture.
const OUTSIDE: i32 = -0x40000000;

// [sign][quarter of the positions][invocation]
var<workgroup> tile_sums: array<vec4<f32>, 512>;

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

// The weights of one input channel with four output channels.
fn weights_for(first: u32, channel: u32) -> vec4<f32> {
    // Past the last channel, the last again: nobody stores what comes of it.
    let at = first + min(channel, params.in_channels - 1u) * (params.out_channels / 4u);
    return bitcast<vec4<f32>>(w[at]);
}

// What the four invocations of a position have.
fn shared_sum(at: u32) -> vec4<f32> {
    return (tile_sums[at] + tile_sums[at + 1u]) + (tile_sums[at + 2u] + tile_sums[at + 3u]);
}

// What four signals add to the sums of all channels.
fn products(s: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return vec4(dot(s, w0), dot(s, w1), dot(s, w2), dot(s, w3));
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

    var above0 = vec4(0.0);
    var below0 = vec4(0.0);
    var above1 = vec4(0.0);
    var below1 = vec4(0.0);
    var above2 = vec4(0.0);
    var below2 = vec4(0.0);
    var above3 = vec4(0.0);
    var below3 = vec4(0.0);
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
                let w0 = weights_for(first + four, 0u);
                let w1 = weights_for(first + four, 1u);
                let w2 = weights_for(first + four, 2u);
                let w3 = weights_for(first + four, 3u);
                let p0 = max(w0, vec4(0.0));
                let n0 = min(w0, vec4(0.0));
                let p1 = max(w1, vec4(0.0));
                let n1 = min(w1, vec4(0.0));
                let p2 = max(w2, vec4(0.0));
                let n2 = min(w2, vec4(0.0));
                let p3 = max(w3, vec4(0.0));
                let n3 = min(w3, vec4(0.0));
                above0 += products(s0, p0, p1, p2, p3);
                below0 += products(s0, n0, n1, n2, n3);
                above1 += products(s1, p0, p1, p2, p3);
                below1 += products(s1, n0, n1, n2, n3);
                above2 += products(s2, p0, p1, p2, p3);
                below2 += products(s2, n0, n1, n2, n3);
                above3 += products(s3, p0, p1, p2, p3);
                below3 += products(s3, n0, n1, n2, n3);
            }
        }
    }
    tile_sums[lane] = above0;
    tile_sums[lane + 64u] = above1;
    tile_sums[lane + 128u] = above2;
    tile_sums[lane + 192u] = above3;
    tile_sums[lane + 256u] = below0;
    tile_sums[lane + 320u] = below1;
    tile_sums[lane + 384u] = below2;
    tile_sums[lane + 448u] = below3;
    workgroupBarrier();

    // Now each invocation has a position.
    let above = shared_sum(4u * lane);
    let below = shared_sum(4u * lane + 256u);
    let at = position(first_cell + lane, place_y, place_x, height, width);
    if at.x >= params.batch {
        return;
    }
    let pixel = at.y * params.in_width + at.z;
    let plane = params.in_height * params.in_width;
    let first = (at.x * plane + pixel) * params.in_channels;
    let first_a = (at.x / params.repeat * plane + pixel) * params.in_channels;
    for (var channel = 0u; channel < params.in_channels; channel += 1u) {
        let value = a[first_a + channel];
        let from_low = value - bounds[channel];
        let from_high = value - bounds[params.in_channels + channel];
        out[first + channel] = from_low * above[channel] + from_high * below[channel];
    }
}
