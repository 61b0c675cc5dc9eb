// Max pooling that records its switches: the first maximum in scan order wins, padding never.
// One invocation an output value.

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
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> winner: array<u32>; // cell in its plane

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.batch * params.out_height * params.out_width * params.channels {
        return;
    }
    let channel = i % params.channels;
    let position = i / params.channels;
    let line = position / params.out_width; // counted through all pictures
    let plane = line / params.out_height * params.in_height * params.in_width;
    let top = line % params.out_height * params.stride_height;
    let left = position % params.out_width * params.stride_width;

    var found = false;
    var best = 0.0;
    var best_cell = 0u;
    for (var ky = 0u; ky < params.kernel_height; ky += 1u) {
        // In the padding above, the subtraction wraps to a row past the last.
        let y = top + ky * params.dilation_height - params.padding_height;
        if y >= params.in_height {
            continue;
        }
        for (var kx = 0u; kx < params.kernel_width; kx += 1u) {
            let x = left + kx * params.dilation_width - params.padding_width;
            if x >= params.in_width {
                continue;
            }
            let cell = y * params.in_width + x;
            let value = a[(plane + cell) * params.channels + channel];
            if !found || value > best {
                found = true;
                best = value;
                best_cell = cell;
            }
        }
    }
    out[i] = best;
    winner[i] = best_cell;
}
