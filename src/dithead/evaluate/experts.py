"""Metrics that need somebody's trained network. Without its weights a metric is listed as missing, never as zero.

``networks`` says which files are read. LPIPS is the mean over frames, identity the mean cosine with the truth's
embedding, FID is over the frames of all clips together, of full crops and of mouths. Our own sync expert (``sync_*``)
comes with the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.errors import ConfigError
from dithead.evaluate import sync_measures as speaking
from dithead.evaluate.lip_series import Measures
from dithead.evaluate.networks import LOADERS
from dithead.evaluate.observe_video import Observation
from dithead.evaluate.picture_quality import Crops, mouth_of
from dithead.types import Wave

_NEEDS = {"lpips": "lpips", "fid": "inception", "fid_mouth": "inception", "identity": "face"} | dict.fromkeys(
    speaking.ORIGINAL, "syncnet"
)

Features = dict[str, NDArray[np.float32]]  # "ours", "theirs", "ours_mouth", "theirs_mouth" -> (N, D)


class Experts:
    """The networks that were given. Raises ConfigError for an unknown name, ModelError for a file that is none."""

    def __init__(self, weights: Mapping[str, Path | str] | None = None) -> None:
        self.weights = {name: Path(path) for name, path in (weights or {}).items()}
        if unknown := sorted(set(self.weights) - set(LOADERS)):
            raise ConfigError(f"no expert called {unknown[0]!r}; choose from {', '.join(LOADERS)}")
        self.networks = {name: LOADERS[name](path) for name, path in self.weights.items()}

    def missing(self) -> dict[str, str]:
        """Name -> why it is not measured, for every metric left out."""
        gone = {m: f"no weights given; add --weights {n}=FILE" for m, n in _NEEDS.items() if n not in self.networks}
        if (reason := speaking.expert_missing()) is not None:
            gone |= dict.fromkeys(speaking.OURS, reason)
        return gone

    def measure(self, ours: Crops, theirs: Crops) -> Measures:
        """``lpips`` and ``identity`` of paired crops (N, S, S, 3), as far as their networks are there."""
        measures: Measures = {}
        if (net := self.networks.get("lpips")) is not None:
            measures["lpips"] = float(np.mean(net(ours, theirs)))
        if (face := self.networks.get("face")) is not None:
            a, b = face(ours), face(theirs)
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
        return {name: net(crops) for name, crops in sets.items()}


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
