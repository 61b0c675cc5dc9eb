"""Grad-CAM and the methods that look at several pictures, held against other programs."""

import warnings

import numpy as np
import torch
from captum.attr import GuidedGradCam, IntegratedGradients, LayerGradCam, Occlusion
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torch.nn.functional import interpolate
from zennit.attribution import IntegratedGradients as ZennitIntegratedGradients
from zennit.rules import ReLUDeconvNet, ReLUGuidedBackprop

from explanations import at_relus, backward, plain_gradient
from recipe import mixed

SAMPLE_SEED = 0
STEPS, GAUSS_STEPS = 20, 50
SMOOTH_SAMPLES, NOISE = 20, 0.1
MASKS, CELLS, KEPT = 40, 4, 0.5
WINDOW, STRIDE = (4, 3), (3, 2)


def uniform(stream, count):
    """Multiples of 2^-53, at least 0 and below 1."""
    return (mixed(SAMPLE_SEED, stream, 0, count) >> np.uint64(11)).astype(np.float64) / 2**53


def noisy(x, sample):
    """The picture with normal noise; the last sample is the picture itself, as in zennit."""
    if sample == SMOOTH_SAMPLES - 1:
        return x
    drawn = uniform(sample, 2 * x.numel())
    radius = np.sqrt(-2 * np.log(drawn[0::2] + 2**-53))
    normal = torch.from_numpy(radius * np.cos(2 * np.pi * drawn[1::2])).reshape(x.shape)
    exact = x.double()
    return (exact + NOISE * (exact.max() - exact.min()) * normal).to(x.dtype)


def smooth_maps(net, x, seed):
    each = {
        "smoothgrad": lambda x: plain_gradient(net, x, seed),
        "smoothgrad-guided-backprop": lambda x: backward(
            net, x, seed, at_relus(ReLUGuidedBackprop())
        ),
        "smoothgrad-deconvnet": lambda x: backward(net, x, seed, at_relus(ReLUDeconvNet())),
    }
    pictures = [noisy(x, sample) for sample in range(SMOOTH_SAMPLES)]
    return {name: sum(map(explain, pictures)) / len(pictures) for name, explain in each.items()}


def riemann():
    """Positions on the path and their shares, as zennit chooses them."""
    return [((k + 1) / STEPS, 1 / STEPS) for k in range(STEPS)]


def gauss_legendre():
    """Those of captum."""
    nodes, shares = np.polynomial.legendre.leggauss(GAUSS_STEPS)
    return list(zip((1 + nodes) / 2, shares / 2))


def path_maps(net, x, seed):
    paths = {"integrated-gradients": riemann(), "integrated-gradients-gauss": gauss_legendre()}
    return {
        name: x[0]
        * sum(
            share * plain_gradient(net, (alpha * x.double()).to(x.dtype), seed)
            for alpha, share in path
        )
        for name, path in paths.items()
    }


def neighbours(length, shift, cell):
    """The two grid cells between which each pixel lies, and how near it is to the second.

    Beyond the grid's first and last cell lies its second and last but one.
    """
    position = (np.arange(length) + shift + 0.5) / cell - 0.5
    first = np.floor(position).astype(int)
    last = CELLS - 1
    inside = [last - abs(last - abs(index)) for index in (first, first + 1)]
    return *inside, position - first


