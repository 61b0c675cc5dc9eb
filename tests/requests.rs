//! What callers of an explainer rely on besides the maps: order, splitting, progress, cancelling,
//! the asynchronous form, and errors for what does not go together.

use std::sync::{Arc, Mutex};

use clrp::image::Preprocess;
use clrp::methods::{Quadrature, Slope};
use clrp::models::Model;
use clrp::{
    Cancel, Error, Explained, Explainer, ExplainerBuilder, Goal, Method, Request, Sampling, Shape,
    Target, Tensor, Warning,
};

use crate::support::{OF_F32_MAPS, distance, pictures, reference};

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

#[test]
fn what_is_split_is_the_same_as_whole() {
    let methods = [
        Method::Gradient,
        Method::SmoothGrad(Slope::Gradient),
        Method::Lrp,
        Method::Rise,
        Method::Clrp1,
        Method::Random,
        Method::IntegratedGradients(Quadrature::Riemann),
    ];
    let whole = explainer();
    // Nothing fits: one picture, one target, one sample at a time.
    let split = builder().value_bytes(1).build().expect("the preset suits");
    let pictures: Vec<Tensor> = (1..4).map(picture).collect();
    for target in several() {
        let request = Request::new(methods, target);
        let of = |explainer: &Explainer| explainer.explain_all(&pictures, &request).expect("runs");
        assert_eq!(of(&whole).len(), pictures.len());
        assert_eq!(of(&split).len(), pictures.len());
        for (whole, split) in of(&whole).iter().zip(&of(&split)) {
            assert_eq!(order(whole), order(split));
            assert_eq!(whole.explanations.len(), request_len(whole, &methods));
            for (a, b) in whole.explanations.iter().zip(&split.explanations) {
                let what = format!("{} of {}", a.method, a.goal);
                let values = |map: &Tensor| -> Vec<f64> {
                    map.values().iter().map(|&v| f64::from(v)).collect()
                };
                let apart = distance(&values(&a.map), &values(&b.map));
                assert!(apart <= OF_F32_MAPS, "{what}: {apart:.1e}");
                assert!((a.score - b.score).abs() <= 1e-5 * a.score.abs(), "{what}");
            }
        }
    }
}

/// Targets times methods.
fn request_len(explained: &Explained, methods: &[Method]) -> usize {
    let first = explained.explanations[0].method;
    let targets = explained.explanations.iter().filter(|one| one.method == first).count();
    targets * methods.len()
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
    let many = explainer().explain(&picture(1), Method::Lrp, Target::classes([3; 11]));
    assert_eq!(many.expect("it runs").explanations.len(), 11);
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
            assert!((one.leak.expect("relevance") - (ledger.start - ledger.arrived)).abs() < 1e-9);
        }
    }
    let sglrp = explainer().explain(&picture(2), Method::Sglrp, Target::top(1)).expect("it runs");
    assert!(sglrp.explanations[0].leak.expect("relevance").abs() < 1e-6);
}

