//! Steps that are done while the sums before them are at hand give what they give alone.

use std::collections::{BTreeMap, BTreeSet};

use clrp::Method;
use clrp::backend::Device;
use clrp::graph::{Conv2d, Graph, Network, Op};
use clrp::kernels::Call;
use clrp::program::{Between, Joins, Limits, Program};
use clrp::rules::{Rule, Selector, preset};
use clrp::tensor::Shape;

use crate::support::{
    Backend, MAP_F64, Question, SAME_F32, assert_close, backends, bounds, pictures, reference,
    weights,
};

const SHAPE: Shape = Shape::new(3, 15, 13);

/// A stem of so many channels, a residual block whose shortcut is a convolution, and one layer more. On GPUs the block's
/// convolution and its transpose go down so far that sums are stored and begun anew, or are shared by tiles.
fn network(stem: usize) -> Network {
    let build = || {
        let mut g = Graph::new("joins", SHAPE);
        let x = g.conv2d("stem", g.input(), Conv2d::new(stem, 3).padding(1))?;
        let x = g.push("norm", Op::BatchNorm2d { epsilon: 1e-5 }, &[x])?;
        let x = g.relu("relu", x)?;
        let long = g.conv2d("block.conv", x, Conv2d::new(36, 3).padding(1))?;
        let long = g.push("block.norm", Op::BatchNorm2d { epsilon: 1e-5 }, &[long])?;
        let short = g.conv2d("block.short", x, Conv2d::new(36, 1))?;
        let x = g.push("block.add", Op::Add, &[long, short])?;
        let x = g.relu("block.relu", x)?;
        let x = g.push("between", Op::BatchNorm2d { epsilon: 1e-5 }, &[x])?;
        let x = g.conv2d("last", x, Conv2d::new(16, 3).stride(2))?;
        let x = g.relu("last.relu", x)?;
        let x = g.flatten("flatten", x)?;
        g.linear("fc", x, 5)?;
        Ok::<_, clrp::Error>(g)
    };
    weights(build().expect("the layers fit"), 5)
}

/// How many steps of each kernel are joined.
fn joined(program: &Program) -> BTreeMap<&'static str, usize> {
    let mut count = BTreeMap::new();
    for step in program.steps.iter().filter(|step| step.joined.is_some()) {
        *count.entry(step.call.kernel().name).or_default() += 1;
    }
    count
}

#[test]
fn joined_steps_give_the_same_bytes() {
    let network = network(64);
    let pictures = pictures(SHAPE, 2, 3);
    let methods = [Method::Lrp, Method::Clrp1, Method::GuidedBackprop];
    let backends = backends();
    let cpu = &backends[1];
    for name in ["contrastive", "gu2018", "epsilon_alpha2_beta1", "epsilon_gamma_box"] {
        let rules = preset(name).expect("a preset");
        for (methods, targets) in [(&methods[..1], vec![1, 4]), (&methods, vec![0, 1, 4, 2])] {
            let question = Question::new(&network, &rules, methods, &targets, &pictures);
            let apart = question.ask(cpu);
            let limits = Limits { joins: Joins::Panels, ..Limits::NONE };
            let question = Question { limits, ..question };
            assert!(question.ask(cpu) == apart, "{name}, {} methods", methods.len());
        }
    }
}

#[test]
fn what_is_read_once_is_joined() {
    let network = network(64);
    let pictures = pictures(SHAPE, 1, 3);
    let rules = preset("contrastive").expect("a preset");
    let of = |methods: &[Method], targets: &[u32], joins: Joins| {
        let limits = Limits { joins, ..Limits::NONE };
        let question = Question::new(&network, &rules, methods, targets, &pictures);
        joined(&Question { limits, ..question }.lowered().program)
    };
    // Of the forward pass: both norms, the ReLUs of stem and last layer, and the sum, which leaves the
    // shortcut's part where the walk wants it; not the ReLU of the sum, which the walk wants, too. Back: a
    // ratio for each of the block's convolutions, a product for each value that layers read but the picture,
    // whose transposes to three channels are made otherwise, and before the block's product the sum of what
    // comes to it by two ways.
    let one = [
        ("add", 2),
        ("channel_affine", 2),
        ("clamp", 2),
        ("multiply_add", 3),
        ("stabilized_ratio", 2),
    ];
    assert_eq!(of(&[Method::Lrp], &[1], Joins::Panels), BTreeMap::from(one));
    // Denominators that several rows share have to be kept.
    let two = [("add", 2), ("channel_affine", 2), ("clamp", 2), ("multiply_add", 3)];
    assert_eq!(of(&[Method::Lrp], &[1, 2], Joins::Panels), BTreeMap::from(two));
    assert_eq!(of(&[Method::Lrp], &[1], Joins::None), BTreeMap::new());
}

