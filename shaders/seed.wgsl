// What a backward walk starts with at the layer that is explained. One invocation a value.

struct Params {
    batch: u32,
    count: u32, // values of a row
    rows: u32, // of a picture
    first: u32, // the first row that is filled
    targets: u32, // rows filled of a picture
    mode: u32, // 0 score, 1 contrast, 2 other scores, 3 one, 4 one against others, 5 probability
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> outputs: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> duals: array<f32>;
@group(0) @binding(4) var<storage, read> sums: array<f32>;
@group(0) @binding(5) var<storage, read> dual_sums: array<f32>;
@group(0) @binding(6) var<storage, read_write> rows: array<f32>;

// The sum of (w - w_k) y_k over the target's units, which is w - S where y are probabilities.
fn others(w: f32, image: u32, number: u32) -> f32 {
    var sum = 0.0;
    for (var k = 0u; k < params.count; k++) {
        sum += (w - weights[number * params.count + k]) * outputs[image * params.count + k];
    }
    return sum;
}

// What a unit starts with in all other modes.
fn seed(y: f32, w: f32, dual: f32, sum: f32) -> f32 {
    let score = select(y * w, -y * w, sum < 0.0);
    switch params.mode {
        case 0u: { return score; }
        case 1u: { return score - abs(sum) * dual; }
        case 2u: { return select(0.0, abs(y), w == 0.0); }
        case 3u: { return w; }
        default: { return w - dual; }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.batch * params.targets * params.count {
        return;
    }
    let number = i / params.count; // of the target, counted through all pictures
    let unit = i % params.count;
    let image = number / params.targets;
    let row = image * params.rows + params.first + number % params.targets;
    let y = outputs[image * params.count + unit];
    // Nothing to set the target against: then there is no dual.
    let dual = duals[i] / max(dual_sums[number], 1.0);
    if params.mode == 5u {
        rows[row * params.count + unit] = y * others(weights[i], image, number);
    } else {
        rows[row * params.count + unit] = seed(y, weights[i], dual, sums[number]);
    }
}
