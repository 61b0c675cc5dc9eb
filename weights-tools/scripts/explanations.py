"""Explanations by zennit: the paper's composites, gradients, single rules."""

import torch
from torch import nn
from zennit import types
from zennit.composites import LayerMapComposite, SpecialFirstLayerMapComposite
from zennit.layer import Sum
from zennit.rules import (
    AlphaBeta,
    Epsilon,
    Flat,
    Gamma,
    Norm,
    Pass,
    ReLUDeconvNet,
    ReLUGuidedBackprop,
    WSquare,
    ZBox,
    ZPlus,
)

from traced import MEAN, STD, TransformInput

STABILIZER = 1e-9


def bounds(net, x):
    """The black and the white pixel, as the first convolution sees them."""
    both = []
    for value in (0, 1):
        pixel = torch.tensor([(value - m) / s for m, s in zip(MEAN, STD)], dtype=x.dtype)
        bound = pixel.reshape(1, 3, 1, 1).expand_as(x)
        for module in net.modules():
            if isinstance(module, (TransformInput, nn.ZeroPad2d)):
                bound = module(bound)
            if isinstance(module, nn.Conv2d):
                break
        both.append(bound)
    return both


def z_box(net, x):
    return ZBox(*bounds(net, x), stabilizer=STABILIZER)


def composite(net, x, pools="even", rule=None, first=None):
    """The paper's rules; `rule` replaces all of them, `first` only the z-box."""
    each = rule or ZPlus(stabilizer=STABILIZER, zero_params=["bias"])
    layers = [
        (types.Activation, Pass()),
        (types.BatchNorm, Pass()),
        ((TransformInput, nn.LocalResponseNorm), Pass()),
        (Sum, Norm(STABILIZER)),
        (types.Linear, each),
    ]
    if pools == "proportional":
        layers.append((types.AvgPool, Norm(STABILIZER)))
    return SpecialFirstLayerMapComposite(
        layer_map=layers,
        first_map=[(types.Convolution, rule or first or z_box(net, x))],
    )


def at_relus(hook):
    """zennit's own composites pass over ReLU6."""
    return LayerMapComposite([((nn.ReLU, nn.ReLU6), hook)])


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


def relevance_maps(net, x, logits, target, rules, methods):
    """Those of LRP and the contrastive methods for one target, each contrast from two passes."""
    score = logits[0, target].abs()
    seed, others = torch.zeros_like(logits), torch.ones_like(logits)
    seed[0, target], others[0, target] = score, 0
    lrp = backward(net, x, seed, rules)
    maps = {"lrp": lrp}
    if "clrp1" in methods:
        dual = backward(net, x, others * score / (logits.shape[1] - 1), rules)
        maps["clrp1"] = (lrp - dual).clamp(min=0)
    if "clrp2" in methods:
        with NegatedLast(net):
            dual = backward(net, x, seed, rules)
        maps["clrp2"] = (lrp - dual).clamp(min=0)
    if "clrp1-logits" in methods:
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
        "guided-backprop": backward(net, x, seed, at_relus(ReLUGuidedBackprop())),
        "deconvnet": backward(net, x, seed, at_relus(ReLUDeconvNet())),
    }


def rule_maps(net, x, logits, target, names):
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
    return {
        name: backward(net, x, seed, composite(net, x, "proportional", **choices[name]))
        for name in names or choices
    }
