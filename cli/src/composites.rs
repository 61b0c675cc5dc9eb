//! From options and TOML files to the rules of layers.

use std::fs;
use std::ops::Range;
use std::path::Path;

use clrp::Error;
use clrp::graph::Graph;
use clrp::rules::{BatchNorm, Composite, LayerKind, Rule, Selector, preset};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::console::say;
use crate::failure::{Failure, Result};

/// What a file may say.
const KEYS: [&str; 5] = ["base", "stabilizer", "bias", "batch-norm", "rules"];

/// What is wrong with `features.0 = "flat"`, which is a table to TOML.
const UNQUOTED: &str = "names of layers with dots stand in quotes, as \"features.0\" = \"flat\"";

/// A composite, and the rules in it that somebody wrote for this run.
#[derive(Debug, PartialEq)]
pub(crate) struct Rules {
    pub(crate) composite: Composite,
    written: Vec<Written>,
}

/// A rule, and where it stands.
#[derive(Debug, PartialEq)]
struct Written {
    selector: Selector,
    rule: Rule,
    place: String,
}

impl Rules {
    /// The same with rules of options before all others; the first that speaks of a layer decides.
    pub(crate) fn with_options(mut self, options: &[(Selector, Rule)]) -> Self {
        if options.is_empty() {
            return self;
        }
        self.written.extend(options.iter().map(|(selector, rule)| Written {
            selector: selector.clone(),
            rule: *rule,
            place: format!("--rule {selector}={rule}"),
        }));
        let label = format!("{} with --rule", self.composite.label());
        self.composite = self.composite.with_rules(options.iter().cloned()).with_label(label);
        self
    }

    /// Refuses rules that do not suit the network, by where they stand: names that no layer has, and
    /// layers that do not take the rule. Kinds of layers that the network has none of are worth a
    /// note: rules may be meant for several networks.
    pub(crate) fn check(&self, graph: &Graph) -> Result<()> {
        let has = |wanted: LayerKind| {
            graph.nodes().iter().any(|node| LayerKind::of(&node.op) == Some(wanted))
        };
        if let Err(error) = self.composite.assign(graph) {
            return Err(self.placed(graph, error));
        }
        for Written { selector, place, .. } in &self.written {
            if let Selector::Kind(kind) | Selector::First(kind) = selector
                && !has(*kind)
            {
                let (network, kind) = (graph.name(), kind.name());
                say("note", &format!("{place}: `{network}` has no {kind} layer"));
            }
        }
        Ok(())
    }

    /// What is wrong with the rules, and where the one stands that it is said of: alone, that is
    /// refused with the same words, or it decides the layer that does not take it.
    fn placed(&self, graph: &Graph, error: Error) -> Failure {
        let message = error.to_string();
        let is_said_of = |written: &&Written| {
            let alone = Composite::new("").entry(written.selector.clone(), written.rule);
            alone.assign(graph).is_err_and(|alone| alone.to_string() == message)
        };
        let decides = |layer: &str| {
            let (selector, rule) = self.composite.entry_of(graph, layer)?;
            self.written
                .iter()
                .find(|written| (&written.selector, &written.rule) == (selector, rule))
        };
        let mut decider = None;
        if let Error::RuleMismatch { layer, .. } = &error {
            decider = decides(layer);
        }
        match decider.or_else(|| self.written.iter().find(is_said_of)) {
            Some(written) => Failure::Said(format!("{}: {message}", written.place)),
            None => error.into(),
        }
    }
}

impl From<Composite> for Rules {
    fn from(composite: Composite) -> Self {
        Self { composite, written: Vec::new() }
    }
}

/// A preset by name, or a composite from a file whose name ends in `.toml`.
pub(crate) fn named(name: &str) -> Result<Rules> {
    let path = Path::new(name);
    if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
        let file = path.with_extension("toml");
        return preset(name).map(Rules::from).map_err(|error| {
            if path.is_file() {
                Failure::Said(format!("{error}; a file of rules ends in .toml"))
            } else if file.is_file() {
                Failure::Said(format!("{error}; the file is `{}`", file.display()))
            } else {
                error.into()
            }
        });
    }
    let read = |source| Error::File { action: "read", path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(read)?;
    from_text(&text, path)
}

