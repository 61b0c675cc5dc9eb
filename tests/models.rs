//! Whole networks against PyTorch and zennit: scores and maps of every method, on every backend.

mod golden;
mod methods;
mod small;

use std::path::{Path, PathBuf};

use clrp::Method;
use clrp::graph::{Graph, Network};
use clrp::models::{BuildOptions, Model};
use clrp::program::Bounds;
use clrp::rules::{BatchNorm, Composite, LayerKind, Rule, fold_batch_norm, preset};
use clrp::tensor::{Shape, Tensor};

use crate::support::{
    Backend, DIVIDED_BY_SUMS, LEDGER_F32, LEDGER_F64, MAP_F32, MAP_TORCH_F64, NO_DIGITS_LEFT,
    Question, REFERENCE_ROUNDING, backends, distance, drawn_weights, hold_ledgers, pictures, say,
};
use golden::Golden;

const SEED: u64 = 1;

/// The methods that references hold, gradients last.
const RELEVANCE: [Method; 4] = [Method::Lrp, Method::Clrp1, Method::Clrp2, Method::Clrp1Logits];
const GRADIENTS: [Method; 4] =
    [Method::Gradient, Method::GradientXInput, Method::GuidedBackprop, Method::Deconvnet];

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// What the references were made with: the range of `ImageNet`'s pictures.
fn bounds() -> Bounds {
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let at = |value: f64| mean.iter().zip(&std).map(|(m, s)| (value - m) / s).collect();
    Bounds { low: at(0.0), high: at(1.0) }
}

/// A network with its references.
struct Case {
    name: String,
    network: Network,
    golden: Golden,
    picture: Vec<f32>,
    targets: Vec<u32>,
}

impl Case {
    fn new(name: &str, graph: Graph, golden: Golden) -> Self {
        let picture = pictures(graph.input_shape(), 1, SEED);
        let network = drawn_weights(graph, SEED, &golden.recipe());
        let targets = golden.targets();
        Self { name: name.to_owned(), network, golden, picture, targets }
    }

    /// A network of the registry, at the size of its references.
    fn of_model(folder: &Path, name: &str) -> Option<Self> {
        let golden = Golden::read(folder, name)?;
        let [height, width] = golden.input();
        let (base, options) = variant(name);
        let model = Model::find(base).expect("a known network");
        let graph = model.graph_with(Shape::new(3, height, width), 1000, options);
        let graph = graph.expect("the picture fits");
        Some(Self::new(name, graph, golden))
    }

    /// The same with batch norm folded.
    fn folded(&self) -> Network {
        fold_batch_norm(&self.network).expect("it can be folded")
    }

    /// Holds the backend's maps against the references whose names start with `prefix`.
    fn check(&self, backend: &Backend, composite: &Composite, prefix: &str, methods: &[Method]) {
        let folded;
        let network = match composite.batch_norm() {
            BatchNorm::Bypass => &self.network,
            BatchNorm::Fold => {
                folded = self.folded();
                &folded
            }
        };
        let question = Question {
            bounds: bounds(),
            ..Question::new(network, composite, methods, &self.targets, &self.picture)
        };
        let answer = question.on(backend).ask(backend);
        let tolerance = backend.of_precision(MAP_TORCH_F64, MAP_F32);
        self.hold(&answer.scores, "logits", tolerance, backend);
        for (method, maps) in methods.iter().zip(&answer.maps) {
            let per_map = maps.len() / self.targets.len();
            for (row, map) in maps.chunks_exact(per_map).enumerate() {
                let key = match prefix {
                    "" => format!("{method}.{row}"),
                    rule if of_rule(rule) => format!("{rule}.{row}"),
                    preset => format!("{preset}.{method}.{row}"),
                };
                if let Some(tolerance) = self.bar(&key, backend) {
                    self.hold(map, &key, tolerance, backend);
                }
            }
        }
    }

