//! The networks' layers and weights against torchvision's, by the hashes that
//! `weights-tools/scripts/describe_models.py` writes.

use std::collections::BTreeSet;

use clrp::graph::{Graph, Op, Weights};
use clrp::image::Mode;
use clrp::models::{MODELS, Model};
use clrp::tensor::Shape;

const TABLE: &str = include_str!("golden/torchvision_models.tsv");

/// What torchvision says of a network.
struct Row {
    model: &'static Model,
    cells: Vec<&'static str>,
}

impl Row {
    fn cell(&self, column: &str) -> &'static str {
        let headings = TABLE.lines().next().expect("it has headings");
        let at = headings.split('\t').position(|heading| heading == column);
        self.cells[at.unwrap_or_else(|| panic!("no column `{column}`"))]
    }

    fn number(&self, column: &str) -> usize {
        self.cell(column).parse().expect("a number")
    }

    fn graph(&self, height: usize, width: usize) -> Graph {
        let graph = self.model.graph(Shape::new(3, height, width), 1000);
        graph.unwrap_or_else(|error| panic!("{}: {error}", self.model.name))
    }

    fn published(&self) -> Graph {
        let side = self.number("crop");
        self.graph(side, side)
    }
}

fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        Row { model: Model::find(cells[0]).expect("a known network"), cells }
    })
}

