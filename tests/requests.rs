//! What callers of an explainer rely on besides the maps: order, splitting, progress, cancelling,
//! the asynchronous form, and errors for what does not go together.

mod each;

use std::sync::mpsc::{TryRecvError, channel};
use std::sync::{Arc, Mutex};

use clrp::graph::NodeId;
use clrp::image::Preprocess;
use clrp::methods::{Quadrature, Slope};
use clrp::models::Model;
use clrp::program::{Bounds, Extras, Limits, Plan, Targets, lower};
use clrp::rules::preset;
use clrp::{
    Cancel, Error, Explained, Explainer, ExplainerBuilder, Goal, Method, Request, Sampling, Shape,
    Target, Tensor, Warning,
};

use crate::support::{
    OF_F32_MAPS, ROUNDED_F32, SAME_F32, SHARES_F32, distance, pictures, reference,
};

const SHAPE: Shape = Shape { channels: 3, height: 64, width: 64 };

fn builder() -> ExplainerBuilder {
    let model = Model::find("digits").expect("a known network");
    let weights = model.bundled().expect("they are bundled").expect("they are whole");
    let network = model.network(SHAPE, weights).expect("the picture fits");
    let preprocess = Preprocess { size: (64, 64), ..model.preprocess() };
    let sampling = Sampling { noisy: 3, riemann: 2, masks: 3, ..Sampling::default() };
    Explainer::builder(network, preprocess).sampling(sampling).device(reference().device)
}

fn explainer() -> Explainer {
    builder().build().expect("the preset suits")
}

fn picture(seed: u64) -> Tensor {
    Tensor::new(SHAPE, pictures(SHAPE, 1, seed)).expect("it fits")
}

fn several() -> Vec<Target> {
    let all: Vec<(usize, f32)> = (0..10).map(|class| (class, 1.0)).collect();
    let mixed = [
        Goal::Class(3),
        Goal::Class(7),
        Goal::Mixture(vec![(1, 0.5), (2, 0.5)]),
        Goal::Mixture(all),
        Goal::Class(1),
    ];
    let inner =
        [Goal::Channel(2), Goal::Neuron { channel: 1, row: 2, column: 3 }, Goal::Channel(4)];
    vec![
        Target::top(3),
        Target::goals(mixed),
        Target::random_of_top(3, 6, 5),
        Target::goals(inner).at("features.3"),
    ]
}

/// In the order of requests: all methods of the first target, then the next.
fn order(explained: &Explained) -> Vec<(String, Method)> {
    explained.explanations.iter().map(|one| (one.goal.to_string(), one.method)).collect()
}

const METHODS: [Method; 7] = [
    Method::Gradient,
    Method::SmoothGrad(Slope::Gradient),
    Method::Lrp,
    Method::Rise,
    Method::Clrp1,
    Method::Random,
    Method::IntegratedGradients(Quadrature::Riemann),
];

/// Whether two runs explain the same, in the same order, up to rounding.
fn hold_same(whole: &Explained, split: &Explained) {
    assert_eq!(order(whole), order(split));
    for (a, b) in whole.explanations.iter().zip(&split.explanations) {
        let what = format!("{} of {}", a.method, a.goal);
        let values =
            |map: &Tensor| -> Vec<f64> { map.values().iter().map(|&v| f64::from(v)).collect() };
        let apart = distance(&values(&a.map), &values(&b.map));
        assert!(apart <= OF_F32_MAPS, "{what}: {apart:.1e}");
        let apart = f64::from((a.score - b.score).abs());
        assert!(apart <= SAME_F32 * f64::from(a.score.abs()), "{what}");
    }
}

