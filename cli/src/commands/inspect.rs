//! `clrp inspect`: layers, their rules, and what would run.

use std::fmt::Write;

use clap::Args;
use clrp::graph::{Graph, Network, Op};
use clrp::program::{Program, Targets};
use clrp::rules::Composite;
use clrp::{Explainer, Method};

use super::explain::unique_methods;
use crate::console::print;
use crate::failure::Result;
use crate::known::Known;
use crate::options::{DeviceOptions, NetworkOptions, Precision, RuleOptions};
use crate::table::{Table, thousands};

const EXAMPLES: &str = "\
Examples:
  clrp inspect --model vgg16
  clrp inspect --weights squeezenet1_1.safetensors --method clrp1 --program";

/// Arguments of `clrp inspect`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inspect {
    #[command(flatten)]
    network: NetworkOptions,

    /// Ways to explain, with commas between
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "lrp,clrp1,clrp2",
        value_parser = Known::METHODS)]
    method: Vec<String>,

    #[command(flatten)]
    rules: RuleOptions,

    #[command(flatten)]
    device: DeviceOptions,

    /// List every step of the program
    #[arg(long)]
    program: bool,
}

impl Inspect {
    /// Runs the command.
    pub(crate) fn run(&self) -> Result<()> {
        let methods = unique_methods(&self.method)?;
        let rules = self.rules.read()?;
        let chosen = self.network.choose_layers()?;
        rules.check(chosen.network.graph())?;
        let composite = rules.composite;
        let device = self.device.open(Precision::F32)?;
        let name = device.name();
        let explainer = Explainer::builder(chosen.network, chosen.preprocess)
            .composite(composite.clone())
            .device(device)
            .build()?;
        let mut text = listing(explainer.network().graph(), &composite)?;
        let program = explainer.lower(&methods, Targets::Top(1))?.program;
        text += &summary(&program, explainer.network(), &name, &methods);
        if self.program {
            text += &format!("\n{program}\n");
        }
        print(text)
    }
}

/// The layers and the rule of each.
fn listing(graph: &Graph, composite: &Composite) -> Result<String> {
    let rules = composite.assign(graph)?;
    let specs = graph.weight_specs();
    let headings = ["layer", "kind", "inputs", "output", ">parameters", "rule"];
    let mut table = Table::new(headings);
    for (node, rule) in graph.nodes().iter().zip(rules) {
        let inputs: Vec<&str> =
            node.inputs.iter().map(|id| graph.node(*id).name.as_str()).collect();
        let own = |name: &str| name.rsplit_once('.').is_some_and(|(layer, _)| layer == node.name);
        let numbers: usize = specs
            .iter()
            .filter(|spec| own(&spec.name) && !spec.name.contains(".running_"))
            .map(|spec| spec.shape.iter().product::<usize>())
            .sum();
        table.row([
            node.name.clone(),
            node.op.kind().to_owned(),
            inputs.join(" "),
            node.shape.to_string(),
            if numbers == 0 { String::new() } else { thousands(numbers) },
            rule.map_or_else(|| only_way(&node.op).to_owned(), |rule| rule.to_string()),
        ]);
    }
    let (name, label) = (graph.name(), composite.label());
    let (parameters, work) = (thousands(graph.parameters()), thousands(graph.multiply_adds()));
    let total = format!("{parameters} parameters, {work} multiply-adds");
    Ok(format!("{name}, rules of {label}: {total}\n\n{table}"))
}

/// How relevance goes through a layer that no rule can be chosen for.
fn only_way(op: &Op) -> &'static str {
    match op {
        Op::Input
        | Op::Conv2d(_)
        | Op::Linear(_)
        | Op::AvgPool2d(_)
        | Op::AdaptiveAvgPool2d(_)
        | Op::BatchNorm2d { .. }
        | Op::ChannelAffine { .. }
        | Op::Add => "",
        Op::Relu
        | Op::Hardtanh { .. }
        | Op::LocalResponseNorm(_)
        | Op::Flatten
        | Op::Dropout
        | Op::Identity => "pass",
        Op::MaxPool2d(_) => "to the winner",
        Op::Concat => "each its slice",
        Op::Narrow { .. } => "to the range",
        Op::ChannelShuffle { .. } => "back in order",
        Op::ZeroPad2d(_) => "without the zeros",
    }
}

/// What would run for one picture.
fn summary(program: &Program, network: &Network, name: &str, methods: &[Method]) -> String {
    let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    let mut text = format!("\nprogram for one picture and its best class: {}\n", names.join(", "));
    // Writing to a string does not fail.
    let _ = writeln!(text, "  device   {name}");
    let _ = writeln!(text, "  steps    {}", thousands(program.steps.len()));
    let (values, buffers) = (thousands(program.values.len()), thousands(program.buffers.len()));
    let bytes = thousands(program.buffer_bytes(4));
    let _ = writeln!(text, "  values   {values} in {buffers} buffers of {bytes} bytes");
    let largest = thousands(program.largest_buffer() * 4);
    let _ = writeln!(text, "  largest  {largest} bytes");
    let stored = thousands(network.weight_bytes());
    let _ = writeln!(text, "  weights  {stored} bytes as stored");
    text
}
