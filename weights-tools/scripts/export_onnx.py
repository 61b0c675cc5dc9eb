"""Exports networks as ONNX by PyTorch's exporters, with the weights of the recipe.

The tiny networks go to weights-tools/tests/onnx with the logits that PyTorch
computes for the recipe's picture; torchvision's, with `--torchvision FOLDER`,
to that folder, with the weights as `NAME.safetensors`. onnxruntime must agree with PyTorch on each. `NAME.onnx` comes
from the default exporter, `NAME.legacy.onnx` from the older one through
TorchScript, `NAME.norms.onnx` from that one too, but without folding batch
norms into convolutions. What PyTorch never writes comes from handmade_onnx.py.
"""

import argparse
import copy
import logging
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import torchvision_networks
from recipe import SEED, fill, norm_weight, picture
from reproducible import write
from small_networks import EXPORTED, FURTHER_SMALL, SMALL
from torchvision_networks import FIRST, FURTHER

ONNX = Path(__file__).resolve().parents[1] / "tests" / "onnx"
FROM_SMALL = ["residual", "concat", "avg_pools", "max_pools", "batch_norm", "dilation_groups"]
# onnxruntime refuses this older export: the shape inference of its operator
# set counts a window that starts in the padding at the end.
NOT_LEGACY = ["avg_pools"]
CLOSE = 1e-4
VARIANTS = ["default", "legacy", "norms"]


def small():
    chosen = {name: SMALL[name] for name in FROM_SMALL} | FURTHER_SMALL | EXPORTED
    for name, (build, size) in chosen.items():
        yield name, build(), size


def large(only):
    for name, (size, _) in (FIRST | FURTHER).items():
        if name.startswith(("alexnet", "vgg")):
            # Adaptive pools whose windows differ in size would be exported as gathers.
            size = torchvision_networks.full_size(name)
        if not only or name in only:
            yield name, torchvision_networks.build(name), size


def weight_of(name):
    first = name in SMALL or name in FIRST
    return (1.0, 0.3) if first else norm_weight(name)


def logits_of(net, x):
    """In f64, before a softmax at the end."""
    net = copy.deepcopy(net).double()
    if isinstance(net, nn.Sequential) and isinstance(net[-1], nn.Softmax):
        net = net[:-1]
    with torch.no_grad():
        return net(x.double())[0].numpy()


def export(net, x, path, variant):
    options = {"dynamo": True, "external_data": False}
    if variant:
        mode = torch.onnx.TrainingMode
        training = mode.PRESERVE if variant == "norms" else mode.EVAL
        options = {"dynamo": False, "training": training}
    torch.onnx.export(
        net, (x,), path, input_names=["input"], output_names=["output"], verbose=False, **options
    )


def without_traces(path):
    """Removes the lines of source code that the exporter notes at each node."""
    model = onnx.load(path)
    graph = model.graph
    parts = [model, graph, *graph.node, *graph.initializer, *graph.value_info]
    for part in [*parts, *graph.input, *graph.output]:
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, path)


def check(path, net, x):
    """Compares onnxruntime with PyTorch in f32."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    actual = session.run(None, {"input": x.numpy()})[0]
    with torch.no_grad():
        expected = net(x).numpy()
    error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
    print(f"{path}: {path.stat().st_size} bytes, onnxruntime differs by {error:.1e}", flush=True)
    assert error < CLOSE


def write_weights(net, path):
    tensors = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    write(path, tensors, {"seed": str(SEED)})


def export_all(networks, folder, variants, weights=False):
    folder.mkdir(parents=True, exist_ok=True)
    logits, sizes = {}, {}
    for name, net, size in networks:
        net, x = fill(net, weight_of(name)), picture(size)
        for variant in variants:
            if variant == "legacy" and name in NOT_LEGACY:
                continue
            if variant == "norms" and not has_norms(net):
                continue
            path = folder / ".".join(filter(None, [name, variant, "onnx"]))
            export(net, x, path, variant)
            without_traces(path)
            check(path, net, x)
        if weights:
            write_weights(net, folder / f"{name}.safetensors")
        logits[name] = logits_of(net, x)
        sizes[name] = f"1x3x{size[0]}x{size[1]}"
    versions = {name: version(name) for name in ("torch", "torchvision", "onnx", "onnxscript")}
    write(folder / "logits.safetensors", logits, {"seed": str(SEED), **versions, **sizes})


def has_norms(net):
    return any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torchvision", type=Path, help="export torchvision's to this folder")
    parser.add_argument("--variants", nargs="*", default=VARIANTS, choices=VARIANTS)
    parser.add_argument("--only", nargs="*", help="names of torchvision's networks")
    parser.add_argument("-o", "--output", type=Path, default=ONNX)
    args = parser.parse_args()

    variants = ["" if variant == "default" else variant for variant in args.variants]
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)
    if args.torchvision:
        export_all(large(args.only), args.torchvision, variants, weights=True)
    else:
        export_all(small(), args.output, variants)


if __name__ == "__main__":
    main()
