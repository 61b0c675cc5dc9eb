"""Evaluates explanations of SqueezeNet 1.1 on pictures with boxes, in float64.

    python evaluate_boxed.py DATA CLRP [--out DIR] [--count N] [--only squash]

DATA holds weights/squeezenet1_1.safetensors and boxed/ilsvrc2012-val-400: pictures squashed to
227x227, and boxes.csv, in which boxes are those of the original pictures. Writes
<preprocess>-<composite>.csv to tests/golden/boxed and prints a table for each: accuracies by the
maximum and by shares of the energy, the drop of the logit, and means of the other columns.

CLRP is the program that is checked. It decodes the pictures, and nothing else: JPEG decoders
round differently. Of these pictures 1 % of the bytes are 1 to 3 off libjpeg's, and logits 0.01.

The maps are this script's own; those of the first picture are held against zennit's.

A map is reduced to a plane: relevance by the sum over channels, gradients by their largest
absolute value. Its energy is what is above 0; a plane without energy hits nothing.

    maximum    column and row of the largest value, the first of equals row by row
    hit        whether the maximum lies in the region, the union of the boxes: a pixel belongs to
               a box if its centre does, the left and the upper edge included
    tolerance  TorchRay: whether the region has a pixel less than 15 pixels from the maximum
    any        Quantus: whether any pixel with the largest value lies in the region
    reach      the share of the energy in values greater than the largest outside the region; a
               threshold that keeps a share p hits if the reach is positive and p or more
    mass       relevance mass accuracy (Arras et al. 2022): the share of the energy in the region
    rank       relevance rank accuracy: of as many of the largest values as the region has pixels,
               the share in the region, of equals the first row by row
    drop       what logit and probability of the class lose if the 9x9 pixels around the maximum
               (fewer at borders) are replaced by the mean picture
"""

import argparse
import copy
import csv
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import conv2d
from torch.nn.grad import conv2d_input
from torchvision.models import squeezenet1_1
from torchvision.transforms import CenterCrop, Resize

from explanations import composite, gradient_maps, relevance_maps

GOLDEN = Path(__file__).resolve().parents[2] / "tests/golden/boxed"
SHORT_SIDE, SIDE = 256, 224
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
STABILIZER = 1e-9
TOLERANCE = 15
PATCH = 9
RELEVANCE, GRADIENTS = ("lrp", "clrp1", "clrp2"), ("gradient", "guided-backprop")
BASELINE = "centre"
COMPOSITES = {"gu2018": "even", "contrastive": "proportional"}
EVALUATED = {"squash": ("gu2018", "contrastive"), "center-crop": ("contrastive",)}
SHARES = (0.01, 0.1, 0.3, 0.5)
COLUMNS = (
    "file,class,method,max_x,max_y,hit,tolerance,any,reach,mass,rank,drop_logit,"
    "drop_probability"
).split(",")


# Pictures and boxes.


def read_boxes(path):
    """For each file its class, and its boxes as shares of the picture's width and height."""
    pictures = {}
    with open(path, newline="") as lines:
        for row in csv.DictReader(lines):
            number, width, height = (int(row[key]) for key in ("class_index", "orig_w", "orig_h"))
            sides = {"x": width, "y": height}
            box = [Fraction(int(row[key]), sides[key[0]]) for key in ("x0", "y0", "x1", "y1")]
            target, boxes = pictures.setdefault(row["file"], (number, []))
            assert target == number
            boxes.append(box)
    return pictures


def squash(picture):
    return Resize((SIDE, SIDE))(picture)


def center_crop(picture):
    return CenterCrop(SIDE)(Resize(SHORT_SIDE)(picture))


