//! Requests in which each picture has targets of its own.

use clrp::methods::Slope;
use clrp::{Error, Explainer, Goal, Method, Request, Target, Tensor};

use super::{METHODS, builder, explainer, hold_same, order, picture};

fn classes(a: usize, b: usize) -> Vec<Goal> {
    vec![Goal::Class(a), Goal::Class(b)]
}

#[test]
fn each_picture_may_have_targets_of_its_own() {
    let (pictures, methods) = ([1, 2, 3].map(picture), [Method::Lrp, Method::Random]);
    let explainer = builder().max_batch(2).build().expect("the preset suits");
    let lists = [classes(3, 5), classes(1, 3), classes(9, 0)];
    let all = Request::new(methods, Target::each(lists.clone()));
    let found = explainer.explain_all(&pictures, &all).expect("it runs");
    assert_eq!(found.len(), pictures.len());
    for ((picture, list), found) in pictures.iter().zip(lists).zip(&found) {
        let alone = explainer.explain(picture, methods, Target::goals(list)).expect("it runs");
        assert_eq!(order(found), order(&alone));
        for (found, alone) in found.explanations.iter().zip(&alone.explanations) {
            assert_eq!(found.score, alone.score);
            assert_eq!(found.map, alone.map);
        }
    }
}

/// Whether pictures with these goals are explained together as they are alone, split or not.
fn hold_together(lists: &[Vec<Goal>], methods: &[Method]) {
    let pictures: Vec<Tensor> = (1..=lists.len() as u64).map(picture).collect();
    let pairs = builder().max_batch(2).build().expect("the preset suits");
    // Nothing fits: one picture, one target, one sample at a time.
    let split = builder().value_bytes(1).build().expect("the preset suits");
    let alone: Vec<_> = pictures
        .iter()
        .zip(lists)
        .map(|(picture, list)| {
            let target = Target::goals(list.iter().cloned());
            let explained = explainer().explain(picture, methods, target).expect("it runs");
            assert_eq!(explained.explanations.len(), list.len() * methods.len());
            explained
        })
        .collect();
    for explainer in [pairs, split] {
        let request = Request::new(methods, Target::each(lists.iter().cloned()));
        let found = explainer.explain_all(&pictures, &request).expect("it runs");
        assert_eq!(found.len(), pictures.len());
        for (found, alone) in found.iter().zip(&alone) {
            hold_same(found, alone);
        }
    }
}

#[test]
fn targets_of_several_kinds_run_in_groups() {
    let list = |a: usize, b: usize| {
        let mixture = Goal::Mixture(vec![(a, 0.25), (b, 0.75)]);
        vec![Goal::Class(a), Goal::Class(b), mixture, Goal::Class((a + b) % 10)]
    };
    hold_together(&[list(3, 5), list(1, 3), list(9, 0)], &METHODS);
}

#[test]
fn each_picture_may_set_its_target_against_classes_of_its_own() {
    let against = |class: usize, against: &[usize]| {
        vec![Goal::Against { class, against: against.to_vec() }, Goal::Class(class)]
    };
    let lists = [against(3, &[8]), against(1, &[0, 2]), against(5, &[3, 4, 6])];
    let methods = [Method::Clrp1, Method::Gradient, Method::SmoothGrad(Slope::Gradient)];
    hold_together(&lists, &methods);
}

#[test]
fn what_is_wrong_with_a_pictures_targets_names_the_picture() {
    let pictures = [1, 2, 3].map(picture);
    let message = |target, pictures: &[Tensor]| {
        let request = Request::new(Method::Lrp, target);
        explainer().explain_all(pictures, &request).expect_err("it does not suit").to_string()
    };
    assert_eq!(
        message(Target::each([classes(1, 2)]), &pictures),
        "number of pictures with targets of their own is 1, expected 3"
    );
    assert_eq!(
        message(Target::each([classes(1, 2), vec![Goal::Class(3)]]), &pictures[..2]),
        "picture 1: list of targets is `3`, expected as many and such as `1`, `2`"
    );
    assert_eq!(
        message(Target::each([classes(1, 2), vec![]]), &pictures[..2]),
        "picture 1: list of targets is none, expected as many and such as `1`, `2`"
    );
    assert!(message(Target::each([vec![]]), &pictures[..1]).contains("number of targets is 0"));
    assert_eq!(
        message(Target::each([classes(1, 2), classes(1, 99)]), &pictures[..2]),
        "picture 1: target 99 is out of range, `digits` has 10 classes"
    );
}

#[test]
fn no_pictures_have_no_targets() {
    let of = |explainer: &Explainer, target| -> Result<usize, Error> {
        let none: [Tensor; 0] = [];
        Ok(explainer.explain_all(&none, &Request::new(Method::Lrp, target))?.len())
    };
    for target in [Target::top(1), Target::each([])] {
        assert_eq!(of(&explainer(), target).expect("nothing is wrong"), 0);
    }
}
