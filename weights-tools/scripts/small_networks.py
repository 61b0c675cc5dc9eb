"""The small networks of tests/golden/README.md: odd sizes, and one peculiarity each."""

from collections import OrderedDict

import torch
from torch import nn
from zennit.layer import Sum


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


class InvertedResiduals(nn.Module):
    """As in MobileNetV2: depthwise, ReLU6, and outputs of either sign."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(6)
        self.relu0 = nn.ReLU6()
        self.expand = nn.Conv2d(6, 12, 1, bias=False)
        self.expand_norm = nn.BatchNorm2d(12)
        self.relu1 = nn.ReLU6()
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(12)
        self.relu2 = nn.ReLU6()
        self.project = nn.Conv2d(12, 6, 1, bias=False)
        self.project_norm = nn.BatchNorm2d(6)
        self.head = nn.Conv2d(6, 10, 1)
        self.relu3 = nn.ReLU6()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(10, 6)

    def forward(self, x):
        x = self.relu0(self.stem_norm(self.stem(x)))
        y = self.relu1(self.expand_norm(self.expand(x)))
        y = self.relu2(self.depthwise_norm(self.depthwise(y)))
        x = self.project_norm(self.project(y)) + x
        return self.fc(self.pool(self.relu3(self.head(x))).flatten(1))


class Shuffle(nn.Module):
    """As in ShuffleNetV2: one half passes, one is convolved, channels are interleaved."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.relu0 = nn.ReLU()
        self.branch = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.relu1 = nn.ReLU()
        self.conv = nn.Conv2d(8, 9, 3, stride=2)
        self.relu2 = nn.ReLU()
        self.thirds = nn.Conv2d(3, 3, (1, 2))
        self.fc = nn.Linear(9, 5)

    def forward(self, x):
        left, right = self.relu0(self.stem(x)).chunk(2, dim=1)
        x = torch.cat([left, self.relu1(self.norm(self.branch(right)))], 1)
        x = self.conv(shuffled(x, 2))
        first, second, third = self.relu2(x).split([3, 2, 4], dim=1)
        x = torch.cat([second.mean([2, 3]), self.thirds(first).mean([2, 3]), third.mean([2, 3])], 1)
        return self.fc(x)


def shuffled(x, groups):
    """Channels of all groups in turn."""
    count, channels, height, width = x.shape
    x = x.view(count, groups, channels // groups, height, width)
    return x.transpose(1, 2).contiguous().view(count, channels, height, width)


def local_response():
    return chain(
        conv0=nn.Conv2d(3, 7, 3, stride=2),
        relu0=nn.ReLU(),
        norm0=nn.LocalResponseNorm(5, alpha=0.5, beta=0.75, k=1.5),
        pool0=nn.MaxPool2d(3, stride=2, ceil_mode=True),
        conv1=nn.Conv2d(7, 8, 3, padding=1),
        relu1=nn.ReLU(),
        norm1=nn.LocalResponseNorm(4, alpha=0.2, beta=0.5),
        flatten=nn.Flatten(),
        fc=nn.Linear(8 * 3 * 2, 5),
    )


def zero_pads():
    """As TensorFlow pads: more at the end than at the beginning."""
    return chain(
        pad0=nn.ZeroPad2d((0, 1, 0, 2)),
        conv0=nn.Conv2d(3, 6, 3, stride=2),
        relu0=nn.ReLU(),
        pad1=nn.ZeroPad2d((1, 2, 0, 1)),
        conv1=nn.Conv2d(6, 8, (2, 3), stride=2, bias=False),
        norm1=nn.BatchNorm2d(8),
        relu1=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(8, 5),
    )


FURTHER_SMALL = {
    "inverted_residuals": (InvertedResiduals, (11, 14)),
    "shuffle": (Shuffle, (9, 10)),
    "local_response": (local_response, (13, 11)),
    "zero_pads": (zero_pads, (11, 13)),
}


def softmax():
    return chain(
        conv=nn.Conv2d(3, 6, 3),
        relu=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        dropout=nn.Dropout(),
        fc=nn.Linear(6, 5),
        softmax=nn.Softmax(1),
    )


class Reshapes(nn.Module):
    """A head of products and sums, where others have fully connected layers."""

    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.relu0 = nn.ReLU()
        self.conv1 = nn.Conv2d(6, 8, 3, stride=2)
        self.relu1 = nn.ReLU()
        self.first = Product(8 * 2 * 3, 9)
        self.relu2 = nn.ReLU()
        self.second = nn.Linear(9, 7)
        self.relu3 = nn.ReLU()
        self.third = nn.Linear(7, 5, bias=False)

    def forward(self, x):
        x = self.relu1(self.conv1(self.relu0(self.conv0(x))))
        x = self.first(x.reshape(x.shape[0], -1))
        return self.third(self.relu3(self.second(self.relu2(x))))


class Product(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class GlobalMean(nn.Module):
    """The last convolution makes the classes; nothing but their means follows."""

    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 6, 3, padding=1)
        self.relu0 = nn.ReLU()
        self.conv1 = nn.Conv2d(6, 5, 1)

    def forward(self, x):
        return self.conv1(self.relu0(self.conv0(x))).mean((2, 3))


# Without reference maps: only exported, by export_onnx.py.
EXPORTED = {
    "softmax": (softmax, (9, 8)),
    "reshapes": (Reshapes, (11, 13)),
    "global_mean": (GlobalMean, (7, 9)),
}
