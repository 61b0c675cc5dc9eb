//! `out = a b` or `out += a b` for strided matrices, by the `gemm` crate, on the calling thread.

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

/// Multiplies into `out`, whose rows lie `out_stride` values apart.
#[expect(unsafe_code, reason = "gemm takes raw pointers; the extents are checked here")]
pub(crate) fn multiply<F: Float>(
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
