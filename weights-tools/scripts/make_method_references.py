"""Makes the reference maps in tests/golden/methods: presets, other methods, other targets.

Networks, weights and pictures are those of make_references.py; the README
beside the maps describes keys and formulas. zennit, captum and
pytorch-grad-cam make the maps or are held against them.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import fx, nn
from zennit import types
from zennit.composites import (
    EpsilonAlpha2Beta1,
    EpsilonAlpha2Beta1Flat,
    EpsilonGammaBox,
    EpsilonPlus,
    EpsilonPlusFlat,
    ExcitationBackprop,
)
from zennit.rules import Pass, ZPlus

from explanations import STABILIZER, NegatedLast, backward, bounds, composite, plain_gradient
from make_references import GOLDEN, PACKAGES, References, has_norms, recipe_of, save
from methods_oracles import (
    cam_maps,
    check_cams,
    check_occlusion,
    check_paths,
    coarse_cam,
    occlusion,
    path_maps,
    rise,
    smooth_maps,
)
from recipe import drawn, fill, norm_weight, picture
from small_networks import FURTHER_SMALL, SMALL
from traced import folded, traced

# The layers of Grad-CAM and of the neuron, each first as the library names its
# node, then as PyTorch its module.
LAYERS = {
    "strides": (("conv1.relu", "relu1"), ("conv1.relu", "relu1")),
    "concat": (("concat", "concat"), ("expand3.relu", "relu3")),
    "residual": (("relu1", "relu3"), ("conv1.relu", "relu1")),
    "batch_norm": (("relu1", "relu1"), ("relu1", "relu1")),
    "inverted_residuals": (("relu3", "relu3"), ("relu3", "relu3")),
    "avg_pools": (("pool2", "pool2"), ("conv1.relu", "relu1")),
    "max_pools": (("pool2", "pool2"), ("conv2.relu", "relu2")),
}
ORACLES = [*PACKAGES, "captum", "grad-cam"]


def seeded(logits, values):
    seed = torch.zeros_like(logits)
    for k, value in values.items():
        seed[0, k] = value
    return seed


def presets(net, x):
    """zennit's, with its own defaults."""
    low, high = bounds(net, x)
    # Alone, this one takes the gradient of batch norms and of ReLU6 at its limit.
    passing = [((types.Activation, types.BatchNorm), Pass())]
    return {
        "epsilon_plus": EpsilonPlus(),
        "epsilon_plus_flat": EpsilonPlusFlat(),
        "epsilon_gamma_box": EpsilonGammaBox(low=low, high=high),
        "epsilon_alpha2_beta1": EpsilonAlpha2Beta1(),
        "epsilon_alpha2_beta1_flat": EpsilonAlpha2Beta1Flat(),
        "excitation_backprop": ExcitationBackprop(layer_map=passing),
    }


def preset_maps(net, x, logits, target):
    seed = seeded(logits, {target: logits[0, target].abs()})
    return {f"{name}.lrp": backward(net, x, seed, each) for name, each in presets(net, x).items()}


def excitation_maps(net, x, logits, target):
    rules = composite(net, x, "proportional", ZPlus(STABILIZER, zero_params=["bias"]))
    seed = seeded(logits, {target: 1})
    plain = backward(net, x, seed, rules)
    with NegatedLast(net):
        dual = backward(net, x, seed, rules)
    return {"excitation-backprop": plain, "contrastive-excitation-backprop": plain - dual}


def softmax_maps(net, x, logits, target):
    """Relevance starts with the gradient of the target's probability."""
    y = logits.softmax(1)
    seed = -y[0, target] * y
    seed[0, target] += y[0, target]
    maps = {"sglrp": backward(net, x, seed, composite(net, x, "proportional"))}
    if any(isinstance(module, types.AvgPool) for module in net.modules()):
        maps["gu2018.sglrp"] = backward(net, x, seed, composite(net, x, "even"))
    return maps


def cut(net, layer):
    """The network up to a layer; it shares the weights."""
    graph, copies = fx.Graph(), {}
    for node in net.graph.nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
        if node.target == layer:
            graph.output(copies[node])
            break
    return fx.GraphModule(net, graph).eval()


def neuron_maps(part, x, chosen):
    """What `chosen`, a mask, selects of the layer that `part` ends in.

    The layer is a ReLU: activations are their own absolute values, and the
    sign of their sum is positive.
    """
    with torch.no_grad():
        seed = part(x) * chosen
    rules = composite(part, x, "proportional")
    lrp = backward(part, x, seed, rules)
    with NegatedLast(part):
        dual = backward(part, x, seed, rules)
    gradient = plain_gradient(part, x, chosen)
    return {"lrp": lrp, "clrp2": (lrp - dual).clamp(min=0), "gradient": gradient}


def strongest(net, x, layer):
    """Channel, row and column of the largest activation.

    Of ReLU6, of the largest below its limit: at it there is no gradient.
    """
    with torch.no_grad():
        activations = cut(net, layer)(x)[0]
    if isinstance(net.get_submodule(layer), nn.ReLU6):
        activations = activations.where(activations < 6, 0)
    return [index.item() for index in torch.unravel_index(activations.argmax(), activations.shape)]


