//! Layers that only move values: concatenations, ranges of channels, shuffles, zeros around.
//! Each has its forward half and, beside it, the half that takes a signal back.

use super::operator::word;
use super::relevance::constant;
use super::{Builder, Element, Operand, Slot};
use crate::graph::{Network, NodeId};
use crate::kernels::{Call, copy_channels, permute};
use crate::tensor::Shape;

/// From pixels to planes or back; nothing to do where a picture has one position or one channel.
pub(super) fn planes(
    b: &mut Builder,
    shape: Shape,
    rows: usize,
    from: Slot,
    to_planes: bool,
) -> Slot {
    if shape.is_vector() || shape.channels == 1 {
        return from;
    }
    let len = rows * shape.len();
    let params = permute::Params {
        total: word(len),
        channels: word(shape.channels),
        positions: word(shape.height * shape.width),
        to_planes: u32::from(to_planes),
    };
    b.emit(Call::Permute(params), &[Operand::Value(from)], len)
}

/// The inputs of a concatenation: first channel in the output, node, shape.
fn slices(network: &Network, id: NodeId) -> Vec<(usize, NodeId, Shape)> {
    let graph = network.graph();
    let mut first = 0;
    let slice = |input: &NodeId| {
        let shape = graph.node(*input).shape;
        first += shape.channels;
        (first - shape.channels, *input, shape)
    };
    graph.node(id).inputs.iter().map(slice).collect()
}

/// The inputs of a concatenation side by side; `value` finds them.
pub(super) fn concat(
    b: &mut Builder,
    network: &Network,
    id: NodeId,
    rows: usize,
    value: impl Fn(NodeId) -> Slot,
) -> Slot {
    let shape = network.graph().node(id).shape;
    let out = b.value(Element::Float, rows * shape.len());
    for (first, input, part) in slices(network, id) {
        let run = Run { from: part.channels, first: 0, to: shape.channels, at: first };
        run.copy(b, rows * shape.height * shape.width, part.channels, value(input), out);
    }
    out
}

/// What each input of a concatenation gets of a signal.
pub(super) fn split(
    b: &mut Builder,
    network: &Network,
    id: NodeId,
    rows: usize,
    signal: Slot,
) -> Vec<(NodeId, Slot)> {
    let shape = network.graph().node(id).shape;
    let cut = |(first, input, part): (usize, NodeId, Shape)| {
        (input, narrow(b, shape, rows, signal, first, part.channels))
    };
    slices(network, id).into_iter().map(cut).collect()
}

/// The channels from `start` on.
pub(super) fn narrow(
    b: &mut Builder,
    from: Shape,
    rows: usize,
    value: Slot,
    start: usize,
    length: usize,
) -> Slot {
    let positions = rows * from.height * from.width;
    let out = b.value(Element::Float, positions * length);
    let run = Run { from: from.channels, first: start, to: length, at: 0 };
    run.copy(b, positions, length, value, out);
    out
}

/// A signal at a range of channels as one at all of them, with zeros for the others.
pub(super) fn widen(
    b: &mut Builder,
    to: Shape,
    rows: usize,
    signal: Slot,
    start: usize,
    length: usize,
) -> Slot {
    let positions = rows * to.height * to.width;
    let out = constant(b, rows * to.len(), &[0.0]);
    let run = Run { from: length, first: 0, to: to.channels, at: start };
    run.copy(b, positions, length, signal, out);
    out
}

/// Deals out `groups` runs of channels; the way back deals out as many runs as a run has.
pub(super) fn shuffle(
    b: &mut Builder,
    shape: Shape,
    rows: usize,
    value: Slot,
    groups: usize,
) -> Slot {
    let len = rows * shape.len();
    // At each position, a run is a plane of a picture that has a channel for each group.
    let params = permute::Params {
        total: word(len),
        channels: word(groups),
        positions: word(shape.channels / groups),
        to_planes: 0,
    };
    b.emit(Call::Permute(params), &[Operand::Value(value)], len)
}

/// Zeros around: left, right, above, below.
pub(super) fn pad(
    b: &mut Builder,
    from: Shape,
    rows: usize,
    value: Slot,
    [left, right, above, below]: [usize; 4],
) -> Slot {
    let line = from.width * from.channels;
    let wide = line + (left + right) * from.channels;
    let mut value = value;
    if wide > line {
        let out = constant(b, rows * from.height * wide, &[0.0]);
        let run = Run { from: line, first: 0, to: wide, at: left * from.channels };
        run.copy(b, rows * from.height, line, value, out);
        value = out;
    }
    if above + below > 0 {
        let (count, tall) = (from.height * wide, (from.height + above + below) * wide);
        let out = constant(b, rows * tall, &[0.0]);
        let run = Run { from: count, first: 0, to: tall, at: above * wide };
        run.copy(b, rows, count, value, out);
        value = out;
    }
    value
}

/// What lies inside the zeros that [`pad`] puts around a picture of shape `to`.
pub(super) fn crop(
    b: &mut Builder,
    to: Shape,
    rows: usize,
    signal: Slot,
    [left, right, above, below]: [usize; 4],
) -> Slot {
    let line = to.width * to.channels;
    let wide = line + (left + right) * to.channels;
    let mut signal = signal;
    if above + below > 0 {
        let (count, tall) = (to.height * wide, (to.height + above + below) * wide);
        let out = b.value(Element::Float, rows * count);
        let run = Run { from: tall, first: above * wide, to: count, at: 0 };
        run.copy(b, rows, count, signal, out);
        signal = out;
    }
    if wide > line {
        let out = b.value(Element::Float, rows * to.len());
        let run = Run { from: wide, first: left * to.channels, to: line, at: 0 };
        run.copy(b, rows * to.height, line, signal, out);
        signal = out;
    }
    signal
}

/// Runs of values inside longer ones: how long the source's and the target's are, and where the
/// copied part starts in each.
struct Run {
    from: usize,
    first: usize,
    to: usize,
    at: usize,
}

impl Run {
    fn copy(self, b: &mut Builder, times: usize, count: usize, from: Slot, into: Slot) {
        let call = Call::CopyChannels(copy_channels::Params {
            positions: word(times),
            from_channels: word(self.from),
            from_first: word(self.first),
            to_channels: word(self.to),
            to_first: word(self.at),
            count: word(count),
        });
        b.emit_into(call, &[Operand::Value(from)], &[into]);
    }
}
