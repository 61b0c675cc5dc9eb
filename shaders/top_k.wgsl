// The classes of the highest scores, best first; of equal scores the first class. One workgroup
// a picture; each round takes the best of those that rank behind the last winner.

struct Params {
    batch: u32,
    classes: u32,
    k: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read_write> top: array<u32>;

// A score and its class; no class at all ranks last.
struct Candidate {
    score: f32,
    label: u32,
}

const NONE: u32 = 0xffffffffu;

var<workgroup> tile_best: array<Candidate, 256>;

fn ranks_before(a: Candidate, b: Candidate) -> bool {
    if a.label == NONE || b.label == NONE {
        return a.label < b.label;
    }
    return a.score > b.score || (a.score == b.score && a.label < b.label);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let start = group.x * params.classes;
    var last = Candidate(0.0, NONE);
    for (var place = 0u; place < params.k; place += 1u) {
        var best = Candidate(0.0, NONE);
        for (var label = lane; label < params.classes; label += 256u) {
            let candidate = Candidate(scores[start + label], label);
            let remains = place == 0u || ranks_before(last, candidate);
            if remains && ranks_before(candidate, best) {
                best = candidate;
            }
        }
        tile_best[lane] = best;
        workgroupBarrier();
        for (var half = 128u; half > 0u; half /= 2u) {
            if lane < half && ranks_before(tile_best[lane + half], tile_best[lane]) {
                tile_best[lane] = tile_best[lane + half];
            }
            workgroupBarrier();
        }
        last = tile_best[0];
        // Not a number ranks nowhere: then a class is named all the same, for others index by it.
        if lane == 0u {
            top[group.x * params.k + place] = min(last.label, params.classes - 1u);
        }
        workgroupBarrier();
    }
}
