// Scores become probabilities. One workgroup a picture.

struct Params {
    batch: u32,
    count: u32, // scores of a picture
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read_write> shares: array<f32>;

var<workgroup> tile_values: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let start = group.x * params.count;
    var top = scores[start];
    for (var i = lane; i < params.count; i += 256u) {
        top = max(top, scores[start + i]);
    }
    tile_values[lane] = top;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            tile_values[lane] = max(tile_values[lane], tile_values[lane + half]);
        }
        workgroupBarrier();
    }
    top = tile_values[0];
    workgroupBarrier();

    var sum = 0.0;
    for (var i = lane; i < params.count; i += 256u) {
        sum += exp(scores[start + i] - top);
    }
    tile_values[lane] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            tile_values[lane] += tile_values[lane + half];
        }
        workgroupBarrier();
    }
    for (var i = lane; i < params.count; i += 256u) {
        shares[start + i] = exp(scores[start + i] - top) / tile_values[0];
    }
}
