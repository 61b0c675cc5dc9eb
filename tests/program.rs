//! Lowered programs: their listing, and what their memory plans promise.

use std::path::Path;
use std::sync::OnceLock;

use clrp::Method;
use clrp::backend::{Device, Input};
use clrp::graph::{Conv2d, Graph, Linear, MaxPool2d, Network, NodeId, Op, WeightSpec, Weights};
use clrp::kernels::conv2d::Rounding;
use clrp::kernels::{Access, Call};
use clrp::models::Model;
use clrp::program::{
    Bounds, Element, Extras, Limits, Operand, Plan, Program, Slot, Step, Targets, lower,
};
use clrp::rules::preset;
use clrp::tensor::Shape;
use clrp::weight::Weight;

use crate::support::{Question, backends, say, weights};

const METHODS: [Method; 5] =
    [Method::Lrp, Method::Clrp1, Method::Clrp2, Method::Clrp1Logits, Method::GuidedBackprop];

/// A branch, a normalisation, every kind of pool and two layers with weights.
fn toy() -> Network {
    toy_of(false)
}

/// The same, whose sum is not negative.
fn toy_with_relu() -> Network {
    toy_of(true)
}

fn toy_of(has_relu: bool) -> Network {
    let mut g = Graph::new("toy", Shape::new(3, 8, 8));
    let build = |g: &mut Graph| {
        let x = g.conv2d("stem", g.input(), Conv2d::new(4, 3).padding(1))?;
        let x = g.batch_norm2d("norm", x)?;
        let x = g.relu("relu", x)?;
        let x = g.max_pool2d("pool", x, MaxPool2d::new(2, 2))?;
        let y = g.conv2d("branch", x, Conv2d::new(4, 1))?;
        let sum = g.push("add", Op::Add, &[x, y])?;
        let sum = if has_relu { g.relu("sum", sum)? } else { sum };
        let x = g.push("concat", Op::Concat, &[sum, x])?;
        let x = g.adaptive_avg_pool2d("average", x, 2)?;
        let x = g.flatten("flatten", x)?;
        g.push("top", Op::Linear(Linear { out_features: 5, bias: true }), &[x])
    };
    build(&mut g).expect("shapes fit");
    weights(g, 1)
}

/// A program for two targets of each of `batch` pictures.
fn lowered(network: &Network, methods: &[Method], batch: usize) -> Program {
    let rules = preset("contrastive").expect("a preset");
    let pictures = vec![0.0; batch * network.graph().input_shape().len()];
    let targets = vec![0; 2 * batch];
    Question::new(network, &rules, methods, &targets, &pictures).lowered().program
}

#[test]
fn the_toy_program_reads_as_it_did() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/toy_program.txt");
    let listing = lowered(&toy(), &[Method::Lrp, Method::Clrp2, Method::Gradient], 2).to_string();
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        std::fs::write(&file, &listing).expect("the folder can be written");
    }
    let golden = std::fs::read_to_string(&file).expect("UPDATE_GOLDEN=1 writes it");
    for (i, (line, expected)) in listing.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, expected, "line {}; after a change on purpose: UPDATE_GOLDEN=1", i + 1);
    }
    assert_eq!(listing.lines().count(), golden.lines().count());
}

/// A known model whose weights are zeros, which take no memory until they are written.
fn without_numbers(model: &str, side: usize) -> Network {
    let model = Model::find(model).expect("a known model");
    let graph = model.graph(Shape::new(3, side, side), 1000).expect("it is large enough");
    let specs = graph.weight_specs();
    let zeros = |spec: &WeightSpec| {
        let len = spec.shape.iter().product();
        Weight::from_f32(&spec.name, &spec.shape, vec![0.0; len])
    };
    Weights::from_weights("zeros", specs.iter().map(zeros)).bind(graph).expect("they suit")
}

/// The programs whose plans are looked at.
fn programs() -> &'static [(String, Program)] {
    static PROGRAMS: OnceLock<Vec<(String, Program)>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let (squeezenet, vgg) = ("squeezenet1_1", "vgg11_bn");
        let networks = [toy(), without_numbers(squeezenet, 64), without_numbers(vgg, 32)];
        let of = |network: &Network| {
            let name = network.graph().name();
            let all = (format!("{name}, all methods"), lowered(network, &METHODS, 2));
            [all, (format!("{name}, scores"), lowered(network, &[], 1))]
        };
        networks.iter().flat_map(of).collect()
    })
}

