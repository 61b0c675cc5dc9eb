// Average pooling with torch's divisor, or adaptive. One invocation an output value.

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
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

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

@compute @workgroup_size(256)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.y * groups.x * 256u + id.x;
    if i >= params.batch * params.out_height * params.out_width * params.channels {
        return;
    }
    let channel = i % params.channels;
    let position = i / params.channels;
    let line = position / params.out_width; // counted through all pictures
    let image = line / params.out_height;
    let rows = row_span(line % params.out_height);
    let columns = column_span(position % params.out_width);

    var sum = 0.0;
    for (var y = rows.start; y < rows.end; y += 1u) {
        let start = (image * params.in_height + y) * params.in_width;
        for (var x = columns.start; x < columns.end; x += 1u) {
            sum += a[(start + x) * params.channels + channel];
        }
    }
    out[i] = sum / divisor(rows, columns);
}
