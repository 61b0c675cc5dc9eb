//! Many targets in one run: classes, a mixture, and one class against another.
//!
//! `cargo run --release -p clrp --example several_targets`

#![expect(clippy::print_stdout, reason = "it shows what it finds")]

use clrp::image::Picture;
use clrp::models::Model;
use clrp::scene::{Scene, Split};
use clrp::{Cancel, Explainer, Goal, Method, Request, Target};

pub(crate) fn main() -> clrp::Result<()> {
    let model = Model::find("digits")?;
    let weights = model.bundled().expect("the digits network is bundled")?;
    let network = model.network(model.input_shape(), weights)?;
    let explainer = Explainer::builder(network, model.preprocess()).build()?;
    let picture = |seed| {
        let scene = Scene::render(Split::Test, 2, seed, 0);
        Picture::new(scene.side, scene.side, scene.pixels)
    };

    // All share the forward pass; each has a row of its own on the way back.
    let goals = [
        Goal::Class(3),
        Goal::Class(8),
        Goal::Mixture(vec![(3, 0.7), (8, 0.3)]),
        Goal::Against { class: 3, against: vec![8] },
    ];
    // Another thread could end the work by `cancel.cancel()`.
    let cancel = Cancel::new();
    let request = Request::new([Method::Clrp1, Method::Gradient], Target::goals(goals))
        .progress(|done| println!("{:3.0} %", 100.0 * done))
        .cancel(&cancel);
    for explained in explainer.explain_all(&[picture(1)?, picture(2)?], &request)? {
        for explanation in &explained.explanations {
            let (method, goal) = (explanation.method, &explanation.goal);
            println!("{method} of {goal}: value {}, sum {}", explanation.score, explanation.sum);
        }
    }

    // The best five, and the mean of five drawn at random of the best eight.
    for target in [Target::top(5), Target::random_of_top(5, 8, 0)] {
        let explained = explainer.explain(&picture(1)?, Method::Lrp, target)?;
        let goals = explained.explanations.iter().map(|of| of.goal.to_string());
        println!("{}", goals.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}
