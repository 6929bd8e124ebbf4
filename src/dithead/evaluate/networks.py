"""Networks of others, in the files their authors publish: loaded, and each behind one call on 8-bit crops.

    lpips      AlexNet as torchvision publishes it (.pth, or .safetensors with its keys), with the linear heads that
               torchmetrics carries; StyleGAN's ``vgg16.pt``; or a TorchScript of two pictures in [-1, 1]
    inception  StyleGAN's ``inception-2015-12-05.pt``, or a TorchScript of 8-bit pictures that gives features
    face       OpenCV's SFace (``face_recognition_sface_2021dec.onnx``, Apache-2.0), or a TorchScript of pictures
               (B, 3, 112, 112) in [-1, 1] that gives embeddings, such as ArcFace's kin
    syncnet    the original SyncNet as safetensors with its own keys, see ``models.syncnet``

Nothing here runs Python from a file: TorchScript, ONNX, safetensors, and pickles of tensors only.
Letters: B pictures, S side, D features.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dithead.errors import MissingExtraError, ModelError
from dithead.evaluate.pictures import Crops
from dithead.face.align import EYE_DISTANCE, EYE_LINE
from dithead.models.syncnet import load_syncnet

Numbers = NDArray[np.float32]
FACE = 112  # pixels
# On the usual picture of 112 (eyes at 38.3 and 73.5): the middle between the eyes, and the outer corners' distance.
_FACE_EYES, _FACE_DISTANCE = (56.0, 51.6), 51.2
_STATES = (".pth", ".safetensors")
_BATCH = 16


def lpips_network(path: Path) -> nn.Module:
    """Distances (B,) of two batches of pictures (B, 3, S, S) in [-1, 1], with a gradient."""
    if path.suffix.lower() in _STATES:
        return AlexDistance(_state(path))
    script = _script(path)
    return VggDistance(script) if _takes(script, "return_lpips") else script


def load_lpips(path: Path) -> Callable[[Crops, Crops], Numbers]:
    """Distances (B,) of paired pictures (B, S, S, 3)."""
    network = lpips_network(path)
    return lambda ours, theirs: _batched(lambda a, b: network(_signed(a), _signed(b)), ours, theirs).reshape(len(ours))


def load_inception(path: Path) -> Callable[[Crops], Numbers]:
    """Features (B, D) of pictures (B, S, S, 3)."""
    script = _script(path)
    extra = {"return_features": True} if _takes(script, "return_features") else {}
    return lambda crops: _batched(lambda x: script(_planes(x), **extra), crops)


def load_face(path: Path) -> Callable[[Crops], Numbers]:
    """Embeddings (B, D) of aligned crops (B, S, S, 3)."""
    if path.suffix.lower() != ".onnx":
        script = _script(path)
        return lambda crops: _batched(lambda x: script(_signed(face_pictures(x))), crops)
    try:
        net = cv2.FaceRecognizerSF.create(str(path), "")
    except cv2.error as error:
        raise ModelError(f"{path}: not an ONNX network that OpenCV reads ({error.err or error})") from None
    return lambda crops: np.concatenate([net.feature(face[..., ::-1].copy()) for face in face_pictures(crops)])


LOADERS: dict[str, Callable[[Path], Any]] = {
    "lpips": load_lpips, "inception": load_inception, "face": load_face, "syncnet": load_syncnet,
}  # fmt: skip


def face_pictures(crops: Crops) -> Crops:
    """Aligned crops (B, S, S, 3) as face recognisers want them (B, 112, 112, 3): the forehead our crop has not is
    its edge repeated, for the truth as for what is measured against it."""
    side = crops.shape[1]
    scale = _FACE_DISTANCE / (EYE_DISTANCE * side)
    x, y = (eye - scale * place * side for eye, place in zip(_FACE_EYES, (0.5, EYE_LINE), strict=True))
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.stack([
        cv2.warpAffine(crop, matrix, (FACE, FACE), flags=how, borderMode=cv2.BORDER_REPLICATE) for crop in crops
    ])  # fmt: skip


class AlexDistance(nn.Module):
    """LPIPS 0.1 with AlexNet. Source: Zhang, Isola, Efros, Shechtman, Wang (2018); heads from torchmetrics.

    Raises ModelError for weights (keys as torchvision's ``features.N.weight``) that are not AlexNet's, and
    MissingExtraError without torchmetrics.
    """

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        known = {key.removeprefix("features."): t for key, t in state.items() if key.startswith("features.")}
        try:
            self.features.load_state_dict(known)
        except RuntimeError as error:
            raise ModelError(f"not AlexNet's weights ({' '.join(str(error).split())[:160]})") from None
        for level, head in enumerate(_alex_heads()):
            self.register_buffer(f"head{level}", head)
        self.eval().requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] each -> distances (B,)."""
        pairs = enumerate(zip(self._levels(a), self._levels(b), strict=True))
        each = [((x - y).square() * self.get_buffer(f"head{i}")).sum(1).mean((1, 2)) for i, (x, y) in pairs]
        return torch.stack(each).sum(0)

    def _levels(self, x: Tensor) -> list[Tensor]:
        """After each ReLU (B, C, H, W), every pixel's channels of length 1."""
        shift, scale = (x.new_tensor(v).view(3, 1, 1) for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
        x = (x - shift) / scale
        found = []
        for first, last in pairwise((0, 2, 5, 8, 10, 12)):
            x = self.features[first:last](x)
            found.append(x / (1e-8 + x.square().sum(1, keepdim=True)).sqrt())
        return found


class VggDistance(nn.Module):
    """LPIPS with StyleGAN's ``vgg16.pt``, whose features it is the squared distance of."""

    def __init__(self, script: Any) -> None:
        super().__init__()
        self.script = script

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] each -> distances (B,)."""
        one, other = (self.script((x + 1) * 127.5, resize_images=False, return_lpips=True) for x in (a, b))
        return torch.as_tensor((one - other).square().sum(dim=1))


def _alex_heads() -> list[Tensor]:
    """The five linear heads (1, C, 1, 1) that come with torchmetrics."""
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
        raise ModelError(f"{path}: holds no weights ({str(error).splitlines()[0]})") from None


def _script(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # no successor reads what is published
            return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(f"{path}: no TorchScript file ({str(error).splitlines()[0]})") from None


def _takes(script: Any, argument: str) -> bool:
    return any(a.name == argument for a in script.forward.schema.arguments)


@torch.inference_mode()
def _batched(network: Callable[..., Tensor], *crops: Crops) -> Numbers:
    parts = [network(*(c[i : i + _BATCH] for c in crops)) for i in range(0, len(crops[0]), _BATCH)]
    return torch.cat([part.reshape(len(part), -1) for part in parts]).float().numpy()


def _planes(crops: Crops) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).contiguous()  # (B, 3, S, S)


def _signed(crops: Crops) -> Tensor:
    return _planes(crops).float() / 127.5 - 1
