//! Switches of max pools, on networks whose winners are known by hand, on every backend.

use clrp::graph::{Conv2d, Graph, MaxPool2d, Network, NodeId, Weights};
use clrp::image::Preprocess;
use clrp::switches::{Switches, Tally};
use clrp::tensor::{Shape, Tensor};
use clrp::{Error, Explainer, Result};

use crate::support::{Backend, MEASURED_F64, backends, filled, pictures, reference, weights};

/// A network of max pools that ends in a vector.
fn pools(input: Shape, build: impl Fn(&mut Graph, NodeId) -> Result<NodeId>) -> Network {
    let mut g = Graph::new("pools", input);
    let x = g.input();
    let x = build(&mut g, x).expect("shapes fit");
    g.flatten("flatten", x).expect("any shape suits");
    Weights::zeros(&g).bind(g).expect("they suit")
}

/// The switches that the backend finds in each picture, at most `batch` at once.
fn switches(
    backend: &Backend,
    network: &Network,
    pictures: &[Tensor],
    batch: usize,
) -> Result<Vec<Vec<Switches>>> {
    let explainer = Explainer::builder(network.clone(), Preprocess::imagenet())
        .device(backend.device.clone())
        .max_batch(batch)
        .build()?;
    explainer.switches(pictures)
}

/// A picture of three channels: the second is the first with its signs changed, the third is zero.
fn picture(height: usize, width: usize, values: &[f32]) -> Tensor {
    let negative = values.iter().map(|value| -value);
    let values = values.iter().copied().chain(negative).chain(vec![0.0; height * width]);
    Tensor::new(Shape::new(3, height, width), values.collect()).expect("it fits")
}

#[track_caller]
fn assert_tallies(found: &[Tally], expected: &[(usize, f64)]) {
    let close = |(tally, (found, uniform)): (&Tally, &(usize, f64))| {
        tally.found == *found && (tally.uniform - uniform).abs() < MEASURED_F64
    };
    assert_eq!(found.len(), expected.len(), "{found:?}");
    assert!(found.iter().zip(expected).all(close), "{found:?}\n{expected:?}");
}

#[test]
fn padded_windows_are_counted_over_their_cells() {
    let pool = MaxPool2d::new(3, 2).padding(1);
    let network = pools(Shape::new(3, 3, 3), |g, x| g.max_pool2d("pool", x, pool));
    // Four windows of 2x2 cells each, all of which see the centre.
    let rising: Vec<f32> = (1..=9).map(|i| i as f32).collect();
    for backend in backends() {
        let all = switches(&backend, &network, &[picture(3, 3, &rising)], 1).expect("it runs");
        let pool = &all[0][0];
        assert_eq!((pool.layer(), pool.output()), ("pool", Shape::new(3, 2, 2)));
        // The last cell of each window in channel 0, the first in channel 1, none in channel 2.
        let winners =
            |channel| [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(y, x)| pool.winner(channel, y, x));
        assert_eq!(winners(0), [[1, 1], [1, 2], [2, 1], [2, 2]].map(Some));
        assert_eq!(winners(1), [[0, 0], [0, 1], [1, 0], [1, 1]].map(Some));
        assert_eq!(winners(2), [None; 4]);
        let counts = pool.counts();
        assert_eq!((counts.windows, counts.tied), (12, 4));
        // The upper left window has its cells at taps 1 and 2, the lower right one at 0 and 1; in
        // two channels each cell would win half a window. Of the last cells the upper left
        // window's is tap (2, 2), of the first ones it is the centre.
        let rows = [
            [(1, 0.5), (1, 1.0), (0, 0.5)],
            [(1, 1.0), (2, 2.0), (1, 1.0)],
            [(0, 0.5), (1, 1.0), (1, 0.5)],
        ];
        assert_tallies(&counts.taps, &rows.concat());
        // Of four windows along each edge two won in the outermost row: half, as by chance.
        for edge in &counts.edges {
            assert_eq!((edge.windows, edge.tied), (6, 2), "{:?}", edge.edge);
            assert_tallies(&edge.distances, &[(2, 2.0), (2, 2.0)]);
        }
    }
}

#[test]
fn dilation_and_ceil_mode_reach_as_far_as_they_do() {
    // Along rows: taps 2 apart, windows at 0 1 2 of 5 rows. Along columns: windows of 2 at 0 2 4
    // of 5 columns, the last of which reaches past the end.
    let pool = MaxPool2d {
        kernel: [2, 2],
        stride: [1, 2],
        padding: [0; 2],
        more_padding: [0; 2],
        dilation: [2, 1],
        ceil_mode: true,
    };
    let network = pools(Shape::new(3, 5, 5), |g, x| g.max_pool2d("pool", x, pool));
    let rising: Vec<f32> = (0..25).map(|i| i as f32).collect();
    for backend in backends() {
        let all = switches(&backend, &network, &[picture(5, 5, &rising)], 1).expect("it runs");
        let pool = &all[0][0];
        assert_eq!(pool.output(), Shape::new(3, 3, 3));
        assert_eq!(pool.winner(0, 0, 0), Some([2, 1]));
        assert_eq!(pool.winner(0, 2, 2), Some([4, 4]));
        assert_eq!(pool.winner(1, 2, 1), Some([2, 2]));
        let counts = pool.counts();
        assert_eq!((counts.windows, counts.tied), (27, 9));
        // Six windows of four cells and three of two, in two channels. In channel 0 the lower
        // right tap wins, or the lower left where that is past the end; in channel 1 the first.
        let (left, right) = (6.0 * 2.0 / 4.0 + 3.0 * 2.0 / 2.0, 6.0 * 2.0 / 4.0);
        assert_tallies(&counts.taps, &[(9, left), (0, right), (3, left), (6, right)]);
        let [top, bottom, left, right] = &counts.edges;
        // Rows 0 and 2, rows 2 and 4.
        assert_tallies(&top.distances, &[(3, 3.0), (0, 0.0), (3, 3.0)]);
        assert_tallies(&bottom.distances, &[(3, 3.0), (0, 0.0), (3, 3.0)]);
        assert_tallies(&left.distances, &[(3, 3.0), (3, 3.0)]);
        // The last window has one column.
        assert_tallies(&right.distances, &[(6, 6.0)]);
        assert_eq!(right.outermost(), Some(Tally { found: 6, uniform: 6.0 }));
    }
}