/// When a value is first and last needed: steps count from 1, inputs come before them, outputs
/// are taken after them.
fn lives(program: &Program) -> Vec<Option<(usize, usize)>> {
    let touched_by = |value: usize| {
        let steps = program.steps.iter().enumerate();
        let of_steps = steps.filter(move |(_, step)| {
            step.operands.iter().any(|o| matches!(o, Operand::Value(slot) if slot.0 == value))
        });
        let is = |slots: &[Slot]| slots.iter().any(|slot| slot.0 == value);
        let before = is(&program.inputs).then_some(0);
        let after = is(&program.outputs).then_some(program.steps.len() + 1);
        let all = before.into_iter().chain(of_steps.map(|(i, _)| i + 1)).chain(after);
        all.collect::<Vec<_>>()
    };
    let life = |value| {
        let touched = touched_by(value);
        Some((*touched.first()?, *touched.last()?))
    };
    (0..program.values.len()).map(life).collect()
}

#[test]
fn values_that_live_together_have_their_own_buffers() {
    for (name, program) in programs() {
        let lives = lives(program);
        for (a, value) in program.values.iter().enumerate() {
            let Some((start, end)) = lives[a] else { continue };
            let buffer = program.buffers[value.buffer];
            assert!(buffer.element == value.element && buffer.len >= value.len, "{name}: v{a}");
            for (b, other) in program.values.iter().enumerate().take(a) {
                let together = lives[b].is_some_and(|(from, to)| from <= end && start <= to);
                assert!(
                    !together || value.buffer != other.buffer,
                    "{name}: v{a} and v{b} live together in buffer {}",
                    value.buffer
                );
            }
        }
    }
}

#[test]
fn no_buffer_is_larger_than_its_largest_value() {
    for (name, program) in programs() {
        for (i, buffer) in program.buffers.iter().enumerate() {
            let own = program.values.iter().filter(|value| value.buffer == i);
            assert_eq!(own.map(|value| value.len).max(), Some(buffer.len), "{name}: buffer {i}");
        }
    }
}

/// Whether the kernel adds to what it writes.
fn accumulates(step: &Step) -> bool {
    let fields = step.call.kernel().fields;
    let place = fields.iter().find(|(name, _)| *name == "accumulate");
    place.is_some_and(|(_, offset)| step.call.words()[offset / 4] == 1)
}

#[test]
fn steps_read_what_was_written_and_write_elsewhere() {
    for (name, program) in programs() {
        let mut written = vec![false; program.values.len()];
        program.inputs.iter().for_each(|input| written[input.0] = true);
        for (i, step) in program.steps.iter().enumerate() {
            let place = format!("{name}, step {i}, {}", step.call.kernel().name);
            let mut read_buffers = Vec::new();
            let mut write_buffers = Vec::new();
            assert_eq!(step.operands.len(), step.call.kernel().operands.len(), "{place}");
            for (operand, access) in step.operands.iter().zip(step.call.kernel().operands) {
                let Operand::Value(slot) = operand else {
                    assert!(!access.writes(), "{place} writes a weight");
                    continue;
                };
                let reads = !access.writes() || accumulates(step);
                assert!(!reads || written[slot.0], "{place} reads v{} before its time", slot.0);
                let buffer = program.values[slot.0].buffer;
                if access.writes() {
                    write_buffers.push((slot.0, buffer));
                } else {
                    read_buffers.push(buffer);
                }
            }
            for (k, &(value, buffer)) in write_buffers.iter().enumerate() {
                written[value] = true;
                assert!(!read_buffers.contains(&buffer), "{place} writes what it reads");
                let others = &write_buffers[..k];
                assert!(others.iter().all(|(_, other)| *other != buffer), "{place} writes twice");
            }
        }
        assert!(program.outputs.iter().all(|output| written[output.0]), "{name}: its outputs");
    }
}

