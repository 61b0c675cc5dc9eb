//! What the kernel must hold that its twin does not show.

use std::cell::Cell;

use pulp::{Scalar, Scalar128b, Scalar256b, Scalar512b};

use super::*;
use crate::kernels::epilogue::{Epilogue, Inputs, Then};

#[test]
fn a_filter_of_one_number_is_seen_at_the_points_of_its_place() {
    // The middle one: `G e` is (0, 1/2, -1/2, 0) in both directions.
    let points = filter_points([[0.0; 3], [0.0, 4.0, 0.0], [0.0; 3]]);
    let row = [0.0, 1.0, -1.0, 0.0];
    let expected: [f64; POINTS] =
        std::array::from_fn(|point| row[point / SIDE] * row[point % SIDE]);
    assert_eq!(points, expected);
}

#[test]
fn filters_of_five_are_cut_into_two_taps_and_three() {
    let split = Split::of_taps(25);
    assert_eq!([0, 1].map(|i| split.taps(i)), [0..2, 2..5]);
    let parts = (0..POINTS).map(|point| split.parts_at(point).len());
    assert_eq!(parts.sum::<usize>(), 49);
    let last: Vec<_> = split.parts_at(POINTS - 1).iter().map(|part| part.number).collect();
    assert_eq!(last, [3]);
    let of_three = Split::of_taps(9);
    assert_eq!((of_three.parts(), of_three.taps(0)), (1, 0..3));
    assert!((0..POINTS).all(|point| of_three.parts_at(point).len() == 1));
}

const PARAMS: Params = Params {
    batch: 2,
    in_width: 9,
    out_width: 7,
    out_channels: 20,
    padding_width: 0,
    bias_part: Part::All.code(),
    rounding: Rounding::Checked.code(),
    ..Params::keeping_size([6, 7], 32, 3)
};

const KIND: Kind = Kind { part: Part::All, is_transposed: false };

/// A convolution of positive numbers, or its transpose, where one number stands out by far.
fn sharp(is_transposed: bool, kernel: u32) -> (Params, Vec<f32>, Vec<f32>, Packing) {
    let taps = (kernel * kernel) as usize;
    let packing = Packing { groups: 1, out_per_group: 16, in_per_group: 16, taps };
    let p = Params {
        part: Part::Positive.code(),
        rounding: Rounding::Checked.code(),
        ..Params::keeping_size([7; 2], 16, kernel)
    };
    let mut a: Vec<f32> = (0..49 * 16).map(|i| (i * 31 % 17) as f32 * 1e-7).collect();
    // A corner without anything, beside it what stands out.
    let reach = (kernel - 1) as usize;
    for pixel in (0..=reach).flat_map(|y| (0..=reach).map(move |x| 7 * y + x)) {
        a[pixel * 16..][..16].fill(0.0);
    }
    a[(7 * (reach + 1) + reach + 1) * 16 + 5] = 1e3;
    let weights: Vec<f32> =
        (0..packing.len()).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 500.0).collect();
    assert!(if is_transposed { suits_transposed(&p) } else { suits(&p) });
    (p, a, weights, packing)
}