#[test]
fn windows_behind_a_relu_that_saw_nothing_are_tied() {
    let mut g = Graph::new("relu", Shape::new(3, 4, 4));
    let build = |g: &mut Graph| {
        let x = g.conv2d("conv", g.input(), Conv2d { bias: false, ..Conv2d::new(1, 1) })?;
        let x = g.relu("relu", x)?;
        let x = g.max_pool2d("pool", x, MaxPool2d::new(2, 2))?;
        g.flatten("flatten", x)
    };
    build(&mut g).expect("shapes fit");
    // The first channel as it is.
    let network = filled(g, |_, _, i| if i == 0 { 1.0 } else { 0.0 });
    let mut values = vec![-1.0; 16];
    values[5] = 2.0;
    for backend in backends() {
        let all = switches(&backend, &network, &[picture(4, 4, &values)], 1).expect("it runs");
        let counts = all[0][0].counts();
        assert_eq!((counts.windows, counts.tied), (4, 3));
        assert_eq!(all[0][0].winner(0, 0, 0), Some([1, 1]));
        assert_tallies(&counts.taps, &[(0, 0.25), (0, 0.25), (0, 0.25), (1, 0.25)]);
        let [top, bottom, ..] = &counts.edges;
        assert_eq!((top.tied, bottom.tied, bottom.outermost()), (1, 2, None));
        assert_eq!(top.outermost(), Some(Tally { found: 0, uniform: 0.5 }));
    }
}

#[test]
fn pictures_in_a_batch_are_as_one_by_one_on_every_backend() {
    let mut g = Graph::new("two", Shape::new(3, 11, 9));
    let build = |g: &mut Graph| {
        let x = g.conv2d("conv0", g.input(), Conv2d::new(6, 3).padding(1))?;
        let x = g.relu("relu0", x)?;
        let early = g.max_pool2d("early", x, MaxPool2d::new(3, 2).padding(1))?;
        let y = g.conv2d("conv1", early, Conv2d::new(5, 3).padding(1))?;
        let y = g.relu("relu1", y)?;
        let late = g.max_pool2d("late", y, MaxPool2d::new(2, 2).ceil())?;
        // Nothing that the pools need.
        let x = g.adaptive_avg_pool2d("average", late, 1)?;
        let x = g.flatten("flatten", x)?;
        g.linear("top", x, 4)
    };
    build(&mut g).expect("shapes fit");
    let network = weights(g, 5);
    let shape = network.graph().input_shape();
    let values = pictures(shape, 3, 7);
    let inputs: Vec<Tensor> = values
        .chunks_exact(shape.len())
        .map(|values| Tensor::new(shape, values.to_vec()).expect("it fits"))
        .collect();
    let one_by_one = switches(&reference(), &network, &inputs, 1).expect("it runs");
    let names: Vec<&str> = one_by_one[0].iter().map(Switches::layer).collect();
    assert_eq!(names, ["early", "late"]);
    assert_ne!(one_by_one[0], one_by_one[1]);
    for backend in backends() {
        // Two at once, then the third.
        let found = switches(&backend, &network, &inputs, 2).expect("it runs");
        assert!(found == one_by_one, "{}", backend.name);
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let backend = &reference();
    let mut g = Graph::new("straight", Shape::new(3, 4, 4));
    let x = g.input();
    g.flatten("flatten", x).expect("any shape suits");
    let network = Weights::zeros(&g).bind(g).expect("they suit");
    let error = switches(backend, &network, &[], 1).expect_err("no max pool");
    let expected = "reading the switches of `straight` is not supported: it has no max pool";
    assert_eq!(error.to_string(), expected);

    let pool = |g: &mut Graph, x| g.max_pool2d("pool", x, MaxPool2d::new(2, 2));
    let network = pools(Shape::new(3, 4, 4), pool);
    assert!(switches(backend, &network, &[], 1).expect("nothing to do").is_empty());
    let small = picture(2, 2, &[0.0; 4]);
    let error = switches(backend, &network, &[small], 1).expect_err("another size");
    assert!(matches!(error, Error::InputShape { .. }), "{error}");

    // Finite weights, whose products are not.
    let mut g = Graph::new("huge", Shape::new(3, 4, 4));
    let build = |g: &mut Graph| {
        let x = g.conv2d("conv", g.input(), Conv2d::new(1, 1))?;
        let x = pool(g, x)?;
        g.flatten("flatten", x)
    };
    build(&mut g).expect("shapes fit");
    let network = filled(g, |_, _, _| f32::MAX);
    let cpu = backends().remove(1);
    let error = switches(&cpu, &network, &[picture(4, 4, &[9.0; 16])], 1).expect_err("infinite");
    assert!(error.to_string().starts_with("`input of pool` holds "), "{error}");
}
