// Sum, sum of absolute values, least and greatest value of each row. One workgroup a row.

struct Params {
    rows: u32,
    count: u32, // values of a row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> tallies: array<f32>;

var<workgroup> tile_tallies: array<vec4<f32>, 256>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let start = group.x * params.count;
    let first = rows[start];
    var tally = vec4<f32>(0.0, 0.0, first, first);
    for (var i = lane; i < params.count; i += 256u) {
        let r = rows[start + i];
        tally = vec4<f32>(tally.x + r, tally.y + abs(r), min(tally.z, r), max(tally.w, r));
    }
    tile_tallies[lane] = tally;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if lane < half {
            let a = tile_tallies[lane];
            let b = tile_tallies[lane + half];
            tile_tallies[lane] = vec4<f32>(a.xy + b.xy, min(a.z, b.z), max(a.w, b.w));
        }
        workgroupBarrier();
    }
    if lane == 0u {
        let all = tile_tallies[0];
        tallies[group.x * 4u] = all.x;
        tallies[group.x * 4u + 1u] = all.y;
        tallies[group.x * 4u + 2u] = all.z;
        tallies[group.x * 4u + 3u] = all.w;
    }
}
