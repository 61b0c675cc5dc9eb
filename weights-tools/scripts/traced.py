"""Networks whose every call is a module, so that zennit's hooks see them all.

torchvision calls ReLUs, pools and additions as functions and uses one ReLU
module in several places.
"""

import copy
import operator

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from zennit.layer import Sum

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TransformInput(nn.Module):
    """From ImageNet's normalisation to Inception's, as torchvision computes it."""

    def forward(self, x):
        channels = [
            x[:, i : i + 1] * (std / 0.5) + (mean - 0.5) / 0.5
            for i, (mean, std) in enumerate(zip(MEAN, STD))
        ]
        return torch.cat(channels, 1)


class Tracer(fx.Tracer):
    def is_leaf_module(self, module, name):
        leaf = isinstance(module, (Sum, TransformInput))
        return leaf or super().is_leaf_module(module, name)


def adaptive_average(_, size):
    return nn.AdaptiveAvgPool2d(size)


def average(_, *sizes, **options):
    return nn.AvgPool2d(*sizes, **options)


def maximum(_, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, **rest):
    assert not rest.get("return_indices")
    return nn.MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)


def relu(_, inplace=False):
    return nn.ReLU()


FUNCTIONS = {
    "relu": relu,
    "avg_pool2d": average,
    "adaptive_avg_pool2d": adaptive_average,
    "max_pool2d": maximum,
}


def traced(net):
    """The network as a graph of modules; it shares the weights."""
    transform = getattr(net, "transform_input", False)
    if transform:
        net.transform_input = False
        net = nn.Sequential(TransformInput(), net)
    graph = Tracer().trace(net)
    changed = fx.GraphModule(net, graph)
    seen = set()
    for node in list(graph.nodes):
        if node.op == "call_module":
            separate(changed, node, seen)
        elif node.op == "call_function" and node.target in (operator.add, operator.iadd):
            with graph.inserting_before(node):
                both = graph.call_function(torch.stack, (list(node.args), -1))
            replace(changed, node, Sum(), both)
        elif node.op == "call_function" and node.target.__name__ in FUNCTIONS:
            module = FUNCTIONS[node.target.__name__](*node.args, **node.kwargs)
            replace(changed, node, module, node.args[0])
        elif node.op == "call_method" and node.target == "mean":
            assert node.args[1:] == ([2, 3],)
            pool = replace(changed, node, nn.AdaptiveAvgPool2d(1), node.args[0])
            users = list(pool.users)
            with graph.inserting_after(pool):
                flat = graph.call_function(torch.flatten, (pool, 1))
            for user in users:
                user.replace_input_with(pool, flat)
    graph.lint()
    changed.recompile()
    in_order(changed)
    return changed.eval()


def separate(changed, node, seen):
    """Gives the second and further uses of a module their own copies."""
    if node.target in seen:
        module = changed.get_submodule(node.target)
        assert not list(module.parameters())
        node.target = f"again_{node.name}"
        changed.add_submodule(node.target, copy.deepcopy(module))
    seen.add(node.target)


def replace(changed, node, module, argument):
    name = f"as_module_{node.name}"
    changed.add_submodule(name, module)
    with changed.graph.inserting_before(node):
        call = changed.graph.call_module(name, (argument,))
    node.replace_all_uses_with(call)
    changed.graph.erase_node(node)
    return call


def in_order(changed):
    """What finds the first and the last layer by the modules' order relies on this."""
    linear = (nn.Conv2d, nn.Linear)
    calls = [node.target for node in changed.graph.nodes if node.op == "call_module"]
    called = [name for name in calls if isinstance(changed.get_submodule(name), linear)]
    listed = [name for name, module in changed.named_modules() if isinstance(module, linear)]
    assert (called[0], called[-1]) == (listed[0], listed[-1])


def folded(net):
    """A copy with each batch norm folded into the convolution it directly follows.

    The convolution must have no other consumer; other batch norms stay.
    """
    changed = traced(copy.deepcopy(net))
    for node in list(changed.graph.nodes):
        if node.op != "call_module":
            continue
        norm, before = changed.get_submodule(node.target), node.args[0]
        if not isinstance(norm, nn.BatchNorm2d) or before.op != "call_module":
            continue
        conv = changed.get_submodule(before.target)
        if isinstance(conv, nn.Conv2d) and len(before.users) == 1:
            changed.set_submodule(before.target, fuse_conv_bn_eval(conv, norm))
            changed.set_submodule(node.target, nn.Identity())
    return changed.eval()
