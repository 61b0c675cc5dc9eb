"""Times clrp on a GPU against PyTorch and zennit on the same one, turn by turn.

    cargo build --release -p clrp-cli
    python benches/peers/compare_gpu.py --clrp target/release/clrp >> benches/RESULTS.md

Needs torch with CUDA (or ROCm), torchvision and zennit. Networks, peers and ratios are those of
`compare.py`; TF32 is off. Memory is what the card has in use at most while a process runs, less what it had
before, sampled by `nvidia-smi`: of clrp's process, and of this one with PyTorch's caches emptied.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import threading

try:
    import torch
    import torchvision
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus
    from networks import NETWORKS, canonizers, network, seconds
except ImportError as missing:
    sys.exit(f"{__doc__}\n{missing}: see what it needs, above")

# What clrp is meant to reach: CLRP1 / two passes of zennit's, by network and batch.
AIMS = {("vgg16", 1): 1 / 4, ("vgg16", 32): 1 / 2}
# How much faster than in 32 bit it is meant to be with `--precision fast` in batches of 32.
FAST_AIM = 2


def used_memory():
    """MiB of the first card that are in use, or None where nobody tells."""
    line = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    try:
        return int(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


class Memory:
    """The most that is in use while it is entered, less what was before, in MiB."""

    def __enter__(self):
        self.before = used_memory()
        self.most = self.before
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        if self.before is not None:
            self.thread.start()
        return self

    def watch(self):
        while not self.done.wait(0.02):
            self.most = max(self.most, used_memory() or 0)

    def __exit__(self, *_):
        self.done.set()
        if self.before is not None:
            self.thread.join()

    def taken(self):
        return None if self.before is None else self.most - self.before


def clrp(options, name, batch, precision):
    """Seconds by method; ends the script if that fails, or tells it where it may."""
    line = [options.clrp, "bench", "--model", name, "--device", options.device, "--method", "clrp1"]
    line += ["--batch", str(batch), "--rounds", str(options.repeats), "--json"]
    line += ["--precision", precision]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0 and precision == "fast":
        print(f"{name}, batch {batch}: {done.stderr.strip()}", file=sys.stderr)
        return {}
    if done.returncode != 0:
        raise SystemExit(f"{name}, batch {batch}: {done.stderr.strip()}")
    results = json.loads(done.stdout)["results"]
    return {f"{precision} {result['method']}": result["median_s"] for result in results}


def synchronized(run, device):
    def timed():
        run()
        if device != "cpu":
            torch.cuda.synchronize()

    return timed


def compare(options, name, batch):
    """The medians over the rounds of all peers, and the memory of clrp and PyTorch."""
    device = options.torch_device
    model, picture = network(name)
    model = model.to(device)
    on_host = picture.repeat(batch, 1, 1, 1)
    pictures = on_host.to(device)
    one_hot = torch.zeros(batch, 1000, device=device)
    one_hot[:, 0] = 1
    others = (1 - one_hot) / 999
    attributor = Gradient(model=model, composite=EpsilonPlus(canonizers=canonizers(name)))

    def forward():
        with torch.no_grad():
            model(pictures)

    def two_passes():
        # As clrp's, pictures come from the host, and maps go back to it.
        with attributor:
            for output in (one_hot, others):
                _, map_ = attributor(on_host.to(device).requires_grad_(True), output)
                map_.cpu()

    peers = {"torch": synchronized(forward, device), "zennit": synchronized(two_passes, device)}
    with Memory() as memory:
        for run in peers.values():
            run()
    taken = {"zennit": memory.taken()}
    found, precisions = [], ["f32"] + (["fast"] if options.fast else [])
    for _ in range(options.rounds):
        times = {peer: seconds(run, options.repeats) for peer, run in peers.items()}
        if device != "cpu":
            torch.cuda.empty_cache()
        for precision in precisions:
            times.update(clrp(options, name, batch, precision))
        found.append(times)
    # In a run of its own: to ask for it takes time.
    with Memory() as memory:
        clrp(options, name, batch, "f32")
    taken["f32"] = memory.taken()
    of_all = set.intersection(*(set(times) for times in found))
    medians = {key: statistics.median(times[key] for times in found) for key in of_all}
    return medians, taken


def row(name, batch, medians, taken):
    ratio = medians["f32 clrp1"] / medians["zennit"]
    aim = AIMS.get((name, batch), 1)
    fast = "-"
    if "fast clrp1" in medians:
        fast = f"{medians['f32 clrp1'] / medians['fast clrp1']:.2f}"
    milliseconds = [1000 * medians[key] for key in ("f32 clrp1", "zennit", "f32 forward", "torch")]
    memory = ", ".join("?" if taken[key] is None else str(taken[key]) for key in ("f32", "zennit"))
    return (
        f"| {name} | {batch} | {milliseconds[0]:.1f}, {milliseconds[1]:.1f} | "
        f"{ratio:.2f} (<= {aim:.2f}) | {milliseconds[2]:.1f}, {milliseconds[3]:.1f} | {fast} | {memory} |"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clrp", required=True, help="the binary")
    parser.add_argument("--device", default="gpu", help="clrp's name of the GPU")
    parser.add_argument("--torch-device", default="cuda", help="PyTorch's name of the GPU (cuda)")
    parser.add_argument("--fast", action="store_true", help="with `--precision fast`, too")
    parser.add_argument("--batches", default="1,8,32", help="pictures at once, with commas between them (1,8,32)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which each runs all of them (3)")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each in a round (5)")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="names with commas between them (all five)")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    version = subprocess.run([options.clrp, "--version"], capture_output=True, text=True).stdout
    card = "no GPU"
    if options.torch_device != "cpu":
        card = torch.cuda.get_device_name(0)
    print(f"\n## GPU, {datetime.date.today()}\n")
    print(
        f"{card}, {os.cpu_count()} CPU threads; {version.strip()} on `{options.device}`, PyTorch "
        f"{torch.__version__}, torchvision {torchvision.__version__}. Medians of {options.rounds} rounds, "
        f"turn by turn; fast: how many times faster `--precision fast` is (aim in batches of 32: "
        f"{FAST_AIM}).\n"
    )
    print(
        "| network | batch | CLRP1, two passes of zennit [ms] | ratio (aim) | forward, PyTorch's [ms] | "
        "fast | memory, zennit's [MiB] |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in options.networks.split(","):
        for batch in map(int, options.batches.split(",")):
            print(row(name, batch, *compare(options, name, batch)), flush=True)


if __name__ == "__main__":
    main()
