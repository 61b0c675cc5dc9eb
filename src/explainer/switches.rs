//! Reads the switches of a network's max pools.

use super::Explainer;
use crate::backend::{Input, Output, Session};
use crate::error::{Error, Result};
use crate::num::Float;
use crate::program::{LoweredSwitches, PoolOutput, lower_switches};
use crate::switches::Switches;
use crate::tensor::Tensor;

/// A program on the device, for so many pictures.
struct Ready {
    batch: usize,
    pools: Vec<PoolOutput>,
    session: Box<dyn Session>,
}

impl Explainer {
    /// For each picture, the switches of all max pools in the order of execution. Runs the
    /// network as far as the last one.
    ///
    /// ```
    /// use clrp::models::Model;
    /// use clrp::{Explainer, Tensor};
    ///
    /// let model = Model::find("digits")?;
    /// let weights = model.bundled().expect("the digits network is bundled")?;
    /// let network = model.network(model.input_shape(), weights)?;
    /// let explainer = Explainer::builder(network, model.preprocess()).build()?;
    /// let pools = &explainer.switches(&[Tensor::zeros(model.input_shape())])?[0];
    /// let counts = pools[0].counts();
    /// println!("{}: {} of {} windows are tied", pools[0].layer(), counts.tied, counts.windows);
    /// # Ok::<(), clrp::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the network has no max pool, [`Error::InputShape`] or
    /// [`Error::InputValue`] for a picture that does not suit, [`Error::InputValue`] if what a
    /// pool looks at is not finite, [`Error::DeviceMemory`] or [`Error::Device`] if the device
    /// cannot do it.
    pub fn switches(&self, pictures: &[Tensor]) -> Result<Vec<Vec<Switches>>> {
        self.check_pictures(&pictures.iter().collect::<Vec<_>>())?;
        let program = |batch| self.lowered_switches(batch).map(|lowered| lowered.program);
        let mut batch = self.max_batch.min(pictures.len().max(1));
        while !self.program_fits(program(batch))? && batch > 1 {
            batch = batch.div_ceil(2);
        }
        let mut all = Vec::with_capacity(pictures.len());
        let mut last: Option<Ready> = None;
        for pictures in pictures.chunks(batch) {
            let mut ready = match last.take() {
                Some(ready) if ready.batch == pictures.len() => ready,
                _ => self.prepare_switches(pictures.len())?,
            };
            let values: Vec<f32> =
                pictures.iter().flat_map(|picture| picture.values().iter().copied()).collect();
            let outputs = ready.session.run(&[Input::Float(&values)])?;
            for image in 0..pictures.len() {
                let pools = ready.pools.iter().map(|pool| self.of_pool(*pool, &outputs, image));
                all.push(pools.collect::<Result<_>>()?);
            }
            last = Some(ready);
        }
        Ok(all)
    }

    fn lowered_switches(&self, batch: usize) -> Result<LoweredSwitches> {
        lower_switches(&self.network, batch, self.device.limits())
    }

    fn prepare_switches(&self, batch: usize) -> Result<Ready> {
        let LoweredSwitches { program, pools } = self.lowered_switches(batch)?;
        Ok(Ready { batch, pools, session: self.device.prepare(&program)? })
    }

    fn of_pool(&self, pool: PoolOutput, outputs: &[Output], image: usize) -> Result<Switches> {
        let winners = outputs[pool.winners].indices();
        match &outputs[pool.input] {
            Output::F32(values) => self.of_values(pool, values, winners, image),
            Output::F64(values) => self.of_values(pool, values, winners, image),
            Output::Index(_) => unreachable!("activations are floats"),
        }
    }

    /// A picture's part of what a pool looked at and recorded.
    fn of_values<F: Float>(
        &self,
        pool: PoolOutput,
        values: &[F],
        winners: &[u32],
        image: usize,
    ) -> Result<Switches> {
        let graph = self.network.graph();
        let node = graph.node(pool.node);
        let input = graph.node(node.inputs[0]).shape;
        let values = &values[image * input.len()..][..input.len()];
        let winners = &winners[image * node.shape.len()..][..node.shape.len()];
        if let Some(index) = values.iter().position(|value| !value.to_f64().is_finite()) {
            let name = format!("input of {}", node.name);
            return Err(Error::InputValue { name, index, found: values[index].to_f32() });
        }
        Ok(Switches::new(&node.name, pool.pool, [input, node.shape], values, winners))
    }
}
