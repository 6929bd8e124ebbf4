"""Metrics that need somebody's trained network. Without its weights a metric is listed as missing, never as zero.

Weights are TorchScript files, the form in which Inception for FID is published; loading one runs no Python from it.

    lpips      (B, 3, S, S) and (B, 3, S, S) in [-1, 1] -> B distances
    inception  (B, 3, S, S) uint8 -> (B, D) features: FID over full crops and over mouths
    face       (B, 3, 112, 112) in [-1, 1] -> (B, D) embedding: identity, the mean cosine with the truth
    syncnet    the original SyncNet as safetensors with its own keys, see ``models.syncnet``: LSE-C, LSE-D, offset

Our own sync expert (``sync_*``) comes with the package.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dithead.errors import ConfigError, ModelError
from dithead.evaluate import speaking
from dithead.evaluate.lips import Measures
from dithead.evaluate.observe import Observation
from dithead.evaluate.pictures import Crops, mouth_of
from dithead.models.syncnet import load_syncnet
from dithead.types import Wave

NETWORKS = ("lpips", "inception", "face", "syncnet")
_NEEDS = {"lpips": "lpips", "fid": "inception", "fid_mouth": "inception", "identity": "face"} | dict.fromkeys(
    speaking.ORIGINAL, "syncnet"
)
_FACE = 112  # pixels
_BATCH = 16

Features = dict[str, NDArray[np.float32]]  # "ours", "theirs", "ours_mouth", "theirs_mouth" -> (N, D)


class Experts:
    """The networks that were given. Raises ConfigError for an unknown name, ModelError for a file that is none."""

    def __init__(self, weights: Mapping[str, Path | str] | None = None) -> None:
        self.weights = {name: Path(path) for name, path in (weights or {}).items()}
        if unknown := sorted(set(self.weights) - set(NETWORKS)):
            raise ConfigError(f"no expert called {unknown[0]!r}; choose from {', '.join(NETWORKS)}")
        self.networks = {name: _load(name, path) for name, path in self.weights.items()}

    def missing(self) -> dict[str, str]:
        """Name -> why it is not measured, for every metric left out."""
        gone = {m: f"no weights given for {n!r}" for m, n in _NEEDS.items() if n not in self.networks}
        if (reason := speaking.expert_missing()) is not None:
            gone |= dict.fromkeys(speaking.OURS, reason)
        if find_spec("torchmetrics") is None:
            gone["ssim"] = "torchmetrics is not installed; pip install 'dithead[evaluate]'"
        return gone

    def measure(self, ours: Crops, theirs: Crops) -> Measures:
        """``lpips`` and ``identity`` of paired crops (N, S, S, 3), as far as their networks are there."""
        measures: Measures = {}
        if (net := self.networks.get("lpips")) is not None:
            measures["lpips"] = float(np.mean(_batched(lambda a, b: net(_signed(a), _signed(b)), ours, theirs)))
        if (face := self.networks.get("face")) is not None:
            a, b = (_batched(lambda x: face(_signed(_resized(x))), crops) for crops in (ours, theirs))
            cosine = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
            measures["identity"] = float(cosine.mean())
        return measures

    def speech(self, video: Observation, sound: Wave | None = None) -> Measures:
        """``sync_*`` and, given ``syncnet``, ``lse_*`` of one video with ``sound`` (n,), or else its own."""
        return speaking.speech_measures(video, sound, self.networks.get("syncnet"))

    def features(self, ours: Crops, theirs: Crops) -> Features:
        """What FID is computed from, once all clips are in; empty without ``inception``."""
        if (net := self.networks.get("inception")) is None:
            return {}
        sets = {"ours": ours, "theirs": theirs, "ours_mouth": mouth_of(ours), "theirs_mouth": mouth_of(theirs)}
        return {name: _batched(lambda x: net(_planes(x)), crops) for name, crops in sets.items()}


def fid_of(clips: Iterable[Features]) -> Measures:
    """``fid`` and ``fid_mouth`` over the frames of all clips together; empty when no clip has features."""
    known = [features for features in clips if features]
    if not known:
        return {}
    joined = {name: np.concatenate([f[name] for f in known]) for name in known[0]}
    return {
        "fid": frechet_distance(joined["ours"], joined["theirs"]),
        "fid_mouth": frechet_distance(joined["ours_mouth"], joined["theirs_mouth"]),
    }


def frechet_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Frechet distance of the normal distributions fitted to two sets of features (N, D)."""
    mean = a.mean(axis=0, dtype=np.float64) - b.mean(axis=0, dtype=np.float64)
    s, t = (np.atleast_2d(np.cov(x.astype(np.float64), rowvar=False)) for x in (a, b))
    roots = np.sqrt(np.clip(np.linalg.eigvals(s @ t).real, 0, None))
    return float(mean @ mean + np.trace(s) + np.trace(t) - 2 * roots.sum())


def _load(name: str, path: Path) -> Any:
    if name == "syncnet":
        return load_syncnet(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # no successor reads what is published
            return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(f"{path}: no TorchScript file ({str(error).splitlines()[0]})") from None


@torch.inference_mode()
def _batched(network: Callable[..., torch.Tensor], *crops: Crops) -> NDArray[np.float32]:
    parts = [network(*(c[i : i + _BATCH] for c in crops)) for i in range(0, len(crops[0]), _BATCH)]
    return torch.cat([part.reshape(len(part), -1) for part in parts]).float().numpy()


def _planes(crops: Crops) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).contiguous()  # (B, 3, S, S)


def _signed(crops: Crops) -> torch.Tensor:
    return _planes(crops).float() / 127.5 - 1


def _resized(crops: Crops) -> Crops:
    return np.stack([cv2.resize(crop, (_FACE, _FACE), interpolation=cv2.INTER_AREA) for crop in crops])
