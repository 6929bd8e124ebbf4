"""Networks of others, in the files their authors publish: loaded, and each behind one call on 8-bit crops.

    lpips      AlexNet's, StyleGAN's ``vgg16.pt`` or a TorchScript, see ``critics.lpips``
    inception  StyleGAN's ``inception-2015-12-05.pt``, or a TorchScript of 8-bit pictures that gives features
    face       OpenCV's SFace (``face_recognition_sface_2021dec.onnx``, Apache-2.0), or a TorchScript of pictures
               (B, 3, 112, 112) in [-1, 1] that gives embeddings, such as ArcFace's kin
    syncnet    the original SyncNet as safetensors with its own keys, see ``critics.syncnet``

Nothing here runs Python from a file: TorchScript, ONNX, safetensors, and pickles of tensors only.
Letters: B pictures, S side, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.critics.lpips import load_torchscript, lpips_network, takes_argument
from dithead.critics.syncnet import load_syncnet
from dithead.errors import ModelError
from dithead.evaluate.picture_quality import Crops
from dithead.face.alignment import EYE_DISTANCE, EYE_LINE

Numbers = NDArray[np.float32]
FACE = 112  # pixels
# On the usual picture of 112 (eyes at 38.3 and 73.5): the middle between the eyes, and the outer corners' distance.
_FACE_EYES, _FACE_DISTANCE = (56.0, 51.6), 51.2
_BATCH = 16


def load_lpips(path: Path) -> Callable[[Crops, Crops], Numbers]:
    """Distances (B,) of paired pictures (B, S, S, 3)."""
    network = lpips_network(path)
    return lambda ours, theirs: _batched(lambda a, b: network(_signed(a), _signed(b)), ours, theirs).reshape(len(ours))


def load_inception(path: Path) -> Callable[[Crops], Numbers]:
    """Features (B, D) of pictures (B, S, S, 3)."""
    script = load_torchscript(path)
    extra = {"return_features": True} if takes_argument(script, "return_features") else {}
    return lambda crops: _batched(lambda x: script(_planes(x), **extra), crops)


def load_face(path: Path) -> Callable[[Crops], Numbers]:
    """Embeddings (B, D) of aligned crops (B, S, S, 3)."""
    if path.suffix.lower() != ".onnx":
        script = load_torchscript(path)
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


@torch.inference_mode()
def _batched(network: Callable[..., Tensor], *crops: Crops) -> Numbers:
    parts = [network(*(c[i : i + _BATCH] for c in crops)) for i in range(0, len(crops[0]), _BATCH)]
    return torch.cat([part.reshape(len(part), -1) for part in parts]).float().numpy()


def _planes(crops: Crops) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).contiguous()  # (B, 3, S, S)


def _signed(crops: Crops) -> Tensor:
    return _planes(crops).float() / 127.5 - 1
