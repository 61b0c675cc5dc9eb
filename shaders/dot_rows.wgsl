// The weighted sums of a layer's outputs. One workgroup a row of weights, whose invocations sum
// shares of it.

struct Params {
    rows: u32,
    count: u32, // values of a row
    repeat: u32, // rows of a picture
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

var<workgroup> tile_sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let weights = group.x * params.count;
    let outputs = group.x / params.repeat * params.count;
    var sum = 0.0;
    for (var i = lane; i < params.count; i += 256u) {
        sum += w[weights + i] * y[outputs + i];
    }
    tile_sums[lane] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            tile_sums[lane] += tile_sums[lane + half];
        }
        workgroupBarrier();
    }
    if lane == 0u {
        sums[group.x] = tile_sums[0];
    }
}