#[test]
fn what_is_split_is_the_same_as_whole() {
    let whole = explainer();
    // Nothing fits: one picture, one target, one sample at a time.
    let split = builder().value_bytes(1).build().expect("the preset suits");
    let pictures: Vec<Tensor> = (1..4).map(picture).collect();
    for target in several() {
        let request = Request::new(METHODS, target.clone());
        let of = |explainer: &Explainer| explainer.explain_all(&pictures, &request).expect("runs");
        let (whole, split) = (of(&whole), of(&split));
        assert_eq!([whole.len(), split.len()], [pictures.len(); 2]);
        for (whole, split) in whole.iter().zip(&split) {
            assert_eq!(whole.explanations.len(), target.count() * METHODS.len());
            hold_same(whole, split);
        }
    }
}

#[test]
fn targets_that_are_named_twice_keep_their_places() {
    let methods = [Method::Gradient, Method::Random, Method::Lrp];
    let explained = explainer().explain(&picture(1), methods, Target::classes([3, 3, 5]));
    let found: Vec<_> = explained.expect("it runs").explanations;
    let found = found.iter().map(|one| (one.goal.clone(), one.method));
    let expected = [3, 3, 5].map(|class| methods.map(|method| (Goal::Class(class), method)));
    assert!(found.eq(expected.concat()));
    // More than there are classes.
    let explained = explainer().explain(&picture(1), Method::Lrp, Target::classes([3; 11]));
    let maps: Vec<Tensor> =
        explained.expect("it runs").explanations.into_iter().map(|one| one.map).collect();
    assert_eq!(maps.len(), 11);
    assert!(maps.iter().all(|map| *map == maps[0]));
}

#[test]
fn at_layers_the_gradient_times_the_input_is_that_times_what_they_give() {
    let layer = "features.3";
    let neurons: Vec<[usize; 3]> =
        (0..8).flat_map(|channel| (0..8).map(move |i| [channel, 3 + i, 5])).collect();
    let goals = neurons.iter().map(|&[channel, row, column]| Goal::Neuron { channel, row, column });
    let given = explainer().explain(&picture(1), Method::Random, Target::goals(goals).at(layer));
    let given = given.expect("it runs").explanations;
    assert_eq!(given.len(), neurons.len());
    let request = Request::new([Method::Gradient, Method::GradientXInput], Target::top(1));
    let explained = explainer().explain_all(&[picture(1)], &request.layers([layer]));
    let explained = &explained.expect("it runs")[0].explanations;
    let [slopes, products] = [0, 1].map(|method| &explained[method].layers[0].map);
    let mut moved = 0;
    for (&[channel, row, column], given) in neurons.iter().zip(&given) {
        let Shape { height, width, .. } = slopes.shape();
        let at = (channel * height + row) * width + column;
        let (slope, product) = (slopes.values()[at], products.values()[at]);
        let expected = slope * given.score;
        let apart = f64::from((product - expected).abs());
        assert!(apart <= ROUNDED_F32 * f64::from(expected.abs()), "{product} {expected}");
        moved += usize::from(slope != 0.0 && given.score != 1.0);
    }
    assert!(moved > 5, "{moved} of {}", neurons.len());
}

#[test]
fn noise_is_of_the_layer_too() {
    let of = |layer| {
        let target = Target::goals([Goal::Channel(2)]).at(layer);
        let explained = explainer().explain(&picture(1), Method::Random, target);
        explained.expect("it runs").explanations.remove(0).map
    };
    assert!(of("features.0") != of("features.3"));
}

