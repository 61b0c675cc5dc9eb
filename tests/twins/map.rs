//! Cases of the kernels that make maps.

use clrp::kernels::{Call, attribution, channel_dot, heatmap, multiply_planes, upsample2d};

use super::{Case, Given};
use crate::support::Random;

pub(super) fn attribution(random: &mut Random) -> Vec<Case> {
    use attribution::Mode as M;
    let mut cases = Vec::new();
    for mode in [M::Plain, M::Clamped, M::NormalizedDifference] {
        // Pictures, rows, first row, targets, channels, positions, first row of the duals.
        for [batch, rows, first, targets, channels, positions, dual_first] in
            // More values than one piece of work has in the last one.
            [
                [1, 2, 0, 1, 1, 1, 1],
                [2, 5, 1, 2, 3, 35, 3],
                [1, 6, 3, 3, 67, 40, 0],
                [2, 3, 1, 1, 3, 5000, 2],
            ]
        {
            let p = attribution::Params {
                batch,
                rows,
                first,
                targets,
                channels,
                positions,
                mode: mode as u32,
                dual_first,
            };
            let values = random.floats((batch * rows * channels * positions) as usize);
            let mut sums = random.away_from_zero((batch * rows) as usize);
            // The first row's sum divides nothing.
            sums[0] = 0.0;
            let before = Given::junk((batch * targets * channels * positions) as usize);
            let operands = vec![Given::Float(values), Given::Float(sums), before];
            cases.push(Case { call: Call::Attribution(p), operands });
        }
    }
    cases
}

/// Positions, channels, pictures, rows of a picture.
const CAMS: [[u32; 4]; 4] = [[1, 1, 1, 1], [49, 7, 2, 3], [6, 513, 1, 2], [400, 3, 3, 1]];

pub(super) fn channel_dot(random: &mut Random) -> Vec<Case> {
    let case = |[positions, channels, batch, repeat]: [u32; 4]| {
        let (rows, total) = (batch * repeat, batch * repeat * positions);
        let a = Given::Float(random.floats((batch * positions * channels) as usize));
        let w = Given::Float(random.floats((rows * channels) as usize));
        let p = channel_dot::Params { total, positions, channels, repeat };
        let operands = vec![a, w, Given::junk(total as usize)];
        Case { call: Call::ChannelDot(p), operands }
    };
    CAMS.into_iter().map(case).collect()
}

pub(super) fn multiply_planes(random: &mut Random) -> Vec<Case> {
    let case = |[positions, channels, batch, _]: [u32; 4]| {
        let count = channels * positions;
        let total = batch * count;
        let maps = Given::Float(random.floats(total as usize));
        let planes = Given::Float(random.floats((batch * positions) as usize));
        let p = multiply_planes::Params { total, count, positions };
        let operands = vec![maps, planes, Given::junk(total as usize)];
        Case { call: Call::MultiplyPlanes(p), operands }
    };
    CAMS.into_iter().map(case).collect()
}

pub(super) fn heatmap(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    // Maps, channels, rows, columns, values from row to row.
    for [maps, channels, height, width, stride] in
        [[1, 1, 1, 1, 1], [2, 3, 5, 7, 64], [1, 3, 31, 65, 128], [3, 2, 4, 64, 64]]
    {
        for reduction in [heatmap::Mode::Sum, heatmap::Mode::PositiveSum, heatmap::Mode::MaxAbs] {
            let reduction = reduction as u32;
            let p = heatmap::Params { maps, channels, height, width, stride, reduction };
            let from = Given::Float(random.floats((maps * channels * height * width) as usize));
            let operands = vec![from, Given::junk((maps * height * stride) as usize)];
            cases.push(Case { call: Call::Heatmap(p), operands });
        }
    }
    cases
}

pub(super) fn upsample2d(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    // Planes, rows and columns of each, rows and columns of the larger ones.
    for [planes, in_height, in_width, out_height, out_width] in
        [[1, 1, 1, 1, 1], [2, 1, 1, 5, 3], [3, 7, 7, 224, 224], [2, 5, 3, 7, 11], [1, 4, 9, 4, 3]]
    {
        for bilinear in [0, 1] {
            let total = planes * out_height * out_width;
            let p =
                upsample2d::Params { total, in_height, in_width, out_height, out_width, bilinear };
            let from = Given::Float(random.floats((planes * in_height * in_width) as usize));
            let operands = vec![from, Given::junk(total as usize)];
            cases.push(Case { call: Call::Upsample2d(p), operands });
        }
    }
    cases
}
