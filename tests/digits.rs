//! The bundled network on digits that it has never seen.

use clrp::image::Picture;
use clrp::models::Model;
use clrp::scene::{Scene, Split};
use clrp::{Explainer, Tensor};

const SCENES: u64 = 3000;

/// How often the digits of a scene are exactly the highest scores, as `assets/README.md` counts.
fn accuracy(digits: usize) -> f64 {
    let model = Model::find("digits").expect("a known network");
    let weights = model.bundled().expect("they are bundled").expect("they are whole");
    let network = model.network(model.input_shape(), weights).expect("they fit");
    let explainer =
        Explainer::builder(network, model.preprocess()).max_batch(50).build().expect("it builds");
    let scenes: Vec<Scene> =
        (0..SCENES).map(|index| Scene::render(Split::Test, digits, 2, index)).collect();
    let input = |scene: &Scene| -> Tensor {
        let picture = Picture::new(scene.side, scene.side, scene.pixels.clone());
        model.preprocess().apply(&picture.expect("it has pixels")).expect("it fits").0
    };
    let inputs: Vec<Tensor> = scenes.iter().map(input).collect();
    let scores = explainer.scores(&inputs).expect("it runs");
    let right = scenes.iter().zip(scores).filter(|(scene, scores)| {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let top = &order[..digits];
        scene.digits.iter().all(|digit| top.contains(&usize::from(digit.class)))
    });
    right.count() as f64 / SCENES as f64
}

#[test]
fn a_single_digit_is_read() {
    let found = accuracy(1);
    assert!(found >= 0.97, "{found}");
}

#[test]
fn of_two_digits_both_are_read() {
    let found = accuracy(2);
    assert!(found >= 0.90, "{found}");
}