#[test]
fn sums_far_smaller_than_what_is_around_them_have_their_digits() {
    for (is_transposed, kernel) in [(false, 3), (true, 3), (false, 5), (true, 5)] {
        let (p, a, weights, packing) = sharp(is_transposed, kernel);
        let (kernel, taps, before) = (kernel as usize, packing.taps, kernel as usize / 2);
        let kind = Kind { part: Part::Positive, is_transposed };
        let filters = Transformed::new(Rows::F32(&weights), &packing, kind);
        let epilogues = Epilogues { bias: &[], accumulate: false, then: Then::default() };
        let mut out = vec![f32::NAN; 49 * 16];
        filters.run(&p, &a, Rows::F32(&weights), epilogues, &mut out);
        let (mut zeros, mut worst) = (0, 0.0_f64);
        for (i, found) in out.iter().enumerate() {
            let (y, x, column) = (i / 16 / 7, i / 16 % 7, i % 16);
            let mut expected = 0.0;
            for (tap, c) in (0..taps).flat_map(|tap| (0..16).map(move |c| (tap, c))) {
                let in_y = (y + tap / kernel).wrapping_sub(before);
                let in_x = (x + tap % kernel).wrapping_sub(before);
                if in_y < 7 && in_x < 7 {
                    let w = weights[kind.place(c, column, (tap, taps), 16)].max(0.0);
                    expected += f64::from(a[(in_y * 7 + in_x) * 16 + c]) * f64::from(w);
                }
            }
            if expected == 0.0 {
                assert_eq!(*found, 0.0, "{i}");
                zeros += 1;
            } else {
                worst = worst.max((f64::from(*found) - expected).abs() / expected);
            }
        }
        assert!(zeros >= 4 * 16, "{zeros}");
        assert!(worst < 1e-4, "{is_transposed}, {kernel}: {worst}");
    }
}

#[test]
fn every_vector_unit_gives_the_same() {
    // In tiles of eight and of seven where vectors are widest: 12 windows a picture.
    for (batch, rows) in [(2, 8), (7, 7)] {
        check_every_vector_unit(Params { batch, ..PARAMS }, rows);
    }
    // The same outputs by filters that are cut.
    let of_five = Params { kernel_height: 5, kernel_width: 5, padding_height: 2, ..PARAMS };
    check_every_vector_unit(Params { padding_width: 1, ..of_five }, 8);
}

fn check_every_vector_unit(p: Params, rows: usize) {
    let packing = Packing { groups: 1, out_per_group: 20, in_per_group: 32, taps: p.taps() };
    assert!(suits(&p));
    let number = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 500.0;
    let of_length = |length: usize| (0..length).map(number).collect::<Vec<_>>();
    let weights = of_length(packing.len());
    let filters = Transformed::new(Rows::F32(&weights), &packing, KIND);
    let tasks = filters.tasks(&p);
    let tiles = tasks.iter().map(|task| rows_of_tile(16, task.windows.len()));
    assert!(tiles.into_iter().any(|tile| tile == rows), "{rows} rows");
    let (a, bias) = (of_length(p.batch as usize * 6 * 9 * 32), of_length(20));
    // All pictures are multiplied by the same numbers.
    let (count, repeat) = (6 * 7 * 20, p.batch as usize);
    let factors = of_length(count);
    let inputs = Inputs { values: &factors[..], count, repeat, stride: 0 };
    let steps = [Epilogue::MultiplyAdd { a: inputs, scale: 1.0, accumulate: false }];
    let of = |by: &(dyn Fn(Run<'_>) + Sync)| {
        let [mut out, mut room] = [(); 2].map(|()| vec![f32::NAN; repeat * count]);
        let keep = Some(Cell::from_mut(&mut room[..]).as_slice_of_cells());
        let then = Then { keep, steps: &steps };
        let epilogues = Epilogues { bias: &bias, accumulate: false, then };
        filters.run_by(&p, &a, Rows::F32(&weights), epilogues, &mut out, by);
        for (i, (out, kept)) in out.iter().zip(&room).enumerate() {
            assert_eq!(*out, factors[i % count] * kept, "number {i}");
        }
        out.extend(room);
        out
    };
    let expected = of(&|run| Scalar.vectorize(InTiles(run)));
    let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let arch = Arch::new();
    for (name, found) in [
        ("this processor", of(&|run| arch.dispatch(InTiles(run)))),
        ("4 lanes", of(&|run| Scalar128b.vectorize(InTiles(run)))),
        ("8 lanes", of(&|run| Scalar256b.vectorize(InTiles(run)))),
        ("16 lanes", of(&|run| Scalar512b.vectorize(InTiles(run)))),
    ] {
        let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let is_close = |apart: f32| apart <= 1e-6 * largest;
        assert!(apart.into_iter().all(is_close), "{name}");
    }
}