def rise_mask(m, size):
    """A coarse random grid, enlarged by more than the picture needs and then shifted."""
    drawn = uniform(m, CELLS * CELLS + 2)
    grid = (drawn[: CELLS * CELLS] < KEPT).astype(np.float64).reshape(CELLS, CELLS)
    axes = []
    for length, share in zip(size, drawn[CELLS * CELLS :]):
        reach = -(-length // CELLS)
        cell = -(-(length + reach) // CELLS)
        axes.append(neighbours(length, int(share * reach), cell))
    (top, bottom, down), (left, right, across) = axes
    rows = (1 - across) * grid[:, left] + across * grid[:, right]
    down = down[:, None]
    return torch.from_numpy((1 - down) * rows[top] + down * rows[bottom])


def rise(net, x, target):
    """RISE's mean of the masks, each weighted by the probability it leaves the target."""
    masks = torch.stack([rise_mask(m, x.shape[2:]) for m in range(MASKS)])[:, None]
    with torch.no_grad():
        scores = net((x.double() * masks).to(x.dtype)).softmax(1)[:, target]
    weighted = scores.reshape(-1, 1, 1, 1) * masks.to(x.dtype)
    return weighted.sum(0) / (MASKS * KEPT)


def starts(length, window, stride):
    return range(0, length - window + stride, stride)


def occlusion(net, x, target):
    """What the logit loses without a window, the mean over the windows that cover a pixel.

    As in captum, windows start at multiples of the stride, up to the first
    that reaches the border. There it is cut off; it does not move back. It
    counts as much as a whole one. captum itself divides in f32.
    """
    loss, count = torch.zeros_like(x[0, :1]), torch.zeros_like(x[0, :1])
    (rows, columns), (height, width) = WINDOW, x.shape[2:]
    with torch.no_grad():
        score = net(x)[0, target]
        for top in starts(height, rows, STRIDE[0]):
            for left in starts(width, columns, STRIDE[1]):
                window = ..., slice(top, top + rows), slice(left, left + columns)
                hidden = x.clone()
                hidden[window] = 0
                loss[window] += score - net(hidden)[0, target]
                count[window] += 1
    return loss / count


def coarse_cam(net, x, target, layer):
    """Grad-CAM in the layer's own size."""
    seen = []
    hook = layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    score = net(x)[0, target]
    hook.remove()
    weights = torch.autograd.grad(score, seen[0])[0].mean((2, 3), keepdim=True)
    return (weights * seen[0]).sum(1, keepdim=True).relu().detach()


def cam_maps(net, x, seed, coarse):
    guided = backward(net, x, seed, at_relus(ReLUGuidedBackprop()))
    maps = {}
    for suffix, options in {
        "": {"mode": "bilinear", "align_corners": False},
        "-nearest": {"mode": "nearest"},
    }.items():
        cam = interpolate(coarse, x.shape[2:], **options)[0]
        maps[f"grad-cam{suffix}"] = cam
        maps[f"guided-grad-cam{suffix}"] = guided * cam
    return maps


def assert_close(actual, expected, within):
    error = (actual - expected).norm()
    assert error <= within * expected.norm(), f"off by {error:.1e}"


def check_paths(net, x, target, seed, maps):
    """zennit rounds positions on the path to f32, captum the shares."""
    _, theirs = ZennitIntegratedGradients(net, n_iter=STEPS)(x, seed)
    assert_close(maps["integrated-gradients"], theirs[0], 1e-7)
    theirs = IntegratedGradients(net).attribute(x, target=target, n_steps=GAUSS_STEPS)
    assert_close(maps["integrated-gradients-gauss"], theirs[0], 1e-7)


def check_occlusion(net, x, target, made):
    windows = {"sliding_window_shapes": (3, *WINDOW), "strides": (3, *STRIDE), "baselines": 0}
    theirs = Occlusion(net).attribute(x, target=target, **windows)[0]
    assert_close(made.expand_as(theirs), theirs, 1e-6)


def check_cams(net, x, target, layer, coarse, maps):
    """captum's guided maps know nothing of ReLU6, so they are no oracle there."""
    theirs = LayerGradCam(net, layer).attribute(x, target, relu_attributions=True)
    assert_close(coarse, theirs, 1e-12)
    assert_close(coarse[0], raw_grad_cam(net, x, target, layer), 1e-12)
    if any(isinstance(module, nn.ReLU6) for module in net.modules()):
        return
    for suffix, mode in (("", "bilinear"), ("-nearest", "nearest")):
        with warnings.catch_warnings(action="ignore"):
            theirs = GuidedGradCam(net, layer).attribute(x, target, interpolate_mode=mode)
        assert_close(maps[f"guided-grad-cam{suffix}"], theirs[0], 1e-12)


def raw_grad_cam(net, x, target, layer):
    """pytorch-grad-cam's map before it stretches the values to 0..1 and enlarges."""
    with GradCAM(net, [layer]) as cam:
        targets = [ClassifierOutputTarget(target)]
        cam(x, targets)
        seen = cam.activations_and_grads
        values = seen.activations[0].numpy(), seen.gradients[0].numpy()
        return torch.from_numpy(cam.get_cam_image(x, layer, targets, *values)).relu()
