// Between planes (NCHW) and pixels (NHWC). One invocation a value.

struct Params {
    total: u32,
    channels: u32,
    positions: u32, // height * width
    to_planes: u32, // 0: planes to pixels; 1: pixels to planes
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> destination: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.total {
        return;
    }
    // The destination is [outer][inner], the source [inner][outer].
    var inner = params.channels;
    var outer = params.positions;
    if params.to_planes == 1u {
        inner = params.positions;
        outer = params.channels;
    }
    let at = i % (inner * outer);
    destination[i] = source[i - at + at % inner * outer + at / inner];
}
