"""Writes assets/digits.bin, the handwritten digits that scenes are made of.

The 1797 digits of scikit-learn's `load_digits` (UCI, CC BY 4.0), in its order,
33 bytes each: the label, then 64 pixels row by row, two to a byte, the left
one in the high four bits. Ink is 0..=16 in the source; 16 is stored as 15.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

ASSETS = Path(__file__).resolve().parents[2] / "assets"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=ASSETS / "digits.bin")
    output = parser.parse_args().output

    digits = load_digits()
    ink = np.minimum(digits.data, 15).astype(np.uint8)
    packed = ink[:, 0::2] << 4 | ink[:, 1::2]
    labels = digits.target.astype(np.uint8)[:, None]
    content = np.hstack([labels, packed]).tobytes()

    output.write_bytes(content)
    print(f"{output}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
