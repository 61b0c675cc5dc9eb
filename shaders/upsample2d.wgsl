// Planes brought to a larger size, as torch's `interpolate` without aligned corners does: by the
// nearest cell or bilinearly. One invocation a value of the larger planes.

struct Params {
    total: u32, // values of all larger planes
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    bilinear: u32, // 0 nearest
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<f32>;
@group(0) @binding(2) var<storage, read_write> larger: array<f32>;

// The two cells that a place lies between, and its share of the second.
struct Between {
    first: u32,
    second: u32,
    share: f32,
}

// The place is `(at + 0.5) * inner / outer - 0.5`, in integers so that nothing rounds.
fn between(at: u32, inner: u32, outer: u32) -> Between {
    if params.bilinear == 0u {
        let cell = at * inner / outer;
        return Between(cell, cell, 0.0);
    }
    let twice = (2u * at + 1u) * inner;
    if twice < outer {
        return Between(0u, 0u, 0.0);
    }
    let first = (twice - outer) / (2u * outer);
    let rest = (twice - outer) % (2u * outer);
    return Between(first, min(first + 1u, inner - 1u), f32(rest) / f32(2u * outer));
}

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.total {
        return;
    }
    let x = between(i % params.out_width, params.in_width, params.out_width);
    let line = i / params.out_width;
    let y = between(line % params.out_height, params.in_height, params.out_height);
    let plane = line / params.out_height * params.in_height;
    let above = (plane + y.first) * params.in_width;
    let below = (plane + y.second) * params.in_width;
    let upper = mix(planes[above + x.first], planes[above + x.second], x.share);
    let lower = mix(planes[below + x.first], planes[below + x.second], x.share);
    larger[i] = mix(upper, lower, y.share);
}
