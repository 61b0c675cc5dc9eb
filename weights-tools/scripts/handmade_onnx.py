"""Writes to weights-tools/tests/onnx what PyTorch's exporters never write.

Weights are drawn by the recipe, numbered in the order of the initializers;
`handmade.safetensors` holds onnxruntime's outputs for the recipe's picture.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from export_onnx import ONNX
from recipe import SEED, draw, picture
from reproducible import write

OPERATORS = 17


def weights(**shapes):
    """Drawn weights, and biases for those of one dimension."""
    drawn = []
    for t, (name, shape) in enumerate(shapes.items()):
        scale = 0.1 if len(shape) == 1 else (6 / np.prod(shape[1:])) ** 0.5
        drawn.append(numpy_helper.from_array(draw(t, shape, scale).numpy(), name))
    return drawn


def chain(*layers):
    """Nodes one after another; a layer is its operator, its weights and its attributes."""
    nodes = []
    for i, (operator, inputs, attributes) in enumerate(layers):
        before = f"x{i}" if i else "input"
        after = f"x{i + 1}" if i + 1 < len(layers) else "output"
        name = f"{operator.lower()}_{i}"
        nodes.append(helper.make_node(operator, [before, *inputs], [after], name, **attributes))
    return nodes


def local_response():
    layers = chain(
        ("Conv", ["w0", "b0"], {"strides": [2, 2]}),
        ("Relu", [], {}),
        ("LRN", [], {"size": 5, "alpha": 0.5, "beta": 0.75, "bias": 1.5}),
        ("MaxPool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
        ("Conv", ["w1"], {"pads": [1, 1, 1, 1]}),
        ("Relu", [], {}),
        ("LRN", [], {"size": 3}),
        ("Flatten", [], {}),
        ("Gemm", ["w2", "b2"], {"transB": 1}),
    )
    drawn = weights(w0=(7, 3, 3, 3), b0=(7,), w1=(8, 7, 3, 3), w2=(5, 48), b2=(5,))
    return layers, drawn, (13, 11), 5


def paddings():
    """`auto_pad`, padding on one side, and a product that is scaled and not transposed."""
    layers = chain(
        ("Conv", ["w0", "b0"], {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
        ("Clip", ["low", "high"], {}),
        ("MaxPool", [], {"kernel_shape": [2, 3], "strides": [1, 1], "auto_pad": "SAME_LOWER"}),
        ("Identity", [], {}),
        ("Conv", ["w1", "b1"], {"pads": [0, 1, 2, 0], "strides": [1, 2]}),
        ("Relu", [], {}),
        ("Conv", ["w2"], {"auto_pad": "VALID", "group": 2}),
        ("BatchNormalization", ["scale", "shift", "mean", "variance"], {"epsilon": 1e-3}),
        ("Relu", [], {}),
        ("Dropout", [], {}),
        ("GlobalAveragePool", [], {}),
        ("Reshape", ["shape"], {}),
        ("Gemm", ["w3", "b3"], {"alpha": 0.5, "beta": 2.0}),
        ("Softmax", [], {"axis": 1}),
    )
    drawn = weights(
        w0=(6, 3, 4, 3),
        b0=(6,),
        w1=(8, 6, 3, 2),
        b1=(8,),
        w2=(8, 4, 2, 2),
        scale=(8,),
        shift=(8,),
        mean=(8,),
        w3=(8, 5),
        b3=(5,),
    )
    drawn += [
        numpy_helper.from_array(draw(len(drawn), (8,), 0.5, 1.0).numpy(), "variance"),
        numpy_helper.from_array(np.array([0, -1], np.int64), "shape"),
        numpy_helper.from_array(np.float32(0), "low"),
        numpy_helper.from_array(np.float32(6), "high"),
    ]
    return layers, drawn, (11, 14), 5


def external_data():
    """The weights lie in another file, one after another."""
    layers = chain(
        ("Conv", ["w0", "b0"], {}),
        ("Relu", [], {}),
        ("GlobalAveragePool", [], {}),
        ("Flatten", [], {}),
        ("MatMul", ["w1"], {}),
        ("Add", ["b1"], {}),
    )
    return layers, weights(w0=(6, 3, 3, 3), b0=(6,), w1=(6, 5), b1=(5,)), (7, 9), 5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ONNX)
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)

    outputs, sizes = {}, {}
    for make in [local_response, paddings, external_data]:
        layers, drawn, size, classes = make()
        sides = [1, 3, *size]
        source = helper.make_tensor_value_info("input", TensorProto.FLOAT, sides)
        result = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, classes])
        graph = helper.make_graph(layers, make.__name__, [source], [result], drawn)
        model = helper.make_model(
            graph, ir_version=8, opset_imports=[helper.make_opsetid("", OPERATORS)]
        )
        onnx.checker.check_model(model, full_check=True)

        path = folder / f"handmade.{make.__name__}.onnx"
        options = {}
        if make is external_data:
            beside = path.with_suffix(".data")
            beside.unlink(missing_ok=True)
            options = {"save_as_external_data": True, "location": beside.name, "size_threshold": 0}
        onnx.save(model, path, **options)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        outputs[make.__name__] = session.run(None, {"input": picture(size).numpy()})[0][0]
        sizes[make.__name__] = "x".join(map(str, sides))
        print(f"{path}: {path.stat().st_size} bytes, {outputs[make.__name__]}", flush=True)
    versions = {name: version(name) for name in ("onnx", "onnxruntime")}
    write(folder / "handmade.safetensors", outputs, {"seed": str(SEED), **versions, **sizes})


if __name__ == "__main__":
    main()
