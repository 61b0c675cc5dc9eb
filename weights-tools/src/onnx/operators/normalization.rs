//! Normalisation with fixed statistics, and across channels.

use clrp::graph::{LocalResponseNorm, Op};

use super::super::error::{Result, listed};
use super::super::import::Importer;
use super::super::node::Node;
use super::super::value::Activation;
use super::one_output;

pub(super) fn batch_norm<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    one_output(importer, node)?;
    // Before version 7 a flag told training from inference.
    let training = node.flag("training_mode", false)?;
    // From 7 to 13 its further outputs did, whether anybody needs them or not.
    let more = (1..5).any(|i| node.output(i).is_some());
    let told_by_outputs = (7..14).contains(&node.opset) && more;
    if training || told_by_outputs || (node.opset < 7 && !node.flag("is_test", false)?) {
        return Err(node.error("batch normalisation in evaluation mode", "in training mode"));
    }
    if !node.flag("spatial", true)? {
        return Err(node.error("`spatial` 1", "0"));
    }
    let x = importer.plain(node, 0)?;
    let shape = importer.graph.node(x.layer).shape;
    if x.dims.len() != 2 || !shape.is_vector() {
        importer.as_planes(node, 0, &x)?;
    }
    let epsilon = node.float("epsilon")?.unwrap_or(1e-5);
    let mut weights = Vec::new();
    for i in 1..=4 {
        let weight = importer.needed_constant(node, i)?;
        if weight.dims != [shape.channels] {
            let expected = format!("{} numbers as input {i}", shape.channels);
            return Err(node.error(expected, listed(&weight.dims)));
        }
        weights.push(weight);
    }
    let name = importer.names.layer(node, Some(&weights[0].name));
    for (suffix, weight) in ["weight", "bias", "running_mean", "running_var"].iter().zip(&weights) {
        importer.weight(node, format!("{name}.{suffix}"), weight)?;
    }
    // What was 1e-5 in the framework, and is a little less as `f32`, is 1e-5 again.
    let epsilon = epsilon.to_string().parse().unwrap_or(f64::from(epsilon));
    let layer = importer.push(node, name, Op::BatchNorm2d { epsilon }, &[x.layer])?;
    importer.set_activation(node, Activation::plain(layer, x.dims));
    Ok(())
}

pub(super) fn local_response_norm<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    let x = importer.planes(node, 0)?;
    let size = node.int("size")?.unwrap_or(0);
    let odd = usize::try_from(size).ok().filter(|size| size % 2 == 1);
    // Of an even number ONNX takes one more behind the channel than before it, unlike torch.
    let size = odd.ok_or_else(|| node.error("an odd `size`", size.to_string()))?;
    let norm = LocalResponseNorm {
        size,
        alpha: node.float("alpha")?.unwrap_or(1e-4),
        beta: node.float("beta")?.unwrap_or(0.75),
        k: node.float("bias")?.unwrap_or(1.0),
    };
    importer.with_planes(node, Op::LocalResponseNorm(norm), &x)
}
