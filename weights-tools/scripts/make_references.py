"""Makes the reference maps in tests/golden with PyTorch and zennit.

No weights are stored: both sides draw them by the recipe in
tests/golden/README.md, which also describes the small networks and the keys.
Contrastive maps are made the slow way, from two maps, in float64.
"""

import argparse
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn
from zennit import types
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import DeconvNet, GuidedBackprop, SpecialFirstLayerMapComposite
from zennit.layer import Sum
from zennit.rules import AlphaBeta, Epsilon, Flat, Gamma, Norm, Pass, WSquare, ZBox, ZPlus

from reproducible import write

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
SEED = 1
STABILIZER = 1e-9
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


# Weights and pictures, drawn by the recipe


def draw(tensor, shape, scale, offset=0.0, seed=SEED):
    """Uniform f32 values in `offset ± scale`; `tensor` numbers the stream."""
    mask = (1 << 64) - 1
    start = (seed * 0x9E3779B97F4A7C15 + tensor * 0xD1B54A32D192ED03) & mask
    values = np.empty(int(np.prod(shape)), np.float32)
    chunk = 1 << 22
    for first in range(0, len(values), chunk):
        part = values[first : first + chunk]
        x = np.arange(len(part), dtype=np.uint64) + np.uint64((start + first) & mask)
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
        part[:] = offset + scale * ((x >> np.uint64(40)).astype(np.float64) / 2**24 * 2 - 1)
    return torch.from_numpy(values.reshape(shape))


def fill(net):
    """Replaces all weights and running statistics; the network is left in f32."""
    norms = {n for n, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)}
    state = net.state_dict()
    keys = [key for key in state if not key.endswith("num_batches_tracked")]
    for t, key in enumerate(keys):
        module, kind = key.rpartition(".")[::2]
        shape = state[key].shape
        offset, scale = 0.0, 0.1
        if module in norms:
            offset = {"weight": 1.0, "running_var": 1.0}.get(kind, 0.0)
            scale = {"weight": 0.3, "running_var": 0.5}.get(kind, 0.2)
        elif kind == "weight":
            scale = (6 / np.prod(shape[1:])) ** 0.5
        state[key].copy_(draw(t, shape, scale, offset))
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net.eval()


# The small networks: odd sizes, and one peculiarity each


def chain(**layers):
    return nn.Sequential(OrderedDict(layers))


def strides():
    return chain(
        conv0=nn.Conv2d(3, 6, (3, 5), stride=(2, 1), padding=(1, 2)),
        relu0=nn.ReLU(),
        conv1=nn.Conv2d(6, 8, (2, 1), stride=(3, 2)),
        relu1=nn.ReLU(),
        flatten=nn.Flatten(),
        fc=nn.Linear(8 * 2 * 7, 7),
    )


def dilation_groups():
    return chain(
        conv0=nn.Conv2d(3, 6, 3, padding=2, dilation=2),
        relu0=nn.ReLU(),
        conv1=nn.Conv2d(6, 6, 3, padding=1, groups=6),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(6, 12, 3, padding=(0, 1), dilation=(1, 2), groups=3),
        relu2=nn.ReLU(),
        conv3=nn.Conv2d(12, 24, (1, 3), stride=2, groups=12, bias=False),
        relu3=nn.ReLU(),
        flatten=nn.Flatten(),
        fc=nn.Linear(24 * 4 * 4, 5),
    )


def max_pools():
    return chain(
        conv0=nn.Conv2d(3, 8, 3, padding=1),
        pool0=nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
        relu0=nn.ReLU(),
        conv1=nn.Conv2d(8, 10, 3, padding=1),
        pool1=nn.MaxPool2d((2, 3), stride=(1, 2), padding=1, dilation=(2, 1)),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(10, 12, 2),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2, ceil_mode=True),
        flatten=nn.Flatten(),
        fc=nn.Linear(12 * 3, 6),
    )


