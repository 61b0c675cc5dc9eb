"""Times clrp against PyTorch, zennit, Captum and onnxruntime, turn by turn on one machine.

    cargo build --release -p clrp-cli
    python benches/peers/compare.py --clrp target/release/clrp >> benches/RESULTS.md

Needs torch, torchvision, zennit, captum, onnx and onnxruntime. All networks have random weights: what
is computed does not depend on them. Every round runs each peer and then clrp with as many threads
(`RAYON_NUM_THREADS`); a ratio is the median over the rounds of clrp's time by the peer's. Peers stay in one process
from round to round, clrp has a new one for each, whose first runs are slower: three times as many of its runs
are timed.

A peer's CLRP is two passes of zennit's LRP (EpsilonPlus, batch norm merged), one for the class and one for
what is set against it, as the paper describes it; clrp's is one run with the composite `contrastive`.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib import metadata

try:
    import captum
    import onnxruntime
    import torch
    from captum.attr import Saliency
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus
    from networks import NETWORKS, canonizers, network, seconds
except ImportError as missing:
    sys.exit(f"{__doc__}\n{missing}: see what it needs, above")

# What clrp is meant to reach: forward / PyTorch's, CLRP1 / two passes of zennit's, CLRP1 / its forward.
AIMS = {
    "alexnet": (0.8, 1 / 9),
    "vgg16": (0.6, 1 / 6),
    "googlenet": (0.8, 1 / 6),
    "inception_v3": (0.7, 1 / 5),
    "resnet50": (0.7, 1 / 5),
}
OWN_AIM = 3.2


def onnx_session(model, picture, folder, threads):
    path = os.path.join(folder, "network.onnx")
    torch.onnx.export(model, picture, path, dynamo=False, opset_version=17)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def clrp_times(binary, name, repeats, threads):
    line = [binary, "bench", "--model", name, "--device", "cpu", "--method", "clrp1,gradient"]
    line += ["--rounds", str(3 * repeats), "--json"]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)["results"]
    return {result["method"]: result["median_s"] for result in results}


def compare(binary, name, rounds, repeats, threads):
    """For each round the times of all."""
    model, picture = network(name)
    one_hot = torch.zeros(1, 1000)
    one_hot[0, 0] = 1
    others = (1 - one_hot) / 999
    composite = EpsilonPlus(canonizers=canonizers(name))
    attributor = Gradient(model=model, composite=composite)
    saliency = Saliency(model)

    def forward():
        with torch.no_grad():
            model(picture)

    def two_passes():
        with attributor:
            attributor(picture.clone().requires_grad_(True), one_hot)
            attributor(picture.clone().requires_grad_(True), others)

    found = []
    with tempfile.TemporaryDirectory() as folder:
        session = onnx_session(model, picture, folder, threads)
        name_of_input = session.get_inputs()[0].name
        feed = {name_of_input: picture.numpy()}
        peers = {
            "torch": forward,
            "zennit": two_passes,
            "captum": lambda: saliency.attribute(picture.clone().requires_grad_(True), target=0),
            "onnxruntime": lambda: session.run(None, feed),
        }
        for run in peers.values():
            run()
        for _ in range(rounds):
            times = {peer: seconds(run, repeats) for peer, run in peers.items()}
            times.update(clrp_times(binary, name, repeats, threads))
            found.append(times)
    return found


def ratio(found, one, other):
    return statistics.median(times[one] / times[other] for times in found)


def cpu_name():
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clrp", required=True, help="the binary")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which each runs all of them (3)")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each in a round (5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of all of them (all)")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="names with commas between them (all five)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    version = subprocess.run([options.clrp, "--version"], capture_output=True, text=True).stdout
    print(f"\n## CPU, one picture, f32, {datetime.date.today()}\n")
    print(
        f"{cpu_name()}, {options.threads} threads; {version.strip()}, PyTorch {torch.__version__}, "
        f"zennit {metadata.version('zennit')}, Captum {captum.__version__}, onnxruntime "
        f"{onnxruntime.__version__}. Medians of {options.rounds} rounds; in brackets what is aimed at.\n"
    )
    print("| network | forward / PyTorch's | CLRP1 / zennit's two passes | CLRP1 / own forward "
          "| gradient / Captum's | forward / onnxruntime's | forward, CLRP1 [ms] |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in options.networks.split(","):
        found = compare(options.clrp, name, options.rounds, options.repeats, options.threads)
        forward_aim, clrp_aim = AIMS[name]
        of = {key: statistics.median(times[key] for times in found) for key in found[0]}
        print(
            f"| {name} | {ratio(found, 'forward', 'torch'):.2f} (<= {forward_aim}) "
            f"| 1/{1 / ratio(found, 'clrp1', 'zennit'):.1f} (<= 1/{1 / clrp_aim:.0f}) "
            f"| {ratio(found, 'clrp1', 'forward'):.2f} (<= {OWN_AIM}) "
            f"| {ratio(found, 'gradient', 'captum'):.2f} "
            f"| {ratio(found, 'forward', 'onnxruntime'):.2f} "
            f"| {1e3 * of['forward']:.1f}, {1e3 * of['clrp1']:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
