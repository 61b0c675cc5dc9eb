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
    pub(super) fn take(&mut self, b: &mut Builder, id: NodeId) -> Option<Signal> {
        let Arrived { value, product } = std::mem::take(&mut self.0[id.0]);
        match (value, product) {
            (Some(value), Some(product)) => {
                let product = product.make(b, None);
                Some(Signal::Value(sum(b, value, product)))
            }
            (value, product) => value.map(Signal::Value).or(product.map(Signal::Product)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Device, DeviceChoice, Input};

    /// What comes to a node: a value, or the product of a factor and that value.
    #[derive(Clone, Copy)]
    enum Sent {
        Value,
        Product { factor: usize, scale: f32, repeat: usize },
    }

    /// Two rows of two numbers for one picture.
    const ROWS: [f32; 4] = [1.0, 2.0, 3.0, 4.0];
    const FACTORS: [[f32; 4]; 2] = [[2.0, 3.0, 5.0, 7.0], [11.0, 13.0, 17.0, 19.0]];

    /// The kernels of what is done with signals that come to one node, and its signal.
    fn kernels(sent: &[Sent]) -> Vec<&'static str> {
        let mut b = Builder::new();
        let factors = FACTORS.map(|_| b.input(Element::Float, 4));
        let mut signals = Signals(vec![Arrived::default()]);
        for one in sent {
            let c = b.input(Element::Float, 4);
            let signal = match *one {
                Sent::Value => Signal::Value(c),
                Sent::Product { factor, scale, repeat } => {
                    let (a, place) = (factors[factor], b.place());
                    Signal::Product(Product { a, stride: 2, repeat, rows: 2, scale, c, place })
                }
            };
            signals.arrive(&mut b, NodeId(0), signal);
        }
        let met = signals.take(&mut b, NodeId(0)).expect("something came").make(&mut b);
        assert_eq!(signals.take(&mut b, NodeId(0)), None, "it was taken");
        b.output(met);
        let program = b.finish().expect("it is small");

        let rows: Vec<[f32; 4]> = (0..sent.len()).map(|i| ROWS.map(|r| r + i as f32)).collect();
        let inputs: Vec<Input<'_>> =
            FACTORS.iter().chain(&rows).map(|numbers| Input::Float(numbers)).collect();
        let mut session = Device::open(&DeviceChoice::CpuF64)
            .expect("it needs nothing")
            .prepare(&program)
            .expect("nothing is joined");
        let found = session.run(&inputs).expect("it runs").remove(0).to_f64();
        for (i, found) in found.into_iter().enumerate() {
            let of = |(one, row): (&Sent, &[f32; 4])| match *one {
                Sent::Value => row[i],
                Sent::Product { factor, scale, repeat } => {
                    scale * FACTORS[factor][i / 2 / repeat * 2 + i % 2] * row[i]
                }
            };
            // Small whole numbers and halves are exact.
            assert_eq!(found as f32, sent.iter().zip(&rows).map(of).sum::<f32>(), "number {i}");
        }
        program.steps.iter().map(|step| step.call.kernel().name).collect()
    }

    #[test]
    fn products_of_one_factor_are_added_before_they_are_multiplied() {
        let one = Sent::Product { factor: 0, scale: 0.5, repeat: 2 };
        assert_eq!(kernels(&[one]), ["multiply_add"]);
        assert_eq!(kernels(&[one; 3]), ["add", "add", "multiply_add"]);
        // A value goes to the others when these are multiplied.
        assert_eq!(kernels(&[one, Sent::Value, one]), ["add", "multiply_add", "add"]);
        assert_eq!(kernels(&[Sent::Value; 2]), ["add"]);
        assert_eq!(kernels(&[Sent::Value]), [""; 0]);
    }

    #[test]
    fn products_of_other_factors_are_multiplied_each() {
        let one = Sent::Product { factor: 0, scale: 0.5, repeat: 2 };
        let other_factor = Sent::Product { factor: 1, scale: 0.5, repeat: 2 };
        let other_scale = Sent::Product { factor: 0, scale: -1.0, repeat: 2 };
        let other_rows = Sent::Product { factor: 0, scale: 0.5, repeat: 1 };
        for other in [other_factor, other_scale, other_rows] {
            assert_eq!(kernels(&[one, other]), ["multiply_add", "multiply_add", "add"]);
        }
    }
}
