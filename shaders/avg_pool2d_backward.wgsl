// Transpose of average pooling: each input cell collects its share of the windows that hold it.
// One invocation an input value.

struct Params {
    batch: u32,
    channels: u32,
    in_height: u32,
    in_width: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_height: u32,
    stride_width: u32,
    padding_height: u32,
    padding_width: u32,
    end_height: u32,
    end_width: u32,
    count_include_pad: u32,
    adaptive: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> r_out: array<f32>;
@group(0) @binding(2) var<storage, read_write> r_in: array<f32>;

// The cells of a window along one axis.
struct Span {
    start: u32,
    end: u32,
    padded: u32, // how many they are with those in the padding
}

// Window `at` of `windows` over `length` cells.
fn span(
    at: u32, length: u32, windows: u32, kernel: u32, stride: u32, padding: u32, after: u32,
) -> Span {
    if params.adaptive == 1u {
        let start = at * length / windows;
        let end = ((at + 1u) * length + windows - 1u) / windows;
        return Span(start, end, end - start);
    }
    // torch counts padding only up to its far end.
    let start = at * stride;
    let end = min(start + kernel, padding + length + after);
    let inside = min(max(end, padding) - padding, length);
    return Span(max(start, padding) - padding, inside, end - start);
}

fn row_span(y: u32) -> Span {
    return span(
        y, params.in_height, params.out_height,
        params.kernel_height, params.stride_height, params.padding_height, params.end_height,
    );
}

fn column_span(x: u32) -> Span {
    return span(
        x, params.in_width, params.out_width,
        params.kernel_width, params.stride_width, params.padding_width, params.end_width,
    );
}

// What the sum of a window is divided by.
fn divisor(rows: Span, columns: Span) -> f32 {
    if params.count_include_pad == 1u {
        return f32(rows.padded * columns.padded);
    }
    return f32((rows.end - rows.start) * (columns.end - columns.start));
}

// The windows that hold cell `at` along one axis: the first, and one past the last.
fn holders(
    at: u32, length: u32, windows: u32, kernel: u32, stride: u32, padding: u32,
) -> vec2<u32> {
    if params.adaptive == 1u {
        return vec2(at * windows / length, ((at + 1u) * windows - 1u) / length + 1u);
    }
    let padded = at + padding;
    let end = min(padded / stride + 1u, windows);
    if padded < kernel {
        return vec2(0u, end);
    }
    return vec2((padded - kernel) / stride + 1u, end);
}

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.batch * params.in_height * params.in_width * params.channels {
        return;
    }
    let channel = i % params.channels;
    let position = i / params.channels;
    let line = position / params.in_width; // counted through all rows of the signal
    let row = line / params.in_height;
    let down = holders(
        line % params.in_height, params.in_height, params.out_height,
        params.kernel_height, params.stride_height, params.padding_height,
    );
    let across = holders(
        position % params.in_width, params.in_width, params.out_width,
        params.kernel_width, params.stride_width, params.padding_width,
    );

    var sum = 0.0;
    for (var y = down.x; y < down.y; y += 1u) {
        let rows = row_span(y);
        let start = (row * params.out_height + y) * params.out_width;
        for (var x = across.x; x < across.y; x += 1u) {
            let r = r_out[(start + x) * params.channels + channel];
            sum += r / divisor(rows, column_span(x));
        }
    }
    r_in[i] = sum;
}
