//! What each operator becomes: one function a family.

mod arithmetic;
mod channels;
mod convolution;
mod linear;
mod normalization;
mod passing;
mod pooling;
pub(super) mod reshape;
mod response;
mod stack;
mod window;

use super::error::Result;
use super::fold;
use super::import::Importer;
use super::node::Node;

/// Imports a node: its outputs become values that later nodes find.
pub(super) fn import<'a>(importer: &mut Importer<'a>, node: Node<'a>) -> Result<()> {
    if node.custom_domain().is_some() {
        return Err(node.unsupported(""));
    }
    if fold::fold(importer, node)? {
        return Ok(());
    }
    match node.operator() {
        "Conv" => convolution::conv(importer, node),
        "Gemm" => linear::gemm(importer, node),
        "MatMul" => linear::matmul(importer, node),
        "BatchNormalization" => normalization::batch_norm(importer, node),
        "LRN" => normalization::local_response_norm(importer, node),
        "Relu" => arithmetic::relu(importer, node),
        "Clip" => arithmetic::clip(importer, node),
        "Min" | "Max" => arithmetic::bound(importer, node),
        "Add" | "Sub" | "Mul" | "Div" | "Pow" if response::is_part(importer, node)? => {
            response::arithmetic(importer, node)
        }
        "Add" | "Sub" | "Mul" | "Div" => arithmetic::binary(importer, node),
        "Sum" => arithmetic::sum(importer, node),
        "ReduceSum" => stack::reduce_sum(importer, node),
        "MaxPool" => pooling::max_pool(importer, node),
        "AveragePool" if response::is_part(importer, node)? => response::average(importer, node),
        "Pad" if response::is_part(importer, node)? => response::pad(importer, node),
        "AveragePool" => pooling::average_pool(importer, node),
        "GlobalAveragePool" => pooling::global_average_pool(importer, node),
        "GlobalMaxPool" => pooling::global_max_pool(importer, node),
        "ReduceMean" => pooling::reduce_mean(importer, node),
        "Flatten" => reshape::flatten(importer, node),
        "Reshape" => reshape::reshape(importer, node),
        "Transpose" => reshape::transpose(importer, node),
        "Squeeze" => reshape::squeeze(importer, node),
        "Unsqueeze" => reshape::unsqueeze(importer, node),
        "Concat" => channels::concat(importer, node),
        "Split" => channels::split(importer, node),
        "Slice" => channels::slice(importer, node),
        "Gather" => channels::gather(importer, node),
        "Pad" => channels::pad(importer, node),
        "Dropout" => passing::dropout(importer, node),
        "Identity" => passing::identity(importer, node),
        "Cast" => passing::cast(importer, node),
        "Softmax" | "LogSoftmax" => passing::softmax(importer, node),
        "Sigmoid" => passing::sigmoid(importer, node),
        "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" | "ConvInteger" | "MatMulInteger"
        | "QLinearMatMul" => Err(node.unsupported("; export the network before it is quantized")),
        "If" => passing::choice(importer, node),
        _ => Err(node.unsupported("")),
    }
}

/// Refuses a node whose further outputs are needed.
fn one_output(importer: &Importer<'_>, node: Node<'_>) -> Result<()> {
    let more = (1..node.proto.output.len()).filter_map(|i| node.output(i));
    match more.into_iter().find(|name| importer.plan.is_needed(name)) {
        None => Ok(()),
        Some(name) => {
            let found = format!("that `{}` is needed", crate::foreign::shown(name));
            Err(node.error("that only its first output is needed", found))
        }
    }
}
