"""The networks that are timed, and how: what the scripts of this folder share."""

import statistics
import time

import torch
import torchvision
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.torchvision import ResNetCanonizer, VGGCanonizer

NETWORKS = ["alexnet", "vgg16", "googlenet", "inception_v3", "resnet50"]
ALONE = {"init_weights": False}


def network(name):
    options = ALONE if name in ("googlenet", "inception_v3") else {}
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None, **options).eval()
    size = 299 if name == "inception_v3" else 224
    return model, torch.randn(1, 3, size, size)


def canonizers(name):
    if name.startswith("vgg"):
        return [VGGCanonizer()]
    if name.startswith("resnet"):
        return [ResNetCanonizer()]
    return [SequentialMergeBatchNorm()]


def seconds(run, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