/// Reads a composite:
///
/// ```toml
/// base = "contrastive"    # the preset whose rules come after those below
/// stabilizer = 1e-9
/// bias = false
/// batch-norm = "fold"
///
/// [rules]                 # the first that speaks of a layer decides
/// "features.0" = "z-box"
/// conv = "gamma:0.25"
/// ```
fn from_text(text: &str, path: &Path) -> Result<Rules> {
    let file = File { text, path };
    let table = DeTable::parse(text)
        .map_err(|error| file.wrong(error.span().unwrap_or_default(), error.message()))?;
    let table = table.get_ref();
    let base = table.get("base").map(|base| file.base(base)).transpose()?;
    let mut composite = base.map_or_else(|| preset("contrastive"), Ok)?;
    let mut written = Vec::new();
    for (key, value) in table {
        let wrong = |message: String| file.wrong(value.span(), &message);
        composite = match key.get_ref().as_ref() {
            "base" => composite,
            "stabilizer" => composite.with_stabilizer(number(value).map_err(wrong)?),
            "bias" => composite.with_bias(bias(value).map_err(wrong)?),
            "batch-norm" => composite.with_batch_norm(batch_norm(value).map_err(wrong)?),
            "rules" => {
                written = file.rules(value)?;
                composite.with_rules(written.iter().map(|of| (of.selector.clone(), of.rule)))
            }
            other => {
                let unknown = Error::unknown("key", other, KEYS).to_string();
                let hint = match value.get_ref().is_table() {
                    true => format!("; rules stand below [rules], and {UNQUOTED}"),
                    false => String::new(),
                };
                return Err(file.wrong(key.span(), &(unknown + &hint)));
            }
        };
    }
    Ok(Rules { composite: composite.with_label(path.display().to_string()), written })
}

/// A value in a file, and where it stands.
type Value<'a> = Spanned<DeValue<'a>>;

/// A file of rules.
struct File<'a> {
    text: &'a str,
    path: &'a Path,
}

impl File<'_> {
    fn place(&self, span: Range<usize>) -> String {
        let (line, column) = line_and_column(self.text, span.start);
        format!("`{}`, line {line}, column {column}", self.path.display())
    }

    fn wrong(&self, span: Range<usize>, message: &str) -> Failure {
        Failure::Said(format!("{}: {}", self.place(span), message.trim().replace('\n', ", ")))
    }

    fn base(&self, value: &Value<'_>) -> Result<Composite> {
        let name =
            value.get_ref().as_str().ok_or_else(|| mismatch("base", "a preset's name", value));
        let found = name.and_then(|name| preset(name).map_err(|error| error.to_string()));
        found.map_err(|message| self.wrong(value.span(), &message))
    }

    /// The rules, in their order.
    fn rules(&self, value: &Value<'_>) -> Result<Vec<Written>> {
        let Some(rules) = value.get_ref().as_table() else {
            let message = mismatch("rules", "a table of layers and rules", value);
            return Err(self.wrong(value.span(), &message));
        };
        let written = |(key, value): (&Spanned<DeString<'_>>, &Value<'_>)| {
            let rule = rule_of(value).map_err(|message| self.wrong(value.span(), &message))?;
            let (selector, place) =
                (Selector::from(key.get_ref().as_ref()), self.place(key.span()));
            Ok(Written { selector, rule, place })
        };
        rules.iter().map(written).collect()
    }
}

fn rule_of(value: &Value<'_>) -> std::result::Result<Rule, String> {
    if value.get_ref().is_table() {
        return Err(UNQUOTED.to_owned());
    }
    let text = value.get_ref().as_str().ok_or_else(|| mismatch("rule", "text", value))?;
    text.parse().map_err(|error: Error| error.to_string())
}

fn bias(value: &Value<'_>) -> std::result::Result<bool, String> {
    value.get_ref().as_bool().ok_or_else(|| mismatch("bias", "true or false", value))
}

