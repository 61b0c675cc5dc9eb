"""Draws weights and pictures by the recipe in tests/golden/README.md."""

import numpy as np
import torch
from torch import nn

SEED = 1


def mixed(seed, stream, first, count):
    """Elements `first` and up of a stream, as u64."""
    mask = (1 << 64) - 1
    start = seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + first
    x = np.arange(count, dtype=np.uint64) + np.uint64(start & mask)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def draw(tensor, shape, scale, offset=0.0, seed=SEED):
    """Uniform f32 values in `offset ± scale`; `tensor` numbers the stream."""
    values = np.empty(int(np.prod(shape)), np.float32)
    chunk = 1 << 22
    for first in range(0, len(values), chunk):
        part = values[first : first + chunk]
        x = mixed(seed, tensor, first, len(part))
        part[:] = offset + scale * ((x >> np.uint64(40)).astype(np.float64) / 2**24 * 2 - 1)
    return torch.from_numpy(values.reshape(shape))


def drawn(net):
    """The names of all drawn tensors, in the order of their numbers."""
    return [key for key in net.state_dict() if not key.endswith("num_batches_tracked")]


def norm_weight(network):
    """Offset and scale of the batch norms' weights in the further networks.

    They have both signs, so that folding matters. They keep activations within
    bounds, the contrastive maps away from zero and some of ReLU6 at its limit.
    """
    exceptions = {
        "inverted_residuals": (1.5, 2.0),
        "mnasnet": (0.5, 1.0),
        "res": (0.5, 0.85),
        "wide_res": (0.5, 0.85),
        "shufflenet": (0.3, 1.6),
    }
    found = [weight for start, weight in exceptions.items() if network.startswith(start)]
    return found[0] if found else (0.7, 1.2)


def fill(net, norm_weight=(1.0, 0.3)):
    """Replaces all weights and running statistics; the network is left in f32.

    `norm_weight` is the offset and the scale of the batch norms' weights.
    """
    norms = {n for n, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)}
    state = net.state_dict()
    for t, key in enumerate(drawn(net)):
        module, kind = key.rpartition(".")[::2]
        shape = state[key].shape
        offset, scale = 0.0, 0.1
        if module in norms:
            ranges = {"running_var": (1.0, 0.5), "weight": norm_weight}
            offset, scale = ranges.get(kind, (0.0, 0.2))
        elif kind == "weight":
            scale = (6 / np.prod(shape[1:])) ** 0.5
        state[key].copy_(draw(t, shape, scale, offset))
    for module in net.modules():
        if isinstance(module, (nn.ReLU, nn.ReLU6)):
            module.inplace = False
    return net.eval()


def picture(size):
    """The drawn picture, NCHW and already normalised."""
    return draw(1000, (1, 3, *size), 2.0)
