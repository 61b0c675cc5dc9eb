"""Writes tests/golden/torchvision_models.tsv: what torchvision's networks are made of.

One network a line: its name; the length of the short side and of the crop that its weights want;
the smallest input; parameters, multiply-adds of one picture, and weights (auxiliary heads and
num_batches_tracked apart); then FNV-1a hashes (64 bit) of lines of text:

- weights: `name shape` of each in the state dict's order, as `fc.bias 1000`
- layers: `name CxHxW` of the output of each convolution, batch norm and linear layer, in the
  order they run
- rectangle: the same for an input of 96x110

Numbers are not needed for any of this, so the networks have none. Needs `pip install torchvision`.
"""

import argparse
import hashlib
import re
from pathlib import Path

import torch
from torch import nn
from torchvision.models import get_model, get_model_weights

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "weights-tools/src/fetch/published.rs"
RECTANGLE = (96, 110)
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
COLUMNS = (
    "model resize crop min_size parameters multiply_adds weight_count weights layers rectangle"
)


def fnv(lines):
    value = 0xCBF29CE484222325
    for byte in "".join(f"{line}\n" for line in lines).encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def build(name):
    heads = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        return get_model(name, weights=None, **heads).eval()


def run(net, size):
    """Shapes of what layers with weights put out, and multiply-adds."""
    lines, work = [], []

    def hook(name):
        def note(module, inputs, output):
            shape = (*output.shape[1:], 1, 1)[:3]
            lines.append(f"{name} {'x'.join(map(str, shape))}")
            if not isinstance(module, nn.BatchNorm2d):
                work.append(output[0].numel() * module.weight[0].numel())

        return note

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in net.named_modules()
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.Linear))
    ]
    net(torch.empty(1, 3, *size, device="meta"))
    for handle in handles:
        handle.remove()
    return lines, sum(work)


def describe(name):
    net, weights = build(name), get_model_weights(name).IMAGENET1K_V1
    transforms = weights.transforms()
    (resize,), (crop,) = transforms.resize_size, transforms.crop_size
    tensors = {
        key: "x".join(map(str, value.shape))
        for key, value in net.state_dict().items()
        if not key.startswith(AUXILIARY) and not key.endswith("num_batches_tracked")
    }
    parameters = sum(p.numel() for key, p in net.named_parameters() if key in tensors)
    layers, work = run(net, (crop, crop))
    return [
        name,
        resize,
        crop,
        "x".join(map(str, weights.meta["min_size"])),
        parameters,
        work,
        len(tensors),
        fnv(f"{key} {shape}" for key, shape in tensors.items()),
        fnv(layers),
        fnv(run(net, RECTANGLE)[0]),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    output = parser.parse_args().output or ROOT / "tests/golden/torchvision_models.tsv"

    names = re.findall(r'^ *published\("(\w+)"', PUBLISHED.read_text(), re.MULTILINE)
    rows = [COLUMNS.split(), *map(describe, names)]
    content = "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()

    output.write_bytes(content)
    print(f"{output}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
