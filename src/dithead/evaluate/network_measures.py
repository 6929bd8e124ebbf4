"""Measures that need a pretrained network: LPIPS, FID, face identity, and sync by the experts.

Without its weights a measure is listed as missing, never reported as zero. LPIPS is the mean over frames, identity the
mean cosine with the truth's embedding, FID is over the frames of all clips together, of whole crops and of mouths.
``external_networks`` says which files are read; the shipped sync expert (``sync_*``) comes with the package.
Letters: N frames, S side of the aligned crop, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dithead.errors import ConfigError
from dithead.evaluate.external_networks import LOADERS
from dithead.evaluate.lip_series import Measures
from dithead.evaluate.observe_video import Observation
from dithead.evaluate.picture_quality import Crops, crop_mouth
from dithead.evaluate.sync_measures import ORIGINAL_SYNCNET, SHIPPED_EXPERT, measure_sync, why_expert_missing
from dithead.types import Wave

NETWORK_OF = {"lpips": "lpips", "fid": "inception", "fid_mouth": "inception", "identity": "face"} | dict.fromkeys(
    ORIGINAL_SYNCNET, "syncnet"
)
"""Measure -> the name of the network that it needs."""

_OF_PAIRS = ("lpips", "identity")
"""Measures of paired crops."""

OVER_ALL = ("fid", "fid_mouth")
"""Measures of the frames of all clips together, which no single clip has."""

Features = dict[str, NDArray[np.float32]]
"""What FID needs of one clip: "ours", "theirs", "ours_mouth", "theirs_mouth" -> (N, D)."""


class NetworkMeasures:
    """The networks whose weights were given, and the measures that they allow.

    Args:
        weights: Name of a network -> its file.

    Raises:
        ConfigError: A name is unknown.
        ModelError: A file is not such a network.
    """

    def __init__(self, weights: Mapping[str, Path | str] | None = None) -> None:
        self.weights = {name: Path(path) for name, path in (weights or {}).items()}
        if unknown := sorted(set(self.weights) - set(LOADERS)):
            raise ConfigError(f"no network called {unknown[0]!r}; choose from {', '.join(LOADERS)}")
        self.networks = {name: LOADERS[name](path) for name, path in self.weights.items()}

    def missing(self) -> dict[str, str]:
        """Return measure -> why it is not taken, for every measure left out."""
        missing = {
            measure: f"no weights given; add --weights {network}=FILE"
            for measure, network in NETWORK_OF.items()
            if network not in self.networks
        }
        if (reason := why_expert_missing()) is not None:
            missing |= dict.fromkeys(SHIPPED_EXPERT, reason)
        return missing

    def compare_pictures(self, ours: Crops, theirs: Crops) -> Measures:
        """Return ``lpips`` and ``identity`` of paired crops (N, S, S, 3), as far as their networks are there.

        Without a single pair they are NaN: a video that shows no face counts as failed.
        """
        if not len(ours):
            return {measure: float("nan") for measure in _OF_PAIRS if NETWORK_OF[measure] in self.networks}
        measures: Measures = {}
        if (lpips := self.networks.get("lpips")) is not None:
            measures["lpips"] = float(np.mean(lpips(ours, theirs)))
        if (face := self.networks.get("face")) is not None:
            a, b = face(ours), face(theirs)
            cosine = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
            measures["identity"] = float(cosine.mean())
        return measures

    def sync(self, video: Observation, sound: Wave | None = None) -> Measures:
        """Return ``sync_*`` and, given ``syncnet``, ``lse_*`` of a video with ``sound`` (n,), or else its own."""
        return measure_sync(video, sound, self.networks.get("syncnet"))

    def fid_features(self, ours: Crops, theirs: Crops) -> Features:
        """Return what FID needs of one clip; empty without ``inception``, and without crops, where the clip fails."""
        if (inception := self.networks.get("inception")) is None or not len(ours):
            return {}
        sets = {"ours": ours, "theirs": theirs, "ours_mouth": crop_mouth(ours), "theirs_mouth": crop_mouth(theirs)}
        return {name: inception(crops) for name, crops in sets.items()}


def fid_over_clips(clips: Iterable[Features]) -> Measures:
    """Return ``fid`` and ``fid_mouth`` over the frames of all clips together; empty when no clip has features."""
    known = [features for features in clips if features]
    if not known:
        return {}
    joined = {name: np.concatenate([features[name] for features in known]) for name in known[0]}
    return {
        "fid": frechet_distance(joined["ours"], joined["theirs"]),
        "fid_mouth": frechet_distance(joined["ours_mouth"], joined["theirs_mouth"]),
    }


def frechet_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the Fréchet distance of the normal distributions fitted to two sets of features (N, D).

    NaN where a set has fewer than two, from which nothing can be fitted.
    """
    if min(len(a), len(b)) < 2:
        return float("nan")
    mean = a.mean(axis=0, dtype=np.float64) - b.mean(axis=0, dtype=np.float64)
    s, t = (np.atleast_2d(np.cov(x.astype(np.float64), rowvar=False)) for x in (a, b))
    roots = np.sqrt(np.clip(np.linalg.eigvals(s @ t).real, 0, None))
    return float(mean @ mean + np.trace(s) + np.trace(t) - 2 * roots.sum())
