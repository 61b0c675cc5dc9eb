//! Inception v3 (Szegedy et al. 2015). Its five kinds of blocks have torchvision's letters.

use super::basic_conv::basic_conv2d;
use super::model::Plan;
use crate::error::Result;
use crate::graph::{AvgPool2d, Conv2d, Graph, MaxPool2d, NodeId};

pub(super) fn inception_v3(g: &mut Graph, x: NodeId, plan: Plan) -> Result<()> {
    let x = basic_conv2d(g, "Conv2d_1a_3x3", x, halving(32))?;
    let x = basic_conv2d(g, "Conv2d_2a_3x3", x, Conv2d::new(32, 3))?;
    let x = basic_conv2d(g, "Conv2d_2b_3x3", x, square(64, 3))?;
    let x = g.max_pool2d("maxpool1", x, MaxPool2d::new(3, 2))?;
    let x = basic_conv2d(g, "Conv2d_3b_1x1", x, square(80, 1))?;
    let x = basic_conv2d(g, "Conv2d_4a_3x3", x, Conv2d::new(192, 3))?;
    let x = g.max_pool2d("maxpool2", x, MaxPool2d::new(3, 2))?;
    let x = block_a(g, "Mixed_5b", x, 32)?;
    let x = block_a(g, "Mixed_5c", x, 64)?;
    let x = block_a(g, "Mixed_5d", x, 64)?;
    let x = block_b(g, "Mixed_6a", x)?;
    let x = block_c(g, "Mixed_6b", x, 128)?;
    let x = block_c(g, "Mixed_6c", x, 160)?;
    let x = block_c(g, "Mixed_6d", x, 160)?;
    let x = block_c(g, "Mixed_6e", x, 192)?;
    let x = block_d(g, "Mixed_7a", x)?;
    let x = block_e(g, "Mixed_7b", x)?;
    let x = block_e(g, "Mixed_7c", x)?;
    let x = g.adaptive_avg_pool2d("avgpool", x, 1)?;
    let x = g.dropout("dropout", x)?;
    let x = g.flatten("flatten", x)?;
    g.linear("fc", x, plan.classes)?;
    Ok(())
}

/// A square filter that keeps the picture's size.
const fn square(channels: usize, kernel: usize) -> Conv2d {
    Conv2d::new(channels, kernel).padding(kernel / 2)
}

/// A filter of one row that keeps the picture's size.
const fn row(channels: usize, length: usize) -> Conv2d {
    Conv2d { kernel: [1, length], padding: [0, length / 2], ..Conv2d::new(channels, 1) }
}

/// A filter of one column that keeps the picture's size.
const fn column(channels: usize, length: usize) -> Conv2d {
    Conv2d { kernel: [length, 1], padding: [length / 2, 0], ..Conv2d::new(channels, 1) }
}

/// A filter of 3x3 that halves the picture's size.
const fn halving(channels: usize) -> Conv2d {
    Conv2d::new(channels, 3).stride(2)
}

/// Convolutions one after the other, each under its name in the block.
fn branch(g: &mut Graph, block: &str, x: NodeId, convs: &[(&str, Conv2d)]) -> Result<NodeId> {
    convs
        .iter()
        .try_fold(x, |x, (name, conv)| basic_conv2d(g, &format!("{block}.{name}"), x, *conv))
}

/// An average pool and a convolution.
fn pool_branch(g: &mut Graph, block: &str, x: NodeId, channels: usize) -> Result<NodeId> {
    let pool = AvgPool2d::new(3, 1).padding(1);
    let x = g.avg_pool2d(format!("{block}.avg_pool"), x, pool)?;
    branch(g, block, x, &[("branch_pool", square(channels, 1))])
}