#[test]
fn concatenations_write_every_channel() {
    for (name, program) in programs() {
        let mut copied = vec![0; program.values.len()];
        let mut whole = vec![0; program.values.len()];
        for step in &program.steps {
            let (Call::CopyChannels(p), Some(Operand::Value(to))) =
                (&step.call, step.operands.last())
            else {
                continue;
            };
            copied[to.0] += p.count;
            whole[to.0] = p.to_channels;
        }
        assert_eq!(copied, whole, "{name}");
    }
}

#[test]
fn indices_and_floats_do_not_meet() {
    for (name, program) in programs() {
        for step in &program.steps {
            for (operand, access) in step.operands.iter().zip(step.call.kernel().operands) {
                let Operand::Value(slot) = operand else { continue };
                let expected = match access {
                    Access::Read | Access::ReadWeight | Access::Write | Access::Update => {
                        Element::Float
                    }
                    Access::ReadIndex | Access::WriteIndex => Element::Index,
                };
                assert_eq!(program.values[slot.0].element, expected, "{name}: {:?}", step.call);
            }
        }
    }
}

#[test]
fn a_forward_pass_keeps_a_few_activations_only() {
    for (name, program) in programs().iter().filter(|(name, _)| name.ends_with("scores")) {
        let values: usize = program.values.iter().map(|value| value.len).sum();
        let buffers: usize = program.buffers.iter().map(|buffer| buffer.len).sum();
        assert!(buffers * 2 < values, "{name}: {buffers} numbers for {values}");
    }
}

#[test]
fn the_reference_keeps_what_32_bit_do_not_hold() {
    let network = toy();
    let program = lowered(&network, &[], 1);
    let len = network.graph().input_shape().len();
    let fine: Vec<f64> = (0..len).map(|i| 0.25 * i as f64 + 2.0_f64.powi(-40)).collect();
    let coarse: Vec<f32> = fine.iter().map(|&value| value as f32).collect();
    for backend in backends() {
        let mut session = backend.device.prepare(&program).expect("it fits");
        let mut of = |input: Input<'_>| {
            session.run(&[input, Input::Index(&[0, 1])]).expect("it runs").swap_remove(0).to_f64()
        };
        let is_same = of(Input::Double(&fine)) == of(Input::Float(&coarse));
        assert_eq!(is_same, !backend.is_reference(), "{}", backend.name);
    }
}

/// How many steps of each kernel a program has whose device has kernels for some shapes.
fn convolutions(network: &Network, methods: &[Method]) -> [usize; 5] {
    let plan = Plan {
        network,
        composite: &preset("contrastive").expect("a preset"),
        methods,
        at: network.graph().output(),
        targets: Targets::Given(1),
        batch: 1,
        bounds: &Bounds { low: vec![-1.0; 3], high: vec![1.0; 3] },
        limits: Limits { has_variants: true, ..Limits::NONE },
        extras: Extras::default(),
    };
    let program = lower(&plan).expect("it can be lowered").program;
    let count = |name: &str| program.steps.iter().filter(|s| s.call.kernel().name == name).count();
    let transposes = ["conv_transpose2d", "conv_transpose2d_colors", "conv_transpose2d_quads"];
    let [plain, colors, quads] = transposes.map(count);
    [count("conv2d"), count("conv2d_quads"), plain, colors, quads]
}

#[test]
fn channels_in_fours_and_colors_have_kernels_of_their_own() {
    // The stem sees three channels; the branch has four in and four out.
    let network = toy_with_relu();
    // Forward and z, of the stem by both bounds; then the transposes, to three channels and to four.
    assert_eq!(convolutions(&network, &[Method::Lrp]), [3, 2, 0, 3, 0]);
    // Sums that keep what f32 loses have no such kernel; the transpose needs none.
    assert_eq!(convolutions(&network, &[Method::Gradient]), [2, 0, 0, 2, 0]);
    let pictures = vec![0.5; network.graph().input_shape().len()];
    let rules = preset("contrastive").expect("a preset");
    let question = Question::new(&network, &rules, &[Method::Lrp], &[0, 1], &pictures);
    // A pool that shares in proportion to what has either sign wants exact sums, too.
    assert_eq!(convolutions(&toy(), &[Method::Lrp]), [4, 1, 0, 3, 0]);
    let on_cpu = question.lowered().program;
    assert!(on_cpu.steps.iter().all(|step| !step.call.kernel().name.contains("_quads")));
}

