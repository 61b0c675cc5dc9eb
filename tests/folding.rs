//! Batch norm folded into its neighbours: the scores stay, the layers change as they should.

use clrp::Method;
use clrp::graph::{Conv2d, Graph, Network, NodeId, Op};
use clrp::rules::{Composite, LayerKind, Rule, fold_batch_norm};
use clrp::tensor::Shape;

use crate::support::{CHANGED, MAP_F64, Question, assert_close, pictures, reference, weights};

/// A network of the layers that `body` puts between the picture and a head of five classes.
fn network(body: impl Fn(&mut Graph, NodeId) -> NodeId) -> Network {
    let mut graph = Graph::new("folding", Shape::new(3, 8, 7));
    let x = graph.input();
    let x = graph.conv2d("conv0", x, Conv2d::new(6, 3).padding(1).no_bias()).expect("it fits");
    let x = body(&mut graph, x);
    let x = graph.adaptive_avg_pool2d("pool", x, 1).expect("it fits");
    let x = graph.flatten("flatten", x).expect("it fits");
    graph.linear("fc", x, 5).expect("it fits");
    weights(graph, 7)
}

fn norm_after_a_convolution(graph: &mut Graph, x: NodeId) -> NodeId {
    let x = graph.batch_norm2d("bn0", x).expect("it fits");
    graph.relu("relu0", x).expect("it fits")
}

/// Only the second norm stands before a convolution; the first has a ReLU between.
fn norm_before_a_convolution(graph: &mut Graph, x: NodeId) -> NodeId {
    let x = graph.relu("relu0", x).expect("it fits");
    let x = graph.batch_norm2d("bn0", x).expect("it fits");
    let conv = Conv2d { groups: 2, ..Conv2d::new(4, 3).stride(2) };
    graph.conv2d("conv1", x, conv).expect("it fits")
}

fn norm_of_a_fork(graph: &mut Graph, x: NodeId) -> NodeId {
    let y = graph.batch_norm2d("bn0", x).expect("it fits");
    let x = graph.add("add", x, y).expect("it fits");
    graph.relu("relu0", x).expect("it fits")
}

fn norm_of_a_concatenation(graph: &mut Graph, x: NodeId) -> NodeId {
    let x = graph.concat("concat", &[x, x]).expect("it fits");
    let x = graph.batch_norm2d("bn0", x).expect("it fits");
    graph.relu("relu0", x).expect("it fits")
}

fn maps(network: &Network, rule: Rule) -> (Vec<f64>, Vec<f64>) {
    let shape = network.graph().input_shape();
    let composite = Composite::new("one rule")
        .each(LayerKind::Conv2d, rule)
        .each(LayerKind::Linear, rule)
        .with_bias(true);
    let picture = pictures(shape, 1, 3);
    let question = Question::new(network, &composite, &[Method::Lrp], &[2], &picture);
    let answer = question.ask(&reference());
    (answer.scores, answer.maps[0].clone())
}

fn op<'a>(network: &'a Network, name: &str) -> &'a Op {
    let mut nodes = network.graph().nodes().iter();
    &nodes.find(|node| node.name == name).expect("the layer is there").op
}

#[test]
fn folding_leaves_the_scores_as_they_are() {
    let bodies: [fn(&mut Graph, NodeId) -> NodeId; 4] = [
        norm_after_a_convolution,
        norm_before_a_convolution,
        norm_of_a_fork,
        norm_of_a_concatenation,
    ];
    for (i, body) in bodies.into_iter().enumerate() {
        let network = network(body);
        let folded = fold_batch_norm(&network).expect("nothing is in the way");
        let rule = Rule::Epsilon { epsilon: 1e-6 };
        assert_close(&maps(&folded, rule).0, &maps(&network, rule).0, MAP_F64, i);
    }
}

#[test]
fn what_has_a_linear_layer_beside_it_is_folded_and_nothing_else() {
    let folded = |body: fn(&mut Graph, NodeId) -> NodeId| {
        let folded = fold_batch_norm(&network(body)).expect("nothing is in the way");
        *op(&folded, "bn0") == Op::Identity
    };
    assert!(folded(norm_after_a_convolution));
    assert!(folded(norm_before_a_convolution));
    // The convolution's own output is read, too.
    assert!(!folded(norm_of_a_fork));
    assert!(!folded(norm_of_a_concatenation));
}

#[test]
fn folding_changes_what_rules_with_a_bias_see() {
    let network = network(norm_after_a_convolution);
    let folded = fold_batch_norm(&network).expect("nothing is in the way");
    let rule = Rule::Epsilon { epsilon: 0.25 };
    let (plain, changed) = (maps(&network, rule).1, maps(&folded, rule).1);
    assert!(plain.iter().zip(&changed).any(|(a, b)| (a - b).abs() > CHANGED * a.abs()));
}

#[test]
fn a_convolution_that_pads_is_refused_by_name() {
    let network = network(|graph, x| {
        let x = graph.relu("relu0", x).expect("it fits");
        let x = graph.batch_norm2d("bn0", x).expect("it fits");
        graph.conv2d("conv1", x, Conv2d::new(4, 3).padding(1)).expect("it fits")
    });
    let error = fold_batch_norm(&network).expect_err("zeros are no shifted zeros").to_string();
    assert!(error.contains("`bn0`") && error.contains("`conv1` after it pads"), "{error}");
}
