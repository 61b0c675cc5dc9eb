// A map's channels become one plane between -1 and 1. One workgroup a map: its invocations find
// the largest magnitude, then write shares of the plane.

struct Params {
    maps: u32,
    channels: u32,
    height: u32,
    width: u32,
    stride: u32, // values from one row of a plane to the next; those past the width are 0
    reduction: u32, // 0 sum, 1 positive sum, 2 largest magnitude
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> maps: array<f32>;
@group(0) @binding(2) var<storage, read_write> planes: array<f32>;

var<workgroup> tile_largest: array<f32, 256>;

fn joined(map: u32, position: u32) -> f32 {
    let positions = params.height * params.width;
    var value = 0.0;
    for (var channel = 0u; channel < params.channels; channel++) {
        let other = maps[(map * params.channels + channel) * positions + position];
        if params.reduction == 2u {
            value = max(value, abs(other));
        } else {
            value += other;
        }
    }
    return select(value, max(value, 0.0), params.reduction == 1u);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let map = group.x;
    var largest = 0.0;
    for (var i = lane; i < params.height * params.width; i += 256u) {
        largest = max(largest, abs(joined(map, i)));
    }
    tile_largest[lane] = largest;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            tile_largest[lane] = max(tile_largest[lane], tile_largest[lane + half]);
        }
        workgroupBarrier();
    }
    largest = tile_largest[0];

    let count = params.height * params.stride;
    for (var i = lane; i < count; i += 256u) {
        let y = i / params.stride;
        let x = i % params.stride;
        var value = 0.0;
        if x < params.width && largest > 0.0 {
            value = joined(map, y * params.width + x) / largest;
        }
        planes[map * count + i] = value;
    }
}