#[test]
fn denominators_of_linear_layers_are_made_along_with_them() {
    let of = |name: &str, network: &Network, methods: &[Method]| {
        let rules = preset(name).expect("a preset");
        let pictures = vec![0.0; network.graph().input_shape().len()];
        let program = Question::new(network, &rules, methods, &[1], &pictures).lowered().program;
        let count =
            |name: &str| program.steps.iter().filter(|s| s.call.kernel().name == name).count();
        ["linear", "linear_pair"].map(count)
    };
    let network = toy_with_relu();
    assert_eq!(of("contrastive", &network, &[Method::Lrp, Method::Clrp1]), [0, 1]);
    // The epsilon rule's are the outputs.
    assert_eq!(of("epsilon_plus", &network, &[Method::Lrp]), [1, 0]);
    // No walk of relevance, and two parts of the input.
    assert_eq!(of("contrastive", &network, &[Method::Gradient]), [1, 0]);
    assert_eq!(of("contrastive", &toy(), &[Method::Lrp]), [3, 0]);
}

/// How the convolutions of the forward pass round: codes of `Rounding`, for the first preset.
fn roundings(build: fn(&mut Graph) -> clrp::Result<NodeId>, methods: &[Method]) -> Vec<u32> {
    let mut g = Graph::new("rounding", Shape::new(3, 8, 8));
    build(&mut g).expect("shapes fit");
    let network = weights(g, 1);
    let rules = preset("contrastive").expect("a preset");
    let pictures = vec![0.0; 3 * 64];
    let program = Question::new(&network, &rules, methods, &[1], &pictures).lowered().program;
    let of = |step: &Step| {
        let Call::Conv2d(p) = &step.call else { return None };
        (program.notes[step.note] == "forward").then_some(p.rounding)
    };
    program.steps.iter().filter_map(of).collect()
}

#[test]
fn the_forward_pass_is_as_precise_as_what_divides_by_it() {
    let block = |g: &mut Graph| {
        let x = g.conv2d("a", g.input(), Conv2d::new(4, 3).padding(1))?;
        let y = g.conv2d("b", x, Conv2d::new(4, 3).padding(1))?;
        let x = g.push("add", Op::Add, &[x, y])?;
        let x = g.conv2d("c", x, Conv2d::new(4, 3))?;
        let x = g.relu("relu", x)?;
        let x = g.flatten("flatten", x)?;
        g.linear("top", x, 3)
    };
    let ends_in_relu = |g: &mut Graph| {
        let x = g.conv2d("a", g.input(), Conv2d::new(4, 3).padding(1))?;
        let y = g.conv2d("b", x, Conv2d::new(4, 3).padding(1))?;
        let x = g.push("add", Op::Add, &[x, y])?;
        let x = g.relu("relu", x)?;
        let x = g.flatten("flatten", x)?;
        g.linear("top", x, 3)
    };
    let [own, exact, shared] =
        [Rounding::Own, Rounding::Exact, Rounding::Shared].map(Rounding::code);
    assert_eq!(roundings(block, &[Method::Lrp]), [own; 3]);
    assert_eq!(roundings(ends_in_relu, &[Method::Lrp]), [shared; 2]);
    assert_eq!(roundings(ends_in_relu, &[Method::Lrp, Method::Gradient]), [exact; 2]);
}

#[test]
fn devices_tell_what_steps_take() {
    let program = lowered(&toy(), &METHODS, 2);
    let pictures = vec![0.5; 2 * 3 * 64];
    for backend in backends() {
        let mut session = backend.device.prepare(&program).expect("it fits");
        let inputs = [Input::Float(&pictures), Input::Index(&[0, 1, 2, 3])];
        let Some(times) = session.step_times(&inputs).expect("it runs") else {
            let is_cpu = matches!(backend.device, Device::Cpu(_) | Device::CpuF64(_));
            assert!(!is_cpu, "{} has a clock", backend.name);
            say(&format!("{} has no clock for its steps", backend.name));
            continue;
        };
        assert_eq!(times.len(), program.steps.len(), "{}", backend.name);
        assert!(times.iter().all(|time| (0.0..60.0).contains(time)), "{}", backend.name);
        assert!(times.iter().sum::<f64>() > 0.0, "{}", backend.name);
    }
}
