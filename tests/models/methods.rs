//! Presets, further methods and other targets of small networks against zennit, Captum,
//! pytorch-grad-cam and the formulas of TorchRay and RISE (`golden/methods`).

use std::path::Path;

use clrp::explainer::Sampling;
use clrp::graph::{Graph, Network};
use clrp::image::Preprocess;
use clrp::methods::{Quadrature, Slope};
use clrp::program::Upsampling;
use clrp::rules::{BatchNorm, PRESETS, fold_batch_norm, preset};
use clrp::{Explainer, ExplainerBuilder, Goal, Method, Target, Tensor};

use super::golden::Golden;
use super::small::SMALL;
use crate::support::{
    Backend, MAP_F32, MAP_TORCH_F64, backends, distance, drawn_weights, pictures,
};

/// Networks that have references, by their number in `SMALL`.
const NETWORKS: [&str; 7] =
    ["strides", "concat", "residual", "batch_norm", "inverted_residuals", "avg_pools", "max_pools"];

struct Case {
    name: &'static str,
    network: Network,
    golden: Golden,
    picture: Tensor,
}

impl Case {
    fn new(name: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/methods");
        let golden = Golden::read(&folder, name).expect("committed references");
        let small = SMALL.iter().find(|(small, _, _)| *small == name);
        let (_, shape, build) = small.expect("a small network");
        let mut graph = Graph::new(name, *shape);
        build(&mut graph).expect("the layers fit");
        let picture = Tensor::new(*shape, pictures(*shape, 1, super::SEED)).expect("it fits");
        let network = drawn_weights(graph, super::SEED, &golden.recipe());
        Self { name, network, golden, picture }
    }

    fn builder(&self, backend: &Backend) -> ExplainerBuilder {
        let sampling =
            Sampling { window: [4, 3], stride: [3, 2], masks: 40, cells: 4, ..Sampling::default() };
        Explainer::builder(self.network.clone(), Preprocess::imagenet())
            .device(backend.device.clone())
            .sampling(sampling)
            .cam_layer(self.golden.note("cam_layer"))
    }

    fn targets(&self) -> Target {
        Target::classes(self.golden.targets().into_iter().map(|target| target as usize))
    }

    /// Holds the maps of a method against the references of that key, if there are any.
    fn hold(
        &self,
        backend: &Backend,
        builder: ExplainerBuilder,
        method: Method,
        target: Target,
        key: &str,
    ) -> usize {
        if !self.golden.has(&format!("{key}.0")) {
            return 0;
        }
        let explainer = builder.build().expect("the rules suit");
        let explained = explainer.explain(&self.picture, method, target);
        let explained = explained.unwrap_or_else(|error| panic!("{} {key}: {error}", self.name));
        let mut held = 0;
        for (row, explanation) in explained.explanations.iter().enumerate() {
            let expected = self.golden.get(&format!("{key}.{row}")).expect("a row each");
            let values = explanation.map.values().iter().map(|&v| f64::from(v));
            let apart = distance(&values.collect::<Vec<_>>(), expected);
            // Where PyTorch's own f32 is worse, f32 is held to that: denominators of mixed sign.
            let torch = self.golden.worst_f32_error(&format!("{key}."));
            let allowed = backend.of_precision(MAP_TORCH_F64, MAP_F32.max(torch));
            assert!(
                apart <= allowed,
                "{} on {}: {key}.{row} is apart by {apart:.1e}, allowed {allowed:.0e}",
                self.name,
                backend.name
            );
            held += 1;
        }
        held
    }
}

fn for_each(hold: impl Fn(&Case, &Backend) -> usize) -> usize {
    let backends = backends();
    let mut held = 0;
    for name in NETWORKS {
        let case = Case::new(name);
        held += backends.iter().map(|backend| hold(&case, backend)).sum::<usize>();
    }
    held / backends.len()
}

#[test]
fn presets_are_zennits() {
    let held = for_each(|case, backend| {
        let mut held = 0;
        for name in PRESETS {
            for (batch_norm, prefix) in [(BatchNorm::Bypass, ""), (BatchNorm::Fold, "fold.")] {
                let composite = preset(name).expect("a preset").with_batch_norm(batch_norm);
                let builder = case.builder(backend).composite(composite);
                let key = format!("{prefix}{name}.lrp");
                held += case.hold(backend, builder, Method::Lrp, case.targets(), &key);
            }
        }
        held
    });
    // Six presets on thirteen targets, on two networks folded as well (three targets).
    assert_eq!(held, 6 * (13 + 3));
}

#[test]
fn methods_are_what_their_oracles_say() {
    let methods = [
        Method::ExcitationBackprop,
        Method::ContrastiveExcitationBackprop,
        Method::Sglrp,
        Method::GradCam,
        Method::GuidedGradCam,
        Method::SmoothGrad(Slope::Gradient),
        Method::SmoothGrad(Slope::GuidedBackprop),
        Method::SmoothGrad(Slope::Deconvnet),
        Method::IntegratedGradients(Quadrature::Riemann),
        Method::IntegratedGradients(Quadrature::GaussLegendre),
        Method::Occlusion,
        Method::Rise,
    ];
    let held = for_each(|case, backend| {
        let hold = |method: &Method| {
            let builder = case.builder(backend);
            case.hold(backend, builder, *method, case.targets(), method.name())
        };
        methods.iter().map(hold).sum()
    });
    assert_eq!(held, methods.len() * 13);
}

