"""Trains the bundled network on scenes of handwritten digits.

A small VGG: 3x3 convolutions, max pooling, two fully connected layers. The
scenes come from the `clrp` command, the only generator there is; a scene has
one to three digits, and the loss is the cross-entropy against the uniform
distribution over them. Accuracies are of the weights as rounded to f16, on
digits that training never saw.
"""

import argparse
import csv
import subprocess
import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from reproducible import write
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

VERSION = "1"
ASSETS = Path(__file__).resolve().parents[2] / "assets"


# Widths of the convolutions, and the window of the max pooling after them.
STAGES = [([12], 2), ([24], 2), ([48], 2), ([64, 96], 8)]
HIDDEN = 64


def digits_net(batch_norm):
    """64x64 RGB, normalised to -1..1, to one logit a digit."""
    features, channels = [], 3
    for widths, window in STAGES:
        for width in widths:
            features += [nn.Conv2d(channels, width, 3, padding=1)]
            features += [nn.BatchNorm2d(width)] if batch_norm else []
            features += [nn.ReLU(inplace=True)]
            channels = width
        features += [nn.MaxPool2d(window)]
    classifier = [nn.Linear(channels, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, 10)]
    layers = {"features": features, "flatten": [nn.Flatten()], "classifier": classifier}
    return nn.Sequential(OrderedDict((name, nn.Sequential(*part)) for name, part in layers.items()))


def folded(net):
    """The same network without batch normalisation, which only speeds up training."""
    plain = digits_net(batch_norm=False).eval()
    pairs = zip(net.eval().features, [*net.features[1:], None])
    convolutions = [fuse_conv_bn_eval(*pair) for pair in pairs if isinstance(pair[0], nn.Conv2d)]
    slots = [layer for layer in plain.features if isinstance(layer, nn.Conv2d)]
    for slot, convolution in zip(slots, convolutions, strict=True):
        slot.load_state_dict(convolution.state_dict())
    plain.classifier.load_state_dict(net.classifier.state_dict())
    return plain


def scenes(clrp, split, digits, count, seed):
    """Normalised pictures and the (scene, digit) pairs in them."""
    with tempfile.TemporaryDirectory() as folder:
        npy, labels = Path(folder, "scenes.npy"), Path(folder, "scenes.csv")
        command = f"scenes --split {split} --digits {digits} --count {count} --seed {seed}"
        files = ["--npy", npy, "--labels", labels]
        subprocess.run([clrp, *command.split(), *files], check=True)
        pixels = torch.from_numpy(np.load(npy))
        with labels.open() as file:
            rows = [(int(row["index"]), int(row["digit"])) for row in csv.DictReader(file)]
    present = torch.zeros(count, 10)
    present[tuple(zip(*rows))] = 1
    return pixels.permute(0, 3, 1, 2), present


def normalise(pixels):
    return pixels.float() / 127.5 - 1


def cycle(parameters, rate, decay, steps):
    optimizer = torch.optim.AdamW(parameters, weight_decay=decay)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)


def train(net, pixels, target, epochs, batch=64):
    steps = len(pixels) // batch
    optimizer, schedule = cycle(net.parameters(), 3e-3, 0.02, epochs * steps)
    net.train()
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(len(pixels))[: steps * batch].split(batch):
            loss = nn.functional.cross_entropy(net(normalise(pixels[rows])), target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.4f}", flush=True)


def refit(net, pixels, target, steps=4000, batch=128, sparsity=2e-4):
    """Fits the classifier anew, with dropout and small weights.

    More features then speak for each class and fewer for several, and the
    contrastive maps tell the digits of a scene apart far better, at no loss of
    accuracy. Dropout from the start would hold up the training of the features.
    """
    with torch.no_grad():
        parts = [net.features(normalise(part)).flatten(1) for part in pixels.split(500)]
        features = torch.cat(parts)
    first, relu, last = net.classifier
    first.reset_parameters()
    last.reset_parameters()
    head = nn.Sequential(nn.Dropout(0.5), first, relu, nn.Dropout(0.5), last)
    optimizer, schedule = cycle(head.parameters(), 3e-3, 0.0, steps)
    for _ in range(steps):
        rows = torch.randint(len(features), (batch,))
        loss = nn.functional.cross_entropy(head(features[rows]), target[rows])
        loss = loss + sparsity * (first.weight.abs().sum() + last.weight.abs().sum())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def report(net, clrp, seed):
    """How often the digits of a scene are exactly the highest logits."""
    for digits in (1, 2, 3):
        pixels, present = scenes(clrp, "test", digits, 3000, seed)
        logits = torch.cat([net(normalise(part)) for part in pixels.split(500)])
        top = logits.topk(digits).indices
        hits = present.gather(1, top).all(1).float().mean().item()
        positive = (logits[present > 0] > 0).float().mean().item()
        print(
            f"{digits} digits: all in the top {digits} {hits:.4f}, logits positive {positive:.4f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clrp", default="clrp", help="the clrp command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=60000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--features", type=Path, help="keep this file's, fit the classifier only")
    parser.add_argument("-o", "--output", type=Path, default=ASSETS / "digits.safetensors")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    pixels, present = scenes(args.clrp, "train", "1-3", args.scenes, args.seed)
    target = present / present.sum(1, keepdim=True)
    if args.features:
        net = digits_net(batch_norm=False).eval()
        net.load_state_dict({k: v.float() for k, v in load_file(args.features).items()})
    else:
        net = digits_net(batch_norm=True)
        train(net, pixels, target, args.epochs)
        net = folded(net)
    torch.manual_seed(args.seed)
    refit(net, pixels, target)
    net.half().float()  # what is measured is what is stored
    report(net, args.clrp, args.seed + 1)

    metadata = {
        "source": "weights-tools/scripts/train_digits.py",
        "licence": "MIT OR Apache-2.0",
        "seed": str(args.seed),
        "version": VERSION,
    }
    arrays = {name: value.half().numpy() for name, value in net.state_dict().items()}
    write(args.output, arrays, metadata)


if __name__ == "__main__":
    main()