def mixture_maps(net, x, logits, weights):
    """Several classes as one target, by their weights."""
    score = sum(weight * logits[0, k] for k, weight in weights.items())
    seed = {k: score.sign() * weight * logits[0, k] for k, weight in weights.items()}
    others = [k for k in range(logits.shape[1]) if k not in weights]
    dual = dict.fromkeys(others, score.abs() / len(others))
    lrp, clrp1 = contrast(net, x, logits, seed, dual)
    gradient = plain_gradient(net, x, seeded(logits, weights))
    return {"lrp": lrp, "clrp1": clrp1, "gradient": gradient}


def against_maps(net, x, logits, target, other):
    """One class against another, which gets the whole dual."""
    score = logits[0, target].abs()
    _, clrp1 = contrast(net, x, logits, {target: score}, {other: score})
    gradient = plain_gradient(net, x, seeded(logits, {target: 1, other: -1}))
    return {"clrp1": clrp1, "gradient": gradient}


def contrast(net, x, logits, seed, dual):
    rules = composite(net, x, "proportional")
    lrp, dual = (backward(net, x, seeded(logits, values), rules) for values in (seed, dual))
    return lrp, (lrp - dual).clamp(min=0)


def by_class(made, row, cam_module):
    """All that explain one class."""
    target = made.targets[row]
    seed = seeded(made.logits, {target: 1})

    def maps(net, x, logits):
        layer, one = net.get_submodule(cam_module), seed.to(x.dtype)
        coarse = coarse_cam(net, x, target, layer)
        of_paths = path_maps(net, x, one)
        of_cams = cam_maps(net, x, one, coarse)
        of_windows = occlusion(net, x, target)
        if x.dtype == torch.float64:
            check_paths(net, x, target, one, of_paths)
            check_cams(net, x, target, layer, coarse, of_cams)
            check_occlusion(net, x, target, of_windows)
        return {
            **preset_maps(net, x, logits, target),
            **excitation_maps(net, x, logits, target),
            **softmax_maps(net, x, logits, target),
            **smooth_maps(net, x, one),
            **of_paths,
            **of_cams,
            "occlusion": of_windows,
            "rise": rise(net, x, target),
        }

    made.keep("", row, maps)
    if has_norms(made.net):
        made.keep("fold.", row, lambda *of: preset_maps(*of, target), folded(made.net))


def by_other_targets(made, neuron_module):
    """A neuron, a channel, a mixture of classes and a class against another."""
    target, classes = made.targets[0], made.logits.shape[1]
    other = (target + 1) % classes
    weights = {target: 0.7, other: 0.3}
    made.keep("mixture.", 0, lambda *of: mixture_maps(*of, weights))
    made.keep("against.", 0, lambda *of: against_maps(*of, target, other))

    neuron = strongest(made.net, made.x.double(), neuron_module)
    for name, depth in {"neuron": 3, "channel": 1}.items():

        def maps(net, x, _logits, depth=depth):
            part = cut(net, neuron_module)
            chosen = torch.zeros_like(part(x).detach())
            chosen[0][tuple(neuron[:depth])] = 1
            return neuron_maps(part, x, chosen)

        made.keep(f"{name}.", 0, maps)
    return {
        "neuron": " ".join(map(str, neuron)),
        "mixture": " ".join(f"{k}:{weight}" for k, weight in weights.items()),
        "against": str(other),
    }


def with_concatenation(net):
    """Puts a module behind each concatenation; captum hooks nothing else."""
    for node in [node for node in net.graph.nodes if node.target is torch.cat]:
        net.add_submodule("concat", nn.Identity())
        with net.graph.inserting_after(node):
            behind = net.graph.call_module("concat", (node,))
        node.replace_all_uses_with(behind)
        behind.args = (node,)
    net.recompile()
    return net


def prepared(name):
    """The network and what a file about it says of its weights."""
    if name in SMALL:
        return fill(SMALL[name][0]()), {}
    weight = norm_weight(name)
    net = fill(FURTHER_SMALL[name][0](), weight)
    return net, recipe_of(weight, drawn(net))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=LAYERS, help="names of networks")
    parser.add_argument("-o", "--output", type=Path, default=GOLDEN / "methods")
    args = parser.parse_args()

    torch.set_num_threads(1)
    for name in args.only:
        size = {**SMALL, **FURTHER_SMALL}[name][1]
        net, recipe = prepared(name)
        made = References(with_concatenation(traced(net)), picture(size))
        if name in FURTHER_SMALL:
            made.targets = made.targets[:1]
        (cam_node, cam_module), (neuron_node, neuron_module) = LAYERS[name]
        for row in range(len(made.targets)):
            by_class(made, row, cam_module)
        recipe |= by_other_targets(made, neuron_module)
        recipe |= {"cam_layer": cam_node, "cam_module": cam_module}
        recipe |= {"neuron_layer": neuron_node, "neuron_module": neuron_module}
        save(args.output, name, size, made, np.float64, ORACLES, **recipe)


if __name__ == "__main__":
    main()
