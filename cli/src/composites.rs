//! From options and TOML files to the rules of layers.

use std::fs;
use std::ops::Range;
use std::path::Path;

use clrp::Error;
use clrp::graph::Graph;
use clrp::rules::{BatchNorm, Composite, LayerKind, Rule, Selector, preset};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

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
    /// Whether it is said of this network: a file may be meant for several.
    is_option: bool,
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
            is_option: true,
        }));
        let label = format!("{} with --rule", self.composite.label());
        self.composite = self.composite.with_rules(options.iter().cloned()).with_label(label);
        self
    }

    /// Refuses rules that do not suit the network, by where they stand: names that no layer has,
    /// layers that do not take the rule, options for kinds of layers that the network has none of
    /// (a note if a file speaks of them).
    pub(crate) fn check(&self, graph: &Graph) -> Result<()> {
        let has = |wanted: LayerKind| {
            graph.nodes().iter().any(|node| LayerKind::of(&node.op) == Some(wanted))
        };
        for Written { selector, rule, place, is_option } in &self.written {
            let alone = Composite::new("").entry(selector.clone(), *rule);
            alone.assign(graph).map_err(|error| Failure::Said(format!("{place}: {error}")))?;
            if let Selector::Kind(kind) | Selector::First(kind) = selector
                && !has(*kind)
            {
                let (network, kind) = (graph.name(), kind.name());
                let message = format!("{place}: `{network}` has no {kind} layer");
                if *is_option {
                    return Err(Failure::Said(message));
                }
                say("note", &message);
            }
        }
        Ok(())
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
    let place = |span: Range<usize>| {
        let (line, column) = line_and_column(text, span.start);
        format!("`{}`, line {line}, column {column}", path.display())
    };
    let at = |span: Range<usize>, message: &str| {
        Failure::Said(format!("{}: {}", place(span), message.trim().replace('\n', ", ")))
    };
    let table = DeTable::parse(text)
        .map_err(|error| at(error.span().unwrap_or_default(), error.message()))?;
    let mut composite = preset("contrastive")?;
    let mut written = Vec::new();
    if let Some(base) = table.get_ref().get("base") {
        let name = base.get_ref().as_str();
        let found = name.ok_or_else(|| mismatch("base", "a preset's name", base));
        let found = found.and_then(|name| preset(name).map_err(|error| error.to_string()));
        composite = found.map_err(|message| at(base.span(), &message))?;
    }
    for (key, value) in table.get_ref() {
        let read = match key.get_ref().as_ref() {
            "base" => Ok(composite),
            "stabilizer" => number(value).map(|number| composite.with_stabilizer(number)),
            "bias" => match value.get_ref().as_bool() {
                Some(bias) => Ok(composite.with_bias(bias)),
                None => Err(mismatch("bias", "true or false", value)),
            },
            "batch-norm" => match value.get_ref().as_str() {
                Some("bypass") => Ok(composite.with_batch_norm(BatchNorm::Bypass)),
                Some("fold") => Ok(composite.with_batch_norm(BatchNorm::Fold)),
                _ => Err(mismatch("batch-norm", "`bypass` or `fold`", value)),
            },
            "rules" => match value.get_ref().as_table() {
                Some(rules) => {
                    for (key, rule) in rules {
                        let selector = Selector::from(key.get_ref().as_ref());
                        let text = match rule.get_ref().is_table() {
                            true => Err(UNQUOTED.to_owned()),
                            false => {
                                let text = rule.get_ref().as_str();
                                text.ok_or_else(|| mismatch("rule", "text", rule))
                            }
                        };
                        let read = text.and_then(|text| {
                            text.parse::<Rule>().map_err(|error: Error| error.to_string())
                        });
                        let read = read.map_err(|message| at(rule.span(), &message))?;
                        let place = place(key.span());
                        written.push(Written { selector, rule: read, place, is_option: false });
                    }
                    let rules = written.iter().map(|of| (of.selector.clone(), of.rule));
                    Ok(composite.with_rules(rules))
                }
                None => Err(mismatch("rules", "a table of layers and rules", value)),
            },
            other => {
                let unknown = Error::unknown("key", other, KEYS).to_string();
                let hint = match value.get_ref().is_table() {
                    true => format!("; rules stand below [rules], and {UNQUOTED}"),
                    false => String::new(),
                };
                return Err(at(key.span(), &(unknown + &hint)));
            }
        };
        composite = read.map_err(|message| at(value.span(), &message))?;
    }
    Ok(Rules { composite: composite.with_label(path.display().to_string()), written })
}

/// What a key should have been.
fn mismatch(key: &str, expected: &str, found: &Spanned<DeValue<'_>>) -> String {
    let found = match found.get_ref().as_str() {
        Some(text) => format!("`{text}`"),
        None => format!("a value of type {}", found.get_ref().type_str()),
    };
    format!("{key} is {found}, expected {expected}")
}

fn number(value: &Spanned<DeValue<'_>>) -> std::result::Result<f32, String> {
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
