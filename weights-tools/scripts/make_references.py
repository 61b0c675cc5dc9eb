"""Makes the reference maps in tests/golden with PyTorch and zennit.

No weights are stored: both sides draw them by the recipe in
tests/golden/README.md, which also describes the small networks and the keys.
Contrastive maps are made the slow way, from two maps, in float64.
"""

import argparse
import copy
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from zennit import types

import torchvision_networks
from explanations import STABILIZER, composite, gradient_maps, relevance_maps, rule_maps
from recipe import SEED, drawn, fill, norm_weight, picture
from reproducible import write
from small_networks import FURTHER_SMALL, SMALL
from torchvision_networks import FIRST, FURTHER
from traced import MEAN, STD, folded, traced

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
SMALL_BY_RULE = ["strides", "dilation_groups", "batch_norm", "signed"]
FURTHER_BY_RULE = [*FURTHER_SMALL, "resnet18", "densenet121"]
METHODS = ["lrp", "clrp1", "clrp2", "clrp1-logits"]
FURTHER_METHODS = ["lrp", "clrp1", "clrp2"]
FURTHER_RULES = ["epsilon-1e-6", "gamma-0.25"]
PACKAGES = ["torch", "torchvision", "zennit"]


def targets_of(logits):
    """The highest logit, and the lowest, or if none is negative the second highest."""
    order = logits[0].argsort(descending=True).tolist()
    return order[0], order[-1] if logits[0, order[-1]] < 0 else order[1]


def has_norms(net):
    return any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def in_f32(net, x):
    """PyTorch's own ways to compute in f32, none of which is more right than another."""
    # A copy: folded weights would not come back from f32 as they were.
    net = copy.deepcopy(net).float()
    yield net, x
    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=False):
        yield net, x
    channels_last = {"memory_format": torch.channels_last}
    yield net.to(**channels_last), x.to(**channels_last)


class References:
    """The maps of one network in f64, and how far PyTorch's own f32 maps are from them."""

    def __init__(self, net, x):
        self.net, self.x = net, x
        with torch.no_grad():
            self.logits32 = net.float()(x)
            self.logits = net.double()(x.double())
        self.targets = targets_of(self.logits)
        self.arrays, self.errors = {}, {}

    def keep(self, prefix, row, maps, net=None, measured=True):
        """What `maps` makes of the network in f64, compared with what it makes in f32."""
        net = net or self.net
        exact = maps(net.double(), self.x.double(), self.logits)
        self.arrays.update({f"{prefix}{name}.{row}": value for name, value in exact.items()})
        if measured:
            worst = dict.fromkeys(exact, 0.0)
            for rounded, x in in_f32(net, self.x):
                for name, value in maps(rounded, x, self.logits32).items():
                    worst[name] = max(worst[name], relative_error(value, exact[name]))
            for name, error in worst.items():
                self.errors[f"f32_error.{prefix}{name}.{row}"] = f"{error:.3e}"

    def presets(self, row, methods, net=None, folding=""):
        """Relevance by the presets, of which average pools make two."""
        presets = {"gu2018": "even"}
        if any(isinstance(m, types.AvgPool) for m in self.net.modules()):
            presets["contrastive"] = "proportional"
        for preset, pools in presets.items():

            def maps(net, x, logits, pools=pools):
                rules = composite(net, x, pools)
                return relevance_maps(net, x, logits, self.targets[row], rules, methods)

            self.keep(f"{preset}.{folding}", row, maps, net)

    def gradients(self, row, left_out=()):
        def maps(net, x, logits):
            made = gradient_maps(net, x, self.targets[row], logits.shape[1])
            return {name: value for name, value in made.items() if name not in left_out}

        self.keep("", row, maps)

    def rules(self, row, names=None, measured=True):
        """By rule, with batch norm bypassed and folded."""

        def maps(net, x, logits):
            return rule_maps(net, x, logits, self.targets[row], names)

        self.keep("rule.", row, maps, measured=measured)
        if has_norms(self.net):
            self.keep("fold.", row, maps, folded(self.net), measured)


def relative_error(actual, expected):
    norm = expected.norm().item()
    return (actual.double() - expected).norm().item() / norm if norm else 0.0