    /// How far a map may be off. Contrasts are held to what PyTorch's own f32 reaches on the same
    /// input, if that is more than the usual tolerance: they are small differences. On small
    /// pictures the features of AlexNet and VGG are single pixels and the contrast a millionth or
    /// less of its two maps: where f32 has no digits left, only f64 is held to it here, to what is
    /// left there, and f32 in the sweep over full-size pictures. All other maps are held to the
    /// usual tolerance, whatever PyTorch's f32 does.
    fn bar(&self, key: &str, backend: &Backend) -> Option<f64> {
        let tolerance = backend.of_precision(MAP_TORCH_F64, MAP_F32);
        if GRADIENTS.iter().any(|method| key.starts_with(method.name())) {
            return Some(tolerance);
        }
        // The variant by logits is as small a difference as CLRP1 of the two targets.
        let (map, more) = match key.split_once("-logits.") {
            Some((of_clrp1, _)) => (of_clrp1, DIVIDED_BY_SUMS),
            None => (key, 1.0),
        };
        let torch = self.golden.worst_f32_error(map);
        let of_contrasts = self.golden.worst_f32_error("clrp");
        let worst = if key.contains("clrp") { of_contrasts } else { torch };
        if backend.is_reference() {
            Some(tolerance.max(worst * REFERENCE_ROUNDING))
        } else if worst > NO_DIGITS_LEFT || of_rule(key) && torch > MAP_F32 {
            // Denominators of either sign that nearly vanish leave f32 to chance, PyTorch's too.
            None
        } else if key.contains("clrp") {
            Some(tolerance.max(torch * more))
        } else {
            Some(tolerance)
        }
    }

    fn hold(&self, actual: &[f64], key: &str, tolerance: f64, backend: &Backend) {
        let expected = self.golden.get(key);
        let expected = expected.unwrap_or_else(|| panic!("{}: no reference `{key}`", self.name));
        let apart = distance(actual, expected);
        if std::env::var_os("CLRP_PRINT_ERRORS").is_some() {
            say(&format!("{:<16} {:<40} {key:<28} {apart:.2e}", self.name, backend.name));
        }
        let close = apart <= tolerance;
        assert!(
            close,
            "{} on {}: `{key}` is apart by {apart:.2e}, allowed {tolerance:.1e}",
            self.name, backend.name
        );
    }

    fn check_ledgers(&self, backend: &Backend) {
        let shape = self.network.graph().input_shape();
        let picture = Tensor::new(shape, self.picture.clone()).expect("it fits");
        let allowed = backend.of_precision(LEDGER_F64, LEDGER_F32);
        hold_ledgers(&self.network, &picture, backend, allowed);
    }

    /// All presets, methods and rules that the references hold, with batch norm both ways.
    fn check_all(&self, backend: &Backend) {
        let held = |prefix: &str, methods: &[Method]| -> Vec<Method> {
            let known = |method: &&Method| self.golden.has(&format!("{prefix}{method}."));
            methods.iter().filter(known).copied().collect()
        };
        for name in ["gu2018", "contrastive"] {
            let composite = preset(name).expect("a preset");
            for (batch_norm, prefix) in
                [(BatchNorm::Bypass, name.to_owned()), (BatchNorm::Fold, format!("{name}.fold"))]
            {
                let methods = held(&format!("{prefix}."), &RELEVANCE);
                if !methods.is_empty() {
                    let composite = composite.clone().with_batch_norm(batch_norm);
                    self.check(backend, &composite, &prefix, &methods);
                }
            }
        }
        let gradients = held("", &GRADIENTS);
        self.check(backend, &preset("gu2018").expect("a preset"), "", &gradients);
        for (name, composite) in rules() {
            for (batch_norm, kind) in [(BatchNorm::Bypass, "rule"), (BatchNorm::Fold, "fold")] {
                let key = format!("{kind}.{name}");
                if self.golden.has(&format!("{key}.")) {
                    let composite = composite.clone().with_batch_norm(batch_norm);
                    self.check(backend, &composite, &key, &[Method::Lrp]);
                }
            }
        }
    }
}

/// Whether a key, or the start of one, is of a single rule on all layers.
fn of_rule(key: &str) -> bool {
    key.starts_with("rule.") || key.starts_with("fold.")
}

/// The registry's name and the choice that a reference is of.
fn variant(name: &str) -> (&str, BuildOptions) {
    let options = BuildOptions::default();
    match name {
        "resnet50_v1" => ("resnet50", BuildOptions { stride_in_1x1: true, ..options }),
        "googlenet_untransformed" => {
            ("googlenet", BuildOptions { transform_input: Some(false), ..options })
        }
        name => (name, options),
    }
}

/// The composites of the keys `rule.<name>` and `fold.<name>`.
fn rules() -> Vec<(&'static str, Composite)> {
    let everywhere = |rule| {
        Composite::new("one rule")
            .each(LayerKind::Conv2d, rule)
            .each(LayerKind::Linear, rule)
            .with_bias(true)
    };
    let first = |rule| Composite::new("first layer").first(LayerKind::Conv2d, rule);
    vec![
        ("epsilon-1e-6", everywhere(Rule::Epsilon { epsilon: 1e-6 })),
        ("epsilon-0.25", everywhere(Rule::Epsilon { epsilon: 0.25 })),
        ("alpha-beta-2-1", everywhere(Rule::AlphaBeta { alpha: 2.0, beta: 1.0 })),
        ("gamma-0.25", everywhere(Rule::Gamma { gamma: 0.25 })),
        ("w-square-first", first(Rule::WSquare)),
        ("flat-first", first(Rule::Flat)),
    ]
}

