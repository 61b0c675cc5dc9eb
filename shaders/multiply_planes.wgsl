// Every channel of a map times one plane. One invocation a value.

struct Params {
    total: u32, // values of all maps
    count: u32, // values of a map
    positions: u32, // values of a plane
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> maps: array<f32>;
@group(0) @binding(2) var<storage, read> planes: array<f32>;
@group(0) @binding(3) var<storage, read_write> products: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.total {
        return;
    }
    let plane = i / params.count * params.positions;
    products[i] = maps[i] * planes[plane + i % params.positions];
}
