"""Embeds faces so that two pictures of one person lie near one another: dlib's face recognition network in PyTorch.

The weights are Davis King's ``dlib_face_recognition_resnet_model_v1`` (CC0), 29 convolutions; each layer's affine
normalisation is folded into its convolution, and matrices are stored in float16.
``experiments/face_identity_from_dlib.py`` makes the file and compares it with dlib.
Letters: B pictures, S crop side, E = 128 numbers of an embedding.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor, nn

from dithead.errors import ModelError
from dithead.face.alignment import EYE_DISTANCE, EYE_LINE
from dithead.types import RGB

SAME_PERSON = 0.6
"""Distance of two embeddings below which dlib takes two pictures for one person (its author: 99.38 % right on LFW)."""
CHIP = 150
"""Side in pixels of the pictures that the network was trained on."""
_MEAN = (122.782, 117.001, 104.298)  # of R, G, B, subtracted from the input, as dlib does
_STAGES = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))  # channels and residual blocks of each stage
_LAST_OF_STAGE = tuple(k == count - 1 for _, count in _STAGES for k in range(count))
# Where dlib's alignment puts the outer corners of the eyes in its picture (``get_face_chip_details``, padding 0.25).
_EYES_APART, _EYES_DOWN = (0.8595674595992 - 0.1205750620789) / 1.5, (0.25 + 0.2136130) / 1.5
_FOLDER, _FILE = "identity", "identity.safetensors"


class FaceIdentity(nn.Module):
    """dlib's residual network. Source: dnn_face_recognition_ex.cpp of dlib 19."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        blocks, width = [], 32
        for number, (channels, count) in enumerate(_STAGES):
            for k in range(count):
                blocks.append(_Block(width, channels, halve=k == 0 and number > 0))
                width = channels
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(width, 128, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        """Embed pictures (B, 3, 150, 150) with values 0 to 255, R first, as (B, 128); differentiable."""
        embedding: Tensor = self.head(self.features(chips)[-1].mean((2, 3)))
        return embedding

    def features(self, chips: Tensor) -> list[Tensor]:
        """Compute what each stage makes of pictures (B, 3, 150, 150), from (B, 32, 35, 35) to (B, 256, 3, 3)."""
        x = (chips - torch.tensor(_MEAN, device=chips.device).view(3, 1, 1)) / 256
        x, stages = F.max_pool2d(F.relu(self.stem(x)), 3, 2), []
        for block, last in zip(self.blocks, _LAST_OF_STAGE, strict=True):
            x = block(x)
            stages += [x] if last else []
        return stages


class _Block(nn.Module):
    """Two convolutions beside a shortcut, which is averaged and padded with zeros where the picture is halved."""

    def __init__(self, inputs: int, channels: int, *, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.first = nn.Conv2d(inputs, channels, 3, 2 if halve else 1, 0 if halve else 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(x)))
        shortcut = F.avg_pool2d(x, 2, 2) if self.halve else x
        return F.relu(_sum(y, shortcut))


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """The sum of two tensors, each padded at the end with zeros to the larger size, as dlib's ``add_prev``."""
    size = [max(m, n) for m, n in zip(a.shape[1:], b.shape[1:], strict=True)]
    return _padded(a, size) + _padded(b, size)


def _padded(x: Tensor, size: list[int]) -> Tensor:
    channels, height, width = (n - m for n, m in zip(size, x.shape[1:], strict=True))
    return F.pad(x, (0, width, 0, height, 0, channels))


@cache
def load_face_identity() -> FaceIdentity:
    """Load the shipped network, verified, in evaluation mode.

    Raises:
        ModelError: Its file is missing or damaged.
    """
    folder = Path(str(files("dithead"))) / "weights" / _FOLDER
    try:
        expected = json.loads((folder / "hashes.json").read_text("utf-8"))[_FILE]
        content = (folder / _FILE).read_bytes()
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: the face identity network cannot be read ({error}); reinstall dithead") from None
    if hashlib.sha256(content).hexdigest() != expected:
        raise ModelError(f"{folder / _FILE} does not match its SHA-256; reinstall dithead")
    network = FaceIdentity()
    network.load_state_dict({name: value.float() for name, value in load(content).items()})
    return network.eval().requires_grad_(False)


def embed_crops(crops: list[RGB], network: FaceIdentity | None = None) -> NDArray[np.float32]:
    """Embed aligned crops of faces.

    Args:
        crops: (S, S, 3) each, as ``face.alignment`` cuts them.
        network: The network; the shipped one by default.

    Returns:
        (B, 128); distances between rows are Euclidean.
    """
    network = network or load_face_identity()
    pictures = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        return network(chips_of_crops(pictures)).numpy()


def chips_of_crops(crops: Tensor) -> Tensor:
    """Cut dlib's pictures (B, 3, 150, 150) out of aligned crops (B, 3, S, S); differentiable.

    Both alignments place the outer corners of the eyes, so that one shift and one scale lead from one to the other.
    """
    scale = EYE_DISTANCE / _EYES_APART  # sides of the crop that a side of the chip covers
    down = EYE_LINE + (0.5 - _EYES_DOWN) * scale  # the chip's middle in the crop, as a fraction of S
    theta = crops.new_tensor([[scale, 0, 0], [0, scale, 2 * down - 1]]).expand(len(crops), 2, 3)
    grid = F.affine_grid(theta, [len(crops), 3, CHIP, CHIP], align_corners=False)
    return F.grid_sample(crops, grid, padding_mode="border", align_corners=False)
