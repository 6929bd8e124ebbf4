"""LPIPS, the perceptual distance, on published weight files: a metric, and a loss of stage one.

Three kinds of file are read: AlexNet as torchvision publishes it (.pth, or .safetensors with its keys), with the linear
heads that come with torchmetrics; StyleGAN's ``vgg16.pt``; or a TorchScript of two images in [-1, 1]. No Python code in
a file is run.
Letters: B batch, S image side, C channels, H and W feature height and width.
"""

from __future__ import annotations

import pickle
import warnings
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dithead.errors import MissingExtraError, ModelError

_STATES = (".pth", ".safetensors")  # suffixes of files that hold AlexNet's tensors; others are TorchScript


def lpips_network(path: Path) -> nn.Module:
    """Load a network that takes two batches of images (B, 3, S, S) in [-1, 1] and returns distances (B,).

    Args:
        path: One of the files that the module describes.

    Raises:
        ModelError: The file holds none of these networks.
        MissingExtraError: AlexNet is asked for, and torchmetrics, which has its heads, is not installed.
    """
    if path.suffix.lower() in _STATES:
        return AlexDistance(_state(path))
    script = load_torchscript(path)
    return VggDistance(script) if takes_argument(script, "return_lpips") else script


class AlexDistance(nn.Module):
    """LPIPS 0.1 with AlexNet (Zhang, Isola, Efros, Shechtman, Wang 2018), with the linear heads of torchmetrics."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        """Fill the network from ``state``, with torchvision's keys (``features.N.weight``).

        Raises:
            ModelError: The tensors are not AlexNet's.
            MissingExtraError: torchmetrics is not installed.
        """
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        alexnet = {key.removeprefix("features."): t for key, t in state.items() if key.startswith("features.")}
        try:
            self.features.load_state_dict(alexnet)
        except RuntimeError as error:
            raise ModelError(f"not AlexNet's weights ({' '.join(str(error).split())[:160]})") from None
        for level, head in enumerate(_alex_heads()):
            self.register_buffer(f"head{level}", head)
        self.eval().requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two batches of images (B, 3, S, S) in [-1, 1] to distances (B,)."""
        pairs = enumerate(zip(self._levels(a), self._levels(b), strict=True))
        distances = [((x - y).square() * self.get_buffer(f"head{i}")).sum(1).mean((1, 2)) for i, (x, y) in pairs]
        return torch.stack(distances).sum(0)

    def _levels(self, x: Tensor) -> list[Tensor]:
        """Features (B, C, H, W) after each ReLU, scaled so that the channels of every pixel have length 1."""
        shift, scale = (x.new_tensor(v).view(3, 1, 1) for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
        x = (x - shift) / scale
        levels = []
        for first, last in pairwise((0, 2, 5, 8, 10, 12)):
            x = self.features[first:last](x)
            levels.append(x / (1e-8 + x.square().sum(1, keepdim=True)).sqrt())
        return levels


class VggDistance(nn.Module):
    """LPIPS with StyleGAN's ``vgg16.pt``: the squared distance of its features."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.script = script

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two batches of images (B, 3, S, S) in [-1, 1] to distances (B,)."""
        one, other = (self.script((x + 1) * 127.5, resize_images=False, return_lpips=True) for x in (a, b))
        return torch.as_tensor((one - other).square().sum(dim=1))


def _alex_heads() -> list[Tensor]:
    """The five linear heads (1, C, 1, 1) of AlexNet, from the files of torchmetrics."""
    spec = find_spec("torchmetrics")
    if spec is None or spec.origin is None:
        raise MissingExtraError("evaluate", "torchmetrics")
    state = _state(Path(spec.origin).parent / "functional" / "image" / "lpips_models" / "alex.pth")
    return [state[f"lin{i}.model.1.weight"] for i in range(5)]


def _state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(str(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError, TypeError, ValueError) as error:
        raise ModelError(f"{path} holds no weights ({str(error).splitlines()[0]}); fetch the file again") from None


def load_torchscript(path: Path) -> Any:
    """Load a TorchScript file onto the CPU. Raises ModelError when it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its successor does not read these files
            return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(
            f"{path} is not a TorchScript file ({str(error).splitlines()[0]}); fetch the file again"
        ) from None


def takes_argument(script: Any, argument: str) -> bool:
    """Return whether the ``forward`` of a TorchScript has an argument of this name."""
    return any(a.name == argument for a in script.forward.schema.arguments)