#[test]
fn grad_cam_refuses_a_layer_that_the_target_does_not_depend_on() {
    let explainer = builder().cam_layer("features.3").build().expect("the layer is there");
    for method in [Method::GradCam, Method::GuidedGradCam] {
        let target = Target::goals([Goal::Channel(1)]).at("features.0");
        let error = explainer.explain(&picture(1), method, target).expect_err("there is no slope");
        let expected = format!(
            "method `{method}` on `digits` is not supported: layer `features.3` is not below the \
             target in `features.0`"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_contrast_to_nothing_is_told() {
    let all = Goal::Mixture((0..10).map(|class| (class, 1.0)).collect());
    for method in [Method::Clrp1, Method::Clrp1Logits] {
        let target = Target::goals([all.clone(), Goal::Class(3)]);
        let explained = explainer().explain(&picture(1), method, target).expect("it runs");
        let is_told = |i: usize| {
            let warnings = explained.explanations[i].warnings().expect("it has pixels");
            (explained.explanations[i].dual, warnings.contains(&Warning::NoContrast))
        };
        assert_eq!([is_told(0), is_told(1)], [(Some(0.0), true), (None, false)], "{method}");
    }
}

#[test]
fn starts_are_what_walks_start_with() {
    // A channel starts with 1 at each position, a mixture of all classes has no dual.
    let all: Vec<(usize, f32)> = (0..10).map(|class| (class, 0.5 + class as f32)).collect();
    let relevance = [
        Method::Lrp,
        Method::Clrp1,
        Method::Clrp2,
        Method::ExcitationBackprop,
        Method::ContrastiveExcitationBackprop,
    ];
    let mixture = Target::goals([Goal::Mixture(all), Goal::Mixture(vec![(1, 0.2), (4, 0.8)])]);
    let channel = Target::goals([Goal::Channel(2), Goal::Channel(5)]).at("features.3");
    for target in [Target::top(2), mixture, channel] {
        let request = Request::new(relevance, target).ledger(true);
        let explained = explainer().explain_all(&[picture(2)], &request).expect("it runs");
        for one in &explained[0].explanations {
            let ledger = one.ledger.as_ref().expect("it was asked for");
            let magnitudes = ledger.rows.iter().map(|row| row.magnitude);
            let scale = magnitudes.fold(f64::from(one.score.abs()), f64::max);
            let (missing, what) = (ledger.unexplained(), format!("{} of {}", one.method, one.goal));
            assert!(missing.abs() <= OF_F32_MAPS * scale, "{what}: {missing:.1e} of {scale:.1e}");
            assert_eq!(one.leak, Some(ledger.start - ledger.arrived), "{what}");
        }
    }
    let sglrp = explainer().explain(&picture(2), Method::Sglrp, Target::top(1)).expect("it runs");
    assert!(sglrp.explanations[0].leak.expect("relevance").abs() < SHARES_F32);
}

#[test]
fn progress_rises_to_one() {
    let split = builder().value_bytes(1).build().expect("the preset suits");
    for explainer in [explainer(), split] {
        for target in several() {
            let told = Mutex::new(Vec::new());
            let request = Request::new([Method::Lrp, Method::Rise], target)
                .progress(|done| told.lock().expect("no panic").push(done));
            explainer.explain_all(&[picture(1), picture(2)], &request).expect("it runs");
            drop(request);
            let told = told.into_inner().expect("no panic");
            assert!(told.is_sorted_by(|a, b| a <= b), "{told:?}");
            assert_eq!(told.last(), Some(&1.0));
            // The last step of the last run, and its end.
            let ends = told.iter().filter(|done| **done == 1.0).count();
            assert!(ends < 3, "{ends} of {told:?}");
        }
    }
}

#[test]
fn cancelled_work_ends_and_the_explainer_goes_on() {
    let explainer = explainer();
    let cancel = Cancel::new();
    let request = Request::new(Method::Rise, Target::top(1)).cancel(&cancel).progress(|done| {
        if done > 0.3 {
            cancel.cancel();
        }
    });
    let error = explainer.explain_all(&[picture(1)], &request).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    explainer.explain(&picture(1), Method::Rise, Target::top(1)).expect("it runs again");
}

#[test]
fn the_asynchronous_form_gives_the_same() {
    let explainer = Arc::new(explainer());
    let expected = explainer.explain(&picture(1), Method::Clrp1, Target::top(2)).expect("it runs");
    let several =
        [1, 2].map(|_| explainer.explain_async(picture(1), Method::Clrp1, Target::top(2)));
    for pending in several {
        let found = pollster::block_on(pending).expect("it runs");
        assert_eq!(order(&found), order(&expected));
        assert_eq!(found.explanations[1].map, expected.explanations[1].map);
    }
    let error = pollster::block_on(explainer.explain_async(
        Tensor::zeros(Shape::new(3, 1, 1)),
        Method::Lrp,
        Target::top(1),
    ));
    assert!(matches!(error, Err(Error::InputShape { .. })));
    let told = Arc::new(Mutex::new(0.0));
    let request = Request::new(Method::Clrp1, Target::top(2)).progress({
        let told = told.clone();
        move |done| *told.lock().expect("no panic") = done
    });
    let pictures = vec![picture(1), picture(2)];
    let all = pollster::block_on(explainer.explain_all_async(pictures, request)).expect("it runs");
    assert_eq!((all.len(), &all[0].explanations[1].map), (2, &expected.explanations[1].map));
    assert_eq!(*told.lock().expect("no panic"), 1.0);
}

#[test]
fn asynchronous_work_that_is_dropped_ends() {
    // Far more than the test has time for.
    let sampling = Sampling { masks: 50_000, ..Sampling::default() };
    let explainer = Arc::new(builder().sampling(sampling).build().expect("the preset suits"));
    let (told, tells) = channel();
    let request = Request::new(Method::Rise, Target::top(1)).progress(move |done| {
        // The test may have failed already.
        let _ = told.send(done);
    });
    let pending = explainer.explain_all_async(vec![picture(1)], request);
    let first: f64 = tells.recv().expect("it begins");
    drop(pending);
    // That ends when the work lets the sender go.
    let last = tells.iter().last().unwrap_or(first);
    assert!(last < 1.0, "{last}");
}

#[test]
fn asynchronous_work_has_let_all_go_when_it_is_ready() {
    let (told, tells) = channel();
    let request = Request::new(Method::Lrp, Target::top(1)).progress(move |done| {
        told.send(done).expect("the test listens");
    });
    let pending = Arc::new(explainer()).explain_all_async(vec![picture(1)], request);
    pollster::block_on(pending).expect("it runs");
    assert_eq!(tells.try_iter().last(), Some(1.0));
    assert_eq!(tells.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
#[should_panic(expected = "polled again after it was ready")]
fn asynchronous_work_is_ready_once() {
    let mut pending = Arc::new(explainer()).explain_async(picture(1), Method::Lrp, Target::top(1));
    pollster::block_on(&mut pending).expect("it runs");
    let _ = pollster::block_on(pending);
}

#[test]
fn what_is_cancelled_before_it_begins_looks_at_no_picture() {
    let cancel = Cancel::new();
    cancel.cancel();
    let request = Request::new(Method::Lrp, Target::top(1)).cancel(&cancel);
    let error = explainer().explain_all(&[Tensor::zeros(Shape::new(3, 1, 1))], &request);
    assert!(matches!(error, Err(Error::Cancelled)));
}

#[test]
fn asynchronous_work_ends_by_the_callers_cancel_and_cancels_nothing_itself() {
    let explainer = Arc::new(explainer());
    let cancel = Cancel::new();
    let request = Request::new(Method::Rise, Target::top(1)).cancel(&cancel);
    drop(explainer.explain_all_async(vec![picture(1)], request));
    // Work that ended, or that nobody waits for, ends no other.
    assert!(!cancel.is_cancelled());
    let request = Request::new(Method::Lrp, Target::top(1)).cancel(&cancel);
    let pending = explainer.explain_all_async(vec![picture(1)], request.clone());
    pollster::block_on(pending).expect("it runs");
    cancel.cancel();
    let error = pollster::block_on(explainer.explain_all_async(vec![picture(1)], request));
    assert!(matches!(error, Err(Error::Cancelled)));
}

#[test]
fn methods_that_cannot_set_against_classes_say_so() {
    let against = || Target::goals([Goal::Against { class: 3, against: vec![8] }]);
    for method in [Method::Lrp, Method::Clrp2, Method::Occlusion, Method::Rise, Method::Random] {
        let error = explainer().explain(&picture(1), method, against()).unwrap_err().to_string();
        assert!(error.contains("it cannot set a target against chosen classes"), "{error}");
        assert!(error.contains("these can: clrp1, "), "{error}");
    }
    explainer().explain(&picture(1), Method::Clrp1, against()).expect("it runs");
}

#[test]
fn strides_wider_than_windows_leave_gaps() {
    let sampling = Sampling { window: [4, 4], stride: [25, 50], ..Sampling::default() };
    let explainer = builder().sampling(sampling).build().expect("the preset suits");
    let explained = explainer.explain(&picture(1), Method::Occlusion, Target::top(1));
    let map = &explained.expect("it runs").explanations[0].map;
    let is_covered = |i: usize| (i / 64) % 25 < 4 && i % 64 % 50 < 4;
    for (i, value) in map.values().iter().enumerate() {
        assert_eq!(*value != 0.0, is_covered(i), "pixel {i}");
    }
}

#[test]
fn layers_that_the_target_is_not_made_of_are_errors() {
    let target = Target::goals([Goal::Channel(2)]).at("features.3");
    let explainer = explainer();
    let request = Request::new(Method::Lrp, target).layers(["features.0", "features.6"]);
    let expected = "map at layer `features.6` is not supported: the target at `features.3` does not \
                    depend on it";
    let message = explainer.check(&request).expect_err("it lies above").to_string();
    assert_eq!(message, expected);
    let found = explainer.explain_all(&[picture(1)], &request).expect_err("it lies above");
    assert_eq!(found.to_string(), expected);
}

#[test]
fn scores_named_by_their_layer_are_classes() {
    let explainer = explainer();
    let of = |target| {
        let methods = [Method::Clrp1, Method::Rise, Method::Random];
        explainer.explain(&picture(2), methods, target).expect("it runs").explanations
    };
    let neuron = Goal::Neuron { channel: 3, row: 0, column: 0 };
    for goal in [Goal::Channel(3), neuron] {
        let by_layer = of(Target::from(goal).at("classifier.2"));
        assert_eq!(by_layer.len(), 3);
        for (by_layer, class) in by_layer.iter().zip(of(Target::class(3))) {
            assert_eq!((&by_layer.goal, by_layer.class()), (&Goal::Class(3), Some(3)));
            assert_eq!(by_layer.map, class.map, "{}", class.method);
        }
    }
}

#[test]
fn finding_the_best_of_many_takes_no_rows() {
    let network = explainer().network().clone();
    let at = network.graph().nodes().iter().position(|node| node.name == "features.0");
    let at = NodeId(at.expect("a layer"));
    let units = network.graph().node(at).shape.len();
    let bounds = Bounds { low: vec![-1.0; 3], high: vec![1.0; 3] };
    let plan = Plan {
        network: &network,
        composite: &preset("contrastive").expect("a preset"),
        methods: &[],
        at,
        targets: Targets::Top(4000),
        batch: 1,
        bounds: &bounds,
        limits: Limits::NONE,
        extras: Extras::default(),
    };
    let program = lower(&plan).expect("it can be lowered").program;
    assert!(program.largest_buffer() <= units, "{}", program.largest_buffer());
}

#[test]
fn what_does_not_suit_the_picture_or_the_layer_is_told() {
    let of = |builder: ExplainerBuilder, method| {
        let explainer = builder.build().expect("the preset suits");
        explainer.explain(&picture(1), method, Target::top(1)).unwrap_err().to_string()
    };
    let sampling = Sampling { window: [4, 65], ..Sampling::default() };
    let wide = of(builder().sampling(sampling), Method::Occlusion);
    assert_eq!(wide, "columns of the window is 65, expected 1 to 64, as the picture has");
    let vector = of(builder().cam_layer("classifier.0"), Method::GradCam);
    assert!(vector.ends_with("layer `classifier.0` has no positions"), "{vector}");
    let request = Request::new(Method::Rise, Target::top(1)).layers(["features.0"]);
    let error = explainer().explain_all(&[picture(1)], &request).unwrap_err().to_string();
    assert_eq!(
        error,
        "map at layer `features.0` is not supported: rise does not walk through layers once"
    );
}
