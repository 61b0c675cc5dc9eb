// Numbers of units become weights of all units: 1 at the unit and 0 elsewhere, or the other way
// round. One invocation a weight.

struct Params {
    total: u32, // weights in all rows
    count: u32, // weights of a row
    others: u32, // 1: 0 at the unit and 1 elsewhere
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> units: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.total {
        return;
    }
    // A number that the caller gives must not lead out of the row.
    let unit = min(units[i / params.count], params.count - 1u);
    let is_unit = i % params.count == unit;
    rows[i] = select(0.0, 1.0, is_unit == (params.others == 0u));
}
