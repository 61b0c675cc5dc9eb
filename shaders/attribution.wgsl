// Backward rows at the input (NHWC) become maps (NCHW). One invocation a value of the maps.

struct Params {
    batch: u32,
    rows: u32, // of a picture
    first: u32, // the first row that is taken
    targets: u32, // rows taken of a picture
    channels: u32,
    positions: u32, // height * width
    mode: u32, // 0 plain, 1 clamped, 2 normalized difference
    dual_first: u32, // the first row of the duals, in mode 2
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> sums: array<f32>; // read in mode 2 only
@group(0) @binding(3) var<storage, read_write> maps: array<f32>;

// A value's share of its row; a sum of 0 divides nothing.
fn share(row: u32, i: u32) -> f32 {
    let sum = sums[row];
    return rows[i] / select(sum, 1.0, sum == 0.0);
}

// Not `max`: what is no number stays none, so that it is told.
fn clamped(r: f32) -> f32 {
    return select(r, 0.0, r <= 0.0);
}

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    let count = params.channels * params.positions;
    if i >= params.batch * params.targets * count {
        return;
    }
    let map = i / count;
    let channel = i % count / params.positions;
    let position = i % params.positions;
    let at = position * params.channels + channel;
    let row = map / params.targets * params.rows + map % params.targets + params.first;

    switch params.mode {
        case 0u: {
            maps[i] = rows[row * count + at];
        }
        case 1u: {
            maps[i] = clamped(rows[row * count + at]);
        }
        default: {
            let dual = row - params.first + params.dual_first;
            let difference = share(row, row * count + at) - share(dual, dual * count + at);
            maps[i] = clamped(difference);
        }
    }
}
