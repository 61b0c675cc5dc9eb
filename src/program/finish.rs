//! From rows at the picture, or at a layer, to maps.

use super::lower::{HeatmapOutput, LayerOutput, MapOutput, SumsOutput, Upsampling};
use super::operator::{pool_geometry, word};
use super::walks::{Arrived, Lowering};
use super::{Operand, Slot};
use crate::error::Result;
use crate::graph::NodeId;
use crate::kernels::{
    Call, attribution, avg_pool2d, channel_dot, clamp, heatmap, multiply_add, multiply_planes,
    sum_rows, upsample2d,
};
use crate::methods::{Finish, MapKind, Method, Recipe, Start};
use crate::tensor::Shape;

/// A signal and its rows for each picture.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) slot: Slot,
    pub(super) rows: usize,
}

/// A signal at a layer.
#[derive(Clone, Copy)]
pub(super) struct Tap {
    pub(super) node: NodeId,
    pub(super) rows: Rows,
}

impl Lowering<'_> {
    /// The first row of a start.
    fn first(&self, starts: &[Start], start: Start) -> usize {
        let place = starts.iter().position(|s| *s == start).expect("all starts were listed");
        self.plan.targets.count() * place
    }

    /// The maps of a method at the picture, as an output.
    pub(super) fn finish_map(
        &mut self,
        method: Method,
        recipe: Recipe,
        starts: &[Start],
        arrived: &Arrived,
        cam_layer: Option<NodeId>,
    ) -> Result<MapOutput> {
        let shape = self.plan.network.graph().input_shape();
        let mode = match recipe.finish {
            Finish::Map(mode) => mode,
            Finish::GuidedCam => attribution::Mode::Plain,
            Finish::Cam => {
                let layer = cam_layer.expect("the walk was made for Grad-CAM");
                let cams = self.cams(layer, self.first(starts, recipe.start), arrived);
                self.cams = Some(cams);
                return Ok(self.output(method, cams, 1));
            }
        };
        self.b.at("input", "attribution");
        let from = match recipe.times_input {
            true => self.times(self.plan.network.graph().input(), arrived.input),
            false => arrived.input,
        };
        let (map, sums) = self.map(from, shape, mode, recipe, starts);
        let first = self.first(starts, recipe.start);
        if recipe.finish == Finish::GuidedCam {
            let product = self.times_cams(map);
            return Ok(self.output(method, product, shape.channels));
        }
        let sums = SumsOutput { sums: self.b.output(sums), rows: from.rows, first };
        let dual = arrived.duals.iter().find(|(start, _)| *start == recipe.start);
        let dual = dual.map(|(_, sums)| self.b.output(*sums));
        let output = self.output(method, map, shape.channels);
        Ok(MapOutput { sums: Some(sums), dual, ..output })
    }

    /// Maps at the picture as an output, and their planes if they are wanted.
    fn output(&mut self, method: Method, map: Slot, channels: usize) -> MapOutput {
        let maps = self.b.output(map);
        let heatmaps = self.plan.extras.heatmaps.then(|| {
            let picture = self.plan.network.graph().input_shape();
            let count = self.plan.batch * self.plan.targets.count();
            let stride = word(picture.width).next_multiple_of(heatmap::ROW);
            let call = Call::Heatmap(heatmap::Params {
                maps: word(count),
                channels: word(channels),
                height: word(picture.height),
                width: word(picture.width),
                stride,
                reduction: match method.map_kind() {
                    MapKind::Relevance => heatmap::Mode::Sum as u32,
                    MapKind::PositiveRelevance => heatmap::Mode::PositiveSum as u32,
                    MapKind::Slope => heatmap::Mode::MaxAbs as u32,
                },
            });
            self.b.at("input", "heatmap");
            let len = count * picture.height * stride as usize;
            let planes = self.b.emit(call, &[Operand::Value(map)], len);
            HeatmapOutput { planes: self.b.output(planes), stride: stride as usize }
        });
        let (sums, dual, cam_layer) = (None, None, None);
        MapOutput { method, maps, channels, sums, dual, heatmaps, cam_layer }
    }

    /// The maps of a method at the wanted layers that its signal reached.
    pub(super) fn layer_maps(
        &mut self,
        method: Method,
        recipe: Recipe,
        starts: &[Start],
        arrived: &Arrived,
    ) -> Vec<LayerOutput> {
        let Finish::Map(mode) = recipe.finish else { return Vec::new() };
        let targets = self.plan.targets.count();
        let last = [Some(recipe.start), recipe.dual].into_iter().flatten();
        let last = last.map(|start| self.first(starts, start)).max().unwrap_or(0);
        let mut outputs = Vec::new();
        for tap in &arrived.taps {
            // A contrast starts below the first layers of the walk.
            let is_there = last + targets <= tap.rows.rows;
            if !is_there || !self.plan.extras.layers.contains(&tap.node) {
                continue;
            }
            let node = self.plan.network.graph().node(tap.node);
            self.b.at(&node.name, "attribution");
            let rows = if recipe.times_input { self.times(tap.node, tap.rows) } else { tap.rows };
            let (map, _) = self.map(rows, node.shape, mode, recipe, starts);
            outputs.push(LayerOutput { node: tap.node, method, maps: self.b.output(map) });
        }
        outputs
    }

    /// Rows as maps, and the sums of rows.
    fn map(
        &mut self,
        from: Rows,
        shape: Shape,
        mode: attribution::Mode,
        recipe: Recipe,
        starts: &[Start],
    ) -> (Slot, Slot) {
        let targets = self.plan.targets.count();
        let sums = self.sums(from);
        let call = Call::Attribution(attribution::Params {
            batch: word(self.plan.batch),
            rows: word(from.rows),
            first: word(self.first(starts, recipe.start)),
            targets: word(targets),
            channels: word(shape.channels),
            positions: word(shape.height * shape.width),
            mode: mode as u32,
            dual_first: word(recipe.dual.map_or(0, |dual| self.first(starts, dual))),
        });
        let len = self.plan.batch * targets * shape.len();
        let reads = [from.slot, sums].map(Operand::Value);
        (self.b.emit(call, &reads, len), sums)
    }

    /// The sum of each row.
    pub(super) fn sums(&mut self, from: Rows) -> Slot {
        let rows = self.plan.batch * from.rows;
        let count = word(self.b.len(from.slot) / rows);
        let call = Call::SumRows(sum_rows::Params { rows: word(rows), count });
        self.b.emit(call, &[Operand::Value(from.slot)], rows)
    }

    /// A signal at a node times the node's value.
    fn times(&mut self, node: NodeId, signal: Rows) -> Rows {
        let len = self.b.len(signal.slot);
        let count = word(self.plan.network.graph().node(node).shape.len());
        let call = Call::MultiplyAdd(multiply_add::Params {
            total: word(len),
            count,
            repeat: word(signal.rows),
            stride: count,
            scale: 1.0,
            accumulate: 0,
        });
        let value = self.forward.value(node);
        let slot = self.b.emit(call, &[value, signal.slot].map(Operand::Value), len);
        Rows { slot, ..signal }
    }

    /// Grad-CAM: the positive part of the layer's channels, each weighted by the mean of its
    /// gradient, as large as the picture.
    fn cams(&mut self, layer: NodeId, first: usize, arrived: &Arrived) -> Slot {
        let graph = self.plan.network.graph();
        let (node, picture) = (graph.node(layer), graph.input_shape());
        let (shape, batch) = (node.shape, self.plan.batch);
        let targets = self.plan.targets.count();
        self.b.at(&node.name, "grad-cam");
        let tap = arrived.taps.iter().find(|tap| tap.node == layer);
        let Tap { rows, .. } = *tap.expect("the target depends on the layer");
        assert!(first == 0 && rows.rows == targets, "gradients of one start walk alone");
        let all = batch * targets;
        let means = Call::AvgPool2d(avg_pool2d::Params {
            batch: word(all),
            adaptive: 1,
            ..pool_geometry(shape, Shape::new(shape.channels, 1, 1))
        });
        let means = self.b.emit(means, &[Operand::Value(rows.slot)], all * shape.channels);
        let positions = shape.height * shape.width;
        let planes = Call::ChannelDot(channel_dot::Params {
            total: word(all * positions),
            positions: word(positions),
            channels: word(shape.channels),
            repeat: word(targets),
        });
        let reads = [self.forward.value(layer), means].map(Operand::Value);
        let planes = self.b.emit(planes, &reads, all * positions);
        let relu = Call::Clamp(clamp::Params::relu(word(all * positions)));
        let planes = self.b.emit(relu, &[Operand::Value(planes)], all * positions);
        let total = all * picture.height * picture.width;
        let larger = Call::Upsample2d(upsample2d::Params {
            total: word(total),
            in_height: word(shape.height),
            in_width: word(shape.width),
            out_height: word(picture.height),
            out_width: word(picture.width),
            bilinear: u32::from(self.plan.extras.upsampling == Upsampling::Bilinear),
        });
        self.b.emit(larger, &[Operand::Value(planes)], total)
    }

    fn times_cams(&mut self, maps: Slot) -> Slot {
        let shape = self.plan.network.graph().input_shape();
        let cams = self.cams.expect("Grad-CAM's walk comes first");
        let len = self.b.len(maps);
        let call = Call::MultiplyPlanes(multiply_planes::Params {
            total: word(len),
            count: word(shape.len()),
            positions: word(shape.height * shape.width),
        });
        self.b.emit(call, &[maps, cams].map(Operand::Value), len)
    }
}
