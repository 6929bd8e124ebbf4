"""Loads networks of other authors from the files that they publish, each behind one call on 8-bit crops.

    lpips      AlexNet's, StyleGAN's ``vgg16.pt`` or a TorchScript, see ``critics.lpips``
    inception  StyleGAN's ``inception-2015-12-05.pt``, or a TorchScript of 8-bit pictures that gives features
    face       OpenCV's SFace (``face_recognition_sface_2021dec.onnx``, Apache-2.0), or a TorchScript of pictures
               (B, 3, 112, 112) in [-1, 1] that gives embeddings, as ArcFace and similar networks do
    syncnet    the original SyncNet as safetensors with its own keys, see ``critics.syncnet``

No file can run Python: they are TorchScript, ONNX, safetensors, or pickles of tensors only.
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
FACE = 112
"""Pixels; side of the pictures that face recognition networks take."""
FACE_EYES, FACE_EYE_DISTANCE = (56.0, 51.6), 51.2
"""Where those pictures have the middle between the eyes, and the distance of the outer eye corners, in pixels: from the
usual template with the eyes at 38.3 and 73.5 (ArcFace)."""
BATCH = 16  # pictures


def load_lpips(path: Path) -> Callable[[Crops, Crops], Numbers]:
    """Return a function from paired pictures (B, S, S, 3) to their LPIPS distances (B,)."""
    network = lpips_network(path)
    return lambda ours, theirs: _batched(lambda a, b: network(_signed(a), _signed(b)), ours, theirs).reshape(len(ours))


def load_inception(path: Path) -> Callable[[Crops], Numbers]:
    """Return a function from pictures (B, S, S, 3) to Inception features (B, D)."""
    script = load_torchscript(path)
    extra = {"return_features": True} if takes_argument(script, "return_features") else {}
    return lambda crops: _batched(lambda x: script(_planes(x), **extra), crops)


def load_face(path: Path) -> Callable[[Crops], Numbers]:
    """Return a function from aligned crops (B, S, S, 3) to face embeddings (B, D)."""
    if path.suffix.lower() != ".onnx":
        script = load_torchscript(path)
        return lambda crops: _batched(lambda x: script(_signed(align_for_recognition(x))), crops)
    try:
        net = cv2.FaceRecognizerSF.create(str(path), "")
    except cv2.error as error:
        raise ModelError(f"{path}: not an ONNX network that OpenCV reads ({error.err or error})") from None
    return lambda crops: np.concatenate([net.feature(face[..., ::-1].copy()) for face in align_for_recognition(crops)])


LOADERS: dict[str, Callable[[Path], Any]] = {
    "lpips": load_lpips, "inception": load_inception, "face": load_face, "syncnet": load_syncnet,
}  # fmt: skip


def align_for_recognition(crops: Crops) -> Crops:
    """Warp aligned crops (B, S, S, 3) to the template of face recognition networks (B, 112, 112, 3).

    The template shows more forehead than our crop: the crop's edge is repeated there, for the truth as well.
    """
    side = crops.shape[1]
    scale = FACE_EYE_DISTANCE / (EYE_DISTANCE * side)
    x, y = (eye - scale * place * side for eye, place in zip(FACE_EYES, (0.5, EYE_LINE), strict=True))
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.stack([
        cv2.warpAffine(crop, matrix, (FACE, FACE), flags=how, borderMode=cv2.BORDER_REPLICATE) for crop in crops
    ])  # fmt: skip


@torch.inference_mode()
def _batched(network: Callable[..., Tensor], *crops: Crops) -> Numbers:
    parts = [network(*(c[i : i + BATCH] for c in crops)) for i in range(0, len(crops[0]), BATCH)]
    return torch.cat([part.reshape(len(part), -1) for part in parts]).float().numpy()


def _planes(crops: Crops) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).contiguous()  # (B, 3, S, S)


def _signed(crops: Crops) -> Tensor:
    return _planes(crops).float() / 127.5 - 1
