//! `out = a b` or `out += a b` for strided matrices, by the `gemm` crate, on the calling thread;
//! long sums are made in pieces so that f32 keeps its digits, or in f64 altogether, and weights of
//! 16 bit are unpacked piece by piece.

use std::ops::Range;

use super::Part;
use super::linear::Rows;
use crate::num::Float;

/// A matrix in a slice; strides count values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<V> {
    pub(crate) values: V,
    /// Where the matrix begins among the values.
    pub(crate) first: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

impl<V> Matrix<V> {
    fn block(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        Self {
            first: self.first + rows.start * self.row_stride + columns.start * self.column_stride,
            rows: rows.len(),
            columns: columns.len(),
            ..self
        }
    }

    fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

impl<F: Float> Matrix<&[F]> {
    /// The same in f64, row by row, in `room`.
    fn widened(self, room: &mut Vec<f64>) -> Matrix<&[f64]> {
        assert_eq!(self.column_stride, 1, "the values of a row lie side by side");
        room.clear();
        for row in 0..self.rows {
            let values = &self.values[self.first + row * self.row_stride..][..self.columns];
            room.extend(values.iter().map(|value| value.to_f64()));
        }
        Matrix {
            values: room,
            first: 0,
            rows: self.rows,
            columns: self.columns,
            row_stride: self.columns,
            column_stride: 1,
        }
    }
}

/// The right factor of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Factor<'a, F> {
    /// Numbers to multiply by.
    Ready(Matrix<&'a [F]>),
    /// Weights as they are stored, the part that is multiplied by, and its factor. Weights of a
    /// row or of a column lie side by side.
    Stored(Matrix<Rows<'a>>, Part, F),
}

impl<'a, F: Float> Factor<'a, F> {
    pub(crate) fn transposed(self) -> Self {
        match self {
            Factor::Ready(b) => Factor::Ready(b.transposed()),
            Factor::Stored(b, part, gamma) => Factor::Stored(b.transposed(), part, gamma),
        }
    }

    fn columns(&self) -> usize {
        match self {
            Factor::Ready(b) => b.columns,
            Factor::Stored(b, ..) => b.columns,
        }
    }

    fn block(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        match self {
            Factor::Ready(b) => Factor::Ready(b.block(rows, columns)),
            Factor::Stored(b, part, gamma) => Factor::Stored(b.block(rows, columns), part, gamma),
        }
    }

    /// The numbers to multiply by, in f64.
    fn widened<'r>(self, room: &'r mut Vec<f64>) -> Matrix<&'r [f64]>
    where
        'a: 'r,
    {
        match self {
            Factor::Ready(b) => b.widened(room),
            Factor::Stored(b, part, gamma) => Factor::Stored(b, part, gamma.to_f64()).ready(room),
        }
    }

    /// The numbers to multiply by, in `room` if they are not there yet.
    fn ready<'r>(self, room: &'r mut Vec<F>) -> Matrix<&'r [F]>
    where
        'a: 'r,
    {
        let (b, part, gamma) = match self {
            Factor::Ready(b) => return b,
            Factor::Stored(b, part, gamma) => (b, part, gamma),
        };
        let by_rows = b.column_stride == 1;
        assert!(by_rows || b.row_stride == 1, "neither rows nor columns lie side by side");
        let (lines, length, stride) = match by_rows {
            true => (b.rows, b.columns, b.row_stride),
            false => (b.columns, b.rows, b.column_stride),
        };
        room.resize(lines * length, F::ZERO);
        if stride == length {
            b.values.slice(b.first..b.first + lines * length).widen(room);
        } else {
            for (line, to) in room.chunks_exact_mut(length.max(1)).enumerate() {
                let first = b.first + line * stride;
                b.values.slice(first..first + length).widen(to);
            }
        }
        part.take(room, gamma);
        let (row_stride, column_stride) = if by_rows { (length, 1) } else { (1, length) };
        Matrix {
            values: room,
            first: 0,
            rows: b.rows,
            columns: b.columns,
            row_stride,
            column_stride,
        }
    }
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

/// Columns of stored weights that are unpacked at once: with a piece's depth they stay in the
/// second-level cache until they are multiplied by.
const UNPACKED_COLUMNS: usize = 512;

/// Room for sums that are made in pieces and for unpacked weights, kept from product to product.
#[derive(Debug)]
pub(crate) struct Room<F> {
    piece: Vec<F>,
    sums: Vec<f64>,
    unpacked: Vec<F>,
    /// Both factors in f64.
    wide: [Vec<f64>; 2],
}

impl<F> Default for Room<F> {
    fn default() -> Self {
        Self { piece: Vec::new(), sums: Vec::new(), unpacked: Vec::new(), wide: Default::default() }
    }
}

/// How sums are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    /// In pieces of the factors' type.
    Pieces,
    /// In f64, for two to three times the time; rows of both factors must lie side by side.
    Exact,
}

/// Multiplies into `out`, whose rows lie `out_stride` values apart.
pub(crate) fn multiply<F: Float>(
    out: &mut [F],
    out_stride: usize,
    a: Matrix<&[F]>,
    b: Factor<'_, F>,
    accumulate: bool,
    sums: Sums,
    room: &mut Room<F>,
) {
    let sums = if F::IS_REFERENCE { Sums::Pieces } else { sums };
    let columns = b.columns();
    // What is unpacked or widened stays in the cache.
    let width = match b {
        Factor::Ready(_) if sums == Sums::Pieces => columns,
        Factor::Ready(_) | Factor::Stored(..) => {
            columns.div_ceil(columns.div_ceil(UNPACKED_COLUMNS).max(1))
        }
    };
    for first in (0..columns).step_by(width.max(1)) {
        let end = (first + width).min(columns);
        let b = b.block(0..a.columns, first..end);
        multiply_by_pieces(&mut out[first..], out_stride, a, b, accumulate, sums, room);
    }
}

fn multiply_by_pieces<F: Float>(
    out: &mut [F],
    out_stride: usize,
    a: Matrix<&[F]>,
    b: Factor<'_, F>,
    accumulate: bool,
    sums: Sums,
    room: &mut Room<F>,
) {
    let (depth, columns) = (a.columns, b.columns());
    if F::IS_REFERENCE || sums == Sums::Pieces && depth <= DEPTH {
        return multiply_piece(out, out_stride, a, b.ready(&mut room.unpacked), accumulate);
    }
    room.sums.clear();
    room.sums.resize(a.rows * columns, 0.0);
    for k in (0..depth).step_by(DEPTH) {
        let piece = k..(k + DEPTH).min(depth);
        let a = a.block(0..a.rows, piece.clone());
        let b = b.block(piece, 0..columns);
        if sums == Sums::Exact {
            let [wide_a, wide_b] = &mut room.wide;
            let (a, b) = (a.widened(wide_a), b.widened(wide_b));
            multiply_piece(&mut room.sums, columns, a, b, true);
            continue;
        }
        room.piece.resize(a.rows * columns, F::ZERO);
        multiply_piece(&mut room.piece, columns, a, b.ready(&mut room.unpacked), false);
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
    a: Matrix<&[F]>,
    b: Matrix<&[F]>,
    accumulate: bool,
) {
    assert_eq!(a.columns, b.rows, "inner dimensions of a product");
    let (a_values, b_values) = (&a.values[a.first..], &b.values[b.first..]);
    for (m, values) in [(a, a_values), (b, b_values)] {
        assert!(extent(m.rows, m.columns, m.row_stride, m.column_stride) <= values.len());
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
            a_values.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            b_values.as_ptr(),
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