fn batch_norm(value: &Value<'_>) -> std::result::Result<BatchNorm, String> {
    match value.get_ref().as_str() {
        Some("bypass") => Ok(BatchNorm::Bypass),
        Some("fold") => Ok(BatchNorm::Fold),
        _ => Err(mismatch("batch-norm", "`bypass` or `fold`", value)),
    }
}

/// What a key should have been.
fn mismatch(key: &str, expected: &str, found: &Value<'_>) -> String {
    let found = match found.get_ref().as_str() {
        Some(text) => format!("`{text}`"),
        None => format!("a value of type {}", found.get_ref().type_str()),
    };
    format!("{key} is {found}, expected {expected}")
}

fn number(value: &Value<'_>) -> std::result::Result<f32, String> {
    let text = match value.get_ref() {
        DeValue::Float(number) => number.as_str(),
        DeValue::Integer(number) => number.as_str(),
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => "",
    };
    if text.is_empty() {
        return Err(mismatch("stabilizer", "a number", value));
    }
    stabilizer(text).map_err(|message| format!("stabilizer is {text}, {message}"))
}

/// Reads a stabilizer.
pub(crate) fn stabilizer(text: &str) -> std::result::Result<f32, String> {
    let number = text.parse().ok().filter(|number: &f32| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| format!("expected {}", clrp::rules::PARAMETER_RANGE))
}

/// Line and column of a byte, from 1.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Reads `SELECTOR=RULE`.
pub(crate) fn rule(text: &str) -> Result<(Selector, Rule), String> {
    let Some((selector, rule)) = text.split_once('=') else {
        return Err("expected a layer, `=` and a rule, as conv=gamma:0.25".to_owned());
    };
    if selector.trim().is_empty() {
        return Err(format!("a layer is missing before `={rule}`"));
    }
    let rule = rule.parse().map_err(|error: Error| error.to_string())?;
    Ok((Selector::from(selector), rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Rules> {
        from_text(text, Path::new("mine.toml"))
    }

    #[test]
    fn a_file_has_rules_in_their_order() {
        let text = "base = \"epsilon_plus\"\nstabilizer = 1e-7\nbatch-norm = \"fold\"\n\n[rules]\n\
                    \"features.0\" = \"z-box\"\nconv = \"gamma:0.5\"\n";
        let expected = preset("epsilon_plus")
            .expect("a preset")
            .with_rules([
                (Selector::from("features.0"), Rule::ZBox),
                (Selector::from("conv"), Rule::Gamma { gamma: 0.5 }),
            ])
            .with_label("mine.toml")
            .with_stabilizer(1e-7)
            .with_batch_norm(BatchNorm::Fold);
        assert_eq!(read(text).expect("it is right").composite, expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_column() {
        let message = |text: &str| read(text).expect_err(text).to_string();
        assert!(message("base = \"x\n").starts_with("`mine.toml`, line 1, column "));
        assert_eq!(
            message("stabilizer = 1e-9\n[rules]\nconv = \"gama\"\n"),
            "`mine.toml`, line 3, column 8: unknown rule `gama`; nearest: `gamma`"
        );
        assert!(message("base = \"gu208\"\n").contains("line 1, column 8: unknown composite"));
        assert!(message("[rules]\nconv = 3\n").contains("rule is a value of type integer"));
        assert_eq!(
            message("[rules]\nfeatures.0 = \"flat\"\n"),
            "`mine.toml`, line 2, column 1: names of layers with dots stand in quotes, as \
             \"features.0\" = \"flat\""
        );
        let above = message("features.0 = \"flat\"\n");
        assert!(above.contains("unknown key `features`") && above.contains("below [rules]"));
        assert!(message("rule = 3\n").contains("line 1, column 1: unknown key `rule`"));
        assert!(message("batch-norm = \"x\"\n").contains("expected `bypass` or `fold`"));
        assert!(message("stabilizer = \"x\"\n").contains("expected a number"));
        assert!(message("stabilizer = -1\n").contains("line 1, column 14: stabilizer is -1, "));
    }

    #[test]
    fn options_name_a_layer_and_a_rule() {
        assert_eq!(rule("conv=flat"), Ok((Selector::from("conv"), Rule::Flat)));
        assert!(rule("conv").expect_err("no rule").contains("as conv=gamma:0.25"));
    }
}
