//! Signals on their way down, as far as they have come.

use super::builder::Place;
use super::operator::word;
use super::{Builder, Element, Operand, Slot};
use crate::graph::NodeId;
use crate::kernels::{Call, add, multiply_add};

/// What a layer sends to one of its inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Signal {
    /// A value.
    Value(Slot),
    /// A product that is not made yet: what else comes to that input by the same factor is added before.
    Product(Product),
}

/// `scale * a * c`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Product {
    /// A part of the activations, which all rows of a picture share.
    pub(super) a: Slot,
    /// From one picture's to the next (0: one for all).
    pub(super) stride: usize,
    /// Rows of the signal for each picture.
    pub(super) repeat: usize,
    /// Rows in all.
    pub(super) rows: usize,
    /// The factor.
    pub(super) scale: f32,
    /// What the transpose handed down.
    pub(super) c: Slot,
    /// The layer that sent it.
    pub(super) place: Place,
}

impl Product {
    /// Makes it, or adds it to what is there.
    pub(super) fn make(self, b: &mut Builder, into: Option<Slot>) -> Slot {
        let len = b.len(self.c);
        let call = Call::MultiplyAdd(multiply_add::Params {
            total: word(len),
            count: word(len / self.rows),
            repeat: word(self.repeat),
            stride: word(self.stride),
            scale: self.scale,
            accumulate: u32::from(into.is_some()),
        });
        let out = into.unwrap_or_else(|| b.value(Element::Float, len));
        let reads = [Operand::Value(self.a), Operand::Value(self.c)];
        b.of_place(self.place, |b| b.emit_into(call, &reads, &[out]));
        out
    }

    /// Their sum, if they have the same factor.
    fn plus(self, b: &mut Builder, other: Self) -> Option<Self> {
        let is_like = Self { c: self.c, place: self.place, ..other } == self;
        is_like.then(|| Self { c: sum(b, self.c, other.c), ..other })
    }
}

impl Signal {
    /// The value itself.
    pub(super) fn make(self, b: &mut Builder) -> Slot {
        match self {
            Signal::Value(slot) => slot,
            Signal::Product(product) => product.make(b, None),
        }
    }
}

fn sum(b: &mut Builder, one: Slot, other: Slot) -> Slot {
    let len = b.len(one);
    let call = Call::Add(add::Params { total: word(len) });
    b.emit(call, &[Operand::Value(one), Operand::Value(other)], len)
}

/// The signals at all nodes.
#[derive(Clone, Debug)]
pub(super) struct Signals(Vec<Arrived>);

/// What has come to one node: their sum is its signal.
#[derive(Clone, Copy, Debug, Default)]
struct Arrived {
    value: Option<Slot>,
    product: Option<Product>,
}

impl Signals {
    /// A signal at one node.
    pub(super) fn at(nodes: usize, id: NodeId, signal: Slot) -> Self {
        let mut signals = vec![Arrived::default(); nodes];
        signals[id.0].value = Some(signal);
        Self(signals)
    }

    /// Takes the signal of a node, if one has come there.
    pub(super) fn take(&mut self, b: &mut Builder, id: NodeId) -> Option<Slot> {
        let Arrived { value, product } = std::mem::take(&mut self.0[id.0]);
        let product = product.map(|product| product.make(b, None));
        match (value, product) {
            (Some(value), Some(product)) => Some(sum(b, value, product)),
            (value, product) => value.or(product),
        }
    }

    /// Signals that meet add up.
    pub(super) fn arrive(&mut self, b: &mut Builder, id: NodeId, signal: Signal) {
        let Arrived { value, product } = &mut self.0[id.0];
        let signal = match (signal, *product) {
            (Signal::Value(signal), _) => signal,
            (Signal::Product(signal), None) => {
                *product = Some(signal);
                return;
            }
            (Signal::Product(signal), Some(met)) => match met.plus(b, signal) {
                Some(both) => {
                    *product = Some(both);
                    return;
                }
                None => signal.make(b, None),
            },
        };
        *value = Some(value.map_or(signal, |met| sum(b, met, signal)));
    }
}