#[test]
fn small_networks_agree_with_torch_and_zennit() {
    let backends = backends();
    for (name, shape, build) in small::SMALL {
        let mut graph = Graph::new(name, shape);
        build(&mut graph).expect("the layers fit");
        let golden = Golden::read(&committed(), name).expect("committed references");
        let case = Case::new(name, graph, golden);
        for backend in &backends {
            case.check_all(backend);
        }
    }
}

fn check_model(folder: &Path, name: &str) {
    let case = Case::of_model(folder, name).expect("references of it");
    // Plain kernels compute the same, slower: small networks meet them.
    for backend in backends().iter().filter(|backend| !backend.is_plain) {
        case.check_all(backend);
    }
}

#[test]
fn alexnet_agrees_with_torch_and_zennit() {
    check_model(&committed(), "alexnet");
}

#[test]
fn squeezenets_agree_with_torch_and_zennit() {
    check_model(&committed(), "squeezenet1_0");
    check_model(&committed(), "squeezenet1_1");
}

#[test]
fn vgg16_agrees_with_torch_and_zennit() {
    check_model(&committed(), "vgg16");
}

#[test]
fn vgg16_with_batch_norm_agrees_with_torch_and_zennit() {
    check_model(&committed(), "vgg16_bn");
}

#[test]
fn networks_that_branch_agree_with_torch_and_zennit() {
    for name in ["googlenet", "inception_v3"] {
        check_model(&committed(), name);
    }
}

#[test]
fn residual_networks_agree_with_torch_and_zennit() {
    for name in ["resnet18", "resnet50", "resnet50_v1"] {
        check_model(&committed(), name);
    }
}

#[test]
fn grouped_and_wide_residual_networks_agree_with_torch_and_zennit() {
    for name in ["resnext50_32x4d", "wide_resnet50_2"] {
        check_model(&committed(), name);
    }
}

#[test]
fn densely_connected_networks_agree_with_torch_and_zennit() {
    check_model(&committed(), "densenet121");
}

#[test]
fn mobile_networks_agree_with_torch_and_zennit() {
    for name in ["mobilenet_v2", "mnasnet0_5", "shufflenet_v2_x0_5", "densenet121"] {
        check_model(&committed(), name);
    }
}

/// Those whose inputs are small; the sweep below holds all.
#[test]
fn ledgers_of_networks_that_branch_add_up() {
    let backends = backends();
    let cpu = &backends[1];
    for name in ["resnet50", "resnext50_32x4d", "mobilenet_v2", "mnasnet0_5", "shufflenet_v2_x0_5"]
    {
        Case::of_model(&committed(), name).expect("references of it").check_ledgers(cpu);
    }
    for name in ["googlenet", "resnet18", "squeezenet1_1"] {
        let case = Case::of_model(&committed(), name).expect("references of it");
        for backend in backends[1..].iter().filter(|of| !of.is_plain) {
            case.check_ledgers(backend);
        }
    }
}

/// The sweep over all references that a folder holds: `make_references.py --all` writes those of
/// all networks at small sizes, `--full` those at 224x224.
#[test]
fn all_networks_agree_with_torch_and_zennit() {
    let Some(folder) = std::env::var_os("CLRP_REFERENCES") else {
        say("the sweep over all networks is left out: CLRP_REFERENCES is not set");
        return;
    };
    let folder = Path::new(&folder);
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let files = entries.map(|entry| entry.expect("it can be listed").path());
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    names.retain(|name| Model::find(variant(name).0).is_ok());
    names.sort();
    assert!(!names.is_empty(), "no references of a known network in {}", folder.display());
    let agrees = |name: &String| {
        let check = || {
            check_model(folder, name);
            Case::of_model(folder, name).expect("references of it").check_ledgers(&backends()[1]);
        };
        let agrees = std::panic::catch_unwind(check).is_ok();
        say(&format!("{name} {}", if agrees { "agrees" } else { "DOES NOT AGREE" }));
        agrees
    };
    names.retain(|name| !agrees(name));
    assert!(names.is_empty(), "these do not agree: {names:?}");
}
