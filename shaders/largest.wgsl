// The largest magnitude in each piece of each row. One workgroup a piece.

struct Params {
    rows: u32,
    count: u32, // values of a row
    pieces: u32, // of a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> magnitudes: array<f32>; // [row][piece]

var<workgroup> tile_magnitudes: array<f32, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = id.z * groups.x + id.x;
    if row >= params.rows {
        return;
    }
    let piece = (params.count + params.pieces - 1u) / params.pieces;
    let end = min((id.y + 1u) * piece, params.count);
    var largest = 0.0;
    for (var i = id.y * piece + lane; i < end; i += 256u) {
        largest = max(largest, abs(rows[row * params.count + i]));
    }
    tile_magnitudes[lane] = largest;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            tile_magnitudes[lane] = max(tile_magnitudes[lane], tile_magnitudes[lane + half]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        magnitudes[row * params.pieces + id.y] = tile_magnitudes[0];
    }
}
