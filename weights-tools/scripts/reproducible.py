"""Writes safetensors files whose bytes depend on their content alone."""

import hashlib
import json

from safetensors.numpy import save


def write(path, arrays, metadata):
    """Writes arrays and string metadata; prints the size and the SHA-256."""
    content = save(arrays, metadata)
    # safetensors puts the metadata in a random order.
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    assert len(text) <= length
    content = content[:8] + text.ljust(length) + content[8 + length :]

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    print(f"{path}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}", flush=True)
