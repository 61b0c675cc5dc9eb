"""Writes weights-tools/tests/checkpoints, small checkpoints of all containers.

Each has a safetensors file beside it with what `torch.load` reads from it. The
TAR container has no writer any more: it is written here by hand and read by
torch's own reader. `float64` is stored as `float32`, as clrp reads it.
"""

import argparse
import hashlib
import io
import pickle
import struct
import tarfile
import warnings
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

CHECKPOINTS = Path(__file__).resolve().parents[1] / "tests" / "checkpoints"
GENERATOR = torch.Generator().manual_seed(1)


def random(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=GENERATOR).to(dtype)


def plain():
    return OrderedDict(
        [
            ("conv.weight", random(4, 3, 2, 2)),
            ("conv.bias", random(4)),
            ("bn.running_var", random(4).abs()),
            ("bn.num_batches_tracked", torch.tensor(7)),
        ]
    )


def types():
    tensors = {
        "f64": random(3, 2, dtype=torch.float64),
        "f32": random(3, 2),
        "f16": random(3, 3, dtype=torch.float16),
        "bf16": random(5, dtype=torch.bfloat16),
        "scalar": random(),
        "empty": torch.zeros(0, 3),
        "bool": torch.tensor([True, False]),
    }
    for name in ["int64", "int32", "int16", "int8", "uint8"]:
        tensors[name] = torch.tensor([1, 2, 3], dtype=getattr(torch, name))
    return tensors


def views():
    base, half = random(6, 8), random(4, 4, dtype=torch.float16)
    return {
        "base": base,
        "same": base,
        "rows": base[2:4],
        "columns": base[:, 3:5],
        "transposed": base.t(),
        "steps": base[::2, 1::3],
        "permuted": base.view(2, 3, 8).permute(2, 0, 1),
        "expanded": base[:1, :1].expand(3, 4),
        "half.transposed": half.t(),
        "half.row": half[3],
        "channels_last": random(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }


def wrapped():
    state = {f"module.{name}": tensor for name, tensor in plain().items()}
    return {"epoch": 3, "best_prec1": 91.78, "arch": "resnet20", "state_dict": state}


def parameters():
    linear = torch.nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(random(2, 3))
        linear.bias.copy_(random(2))
    return {"model": {"model_state_dict": dict(linear.named_parameters())}}


def module_state():
    """A real `state_dict()`, which carries `_metadata` as an attribute."""
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(random(*parameter.shape))
    return module.state_dict()


def state_of(checkpoint):
    """The tensors within the wrappers, under their names without `module.`."""
    for wrapper in ["state_dict", "model", "model_state_dict"]:
        checkpoint = checkpoint.get(wrapper, checkpoint)
    if all(name.startswith("module.") for name in checkpoint):
        return {name.removeprefix("module."): tensor for name, tensor in checkpoint.items()}
    return checkpoint


class TarPickler(pickle.Pickler):
    """Writes each tensor as the number it has in the table."""

    def __init__(self, file, numbers):
        super().__init__(file, protocol=2)
        self.numbers = numbers

    def persistent_id(self, value):
        return str(self.numbers[id(value)]) if isinstance(value, torch.Tensor) else None


def write_tar(path, checkpoint):
    """As torch wrote before 0.1.10: see `legacy_load` in torch/serialization.py."""
    tensors, storages = io.BytesIO(), io.BytesIO()
    listed = list(checkpoint.values())
    roots = {tensor.untyped_storage().data_ptr(): tensor for tensor in listed}
    keys = {pointer: 100 + i for i, pointer in enumerate(roots)}

    pickle.dump(len(roots), storages, protocol=2)
    for pointer, tensor in roots.items():
        kind = getattr(torch, tensor.type().split(".")[1].replace("Tensor", "Storage"))
        pickle.dump((keys[pointer], "cpu", kind), storages, protocol=2)
        raw = bytes(tensor.untyped_storage())
        storages.write(struct.pack("<q", len(raw) // tensor.element_size()) + raw)
    # A stretch of the first storage, without its first two numbers.
    first = listed[0]
    size = first.untyped_storage().nbytes() // first.element_size() - 2
    pickle.dump([(99, 100, 2, size)], storages, protocol=2)

    pickle.dump(len(listed) + 1, tensors, protocol=2)
    numbers = {}
    for number, tensor in enumerate(listed):
        numbers[id(tensor)] = number
        key = keys[tensor.untyped_storage().data_ptr()]
        pickle.dump((number, key, type_of(tensor)), tensors, protocol=2)
        tensors.write(sizes_of(tensor.shape, tensor.stride(), tensor.storage_offset()))
    stretch = first.flatten()[2:]
    numbers[id(stretch)] = len(listed)
    pickle.dump((len(listed), 99, type_of(stretch)), tensors, protocol=2)
    tensors.write(sizes_of(stretch.shape, stretch.stride(), 0))

    content = io.BytesIO()
    TarPickler(content, numbers).dump(OrderedDict(checkpoint, stretch=stretch))
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, member in [("storages", storages), ("tensors", tensors), ("pickle", content)]:
            info = tarfile.TarInfo(name)
            info.size = len(member.getvalue())
            archive.addfile(info, io.BytesIO(member.getvalue()))


def type_of(tensor):
    return getattr(torch, tensor.type().split(".")[1])


def sizes_of(shape, strides, offset):
    rank = len(shape)
    return struct.pack(f"<ii{rank}q{rank}qq", rank, 0, *shape, *strides, offset)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=CHECKPOINTS)
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")

    files = []
    for make in [plain, types, views, wrapped, parameters, module_state]:
        checkpoint = make()
        for ending, zipped in [("zip.pt", True), ("legacy.pth", False)]:
            files.append(output / f"{make.__name__}.{ending}")
            torch.save(checkpoint, files[-1], _use_new_zipfile_serialization=zipped)
    files.append(output / "protocol4.legacy.pth")
    torch.save(plain(), files[-1], pickle_protocol=4, _use_new_zipfile_serialization=False)
    files.append(output / "plain.tar.pth")
    write_tar(files[-1], OrderedDict(plain(), transposed=random(3, 2).t()))

    for path in files:
        state = state_of(torch.load(path, weights_only=False))
        expected = {}
        for name, tensor in state.items():
            expected[name] = tensor.detach().clone(memory_format=torch.contiguous_format)
        save_file(expected, path.with_suffix(path.suffix + ".safetensors"))
        content = path.read_bytes()
        print(f"{path}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
