//! What the kernel must hold that its twins do not show.

use std::cell::Cell;

use pulp::{Scalar, Scalar128b, Scalar256b, Scalar512b};

use super::*;
use crate::kernels::epilogue::{Epilogue, Inputs, Then};

#[test]
fn every_vector_unit_gives_the_same() {
    // In tiles of eight and of seven where vectors are widest.
    for (size, rows) in [([5, 7], 8), ([7, 7], 7)] {
        // A window of 2x2 with zeros around, and one pixel.
        let shifts = [[-1, -1], [-1, 0], [0, -1], [0, 0]];
        check_every_vector_unit(size, rows, &shifts);
        check_every_vector_unit(size, rows, &shifts[3..]);
    }
}

/// Two planes of pixels, of which each meets those so far away; 150 channels to 20.
fn check_every_vector_unit(size: [usize; 2], rows: usize, shifts: &[[isize; 2]]) {
    let (shape, source) = ([shifts.len(), 150, 20], Planes { count: 2, size });
    let pixels = 2 * size[0] * size[1];
    let number = |i: usize| ((i * 7919 % 1000) as f32 - 500.0) / 500.0;
    let weights: Vec<f32> = (0..shape.iter().product()).map(number).collect();
    let place = |tap, row| (tap * shape[1] + row) * shape[2];
    let panels = Panels::new(Rows::F32(&weights), shape, place, 1);
    let taps = shifts.iter().enumerate();
    let taps = taps.map(|(number, shift)| Tap { number, shift: *shift }).collect();
    let lattice = Lattice { origin: [0; 2], step: [1; 2], size: source.size, stride: [1; 2], taps };
    let values: Vec<f32> = (0..pixels * shape[1]).map(|i| number(i + 3)).collect();
    let others: Vec<f32> = (0..pixels * shape[2]).map(|i| number(i + 5)).collect();
    let of_channels: Vec<f32> = (0..shape[2]).map(|i| number(i + 11)).collect();
    let mut room = vec![0.0; others.len()];
    let room = Cell::from_mut(&mut room[..]).as_slice_of_cells();
    let inputs = Inputs { values: &others[..], count: others.len() / 2, repeat: 2, stride: 0 };
    let then = [
        Epilogue::ChannelAffine {
            channels: shape[2],
            scale: &of_channels[..],
            shift: Some(&of_channels),
        },
        Epilogue::Add(&others),
        Epilogue::Clamp { low: -20.0, high: 30.0, scale: 0.5 },
        Epilogue::StabilizedRatio { r: &others, epsilon: 0.25 },
        Epilogue::StabilizedGate { a: inputs, scale: -0.5, epsilon: 0.25 },
        Epilogue::MultiplyAdd { a: inputs, scale: 3.0, accumulate: true },
    ];
    let mut plain = Vec::new();
    for count in 0..=then.len() {
        // What is kept is what is there before anything follows.
        let keep = (count > 0).then_some(room);
        let then = Then { keep, steps: &then[..count] };
        let epilogues = Epilogues { bias: &of_channels, accumulate: true, then };
        let product = Product {
            source,
            channels: shape[1],
            target: source,
            lattices: std::slice::from_ref(&lattice),
            panels: &panels,
            part: (Part::Positive, 0.0),
        };
        let tasks = product.tasks();
        let mut tiles = tasks.iter().map(|task| rows_of_tile(16, task.positions.len()));
        assert!(tiles.any(|tile| tile == rows), "{rows} rows");
        let of = |by: &(dyn Fn(Run<'_>) + Sync)| {
            let mut out = others.clone();
            room.iter().for_each(|place| place.set(f32::NAN));
            product.run_by(&values, epilogues, &mut out, by);
            if keep.is_some() {
                out.extend(room.iter().map(Cell::get));
            }
            out
        };
        let expected = of(&|run| Scalar.vectorize(InTiles(run)));
        if keep.is_none() {
            plain.clone_from(&expected);
        }
        let kept = &expected[others.len()..];
        assert!(keep.is_none() || kept == plain, "the sums themselves");
        let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let arch = Arch::new();
        for (name, found) in [
            ("this processor", of(&|run| arch.dispatch(InTiles(run)))),
            ("4 lanes", of(&|run| Scalar128b.vectorize(InTiles(run)))),
            ("8 lanes", of(&|run| Scalar256b.vectorize(InTiles(run)))),
            ("16 lanes", of(&|run| Scalar512b.vectorize(InTiles(run)))),
        ] {
            let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0.0, f32::max);
            assert!(worst <= 1e-5 * largest, "{name}, {count} steps: {worst} of {largest}");
        }
    }
}
