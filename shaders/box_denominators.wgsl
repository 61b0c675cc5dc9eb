// Denominators of the z-box rule from a convolution's outputs: what the bounds alone give is added to
// them. Where that leaves far less than it was added to, the sum is made by its formula,
// `sum of w+ (a - low) + w- (a - high)`. One invocation an output.

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
    accumulate: u32,
    stored: u32, // 0: f32; 1: f16, 2: bf16, two in a word
    rounding: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<u32>; // [tap][input][output channel]
@group(0) @binding(4) var<storage, read> bounds: array<f32>; // [low, high][input channel]
// [to be added, least][way down][way right][output channel]
@group(0) @binding(5) var<storage, read> constants: array<f32>;
@group(0) @binding(6) var<storage, read_write> z: array<f32>;

// How weights are stored.
const F32: u32 = 0u;
const BF16: u32 = 2u;

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

// The first and last outputs along a side, whose windows reach over the picture's edges: how many begin
// before it, and the first that ends behind it. The others go one way.
fn edges(inputs: u32, outputs: u32, window: u32, stride: u32, padding: u32) -> vec2<u32> {
    let before = min((padding + stride - 1u) / stride, outputs);
    var after = 0u;
    if inputs + padding >= window {
        after = (inputs + padding - window) / stride + 1u;
    }
    return vec2(before, clamp(after, before, outputs));
}

fn way(edges: vec2<u32>, output: u32) -> u32 {
    if output < edges.y {
        return min(output, edges.x);
    }
    return edges.x + 1u + output - edges.y;
}

// The sum by its formula.
fn sum(image: u32, row: u32, column: u32, channel: u32) -> f32 {
    var sum = 0.0;
    for (var ky = 0u; ky < params.kernel_height; ky += 1u) {
        // Above the picture these become large.
        let y = row * params.stride_height + ky * params.dilation_height - params.padding_height;
        for (var kx = 0u; kx < params.kernel_width; kx += 1u) {
            let x = column * params.stride_width + kx * params.dilation_width - params.padding_width;
            if y >= params.in_height || x >= params.in_width {
                continue;
            }
            let pixel = (image * params.in_height + y) * params.in_width + x;
            let tap = ky * params.kernel_width + kx;
            for (var c = 0u; c < params.in_channels; c += 1u) {
                let w = number((tap * params.in_channels + c) * params.out_channels + channel);
                let bound = bounds[select(params.in_channels + c, c, w > 0.0)];
                sum += w * (a[pixel * params.in_channels + c] - bound);
            }
        }
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    let channel = i % params.out_channels;
    let position = i / params.out_channels;
    let column = position % params.out_width;
    let line = position / params.out_width;
    let row = line % params.out_height;
    let image = line / params.out_height;
    if image >= params.batch {
        return;
    }
    let down = edges(
        params.in_height, params.out_height, (params.kernel_height - 1u) * params.dilation_height + 1u,
        params.stride_height, params.padding_height,
    );
    let right = edges(
        params.in_width, params.out_width, (params.kernel_width - 1u) * params.dilation_width + 1u,
        params.stride_width, params.padding_width,
    );
    let ways_right = right.x + 1u + params.out_width - right.y;
    let ways_down = down.x + 1u + params.out_height - down.y;
    let way_of_both = way(down, row) * ways_right + way(right, column);
    let at = way_of_both * params.out_channels + channel;
    let least = constants[ways_down * ways_right * params.out_channels + at];
    var value = y[i] + constants[at];
    if abs(value) < least {
        value = sum(image, row, column, channel);
    }
    z[i] = value;
}
