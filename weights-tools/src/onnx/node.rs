//! A node of the model: its attributes by type, and errors that name it.

use rten_onnx::onnx::{AttributeProto, AttributeType, NodeProto};

use super::error::{Error, Result, listed};
use crate::foreign::{Misfit, shown};

/// A node as it is imported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    file: &'a str,
    pub(super) proto: &'a NodeProto,
    /// The version of the operators in the model.
    pub(super) opset: i64,
}

impl<'a> Node<'a> {
    pub(super) fn new(file: &'a str, proto: &'a NodeProto, opset: i64) -> Self {
        Self { file, proto, opset }
    }

    /// The operator's name, as `Conv`.
    pub(super) fn operator(&self) -> &'a str {
        self.proto.op_type.as_deref().unwrap_or_default()
    }

    /// The operator's domain if it is not the default one.
    pub(super) fn custom_domain(&self) -> Option<&'a str> {
        let domain = self.proto.domain.as_deref().unwrap_or_default();
        (!matches!(domain, "" | "ai.onnx")).then_some(domain)
    }

    /// The node's name, or its output's where it has none.
    pub(super) fn name(&self) -> &'a str {
        let name = self.proto.name.as_deref().filter(|name| !name.is_empty());
        name.or(self.output(0)).unwrap_or_default()
    }

    /// The name of an input; none if it is left out.
    pub(super) fn input(&self, i: usize) -> Option<&'a str> {
        self.proto.input.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of an output; none if it is left out.
    pub(super) fn output(&self, i: usize) -> Option<&'a str> {
        self.proto.output.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// That the node is used in a way that is not supported.
    pub(super) fn error(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Node {
            file: self.file.to_owned(),
            node: shown(self.name()),
            operator: shown(self.operator()),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The same, of a misfit.
    pub(super) fn misfit(&self, misfit: Misfit) -> Error {
        self.error(misfit.expected, misfit.found)
    }

    /// That its layer does not fit.
    pub(super) fn layer_error(&self, source: clrp::Error) -> Error {
        let (node, operator) = (shown(self.name()), shown(self.operator()));
        Error::Layer { file: self.file.to_owned(), node, operator, source: Box::new(source) }
    }

    /// That there is no such operator.
    pub(super) fn unsupported(&self, hint: &'static str) -> Error {
        let domain = match self.custom_domain() {
            Some(domain) => format!("domain `{}`", shown(domain)),
            None => "the default domain".to_owned(),
        };
        Error::Operator {
            file: self.file.to_owned(),
            node: shown(self.name()),
            operator: shown(self.operator()),
            domain,
            hint,
        }
    }

    fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name))
    }

    /// Whether the node has the attribute.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// The attribute, and the value of that type that it must have. A value of 0 may be left out.
    fn typed<T: Default>(
        &self,
        name: &str,
        wanted: (AttributeType, &str),
        value: impl Fn(&'a AttributeProto) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(attribute) = self.attribute(name) else { return Ok(None) };
        let fits = attribute.r#type.is_none_or(|found| found == wanted.0);
        match value(attribute) {
            Some(value) if fits => Ok(Some(value)),
            None if attribute.r#type == Some(wanted.0) => Ok(Some(T::default())),
            _ => {
                let expected = format!("attribute `{name}` to be {}", wanted.1);
                let code = attribute.r#type.map_or(0, |found| found.0);
                Err(self.error(expected, format!("another type ({code})")))
            }
        }
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>> {
        self.typed(name, (AttributeType::INT, "an integer"), |attribute| attribute.i)
    }

    pub(super) fn float(&self, name: &str) -> Result<Option<f32>> {
        self.typed(name, (AttributeType::FLOAT, "a number"), |attribute| attribute.f)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>> {
        self.typed(name, (AttributeType::STRING, "a text"), |attribute| attribute.s.as_deref())
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>> {
        let values = |attribute: &'a AttributeProto| Some(&attribute.ints[..]);
        self.typed(name, (AttributeType::INTS, "integers"), values)
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>> {
        let values = |attribute: &'a AttributeProto| Some(&attribute.floats[..]);
        self.typed(name, (AttributeType::FLOATS, "numbers"), values)
    }

    /// The tensor that the attribute holds.
    pub(super) fn tensor(&self, name: &str) -> Option<&'a rten_onnx::onnx::TensorProto> {
        self.attribute(name)?.t.as_ref()
    }

    /// The graph that the attribute holds.
    pub(super) fn graph(&self, name: &str) -> Option<&'a rten_onnx::onnx::GraphProto> {
        self.attribute(name)?.g.as_ref()
    }

    /// Whether a flag is set; `default` if it is left out.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }

    /// Rows and columns of an attribute with a number for each; `default` if it is left out.
    pub(super) fn pair(&self, name: &str, default: usize) -> Result<[usize; 2]> {
        let Some(values) = self.ints(name)? else { return Ok([default; 2]) };
        let size = |value: &i64| usize::try_from(*value).ok();
        match values {
            [rows, columns] => size(rows).zip(size(columns)).map(|(rows, columns)| [rows, columns]),
            _ => None,
        }
        .ok_or_else(|| self.error(format!("two numbers of 0 or more as `{name}`"), listed(values)))
    }

    /// An axis of a tensor of that rank, which may be counted from the end.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let signed = i64::try_from(rank).unwrap_or(0);
        let counted = if axis < 0 { axis.checked_add(signed) } else { Some(axis) };
        let counted = counted.and_then(|axis| usize::try_from(axis).ok());
        counted.filter(|axis| *axis < rank).ok_or_else(|| {
            self.error(format!("an axis of the {rank} of its input"), axis.to_string())
        })
    }
}