#[test]
fn sums_that_others_read_are_kept_on_their_way() {
    let network = network(64);
    let pictures = pictures(SHAPE, 1, 3);
    let rules = preset("contrastive").expect("a preset");
    let kept = |box_kernels| {
        let limits = Limits { joins: Joins::Panels, box_kernels, ..Limits::NONE };
        let question = Question::new(&network, &rules, &[Method::Lrp], &[1], &pictures);
        let program = Question { limits, ..question }.lowered().program;
        let steps = program.steps.iter().filter(|step| step.joined == Some(Between::Kept));
        steps.map(|step| program.layers[step.layer].clone()).collect::<Vec<_>>()
    };
    assert_eq!(kept(false), ["block.add"]);
    // The stem's outputs give its denominators.
    assert_eq!(kept(true), ["norm", "block.add"]);
}

#[test]
fn kernels_for_z_box_give_what_others_do() {
    let network = network(64);
    let bounds = bounds(SHAPE.channels, -1.5, 1.0);
    // One picture as any other, one with nothing but its bounds, as saturated ones have.
    let mut of_two = pictures(SHAPE, 2, 3);
    for (i, value) in of_two[SHAPE.len()..].iter_mut().enumerate() {
        *value = if i % SHAPE.len() < SHAPE.len() / 2 { -1.5 } else { 1.0 };
    }
    for name in ["contrastive", "epsilon_gamma_box"] {
        let rules = preset(name).expect("a preset");
        let of = |box_kernels| {
            let limits = Limits { box_kernels, ..Limits::NONE };
            let methods = [Method::Lrp, Method::Clrp1];
            let question = Question::new(&network, &rules, &methods, &[1, 4], &of_two);
            let question = Question { limits, bounds: bounds.clone(), ..question };
            let steps = question.lowered().program.steps;
            let own =
                |call: &Call| matches!(call, Call::BoxDenominators(_) | Call::BoxRelevance(_));
            let count = steps.iter().filter(|step| own(&step.call)).count();
            assert_eq!(count, 2 * usize::from(box_kernels));
            question.ask(&reference()).maps.concat()
        };
        assert_close(&of(true), &of(false), MAP_F64, name);
    }
}

/// What follows a residual addition and how the block's branch is told.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Block {
    Plain,
    /// A norm after the ReLU.
    Scaled,
    /// ReLU6 in place of it.
    Clipped,
    /// The branch added to itself.
    Doubled,
    /// Another layer reads the branch, too.
    Shared,
}

fn residual(block: Block) -> Network {
    let build = || {
        let mut g = Graph::new("residual", SHAPE);
        let x = g.conv2d("stem", g.input(), Conv2d::new(8, 3).padding(1))?;
        let x = g.relu("relu", x)?;
        let long = g.conv2d("block.conv", x, Conv2d::new(8, 3).padding(1))?;
        let short = if block == Block::Doubled { long } else { x };
        let sum = g.push("block.add", Op::Add, &[long, short])?;
        let mut x = match block {
            Block::Clipped => g.push("block.relu", Op::Hardtanh { low: 0.0, high: 6.0 }, &[sum])?,
            Block::Plain | Block::Scaled | Block::Doubled | Block::Shared => {
                g.relu("block.relu", sum)?
            }
        };
        if block == Block::Scaled {
            x = g.push("between", Op::BatchNorm2d { epsilon: 1e-5 }, &[x])?;
        }
        let mut x = g.conv2d("last", x, Conv2d::new(4, 3))?;
        if block == Block::Shared {
            let other = g.conv2d("other", long, Conv2d::new(4, 3))?;
            x = g.push("last.add", Op::Add, &[x, other])?;
        }
        let x = g.flatten("flatten", x)?;
        g.linear("fc", x, 5)?;
        Ok::<_, clrp::Error>(g)
    };
    weights(build().expect("the layers fit"), 5)
}

/// The kernels of a residual addition, forward and back.
fn of_addition(block: Block, rule: Option<(&str, Rule)>) -> Vec<&'static str> {
    let network = residual(block);
    let pictures = pictures(SHAPE, 1, 3);
    let mut rules = preset("contrastive").expect("a preset");
    rules = rules.with_rules(rule.map(|(layer, rule)| (Selector::Name(layer.to_owned()), rule)));
    let question = Question::new(&network, &rules, &[Method::Lrp], &[1], &pictures);
    let program = question.lowered().program;
    let steps = program.steps.iter().filter(|step| program.layers[step.layer] == "block.add");
    steps.map(|step| step.call.kernel().name).collect()
}