#[test]
fn progress_rises_to_one() {
    for target in several() {
        let told = Mutex::new(Vec::new());
        let request = Request::new([Method::Lrp, Method::Rise], target)
            .progress(|done| told.lock().expect("no panic").push(done));
        explainer().explain_all(&[picture(1), picture(2)], &request).expect("it runs");
        drop(request);
        let told = told.into_inner().expect("no panic");
        assert!(told.is_sorted_by(|a, b| a <= b), "{told:?}");
        assert_eq!(told.last(), Some(&1.0));
        // The end is not told long before it comes.
        assert!(told.iter().filter(|done| **done >= 1.0).count() < 3, "{told:?}");
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
    // Nobody waits for it.
    drop(explainer.explain_async(picture(1), Method::Rise, Target::top(1)));
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
fn each_picture_may_have_targets_of_its_own() {
    let (pictures, methods) = ([1, 2, 3].map(picture), [Method::Lrp, Method::Random]);
    let explainer = builder().max_batch(2).build().expect("the preset suits");
    let classes = |a, b| vec![Goal::Class(a), Goal::Class(b)];
    let lists = [classes(3, 5), classes(1, 3), classes(9, 0)];
    let all = Request::new(methods, Target::each(lists.clone()));
    let found = explainer.explain_all(&pictures, &all).expect("it runs");
    for ((picture, list), found) in pictures.iter().zip(lists).zip(&found) {
        let alone = explainer.explain(picture, methods, Target::goals(list)).expect("it runs");
        assert_eq!(order(found), order(&alone));
        for (found, alone) in found.explanations.iter().zip(&alone.explanations) {
            assert_eq!(found.score, alone.score);
            assert_eq!(found.map, alone.map);
        }
    }
    let message = |target, pictures: &[Tensor]| {
        let request = Request::new(Method::Lrp, target);
        explainer.explain_all(pictures, &request).expect_err("it does not suit").to_string()
    };
    assert_eq!(
        message(Target::each([classes(1, 2)]), &pictures),
        "number of pictures with targets of their own is 1, expected 3"
    );
    assert_eq!(
        message(Target::each([classes(1, 2), vec![Goal::Class(3)]]), &pictures[..2]),
        "targets of a picture is `3` for picture 1, expected as many and such as `1`, `2`"
    );
    assert!(message(Target::each([vec![]]), &pictures[..1]).contains("number of targets is 0"));
    assert!(message(Target::each([classes(1, 2), vec![]]), &pictures[..2]).contains("is none for"));
    let nothing = Request::new(Method::Lrp, Target::each([]));
    let none: [Tensor; 0] = [];
    assert!(explainer.explain_all(&none, &nothing).expect("nothing to do").is_empty());
    assert!(message(Target::each([classes(1, 99)]), &pictures[..1]).contains("99 is out of range"));
}

#[test]
fn layers_that_the_target_is_not_made_of_are_errors() {
    let target = || Target::goals([Goal::Channel(2)]).at("features.3");
    let explainer = explainer();
    let request = Request::new(Method::Lrp, target()).layers(["features.0", "features.6"]);
    let expected = "map at layer `features.6` is not supported: the target at `features.3` does not \
                    depend on it";
    let message = explainer.check(&request).expect_err("it lies above").to_string();
    assert_eq!(message, expected);
    let found = explainer.explain_all(&[picture(1)], &request).expect_err("it lies above");
    assert_eq!(found.to_string(), expected);
    let cam = builder().cam_layer("features.6").build().expect("the layer is there");
    let message = cam.explain(&picture(1), Method::GradCam, target()).expect_err("it lies above");
    let expected = "method `grad-cam` at layer `features.6` is not supported: the target at \
                    `features.3` does not depend on it";
    assert_eq!(message.to_string(), expected);
    // The layer itself, and one below it.
    for layer in ["features.3", "features.2"] {
        let cam = builder().cam_layer(layer).build().expect("the layer is there");
        cam.explain(&picture(1), Method::GradCam, target()).expect("it runs");
    }
}

#[test]
fn layer_maps_of_gradient_times_input_are_times_the_layers_values() {
    let methods = [Method::Gradient, Method::GradientXInput];
    let request = Request::new(methods, Target::classes([3, 5])).layers(["features.4"]);
    let explained = explainer().explain_all(&[picture(1)], &request).expect("it runs").remove(0);
    let maps: Vec<&[f32]> =
        explained.explanations.iter().map(|one| one.layers[0].map.values()).collect();
    let [slope, product, other_slope, other_product] = maps[..] else { panic!("four maps") };
    let mut compared = 0;
    for i in 0..slope.len() {
        // What the ratio is, the same for both classes, is the output of a ReLU.
        let (value, other) = (product[i] / slope[i], other_product[i] / other_slope[i]);
        if value.is_finite() && other.is_finite() {
            assert!(
                value >= 0.0 && (value - other).abs() <= 1e-4 * value.max(1.0),
                "{value} {other}"
            );
            compared += usize::from(value > 0.0);
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn a_contrast_against_nothing_is_told() {
    let all = |count| vec![Goal::Mixture((0..count).map(|class| (class, 1.0)).collect())];
    for (classes, expected) in [(10, Some(0.0)), (9, None)] {
        let explained =
            explainer().explain(&picture(1), Method::Clrp1, Target::goals(all(classes)));
        let explanation = explained.expect("it runs").explanations.remove(0);
        assert_eq!(explanation.dual, expected);
        let warnings = explanation.warnings().expect("the map has a plane");
        assert_eq!(warnings.contains(&Warning::NoContrast), expected.is_some(), "{warnings:?}");
    }
}
