//! Writes small ONNX models: just enough of protobuf for the messages of `onnx.proto`.

/// A number of 7 bits a byte.
pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

/// A field with a number.
pub(crate) fn number(field: u64, value: i64) -> Vec<u8> {
    [varint(field << 3), varint(value as u64)].concat()
}

/// A field with bytes: a text, or a message.
pub(crate) fn bytes(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn float(field: u64, value: f32) -> Vec<u8> {
    [varint(field << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

fn all<T>(values: &[T], field: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    values.iter().flat_map(field).collect()
}

/// Codes of ONNX's types.
pub(crate) const FLOAT: i64 = 1;
pub(crate) const INT64: i64 = 7;

/// An attribute's value.
pub(crate) enum Value {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Floats(Vec<f32>),
    Text(&'static str),
    Tensor(Vec<u8>),
    Graph(Vec<u8>),
}

/// An attribute.
pub(crate) fn attribute(name: &str, value: &Value) -> Vec<u8> {
    let (content, code) = match value {
        Value::Float(value) => (float(2, *value), 1),
        Value::Int(value) => (number(3, *value), 2),
        Value::Text(value) => (bytes(4, value), 3),
        Value::Tensor(value) => (bytes(5, value), 4),
        Value::Graph(value) => (bytes(6, value), 5),
        Value::Floats(values) => (all(values, |value| float(7, *value)), 6),
        Value::Ints(values) => (all(values, |value| number(8, *value)), 7),
    };
    [bytes(1, name), content, number(20, code)].concat()
}

pub(crate) fn int(name: &str, value: i64) -> Vec<u8> {
    attribute(name, &Value::Int(value))
}

pub(crate) fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    attribute(name, &Value::Ints(values.to_vec()))
}

pub(crate) fn text(name: &str, value: &'static str) -> Vec<u8> {
    attribute(name, &Value::Text(value))
}

/// A field with all numbers, as protobuf packs them.
pub(crate) fn packed(field: u64, values: &[i64]) -> Vec<u8> {
    bytes(field, all(values, |value| varint(*value as u64)))
}

/// A tensor's message: name, sizes and type, and then `content`.
pub(crate) fn tensor(name: &str, dims: &[i64], code: i64, content: Vec<u8>) -> Vec<u8> {
    [all(dims, |size| number(1, *size)), number(2, code), bytes(8, name), content].concat()
}

/// A tensor of floats, as raw bytes.
pub(crate) fn floats(name: &str, dims: &[i64], values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, dims, FLOAT, bytes(9, raw))
}

/// A tensor of integers, as packed numbers.
pub(crate) fn longs(name: &str, dims: &[i64], values: &[i64]) -> Vec<u8> {
    tensor(name, dims, INT64, packed(7, values))
}

/// A model of one input `x` and the output `y`.
#[derive(Clone)]
pub(crate) struct Model {
    /// Negative sizes are named.
    pub(crate) input: Vec<i64>,
    pub(crate) outputs: Vec<&'static str>,
    pub(crate) opset: i64,
    pub(crate) metadata: Vec<(&'static str, &'static str)>,
    nodes: Vec<u8>,
    initializers: Vec<u8>,
    count: usize,
}

impl Model {
    /// With three channels of 8 rows and 6 columns as its input.
    pub(crate) fn new() -> Self {
        Self {
            input: vec![1, 3, 8, 6],
            outputs: vec!["y"],
            opset: 20,
            metadata: Vec::new(),
            nodes: Vec::new(),
            initializers: Vec::new(),
            count: 0,
        }
    }

    /// The same with other sizes of the input.
    pub(crate) fn input(mut self, dims: &[i64]) -> Self {
        self.input = dims.to_vec();
        self
    }

    /// The same of another version.
    pub(crate) fn opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    /// The same with a node more, whose name is its operator's and its number.
    pub(crate) fn node(
        self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[Vec<u8>],
    ) -> Self {
        let name = format!("{operator}_{}", self.count);
        self.named(&name, operator, "", inputs, outputs, attributes)
    }

    /// The same with a node of that name and domain more.
    pub(crate) fn named(
        mut self,
        name: &str,
        operator: &str,
        domain: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[Vec<u8>],
    ) -> Self {
        let node = [
            all(inputs, |input| bytes(1, input)),
            all(outputs, |output| bytes(2, output)),
            bytes(3, name),
            bytes(4, operator),
            all(attributes, |attribute| bytes(5, attribute)),
            bytes(7, domain),
        ];
        self.nodes.extend(bytes(1, node.concat()));
        self.count += 1;
        self
    }

    /// The same with a tensor more.
    pub(crate) fn tensor(mut self, tensor: &[u8]) -> Self {
        self.initializers.extend(bytes(5, tensor));
        self
    }

    /// The same with a tensor of floats more.
    pub(crate) fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.tensor(&floats(name, dims, values))
    }

    /// The same with a tensor of that shape more, of small numbers that differ.
    pub(crate) fn weight(self, name: &str, dims: &[i64]) -> Self {
        let count: i64 = dims.iter().product();
        let values: Vec<f32> = (0..count).map(|i| (i * 7 % 11) as f32 / 8.0 - 0.5).collect();
        self.floats(name, dims, &values)
    }

    /// The same with a tensor of integers more.
    pub(crate) fn longs(self, name: &str, values: &[i64]) -> Self {
        self.tensor(&longs(name, &[values.len() as i64], values))
    }

    /// The nodes and tensors as a graph within another.
    pub(crate) fn graph(&self) -> Vec<u8> {
        let outputs = all(&self.outputs, |name| bytes(12, bytes(1, name)));
        [self.nodes.clone(), self.initializers.clone(), outputs].concat()
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let dims = all(&self.input, |size| {
            bytes(1, if *size < 0 { bytes(2, format!("d{size}")) } else { number(1, *size) })
        });
        let kind = bytes(1, [number(1, FLOAT), bytes(2, dims)].concat());
        let input = [bytes(1, "x"), bytes(2, kind)].concat();
        let graph = [
            self.nodes.clone(),
            self.initializers.clone(),
            bytes(11, input),
            all(&self.outputs, |name| bytes(12, bytes(1, name))),
        ];
        let metadata = all(&self.metadata, |(key, value)| {
            bytes(14, [bytes(1, key), bytes(2, value)].concat())
        });
        let opset = bytes(8, number(2, self.opset));
        [number(1, 8), bytes(7, graph.concat()), opset, metadata].concat()
    }
}