#[test]
fn sums_before_a_relu_are_spared_where_nothing_arrives_at_dead_outputs() {
    let spared = ["add", "stabilized_gate", "multiply_difference"];
    assert_eq!(of_addition(Block::Plain, None), spared);
    // The branch is read elsewhere, is both terms, or has denominators that may be as small as it is.
    let gated = ["add", "stabilized_gate", "multiply_add"];
    assert_eq!(of_addition(Block::Shared, None)[..3], gated);
    assert_eq!(of_addition(Block::Doubled, None)[..2], gated[..2]);
    let epsilon = Rule::Epsilon { epsilon: 0.01 };
    assert_eq!(of_addition(Block::Plain, Some(("block.conv", epsilon))), gated);
    // Relevance is a product with the norm's output, with nothing of the input, or with what is not the sum.
    let plain = ["add", "stabilized_ratio", "multiply_add"];
    assert_eq!(of_addition(Block::Scaled, None), plain);
    assert_eq!(of_addition(Block::Plain, Some(("last", Rule::Flat))), plain);
    assert_eq!(of_addition(Block::Clipped, None), plain);
}

#[test]
fn spared_sums_give_the_same_maps() {
    let pictures = pictures(SHAPE, 2, 3);
    let methods = [Method::Lrp, Method::Clrp1, Method::Clrp2];
    let backends = backends();
    for block in [Block::Plain, Block::Scaled, Block::Clipped, Block::Doubled, Block::Shared] {
        let network = residual(block);
        for name in ["contrastive", "epsilon_gamma_box"] {
            let rules = preset(name).expect("a preset");
            let question = || Question::new(&network, &rules, &methods, &[1, 4], &pictures);
            for backend in &backends {
                // A ledger needs all sums.
                let of = |ledger| Question { ledger, ..question() }.ask(backend).maps;
                let [spared, kept] = [false, true].map(of);
                for (spared, kept) in spared.iter().zip(&kept) {
                    let what = format!("{block:?}, {name}, {}", backend.name);
                    assert_close(spared, kept, backend.of_precision(MAP_F64, SAME_F32), &what);
                }
            }
        }
    }
}

#[test]
fn spared_sums_and_branches_have_no_buffer() {
    let network = residual(Block::Plain);
    let pictures = pictures(SHAPE, 1, 3);
    let rules = preset("contrastive").expect("a preset");
    let question = Question::new(&network, &rules, &[Method::Lrp], &[1], &pictures);
    let limits = Limits { joins: Joins::Panels, ..Limits::NONE };
    let program = Question { limits, ..question }.lowered().program;
    let of = |layer: &str| {
        let is_forward = |step: &&clrp::program::Step| {
            program.layers[step.layer] == layer && program.notes[step.note] == "forward"
        };
        program.steps.iter().find(is_forward).and_then(|step| step.joined)
    };
    assert_eq!(["block.add", "block.relu"].map(of), [Some(Between::Passing); 2]);
}

#[test]
fn numbers_that_become_other_channels_are_not_joined() {
    // A plane of one channel is a vector as it lies; the norm has a factor for each of its numbers.
    let build = || {
        let mut g = Graph::new("flat", SHAPE);
        let x = g.conv2d("conv", g.input(), Conv2d::new(8, 3))?;
        let x = g.relu("relu", x)?;
        let x = g.conv2d("one", x, Conv2d::new(1, 3))?;
        let x = g.flatten("flatten", x)?;
        let x = g.push("norm", Op::BatchNorm2d { epsilon: 1e-5 }, &[x])?;
        g.linear("fc", x, 5)?;
        Ok::<_, clrp::Error>(g)
    };
    let network = weights(build().expect("the layers fit"), 5);
    let pictures = pictures(SHAPE, 1, 3);
    let rules = preset("contrastive").expect("a preset");
    let question = Question::new(&network, &rules, &[Method::Lrp], &[1], &pictures);
    let backends = backends();
    let apart = question.ask(&backends[1]);
    let limits = Limits { joins: Joins::Panels, ..Limits::NONE };
    let question = Question { limits, ..question };
    assert!(question.ask(&backends[1]) == apart);
    assert_eq!(joined(&question.lowered().program).get("channel_affine"), None);
}

