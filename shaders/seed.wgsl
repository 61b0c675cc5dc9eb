// What a backward walk starts with at the scores. One invocation a filled value.

struct Params {
    batch: u32,
    classes: u32,
    rows: u32, // of a picture
    first: u32, // the first row that is filled
    targets: u32, // rows filled of a picture
    mode: u32, // 0 score, 1 contrast, 2 other scores, 3 one
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> rows: array<f32>;

fn seed(at_target: bool, target_score: f32, own_score: f32) -> f32 {
    switch params.mode {
        case 0u: { return select(0.0, abs(target_score), at_target); }
        case 1u: {
            let share = abs(target_score) / f32(params.classes - 1u);
            return select(-share, abs(target_score), at_target);
        }
        case 2u: { return select(abs(own_score), 0.0, at_target); }
        default: { return select(0.0, 1.0, at_target); }
    }
}

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.batch * params.targets * params.classes {
        return;
    }
    let number = i / params.classes; // of the target, counted through all pictures
    let label = i % params.classes;
    let image = number / params.targets;
    let row = image * params.rows + params.first + number % params.targets;
    // A number that the caller gives must not lead out of `scores`.
    let own = min(targets[number], params.classes - 1u);
    let scores_at = image * params.classes;
    rows[row * params.classes + label] =
        seed(label == own, scores[scores_at + own], scores[scores_at + label]);
}