# How pictures become inputs, and how many pixels of the whole picture's width the input starts
# at, out of how many.
PREPROCESSES = {
    "squash": (squash, 0, SIDE),
    "center-crop": (center_crop, (SHORT_SIDE - SIDE) // 2, SHORT_SIDE),
}


def inside(start, end, offset, length):
    """Which pixels of the input's side have their centre between two edges."""
    centres = [Fraction(2 * i + 1, 2) for i in range(SIDE)]
    return np.array([start * length - offset <= c < end * length - offset for c in centres])


def region_of(boxes, offset, length):
    """The union of the boxes in the input, and how many of them cover none of its pixels."""
    region, cut_away = np.zeros((SIDE, SIDE), bool), 0
    for left, top, right, bottom in boxes:
        rows, columns = inside(top, bottom, offset, length), inside(left, right, offset, length)
        region |= rows[:, None] & columns
        cut_away += not (rows.any() and columns.any())
    return region, cut_away


def normalised(pictures):
    """From 0..255, height and width before channels, to the network's input."""
    return torch.from_numpy(np.moveaxis((pictures / 255 - MEAN) / STD, -1, -3).copy())


# The network and its rules.


def network(weights):
    net = squeezenet1_1()
    net.load_state_dict(load_file(weights))
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return net.double().eval().requires_grad_(False)


def stabilized(z):
    return z + STABILIZER * torch.where(z < 0, -1.0, 1.0).to(z.dtype)


class ConvolutionRule(torch.autograd.Function):
    """A convolution; backwards relevance, by pairs of an input and a weight.

    z is the sum of their convolutions, and each input takes its share of it.
    """

    @staticmethod
    def forward(context, x, module, terms):
        context.module = module
        context.terms = terms(x, module.weight)
        options = {"stride": module.stride, "padding": module.padding}
        context.z = stabilized(sum(conv2d(a, w, **options) for a, w in context.terms))
        return conv2d(x, module.weight, module.bias, **options)

    @staticmethod
    def backward(context, relevance):
        s = relevance / context.z
        stride, padding = context.module.stride, context.module.padding
        shares = [
            a * conv2d_input((len(s), *a.shape[1:]), w, s, stride, padding)
            for a, w in context.terms
        ]
        return sum(shares), None, None


def z_plus(x, weight):
    """Every input but the picture is at least 0."""
    assert x.min() >= 0
    return [(x, weight.clamp(min=0))]


def z_box(x, weight):
    """x w - l w+ - h w-, sorted by the sign of the weights; there is no padding."""
    low, high = (torch.from_numpy((v - MEAN) / STD).reshape(1, 3, 1, 1) for v in (0, 1))
    return [(x - low, weight.clamp(min=0)), (x - high, weight.clamp(max=0))]


class PassRule(torch.autograd.Function):
    """A ReLU that lets all relevance through."""

    @staticmethod
    def forward(_context, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(_context, relevance):
        return relevance


class GuidedRule(torch.autograd.Function):
    """A ReLU that lets through what is positive, where its input is."""

    @staticmethod
    def forward(context, x):
        context.active = x > 0
        return x.clamp(min=0)

    @staticmethod
    def backward(context, gradient):
        return gradient.clamp(min=0) * context.active


class ProportionalRule(torch.autograd.Function):
    """The global average pool; backwards each pixel takes its share of the mean."""

    @staticmethod
    def forward(context, x):
        mean = x.mean((2, 3), keepdim=True)
        context.share = x / x[0, 0].numel() / stabilized(mean)
        return mean

    @staticmethod
    def backward(context, relevance):
        return relevance * context.share


class Ruled(nn.Module):
    def __init__(self, function, *arguments):
        super().__init__()
        self.function, self.arguments = function, arguments

    def forward(self, x):
        return self.function.apply(x, *self.arguments)


def changed(net, rule_of):
    """A copy with the modules replaced for which `rule_of` gives something."""
    net = copy.deepcopy(net)
    for name, module in list(net.named_modules()):
        rule = rule_of(name, module)
        if rule is not None:
            net.set_submodule(name, rule)
    return net


def with_relevance(net, pools):
    def rule_of(name, module):
        if isinstance(module, nn.Conv2d):
            terms = z_box if name == "features.0" else z_plus
            return Ruled(ConvolutionRule, module, terms)
        if isinstance(module, nn.ReLU):
            return Ruled(PassRule)
        if isinstance(module, nn.AdaptiveAvgPool2d) and pools == "proportional":
            return Ruled(ProportionalRule)
        return None

    return changed(net, rule_of)


def with_guided_relus(net):
    def rule_of(_name, module):
        return Ruled(GuidedRule) if isinstance(module, nn.ReLU) else None

    return changed(net, rule_of)


def one_hot(logits, targets, values):
    return torch.zeros_like(logits).scatter(1, targets[:, None], values[:, None])


class Explainers:
    """The network under all rules; maps of a whole batch."""

    def __init__(self, net):
        self.net, self.guided = net, with_guided_relus(net)
        self.ruled, self.negated = {}, {}
        for name, pools in COMPOSITES.items():
            self.ruled[name] = with_relevance(net, pools)
            last = copy.deepcopy(net)
            for parameter in last.classifier[1].parameters():
                parameter.neg_()
            self.negated[name] = with_relevance(last, pools)

    def relevance(self, x, targets, composites):
        """For each composite and method a map; each contrast is the difference of two."""
        x = x.clone().requires_grad_()
        # Composites differ in the classifier only.
        features = self.ruled["gu2018"].features(x)
        top = features.detach().requires_grad_()

        def back(classifier, seed):
            arrived = torch.autograd.grad(classifier(top), top, seed.reshape(*seed.shape, 1, 1))
            return torch.autograd.grad(features, x, arrived, retain_graph=True)[0]

        found = {}
        for name in composites:
            classifier, negated = self.ruled[name].classifier, self.negated[name].classifier
            with torch.no_grad():
                logits = classifier(top).flatten(1)
            scores = logits.gather(1, targets[:, None])[:, 0].abs()
            seed = one_hot(logits, targets, scores)
            others = (scores / (logits.shape[1] - 1))[:, None].expand_as(logits)
            lrp = back(classifier, seed)
            dual1 = back(classifier, others.scatter(1, targets[:, None], 0.0))
            dual2 = back(negated, seed)
            maps = (lrp, (lrp - dual1).clamp(min=0), (lrp - dual2).clamp(min=0))
            found |= {(name, method): m for method, m in zip(RELEVANCE, maps)}
        return found

    def gradients(self, x, targets):
        found = {}
        for method, net in zip(GRADIENTS, (self.net, self.guided)):
            asked = x.clone().requires_grad_()
            score = net(asked).gather(1, targets[:, None]).sum()
            found[method] = torch.autograd.grad(score, asked)[0]
        return found

    def check(self, x, target):
        """Holds one picture's maps against zennit's."""
        targets = torch.tensor([target])
        with torch.no_grad():
            logits = self.net(x)
        ours = self.relevance(x, targets, COMPOSITES)
        for name, pools in COMPOSITES.items():
            rules = composite(self.net, x, pools)
            theirs = relevance_maps(self.net, x, logits, target, rules, RELEVANCE)
            for method in RELEVANCE:
                assert_close(ours[name, method][0], theirs[method], f"{name} {method}")
        theirs = gradient_maps(self.net, x, target, logits.shape[1])
        for method, found in self.gradients(x, targets).items():
            assert_close(found[0], theirs[method], method)


def assert_close(found, expected, what):
    error = (found - expected).norm()
    assert error <= 1e-10 * expected.norm(), f"{what} is off by {error / expected.norm():.1e}"


# What is asked of each plane.


def centre():
    """A map that points at the middle: how much nearer a pixel is to it than the corners are."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    distance = np.hypot(x, y)
    return distance.max() - distance


def measured(plane, region):
    """Where the plane's maximum is, and what the pointing games say."""
    at = plane.argmax()
    row, column = divmod(int(at), plane.shape[1])
    energy = np.maximum(plane, 0)
    total = energy.sum()
    if total == 0:
        return (column, row), dict.fromkeys(COLUMNS[5:11], 0)
    rows, columns = np.nonzero(region)
    near = (rows - row) ** 2 + (columns - column) ** 2 < TOLERANCE**2
    outside = energy[~region].max(initial=0)
    best = np.argsort(-energy, axis=None, kind="stable")[: region.sum()]
    return (column, row), {
        "hit": int(region[row, column]),
        "tolerance": int(near.any()),
        "any": int(region[energy == energy.max()].any()),
        "reach": energy[energy > outside].sum() / total,
        "mass": energy[region].sum() / total,
        "rank": region.flat[best].mean() if len(best) else 0,
    }


def ablated(x, mean, points):
    changed = x.clone()
    for picture, (column, row) in zip(changed, points):
        before = PATCH // 2
        rows = slice(max(row - before, 0), row + PATCH - before)
        columns = slice(max(column - before, 0), column + PATCH - before)
        picture[:, rows, columns] = mean[:, rows, columns]
    return changed


def scored(net, x, targets):
    with torch.no_grad():
        logits = net(x)
    pick = targets[:, None]
    return torch.cat([logits.gather(1, pick), logits.softmax(1).gather(1, pick)], 1).numpy()


class Evaluation:
    """The lines of all composites under one preprocessing."""

    def __init__(self, explainers, preprocess, pictures, files, mean):
        self.explainers, self.pictures, self.files, self.mean = explainers, pictures, files, mean
        self.apply, *self.placed = PREPROCESSES[preprocess]
        self.lines = {name: [] for name in EVALUATED[preprocess]}
        self.boxes = self.cut_away = self.empty = self.unscored = 0

    def batch(self, names):
        inputs = np.stack([prepared(self.files[name], self.apply) for name in names])
        x = normalised(inputs)
        targets = torch.tensor([self.pictures[name][0] for name in names])
        regions = []
        for name in names:
            boxes = self.pictures[name][1]
            region, cut_away = region_of(boxes, *self.placed)
            regions.append(region)
            self.boxes += len(boxes)
            self.cut_away += cut_away
            self.empty += not region.any()
        relevance = self.explainers.relevance(x, targets, self.lines)
        planes = {key: found.sum(1).numpy() for key, found in relevance.items()}
        for method, found in self.explainers.gradients(x, targets).items():
            planes["", method] = found.abs().amax(1).numpy()
        planes["", BASELINE] = np.stack([centre()] * len(names))
        whole = scored(self.explainers.net, x, targets)
        self.unscored += int((whole[:, 0] == 0).sum())
        for (name, method), each in planes.items():
            points, games = zip(*map(measured, each, regions))
            left = scored(self.explainers.net, ablated(x, self.mean, points), targets)
            for composite in [name] if name else self.lines:
                for i, file in enumerate(names):
                    line = {"file": file, "class": int(targets[i]), "method": method, **games[i]}
                    line["max_x"], line["max_y"] = points[i]
                    line["drop_logit"], line["drop_probability"] = whole[i] - left[i]
                    self.lines[composite].append(line)

    def table(self, composite):
        print(f"{'':19}max    1 %   10 %   30 %   50 %   drop |  15 px    any   mass   rank p drop")
        for method in (*RELEVANCE, *GRADIENTS, BASELINE):
            lines = [line for line in self.lines[composite] if line["method"] == method]

            def mean(key):
                return np.mean([line[key] for line in lines])

            reach = np.array([line["reach"] for line in lines])
            kept = [((reach > 0) & (reach >= share)).mean() for share in SHARES]
            first = [mean("hit"), *kept, mean("drop_logit")]
            rest = [mean(key) for key in ("tolerance", "any", "mass", "rank", "drop_probability")]
            numbers = [" ".join(f"{value:6.4f}" for value in part) for part in (first, rest)]
            print(f"{method:16}", " | ".join(numbers))


def decoded(paths, program, weights, folder):
    """Where PNG files of the pictures are: each is the mean of a data set of itself."""
    made = {}
    for path in paths:
        source = folder / path.stem / "class"
        source.mkdir(parents=True)
        (source / path.name).symlink_to(path.resolve())
        size = "x".join(map(str, reversed(Image.open(path).size)))
        mean = folder / f"{path.stem}.npy"
        line = [program, "evaluate", "mean-image", "--dataset", source.parent, "--format", "folder"]
        line += ["--model", "squeezenet1_1", "--weights", weights, "--size", size]
        line += ["--preprocess", "squash", "-o", mean]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        made[path.name] = mean.with_suffix(".png")
    return made


def prepared(path, apply):
    return np.asarray(apply(Image.open(path).convert("RGB")))


def text(value):
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def write(path, lines):
    order = {method: i for i, method in enumerate((*RELEVANCE, *GRADIENTS, BASELINE))}
    lines = sorted(lines, key=lambda line: (line["file"], order[line["method"]]))
    with open(path, "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        out.writerows([text(line[key]) for key in COLUMNS] for line in lines)
    print(path, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("clrp", type=Path)
    parser.add_argument("--out", type=Path, default=GOLDEN)
    parser.add_argument("--count", type=int, help="only the first pictures; the mean stays of all")
    parser.add_argument("--only", nargs="+", choices=PREPROCESSES, default=list(PREPROCESSES))
    parser.add_argument("--batch", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    boxed = arguments.data / "boxed/ilsvrc2012-val-400"
    pictures = read_boxes(boxed / "boxes.csv")
    names = sorted(pictures)[: arguments.count]
    weights = arguments.data / "weights/squeezenet1_1.safetensors"
    explainers = Explainers(network(weights))
    arguments.out.mkdir(parents=True, exist_ok=True)
    scratch = tempfile.TemporaryDirectory()
    paths = [boxed / "images" / name for name in sorted(pictures)]
    files = decoded(paths, arguments.clrp, weights, Path(scratch.name))
    for preprocess in arguments.only:
        apply, *_ = PREPROCESSES[preprocess]
        total = sum(prepared(file, apply).astype(np.int64) for file in files.values())
        mean = normalised(total / len(pictures))
        first = normalised(prepared(files[names[0]], apply))[None]
        explainers.check(first, pictures[names[0]][0])
        evaluation = Evaluation(explainers, preprocess, pictures, files, mean)
        for start in range(0, len(names), arguments.batch):
            evaluation.batch(names[start : start + arguments.batch])
        for composite, lines in evaluation.lines.items():
            print(f"{preprocess}, {composite}")
            evaluation.table(composite)
            write(arguments.out / f"{preprocess}-{composite}.csv", lines)
        print(
            f"{len(names)} pictures, {evaluation.boxes} boxes, {evaluation.cut_away} cut away, "
            f"{evaluation.empty} pictures without any, {evaluation.unscored} with a logit of 0"
        )


if __name__ == "__main__":
    main()