/// Steps that follow others: these, and what follows.
fn follows(program: &Program) -> impl Iterator<Item = String> {
    let mut first = "";
    program.steps.iter().filter_map(move |step| {
        let name = step.call.kernel().name;
        if step.joined.is_none() {
            first = name;
            return None;
        }
        let of_one = if let Call::ChannelAffine(p) = &step.call { p.shifted == 0 } else { false };
        Some(format!("{first}: {name}{}", if of_one { " without shift" } else { "" }))
    })
}

#[test]
fn gpus_join_steps_where_channels_come_in_fours() {
    // So many channels that GPUs have large tiles for the block's transpose where none are shared.
    let network = network(128);
    let mut seen = BTreeSet::new();
    let pictures = pictures(SHAPE, 2, 3);
    let methods = [Method::Lrp, Method::Clrp1, Method::GuidedBackprop];
    let mut gpus = backends();
    gpus.retain(|backend| backend.device.limits().joins == Joins::Quads);
    // With tiles that share their depth, whose sums are added up later, and without.
    let whole: Vec<_> = gpus.iter().filter_map(Backend::with_whole_tiles).collect();
    gpus.extend(whole);
    for gpu in &gpus {
        for name in ["contrastive", "epsilon_alpha2_beta1"] {
            let rules = preset(name).expect("a preset");
            for (methods, targets) in [
                (&methods[..0], vec![1, 4]),
                (&methods[..1], vec![1, 4]),
                (&methods[2..], vec![1, 4]),
                (&methods, vec![0, 1, 4, 2]),
            ] {
                let question =
                    Question::new(&network, &rules, methods, &targets, &pictures).on(gpu);
                let what = format!("{}, {name}, {} methods", gpu.name, methods.len());
                seen.extend(follows(&question.lowered().program));
                let together = question.ask(gpu);
                let limits = Limits { joins: Joins::None, ..question.limits };
                let apart = Question { limits, ..question }.ask(gpu);
                assert_close(&together.scores, &apart.scores, SAME_F32, &what);
                for (together, apart) in together.maps.iter().zip(&apart.maps) {
                    assert_close(together, apart, SAME_F32, &what);
                }
            }
        }
    }
    let expected = [
        "conv2d_quads: add",
        "conv2d_quads: channel_affine",
        "conv2d_quads: clamp",
        "conv2d_quads: stabilized_ratio",
        "conv_transpose2d_quads: add",
        "conv_transpose2d_quads: channel_affine without shift",
        "conv_transpose2d_quads: multiply_add",
    ];
    assert!(gpus.is_empty() || seen.iter().eq(expected), "{seen:#?}");
}

#[test]
fn a_device_that_does_steps_one_by_one_says_so() {
    let network = network(64);
    let pictures = pictures(SHAPE, 1, 3);
    let rules = preset("contrastive").expect("a preset");
    let limits = Limits { joins: Joins::Panels, ..Limits::NONE };
    let question = Question::new(&network, &rules, &[Method::Lrp], &[1], &pictures);
    let of_panels = Question { limits, ..question }.lowered().program;
    // Groups of four channels, which the CPU multiplies otherwise.
    let build = || {
        let mut g = Graph::new("groups", SHAPE);
        let x = g.conv2d("conv", g.input(), Conv2d::new(8, 3))?;
        let x = g.conv2d("groups", x, Conv2d::new(8, 3).groups(2))?;
        let x = g.relu("relu", x)?;
        let x = g.flatten("flatten", x)?;
        g.linear("fc", x, 5)?;
        Ok::<_, clrp::Error>(g)
    };
    let grouped = weights(build().expect("the layers fit"), 5);
    let limits = Limits { joins: Joins::Quads, has_variants: true, ..Limits::NONE };
    let question = Question::new(&grouped, &rules, &[Method::Lrp], &[1], &pictures);
    let of_quads = Question { limits, ..question }.lowered().program;
    assert_eq!(joined(&of_quads).get("clamp"), Some(&1));
    for backend in backends() {
        // The CPU and the GPU without variants could, too.
        let is_cpu = matches!(backend.device, Device::Cpu(_));
        let is_gpu = !is_cpu && !matches!(backend.device, Device::CpuF64(_));
        for (program, can) in [(&of_panels, is_cpu), (&of_quads, is_gpu)] {
            let refused = backend.device.prepare(program).err().map(|error| error.to_string());
            assert_eq!(refused.is_none(), can, "{}", backend.name);
            let says = refused.is_none_or(|refused| refused.contains("joined steps"));
            assert!(says, "{}", backend.name);
        }
    }
}
