"""Times `clrp explain` from the command line to the written picture against a Python script that does the same.

    cargo build --release -p clrp-cli
    python benches/peers/cold_start.py --clrp target/release/clrp >> benches/RESULTS.md

Needs torch, torchvision, zennit and Pillow. Weights are random, the picture is noise. Both read weights from
a file that lies in the system's cache, bring the picture to the network's size, explain the best class by CLRP1
(zennit: two passes of EpsilonPlus, batch norm merged) and write a PNG, turn by turn, each in a process of its own.
"""

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time

NETWORKS = ["alexnet", "vgg16", "resnet50"]
CLASSES = 1000


def explain(name, folder):
    """What a user of PyTorch runs."""
    import torch
    import torchvision
    from PIL import Image
    from torchvision import transforms
    from zennit.attribution import Gradient
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.composites import EpsilonPlus
    from zennit.torchvision import ResNetCanonizer, VGGCanonizer

    model = getattr(torchvision.models, name)(weights=None)
    model.load_state_dict(torch.load(f"{folder}/{name}.pth", weights_only=True))
    model.eval()
    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), normalize]
    picture = transforms.Compose(steps)(Image.open(f"{folder}/noise.jpg").convert("RGB"))[None]
    canonizer = SequentialMergeBatchNorm
    if name.startswith("vgg"):
        canonizer = VGGCanonizer
    elif name.startswith("resnet"):
        canonizer = ResNetCanonizer

    def of_best(scores):
        return torch.nn.functional.one_hot(scores.argmax(1), CLASSES) * scores.max(1).values.abs()

    def of_others(scores):
        start = of_best(scores)
        return (start == 0) * start.sum() / (CLASSES - 1)

    with Gradient(model, EpsilonPlus(canonizers=[canonizer()])) as attributor:
        maps = [attributor(picture, start)[1] for start in (of_best, of_others)]
    contrast = (maps[0] - maps[1]).clamp(min=0).sum(1)[0]
    largest = max(float(contrast.abs().max()), 1e-30)
    levels = (255 * contrast / largest).to(torch.uint8)
    Image.fromarray(levels.detach().numpy()).save(f"{folder}/python.png")


def prepare(networks, folder):
    """Weights and a picture, made in a process of its own so that this one stays small."""
    import torch
    import torchvision
    from PIL import Image

    torch.manual_seed(0)
    for name in networks:
        model = getattr(torchvision.models, name)(weights=None)
        torch.save(model.state_dict(), f"{folder}/{name}.pth")
    noise = torch.randint(0, 256, (375, 500, 3), dtype=torch.uint8)
    Image.fromarray(noise.numpy()).save(f"{folder}/noise.jpg")


def run(command):
    """Seconds and the most memory, in MB, of a process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        sys.exit(f"`{' '.join(command)}` failed")
    return seconds, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clrp", default="target/release/clrp", help="the binary")
    parser.add_argument(
        "--networks", type=lambda names: names.split(","), default=NETWORKS,
        help="names with commas between them (all three)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--prepare", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--explain", nargs=2, metavar=("NETWORK", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.prepare:
        return prepare(args.networks, args.prepare)
    if args.explain:
        return explain(*args.explain)
    own = [sys.executable, os.path.abspath(__file__)]
    print(f"\n## From the command line to the picture, CPU, {datetime.date.today()}\n")
    print("| network | seconds, Python's | ratio (aim) | peak memory, Python's [MB] | ratio (aim) |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*own, "--networks", *args.networks, "--prepare", folder], check=True)
        for name in args.networks:
            clrp = [args.clrp, "explain", f"{folder}/noise.jpg", "--model", name]
            clrp += ["--weights", f"{folder}/{name}.pth", "--method", "clrp1", "--device", "cpu"]
            clrp += ["-o", f"{folder}/clrp.png"]
            rounds = [(run(clrp), run([*own, "--explain", name, folder])) for _ in range(args.rounds)]
            middle = lambda of: statistics.median(of(*pair) for pair in rounds)
            times = [middle(lambda a, b: a[0]), middle(lambda a, b: b[0])]
            memory = [middle(lambda a, b: a[1]), middle(lambda a, b: b[1])]
            faster = middle(lambda a, b: b[0] / a[0])
            smaller = middle(lambda a, b: b[1] / a[1])
            print(
                f"| {name} | {times[0]:.2f}, {times[1]:.1f} | 1/{faster:.0f} (<= 1/5) "
                f"| {memory[0]:.0f}, {memory[1]:.0f} | 1/{smaller:.1f} (<= 1/3) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