def dense_lrp(net, x, target):
    """The paper's LRP of a chain without pools, from its definition on matrices."""

    def matrix(layer, shape):
        basis = torch.eye(shape.numel(), dtype=x.dtype).reshape(-1, *shape)
        return (layer(basis) - layer(torch.zeros_like(basis[:1]))).flatten(1).T

    def stabilized(z):
        return z + torch.where(z < 0, -STABILIZER, STABILIZER)

    steps = []
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                steps.append((matrix(layer, x.shape[1:]), x.flatten()))
            x = layer(x)
    r = torch.zeros_like(x[0])
    r[target] = x[0, target].abs()
    for w, a in reversed(steps[1:]):
        part = w.clamp(min=0) * a.clamp(min=0) + w.clamp(max=0) * a.clamp(max=0)
        r = (part / stabilized(part.sum(1, keepdim=True))).T @ r
    w, a = steps[0]
    bounds = [[(v - m) / s for m, s in zip(MEAN, STD)] for v in (0, 1)]
    low, high = (
        torch.tensor(bound, dtype=a.dtype).repeat_interleave(len(a) // 3) for bound in bounds
    )
    part = w * a - w.clamp(min=0) * low - w.clamp(max=0) * high
    return (part / stabilized(part.sum(1, keepdim=True))).T @ r


def check_against_dense(name):
    builder, size = SMALL[name]
    net, x = fill(builder()).double(), picture(size).double()
    logits = net(x).detach()
    for target in targets_of(logits):
        expected = dense_lrp(net, x, target)
        rules = composite(net, x)
        actual = relevance_maps(net, x, logits, target, rules, ["lrp"])["lrp"].flatten()
        error = relative_error(actual, expected)
        print(f"{name}, target {target}: zennit and matrices differ by {error:.1e}")
        assert error < 1e-9


def first_references(name, net, size):
    """Two targets and all methods; of some small networks also single rules."""
    made = References(fill(net), picture(size))
    for row in range(2):
        made.presets(row, METHODS)
        made.gradients(row)
        if name in SMALL_BY_RULE:
            made.rules(row, measured=False)
    return made, {}


def further_references(name, net, size):
    """One target, batch norm bypassed and folded."""
    weight = norm_weight(name)
    names = drawn(fill(net, weight))
    x = picture(size)
    with torch.no_grad():
        logits = net.double()(x.double())
    made = References(traced(net), x)
    assert torch.equal(logits, made.logits), "tracing changed the network"
    made.targets = made.targets[:1]
    made.presets(0, FURTHER_METHODS)
    if has_norms(made.net):
        made.presets(0, FURTHER_METHODS, folded(made.net), "fold.")
    made.gradients(0, left_out=["gradient-x-input"])
    if name in FURTHER_BY_RULE:
        made.rules(0, FURTHER_RULES)
    return made, recipe_of(weight, names)


def recipe_of(weight, names):
    return {"norm_weight": " ".join(map(str, weight)), "tensors": ",".join(names)}


def save(folder, name, size, made, kind, packages, **further):
    """Writes a network's maps, and how they came about."""
    arrays = {key: value.numpy().astype(kind) for key, value in made.arrays.items()}
    arrays["logits"] = made.logits[0].numpy()
    arrays["targets"] = np.array(made.targets, np.int64)
    metadata = {
        "network": name,
        "input": f"1x3x{size[0]}x{size[1]}",
        "seed": str(SEED),
        **{p: version(p) for p in packages},
        **further,
        **made.errors,
    }
    write(folder / f"{name}.safetensors", arrays, metadata)


@dataclass
class Job:
    build: object
    size: tuple
    make: object = first_references
    kind: type = np.float32


def jobs_of(full, every):
    """What is to be made, by the network's name."""
    jobs = {}
    if not full:
        for name, (build, size) in SMALL.items():
            jobs[name] = Job(build, size, kind=np.float64)
        for name, (build, size) in FURTHER_SMALL.items():
            jobs[name] = Job(build, size, further_references, np.float64)
    for name, (size, in_full) in FIRST.items():
        if in_full or not full:
            size = torchvision_networks.full_size(name) if full else size
            jobs[name] = Job(partial(torchvision_networks.build, name), size)
    for name, (size, committed) in FURTHER.items():
        if full or every or committed:
            size = torchvision_networks.full_size(name) if full else size
            jobs[name] = Job(partial(torchvision_networks.build, name), size, further_references)
    return jobs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="also what is not committed")
    parser.add_argument("--full", action="store_true", help="torchvision's networks in full size")
    parser.add_argument("--only", nargs="*", help="names of networks")
    parser.add_argument("-o", "--output", type=Path, default=GOLDEN)
    args = parser.parse_args()

    # Sums depend on the number of threads in f32.
    torch.set_num_threads(1)
    if not args.full:
        check_against_dense("strides")
        check_against_dense("dilation_groups")
    for name, job in jobs_of(args.full, args.all).items():
        if args.only and name not in args.only:
            continue
        made, recipe = job.make(name, job.build(), job.size)
        save(args.output, name, job.size, made, job.kind, PACKAGES, **recipe)


if __name__ == "__main__":
    main()
