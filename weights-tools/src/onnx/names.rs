//! Names of layers: torch's module paths where the model has them.

use std::collections::{BTreeMap, BTreeSet};

use super::node::Node;

/// The longest name, in characters, so that a file cannot fill memory with them.
const MOST: usize = 120;

/// How deep modules may lie in each other to be told from layers.
const DEPTH: usize = 16;

/// The names given so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
    /// The next number to try after a name.
    next: BTreeMap<String, usize>,
    /// Modules with modules in them, by torch's scopes.
    containers: BTreeSet<String>,
}

impl Names {
    /// With the scopes that the nodes' names speak of.
    pub(super) fn new<'a>(nodes: impl Iterator<Item = Node<'a>>) -> Self {
        let mut names = Self::default();
        names.taken.insert("input".to_owned());
        for node in nodes {
            let Some(scope) = scope(node.name()) else { continue };
            for (end, _) in scope.match_indices('.').take(DEPTH) {
                if !names.containers.contains(&scope[..end]) {
                    names.containers.insert(scope[..end].to_owned());
                }
            }
        }
        names
    }

    /// A name for the layer that a node becomes. A weight's name knows best, as
    /// `features.0.weight`; then the scopes in the name that torch gave the node.
    pub(super) fn layer(&mut self, node: Node<'_>, weight: Option<&str>) -> String {
        let operator = node.operator().to_lowercase();
        let of_weight = weight.and_then(|name| name.strip_suffix(".weight"));
        let wanted = match of_weight.filter(|name| !name.is_empty()) {
            Some(name) => shortened(name),
            None => match scope(node.name()) {
                Some(scope) if scope.is_empty() => operator,
                Some(scope) if self.containers.contains(&scope) => format!("{scope}.{operator}"),
                Some(scope) => scope,
                None => plain(node, &operator),
            },
        };
        self.unique(wanted)
    }

    /// The name, or the name with a number that makes it the only one.
    pub(super) fn unique(&mut self, wanted: String) -> String {
        if self.taken.insert(wanted.clone()) {
            return wanted;
        }
        let mut number = self.next.get(&wanted).copied().unwrap_or(1);
        loop {
            let name = format!("{wanted}_{number}");
            number += 1;
            if self.taken.insert(name.clone()) {
                self.next.insert(wanted, number);
                return name;
            }
        }
    }
}

/// The module's path in a name as torch's first exporter gives it: `/layer1/layer1.0/conv1/Conv`
/// is of `layer1.0.conv1`.
fn scope(name: &str) -> Option<String> {
    let (modules, _) = name.strip_prefix('/')?.rsplit_once('/').unwrap_or_default();
    let mut parts: Vec<&str> = Vec::new();
    for module in modules.split('/').filter(|module| !module.is_empty()) {
        match parts.last_mut() {
            // A member of a list has the list's name before its own.
            Some(last) if module.strip_prefix(*last).is_some_and(|rest| rest.starts_with('.')) => {
                *last = module;
            }
            _ => parts.push(module),
        }
    }
    Some(shortened(&parts.join(".")))
}

/// The node's own name; torch's second exporter sets `node_` before it.
fn plain(node: Node<'_>, operator: &str) -> String {
    let name = node.proto.name.as_deref().unwrap_or_default();
    let name = name.strip_prefix("node_").unwrap_or(name);
    if name.is_empty() { operator.to_owned() } else { shortened(name) }
}

fn shortened(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '_' } else { c }).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use rten_onnx::onnx::NodeProto;

    use super::*;

    fn proto(name: &str, operator: &str) -> NodeProto {
        let (name, op_type) = (Some(name.to_owned()), Some(operator.to_owned()));
        NodeProto { name, op_type, ..NodeProto::default() }
    }

    #[test]
    fn modules_are_found_in_scopes() {
        let of = |name| scope(name).expect("it starts with a slash");
        assert_eq!(of("/layer1/layer1.0/conv1/Conv"), "layer1.0.conv1");
        let nested = "/layers/layers.8/layers.8.0/layers/layers.3/Conv";
        assert_eq!(of(nested), "layers.8.0.layers.3");
        assert_eq!(of("/Flatten"), "");
        assert_eq!(scope("node_relu"), None);
    }

    #[test]
    fn every_layer_has_a_name_of_its_own() {
        let protos = [
            proto("/layer1/layer1.0/conv1/Conv", "Conv"),
            proto("/layer1/layer1.0/relu/Relu", "Relu"),
            proto("/layer1/layer1.0/Add", "Add"),
            proto("/layer1/layer1.0/Add", "Add"),
            proto("/Flatten", "Flatten"),
            proto("node_relu_1", "Relu"),
            proto("", "Relu"),
            proto("input", "Relu"),
        ];
        let nodes = || protos.iter().map(|proto| Node::new("file", proto, 20));
        let mut names = Names::new(nodes());
        let given: Vec<String> = nodes().map(|node| names.layer(node, None)).collect();
        let expected = [
            "layer1.0.conv1",
            "layer1.0.relu",
            "layer1.0.add",
            "layer1.0.add_1",
            "flatten",
            "relu_1",
            "relu",
            "input_1",
        ];
        assert_eq!(given, expected);
        let node = Node::new("file", &protos[0], 20);
        assert_eq!(names.layer(node, Some("fc.weight")), "fc");
        assert_eq!(names.layer(node, Some("onnx::Conv_193")), "layer1.0.conv1_1");
    }
}