def avg_pools():
    return chain(
        conv0=nn.Conv2d(3, 8, 3, padding=1),
        relu0=nn.ReLU(),
        pool0=nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=True),
        conv1=nn.Conv2d(8, 10, 3, padding=1),
        relu1=nn.ReLU(),
        pool1=nn.AvgPool2d((2, 3), 2, padding=1, ceil_mode=True, count_include_pad=False),
        conv2=nn.Conv2d(10, 12, 3, padding=1),
        relu2=nn.ReLU(),
        pool2=nn.AvgPool2d(2, stride=1, padding=(0, 1)),
        flatten=nn.Flatten(),
        fc=nn.Linear(12 * 3 * 6, 6),
    )


def adaptive_pools():
    return chain(
        conv0=nn.Conv2d(3, 8, 3, stride=2),
        relu0=nn.ReLU(),
        pool0=nn.AdaptiveAvgPool2d((4, 3)),
        conv1=nn.Conv2d(8, 8, 2),
        relu1=nn.ReLU(),
        pool1=nn.AdaptiveAvgPool2d((5, 7)),
        flatten=nn.Flatten(),
        fc0=nn.Linear(8 * 5 * 7, 20),
        relu2=nn.ReLU(),
        fc1=nn.Linear(20, 6),
    )


def batch_norm():
    return chain(
        conv0=nn.Conv2d(3, 8, 3, padding=1, bias=False),
        bn0=nn.BatchNorm2d(8),
        relu0=nn.ReLU(),
        pool0=nn.MaxPool2d(2),
        conv1=nn.Conv2d(8, 10, 3, stride=2),
        bn1=nn.BatchNorm2d(10, eps=1e-3),
        relu1=nn.ReLU(),
        flatten=nn.Flatten(),
        fc=nn.Linear(10 * 2 * 2, 6),
    )


def signed():
    return chain(
        conv0=nn.Conv2d(3, 8, 3, padding=1),
        conv1=nn.Conv2d(8, 8, 3, stride=2, padding=1),
        pool0=nn.AvgPool2d(2, stride=1),
        conv2=nn.Conv2d(8, 10, (1, 2)),
        relu0=nn.ReLU(),
        flatten=nn.Flatten(),
        fc0=nn.Linear(10 * 5 * 3, 12),
        fc1=nn.Linear(12, 5),
    )


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 8, 3, padding=1)
        self.relu0 = nn.ReLU()
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.add0 = Sum()
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.conv4 = nn.Conv2d(8, 12, 1, stride=2, bias=False)
        self.add1 = Sum()
        self.relu3 = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(12, 6)

    def forward(self, x):
        x = self.relu0(self.conv0(x))
        y = self.conv2(self.relu1(self.conv1(x)))
        x = self.relu2(self.add0(torch.stack([y, x], -1)))
        x = self.relu3(self.add1(torch.stack([self.conv3(x), self.conv4(x)], -1)))
        return self.fc(self.pool(x).flatten(1))