fn block_a(g: &mut Graph, block: &str, x: NodeId, pooled: usize) -> Result<NodeId> {
    let one = branch(g, block, x, &[("branch1x1", square(64, 1))])?;
    let five =
        branch(g, block, x, &[("branch5x5_1", square(48, 1)), ("branch5x5_2", square(64, 5))])?;
    let three = [
        ("branch3x3dbl_1", square(64, 1)),
        ("branch3x3dbl_2", square(96, 3)),
        ("branch3x3dbl_3", square(96, 3)),
    ];
    let three = branch(g, block, x, &three)?;
    let pool = pool_branch(g, block, x, pooled)?;
    g.concat(format!("{block}.concat"), &[one, five, three, pool])
}

fn block_b(g: &mut Graph, block: &str, x: NodeId) -> Result<NodeId> {
    let three = branch(g, block, x, &[("branch3x3", halving(384))])?;
    let double = [
        ("branch3x3dbl_1", square(64, 1)),
        ("branch3x3dbl_2", square(96, 3)),
        ("branch3x3dbl_3", halving(96)),
    ];
    let double = branch(g, block, x, &double)?;
    let pool = g.max_pool2d(format!("{block}.max_pool"), x, MaxPool2d::new(3, 2))?;
    g.concat(format!("{block}.concat"), &[three, double, pool])
}

/// `inner`: channels between the long filters.
fn block_c(g: &mut Graph, block: &str, x: NodeId, inner: usize) -> Result<NodeId> {
    let one = branch(g, block, x, &[("branch1x1", square(192, 1))])?;
    let seven = [
        ("branch7x7_1", square(inner, 1)),
        ("branch7x7_2", row(inner, 7)),
        ("branch7x7_3", column(192, 7)),
    ];
    let seven = branch(g, block, x, &seven)?;
    let double = [
        ("branch7x7dbl_1", square(inner, 1)),
        ("branch7x7dbl_2", column(inner, 7)),
        ("branch7x7dbl_3", row(inner, 7)),
        ("branch7x7dbl_4", column(inner, 7)),
        ("branch7x7dbl_5", row(192, 7)),
    ];
    let double = branch(g, block, x, &double)?;
    let pool = pool_branch(g, block, x, 192)?;
    g.concat(format!("{block}.concat"), &[one, seven, double, pool])
}

fn block_d(g: &mut Graph, block: &str, x: NodeId) -> Result<NodeId> {
    let three = [("branch3x3_1", square(192, 1)), ("branch3x3_2", halving(320))];
    let three = branch(g, block, x, &three)?;
    let seven = [
        ("branch7x7x3_1", square(192, 1)),
        ("branch7x7x3_2", row(192, 7)),
        ("branch7x7x3_3", column(192, 7)),
        ("branch7x7x3_4", halving(192)),
    ];
    let seven = branch(g, block, x, &seven)?;
    let pool = g.max_pool2d(format!("{block}.max_pool"), x, MaxPool2d::new(3, 2))?;
    g.concat(format!("{block}.concat"), &[three, seven, pool])
}

fn block_e(g: &mut Graph, block: &str, x: NodeId) -> Result<NodeId> {
    let one = branch(g, block, x, &[("branch1x1", square(320, 1))])?;

    let three = branch(g, block, x, &[("branch3x3_1", square(384, 1))])?;
    let a = branch(g, block, three, &[("branch3x3_2a", row(384, 3))])?;
    let b = branch(g, block, three, &[("branch3x3_2b", column(384, 3))])?;
    let three = g.concat(format!("{block}.branch3x3.concat"), &[a, b])?;

    let double = [("branch3x3dbl_1", square(448, 1)), ("branch3x3dbl_2", square(384, 3))];
    let double = branch(g, block, x, &double)?;
    let a = branch(g, block, double, &[("branch3x3dbl_3a", row(384, 3))])?;
    let b = branch(g, block, double, &[("branch3x3dbl_3b", column(384, 3))])?;
    let double = g.concat(format!("{block}.branch3x3dbl.concat"), &[a, b])?;

    let pool = pool_branch(g, block, x, 192)?;
    g.concat(format!("{block}.concat"), &[one, three, double, pool])
}
