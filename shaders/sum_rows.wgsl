// The sum of each row. One workgroup a row, whose invocations sum shares of it.

struct Params {
    rows: u32,
    count: u32, // values of a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

var<workgroup> tile_sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let start = group.x * params.count;
    var sum = 0.0;
    for (var i = lane; i < params.count; i += 256u) {
        sum += rows[start + i];
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