#[test]
fn softmax_gradients_follow_the_composite() {
    let held = for_each(|case, backend| {
        let builder = case.builder(backend).composite(preset("gu2018").expect("a preset"));
        case.hold(backend, builder, Method::Sglrp, case.targets(), "gu2018.sglrp")
    });
    // The targets of the four networks that have average pools.
    assert_eq!(held, 7);
}

#[test]
fn grad_cam_can_take_the_nearest_cell() {
    let held = for_each(|case, backend| {
        let hold = |method: Method| {
            let builder = case.builder(backend).upsampling(Upsampling::Nearest);
            let key = format!("{method}-nearest");
            case.hold(backend, builder, method, case.targets(), &key)
        };
        hold(Method::GradCam) + hold(Method::GuidedGradCam)
    });
    assert_eq!(held, 2 * 13);
}

#[test]
fn neurons_and_channels_are_explained() {
    let held = for_each(|case, backend| {
        let numbers: Vec<usize> = case
            .golden
            .note("neuron")
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect();
        let (channel, row, column) = (numbers[0], numbers[1], numbers[2]);
        let layer = case.golden.note("neuron_layer");
        let mut held = 0;
        for (goal, kind) in
            [(Goal::Neuron { channel, row, column }, "neuron"), (Goal::Channel(channel), "channel")]
        {
            for method in [Method::Lrp, Method::Clrp2, Method::Gradient] {
                let target = Target::goals([goal.clone()]).at(&layer);
                let builder = case.builder(backend);
                held += case.hold(backend, builder, method, target, &format!("{kind}.{method}"));
            }
        }
        held
    });
    assert_eq!(held, NETWORKS.len() * 6);
}

#[test]
fn mixtures_and_chosen_contrasts_are_explained() {
    let held = for_each(|case, backend| {
        let parts: Vec<(usize, f32)> = case
            .golden
            .note("mixture")
            .split(' ')
            .map(|part| {
                let (class, weight) = part.split_once(':').expect("class:weight");
                (class.parse().expect("a class"), weight.parse().expect("a weight"))
            })
            .collect();
        let class = parts[0].0;
        let against = vec![case.golden.note("against").parse().expect("a class")];
        let goals = [
            (Goal::Mixture(parts), "mixture", vec![Method::Lrp, Method::Clrp1, Method::Gradient]),
            (Goal::Against { class, against }, "against", vec![Method::Clrp1, Method::Gradient]),
        ];
        let mut held = 0;
        for (goal, kind, methods) in goals {
            for method in methods {
                let target = Target::goals([goal.clone()]);
                let builder = case.builder(backend);
                held += case.hold(backend, builder, method, target, &format!("{kind}.{method}"));
            }
        }
        held
    });
    assert_eq!(held, NETWORKS.len() * 5);
}

/// Contrastive excitation backprop times the score is CLRP2 up to the clamp and the rule of the
/// first layer.
#[test]
fn contrastive_excitation_times_the_score_is_clrp2() {
    use clrp::rules::{LayerKind, Rule, Selector};
    for name in ["strides", "concat", "residual", "max_pools"] {
        let case = Case::new(name);
        let first = [(Selector::First(LayerKind::Conv2d), Rule::ZPlus)];
        let composite = preset("contrastive").expect("a preset").with_rules(first);
        let backend = crate::support::reference();
        let explainer = case.builder(&backend).composite(composite).build().expect("it suits");
        let methods = [Method::Clrp2, Method::ContrastiveExcitationBackprop];
        let explained = explainer.explain(&case.picture, methods, case.targets()).expect("it runs");
        for both in explained.explanations.chunks_exact(2) {
            let score = f64::from(both[0].score).abs();
            let clamped = both[1].map.values().iter().map(|&v| (f64::from(v) * score).max(0.0));
            let clrp2: Vec<f64> = both[0].map.values().iter().map(|&v| f64::from(v)).collect();
            let apart = distance(&clamped.collect::<Vec<_>>(), &clrp2);
            assert!(apart <= MAP_TORCH_F64, "{name}: apart by {apart:.1e}");
        }
    }
}

/// What folding leaves of a network explains itself as the network does with `fold`.
#[test]
fn folded_networks_need_no_folding() {
    let case = Case::new("batch_norm");
    let backend = crate::support::reference();
    let composite = preset("epsilon_plus").expect("a preset");
    let folded = fold_batch_norm(&case.network).expect("it can be folded");
    let of = |network: Network, batch_norm| {
        let composite = composite.clone().with_batch_norm(batch_norm);
        let explainer = Explainer::builder(network, Preprocess::imagenet())
            .device(backend.device.clone())
            .composite(composite)
            .build();
        let explained =
            explainer.expect("it suits").explain(&case.picture, Method::Lrp, Target::top(1));
        explained.expect("it runs").explanations.remove(0).map
    };
    assert_eq!(of(folded, BatchNorm::Bypass), of(case.network.clone(), BatchNorm::Fold));
}
