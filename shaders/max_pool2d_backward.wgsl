// Max pooling, backward: each input cell collects what the windows it won received.
// One invocation an input value.

struct Params {
    batch: u32,
    channels: u32,
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_height: u32,
    stride_width: u32,
    padding_height: u32,
    padding_width: u32,
    dilation_height: u32,
    dilation_width: u32,
    repeat: u32, // rows of a picture
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> winner: array<u32>; // cell in its plane
@group(0) @binding(2) var<storage, read> r_out: array<f32>;
@group(0) @binding(3) var<storage, read_write> r_in: array<f32>;

// The first window that reaches as far as the padded coordinate.
fn first_window(padded: u32, kernel: u32, dilation: u32, stride: u32) -> u32 {
    let extent = (kernel - 1u) * dilation + 1u;
    if padded < extent {
        return 0u;
    }
    return (padded - extent) / stride + 1u;
}

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.batch * params.in_height * params.in_width * params.channels {
        return;
    }
    let channel = i % params.channels;
    let position = i / params.channels;
    let line = position / params.in_width; // counted through all rows of the signal
    let row = line / params.in_height;
    let cell = position - row * params.in_height * params.in_width;
    let image = row / params.repeat;
    let y = line % params.in_height + params.padding_height;
    let x = position % params.in_width + params.padding_width;
    let top = first_window(y, params.kernel_height, params.dilation_height, params.stride_height);
    let left = first_window(x, params.kernel_width, params.dilation_width, params.stride_width);
    let bottom = min(y / params.stride_height + 1u, params.out_height);
    let right = min(x / params.stride_width + 1u, params.out_width);

    var sum = 0.0;
    for (var oy = top; oy < bottom; oy += 1u) {
        for (var ox = left; ox < right; ox += 1u) {
            let r = ((row * params.out_height + oy) * params.out_width + ox) * params.channels;
            let w = ((image * params.out_height + oy) * params.out_width + ox) * params.channels;
            sum += select(0.0, r_out[r + channel], winner[w + channel] == cell);
        }
    }
    r_in[i] = sum;
}
