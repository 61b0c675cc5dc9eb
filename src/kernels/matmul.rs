//! `out = a b` or `out += a b` for strided matrices, by the `gemm` crate, on the calling thread;
//! long sums are made in pieces so that f32 keeps its digits.

use crate::num::Float;

/// A matrix in a slice; strides count values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, F> {
    pub(crate) values: &'a [F],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

/// One past the last value that a strided matrix reaches.
fn extent(rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> usize {
    if rows == 0 || columns == 0 {
        return 0;
    }
    (rows - 1) * row_stride + (columns - 1) * column_stride + 1
}

/// The longest sum made in f32 alone. Longer ones are made of pieces, added up in f64: at 128 the
/// maps of VGG16 at 224x224 lie ten times closer to those in f64, for a few percent of the time.
const DEPTH: usize = 128;

/// Room for sums that are made in pieces, kept from product to product.
#[derive(Debug)]
pub(crate) struct Room<F> {
    piece: Vec<F>,
    sums: Vec<f64>,
}

impl<F> Default for Room<F> {
    fn default() -> Self {
        Self { piece: Vec::new(), sums: Vec::new() }
    }
}

/// Multiplies into `out`, whose rows lie `out_stride` values apart.
pub(crate) fn multiply<F: Float>(
    out: &mut [F],
    out_stride: usize,
    a: Matrix<'_, F>,
    b: Matrix<'_, F>,
    accumulate: bool,
    room: &mut Room<F>,
) {
    let (depth, columns) = (a.columns, b.columns);
    if F::IS_REFERENCE || depth <= DEPTH || columns == 0 {
        return multiply_piece(out, out_stride, a, b, accumulate);
    }
    room.piece.resize(a.rows * columns, F::ZERO);
    room.sums.clear();
    room.sums.resize(a.rows * columns, 0.0);
    for k in (0..depth).step_by(DEPTH) {
        let piece = DEPTH.min(depth - k);
        let a = Matrix { values: &a.values[k * a.column_stride..], columns: piece, ..a };
        let b = Matrix { values: &b.values[k * b.row_stride..], rows: piece, ..b };
        multiply_piece(&mut room.piece, columns, a, b, false);
        for (sum, piece) in room.sums.iter_mut().zip(&room.piece) {
            *sum += piece.to_f64();
        }
    }
    for (out, sums) in out.chunks_mut(out_stride).zip(room.sums.chunks_exact(columns)) {
        for (z, sum) in out.iter_mut().zip(sums) {
            let old = if accumulate { z.to_f64() } else { 0.0 };
            *z = F::from_f64(old + sum);
        }
    }
}

#[expect(unsafe_code, reason = "gemm takes raw pointers; the extents are checked here")]
fn multiply_piece<F: Float>(
    out: &mut [F],
    out_stride: usize,
    a: Matrix<'_, F>,
    b: Matrix<'_, F>,
    accumulate: bool,
) {
    assert_eq!(a.columns, b.rows, "inner dimensions of a product");
    for m in [a, b] {
        assert!(extent(m.rows, m.columns, m.row_stride, m.column_stride) <= m.values.len());
    }
    assert!(extent(a.rows, b.columns, out_stride, 1) <= out.len());
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    let stride = |s: usize| isize::try_from(s).expect("strides inside a slice fit isize");
    // SAFETY: the asserts above keep every access of the three matrices inside their slices, and
    // `out` cannot overlap `a` and `b`, being borrowed mutably.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            stride(out_stride),
            accumulate,
            a.values.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b.values.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            F::ONE,
            F::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