class Concat(nn.Module):
    """Ends as SqueezeNet does: the last convolution is not the last layer."""

    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 8, 3)
        self.relu0 = nn.ReLU()
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.relu1 = nn.ReLU()
        self.expand1 = nn.Conv2d(4, 5, 1)
        self.relu2 = nn.ReLU()
        self.expand3 = nn.Conv2d(4, 6, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.pool0 = nn.MaxPool2d(3, stride=1, padding=1)
        self.head = nn.Conv2d(19, 9, 1)
        self.relu4 = nn.ReLU()
        self.pool1 = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.relu0(self.conv0(x))
        y = self.relu1(self.squeeze(x))
        branches = [self.relu2(self.expand1(y)), self.relu3(self.expand3(y)), self.pool0(x)]
        x = self.relu4(self.head(torch.cat(branches, 1)))
        return self.pool1(x).flatten(1)


# name: (builder, input height and width)
SMALL = {
    "strides": (strides, (11, 13)),
    "dilation_groups": (dilation_groups, (9, 11)),
    "max_pools": (max_pools, (13, 10)),
    "avg_pools": (avg_pools, (13, 14)),
    "adaptive_pools": (adaptive_pools, (13, 11)),
    "batch_norm": (batch_norm, (11, 11)),
    "residual": (Residual, (9, 11)),
    "concat": (Concat, (11, 9)),
    "signed": (signed, (11, 9)),
}
# torchvision's: the committed size, whether also made in full size
TORCHVISION = {
    "alexnet": ((67, 67), True),
    "vgg16": ((33, 33), True),
    "vgg16_bn": ((37, 37), True),
    "squeezenet1_0": ((49, 49), False),
    "squeezenet1_1": ((49, 49), True),
}
BY_RULE = ["strides", "dilation_groups", "batch_norm", "signed"]


# Explanations


def z_box(dtype):
    """z-box between the black and the white pixel, as ImageNet's statistics place them."""
    low, high = (
        torch.tensor([(value - m) / s for m, s in zip(MEAN, STD)], dtype=dtype).reshape(1, 3, 1, 1)
        for value in (0, 1)
    )
    return ZBox(low, high, stabilizer=STABILIZER)


def composite(dtype, pools="even", rule=None, first=None, canonizers=()):
    """The paper's rules; `rule` replaces all of them, `first` only the z-box."""
    each = rule or ZPlus(stabilizer=STABILIZER, zero_params=["bias"])
    layers = [
        (types.Activation, Pass()),
        (types.BatchNorm, Pass()),
        (Sum, Norm(STABILIZER)),
        (types.Linear, each),
    ]
    if pools == "proportional":
        layers.append((types.AvgPool, Norm(STABILIZER)))
    return SpecialFirstLayerMapComposite(
        layer_map=layers,
        first_map=[(types.Convolution, rule or first or z_box(dtype))],
        canonizers=list(canonizers),
    )


def backward(net, x, seed, composite):
    """What arrives at the picture when `seed` starts at the logits."""
    x = x.clone().requires_grad_()
    with composite.context(net) as changed:
        return torch.autograd.grad(changed(x), x, seed)[0][0].detach()


def plain_gradient(net, x, seed):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(net(x), x, seed)[0][0]


class NegatedLast:
    """The network with its last convolution or linear layer negated, for a while."""

    def __init__(self, net):
        linear = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        self.parameters = list(linear[-1].parameters())

    def __enter__(self):
        for parameter in self.parameters:
            parameter.data.neg_()

    def __exit__(self, *_):
        self.__enter__()


def relevance_maps(net, x, logits, target, rules):
    """LRP and the contrastive maps of one target, each from two passes."""
    score = logits[0, target].abs()
    seed, others = torch.zeros_like(logits), torch.ones_like(logits)
    seed[0, target], others[0, target] = score, 0
    lrp = backward(net, x, seed, rules)
    with NegatedLast(net):
        dual2 = backward(net, x, seed, rules)
    dual1 = backward(net, x, others * score / (logits.shape[1] - 1), rules)
    maps = {"lrp": lrp, "clrp1": (lrp - dual1).clamp(min=0), "clrp2": (lrp - dual2).clamp(min=0)}
    dual = backward(net, x, others * logits.abs(), rules)
    maps["clrp1-logits"] = (lrp / lrp.sum() - dual / dual.sum()).clamp(min=0)
    return maps


def gradient_maps(net, x, target, classes):
    seed = torch.zeros(1, classes, dtype=x.dtype)
    seed[0, target] = 1
    gradient = plain_gradient(net, x, seed)
    return {
        "gradient": gradient,
        "gradient-x-input": x[0] * gradient,
        "guided-backprop": backward(net, x, seed, GuidedBackprop()),
        "deconvnet": backward(net, x, seed, DeconvNet()),
    }


def rule_maps(net, x, logits, target, canonizers=()):
    """One map for each rule on all layers or on the first."""
    no_bias = {"stabilizer": STABILIZER, "zero_params": ["bias"]}
    choices = {
        "epsilon-1e-6": {"rule": Epsilon(1e-6)},
        "epsilon-0.25": {"rule": Epsilon(0.25)},
        "alpha-beta-2-1": {"rule": AlphaBeta(2.0, 1.0, STABILIZER)},
        "gamma-0.25": {"rule": Gamma(0.25, STABILIZER)},
        "w-square-first": {"first": WSquare(**no_bias)},
        "flat-first": {"first": Flat(**no_bias)},
    }
    seed = torch.zeros_like(logits)
    seed[0, target] = logits[0, target].abs()
    shared = {"pools": "proportional", "canonizers": canonizers}
    return {
        name: backward(net, x, seed, composite(x.dtype, **shared, **choice))
        for name, choice in choices.items()
    }


def targets_of(logits):
    """The highest logit, and the lowest, or if none is negative the second highest."""
    order = logits[0].argsort(descending=True).tolist()
    return order[0], order[-1] if logits[0, order[-1]] < 0 else order[1]


def references(net, x, by_rule):
    """All maps in f64 by key, and how far PyTorch's own f32 maps are from them."""
    x64, arrays, errors = x.double(), {}, {}
    with torch.no_grad():
        logits32 = net(x)
        logits = net.double()(x64)
    targets = targets_of(logits)
    has_pools = any(isinstance(m, types.AvgPool) for m in net.modules())
    presets = {"gu2018": {}}
    if has_pools:
        presets["contrastive"] = {"pools": "proportional"}

    def keep(prefix, row, maps):
        arrays.update({f"{prefix}{name}.{row}": value for name, value in maps.items()})

    def measure(prefix, row, maps32):
        for name, value in maps32.items():
            key = f"{prefix}{name}.{row}"
            errors[f"f32_error.{key}"] = f"{relative_error(value, arrays[key]):.3e}"

    for row, target in enumerate(targets):
        for preset, choice in presets.items():
            rules = composite(torch.float64, **choice)
            keep(f"{preset}.", row, relevance_maps(net.double(), x64, logits, target, rules))
            rules = composite(torch.float32, **choice)
            measure(f"{preset}.", row, relevance_maps(net.float(), x, logits32, target, rules))
        keep("", row, gradient_maps(net.double(), x64, target, logits.shape[1]))
        measure("", row, gradient_maps(net.float(), x, target, logits.shape[1]))
        net.double()
        if by_rule:
            keep("rule.", row, rule_maps(net, x64, logits, target))
            if any(isinstance(m, nn.BatchNorm2d) for m in net.modules()):
                fold = [SequentialMergeBatchNorm()]
                keep("fold.", row, rule_maps(net, x64, logits, target, fold))
    return logits, targets, arrays, errors


def relative_error(actual, expected):
    norm = expected.norm().item()
    return (actual.double() - expected).norm().item() / norm if norm else 0.0


# A second opinion on zennit


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
    net, x = fill(builder()).double(), draw(1000, (1, 3, *size), 2.0).double()
    logits = net(x).detach()
    for target in targets_of(logits):
        expected = dense_lrp(net, x, target)
        actual = relevance_maps(net, x, logits, target, composite(x.dtype))["lrp"].flatten()
        error = relative_error(actual, expected)
        print(f"{name}, target {target}: zennit and matrices differ by {error:.1e}")
        assert error < 1e-9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="torchvision's networks at 224x224")
    parser.add_argument("--only", nargs="*", help="names of networks")
    parser.add_argument("-o", "--output", type=Path, default=GOLDEN)
    args = parser.parse_args()

    jobs = {}
    if not args.full:
        check_against_dense("strides")
        check_against_dense("dilation_groups")
        jobs = dict(SMALL)
    for name, (size, full) in TORCHVISION.items():
        build = getattr(torchvision.models, name)
        if args.full and full:
            jobs[name] = (build, (224, 224))
        elif not args.full:
            jobs[name] = (build, size)

    for name, (build, size) in jobs.items():
        if args.only and name not in args.only:
            continue
        net, x = fill(build()), draw(1000, (1, 3, *size), 2.0)
        logits, targets, arrays, errors = references(net, x, name in BY_RULE)
        kind = np.float64 if name in SMALL else np.float32
        arrays = {key: value.numpy().astype(kind) for key, value in arrays.items()}
        arrays["logits"] = logits[0].numpy()
        arrays["targets"] = np.array(targets, np.int64)
        metadata = {
            "network": name,
            "input": f"1x3x{size[0]}x{size[1]}",
            "seed": str(SEED),
            **{p: version(p) for p in ("torch", "torchvision", "zennit")},
            **errors,
        }
        write(args.output / f"{name}.safetensors", arrays, metadata)


if __name__ == "__main__":
    main()