/// FNV-1a of lines.
fn hash(lines: impl IntoIterator<Item = String>) -> String {
    let bytes = lines.into_iter().flat_map(|line| (line + "\n").into_bytes());
    let value = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |value, byte| {
        (value ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("{value:016x}")
}

fn joined(lengths: &[usize]) -> String {
    lengths.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// Outputs of convolutions, batch norms and linear layers.
fn layers(graph: &Graph) -> String {
    let weighted = graph
        .nodes()
        .iter()
        .filter(|node| matches!(node.op, Op::Conv2d(_) | Op::BatchNorm2d { .. } | Op::Linear(_)));
    hash(weighted.map(|node| {
        let Shape { channels, height, width } = node.shape;
        format!("{} {}", node.name, joined(&[channels, height, width]))
    }))
}

#[test]
fn every_network_is_torchvisions() {
    let names: BTreeSet<&str> = rows().map(|row| row.model.name).collect();
    let known = MODELS.iter().map(|model| model.name).filter(|name| *name != "digits");
    assert_eq!(names, known.collect());
    for row in rows() {
        let (name, graph) = (row.model.name, row.published());
        assert_eq!(graph.output_shape(), Shape::vector(1000), "{name}");
        let specs = graph.weight_specs();
        assert_eq!(specs.len(), row.number("weight_count"), "{name}");
        let lines = specs.iter().map(|spec| format!("{} {}", spec.name, joined(&spec.shape)));
        assert_eq!(hash(lines), row.cell("weights"), "{name}: names and shapes of weights");
        assert_eq!(graph.parameters(), row.number("parameters"), "{name}: parameters");
        assert_eq!(graph.multiply_adds(), row.number("multiply_adds"), "{name}: work");
        assert_eq!(layers(&graph), row.cell("layers"), "{name}: shapes of layers");
    }
}

#[test]
fn other_sizes_give_torchvisions_shapes_down_to_its_smallest() {
    for row in rows() {
        let name = row.model.name;
        assert_eq!(layers(&row.graph(96, 110)), row.cell("rectangle"), "{name}");
        let (height, width) = row.cell("min_size").split_once('x').expect("two lengths");
        let side = |length: &str| length.parse().expect("a number");
        let smallest = row.graph(side(height), side(width));
        assert_eq!(smallest.output_shape(), Shape::vector(1000), "{name}");
        let again = row.published().with_input(smallest.input_shape()).expect("it fits");
        assert_eq!(layers(&again), layers(&smallest), "{name}");
    }
    let small = |name: &str, side| {
        let model = Model::find(name).expect("a known network");
        model.graph(Shape::new(3, side, side), 1000).map(|_| ()).map_err(|error| error.to_string())
    };
    assert!(small("inception_v3", 74).is_err_and(|error| error.contains("Mixed_7a")));
    assert!(small("densenet121", 28).is_err_and(|error| error.contains("transition3.pool")));
}

#[test]
fn pictures_are_brought_to_the_networks_as_torchvision_does() {
    for row in rows() {
        let preprocess = row.model.preprocess();
        let side = u32::try_from(row.number("crop")).expect("it is small");
        let resize = u32::try_from(row.number("resize")).expect("it is small");
        assert_eq!(preprocess.size, (side, side), "{}", row.model.name);
        assert_eq!(preprocess.mode, Mode::CenterCrop { resize }, "{}", row.model.name);
        assert_eq!(row.model.labels(1000).label(340), Some("zebra"));
    }
}

/// Layers that a reader may know from the papers: network, name, output.
const LANDMARKS: &[(&str, &str, [usize; 3])] = &[
    ("googlenet", "inception3a.concat", [256, 28, 28]),
    ("googlenet", "inception4a.branch4.0", [480, 14, 14]),
    ("googlenet", "inception5b.concat", [1024, 7, 7]),
    ("inception_v3", "Mixed_5b.concat", [256, 35, 35]),
    ("inception_v3", "Mixed_6a.max_pool", [288, 17, 17]),
    ("inception_v3", "Mixed_6b.branch7x7_2.conv", [128, 17, 17]),
    ("inception_v3", "Mixed_7b.branch3x3.concat", [768, 8, 8]),
    ("inception_v3", "Mixed_7c.concat", [2048, 8, 8]),
    ("resnet18", "layer2.0.add", [128, 28, 28]),
    ("resnet50", "layer4.2.relu3", [2048, 7, 7]),
    ("resnext50_32x4d", "layer1.0.relu2", [128, 56, 56]),
    ("wide_resnet50_2", "layer3.0.relu1", [512, 28, 28]),
    ("densenet121", "features.denseblock1.denselayer6.concat", [256, 56, 56]),
    ("densenet161", "features.transition3.pool", [1056, 7, 7]),
    ("densenet201", "features.norm5", [1920, 7, 7]),
    ("mobilenet_v2", "features.2.conv.1.2", [96, 56, 56]),
    ("mobilenet_v2", "features.3.add", [24, 56, 56]),
    ("mnasnet0_5", "layers.9.1.add", [24, 28, 28]),
    ("mnasnet1_0", "layers.13.0.layers.7", [320, 7, 7]),
    ("shufflenet_v2_x0_5", "stage2.1.chunk2", [24, 28, 28]),
    ("shufflenet_v2_x1_0", "stage4.3.channel_shuffle", [464, 7, 7]),
];

#[test]
fn landmarks_have_the_shapes_of_the_papers() {
    for (model, layer, [channels, height, width]) in LANDMARKS {
        let row = rows().find(|row| row.model.name == *model).expect("a known network");
        let graph = row.published();
        let node = graph.nodes().iter().find(|node| node.name == *layer);
        let node = node.unwrap_or_else(|| panic!("{model} has no `{layer}`"));
        assert_eq!(node.shape, Shape::new(*channels, *height, *width), "{model}: {layer}");
    }
}

#[test]
fn no_two_layers_share_a_name() {
    for row in rows() {
        let graph = row.published();
        let names: BTreeSet<&str> = graph.nodes().iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names.len(), graph.nodes().len(), "{}", row.model.name);
    }
}

#[test]
fn the_weights_say_how_many_classes_there_are() {
    for name in ["inception_v3", "resnet18", "densenet121", "mobilenet_v2", "mnasnet0_5"] {
        let model = Model::find(name).expect("a known network");
        let graph = model.graph(model.input_shape(), 7).expect("it builds");
        let network = model.network(model.input_shape(), Weights::zeros(&graph));
        assert_eq!(network.expect("they suit").graph().output_shape(), Shape::vector(7), "{name}");
    }
}
