"""Holds the table in src/fetch/published.rs against torchvision's own.

Prints the lines that differ, as they should be, and fails if there are any. The
weights are the IMAGENET1K_V1 ones; torchvision gives sizes in MiB, to the
thousandth, hence `size` is known to about 500 bytes. Needs `pip install torchvision`.
"""

import re
import sys
from pathlib import Path

from torchvision.models import get_model_weights

TABLE = Path(__file__).resolve().parents[1] / "src/fetch/published.rs"
BASE = "https://download.pytorch.org/models/"


def line(model):
    weights = get_model_weights(model).IMAGENET1K_V1
    name = weights.url.removeprefix(BASE)
    size = round(weights.meta["_file_size"] * 2**20)
    return f'published("{model}", "{name}", {size:_}),'


def main():
    table = re.findall(r'^ *(published\("(\w+)", .*\),)$', TABLE.read_text(), re.MULTILINE)
    wrong = [line(model) for found, model in table if found != line(model)]
    print(*wrong, f"{len(table)} models, {len(wrong)} differ", sep="\n")
    sys.exit(bool(wrong) or not table)


if __name__ == "__main__":
    main()
