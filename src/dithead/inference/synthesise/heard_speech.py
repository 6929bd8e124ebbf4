"""Hears the speech that drives each face, and tells what its lips should be: tokens, lip coefficients and targets.

Letters: B moments, L tokens, A their width, K lip coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.inference.analyse.tracklet import LipCalibration, Tracklet
from dithead.inference.synthesise.lip_calibration import predict_lips, training_calibration
from dithead.inference.synthesise.personal_lips import motion_gain, personal_openings, personal_widths, with_closures
from dithead.inference.synthesise.prepared_moments import PreparedMoments, SpeechConditions, joined_speech
from dithead.inference.synthesise.reference_set import LipTarget

if TYPE_CHECKING:
    from dithead.inference.synthesise.audio_features import SpeechFeatures
    from dithead.models.talking_head import TalkingHead

_REMEMBERED = 1024  # moments whose targets are kept for ``targets`` (our choice)
_AHEAD = 128  # batches that are heard before the first pass has ended, at most: some 25 MB (our choice)
# The next four: docs/log.
_WIDEST = 1.1  # largest target opening over that of the widest reference: there is no picture of a wider mouth
_OPENED_GAIN = 1.2  # gain where the references were made by geometry: drawn lips move a little less than they
_LARGEST_GAIN = 1.6  # largest gain of the lips' motion that the denoiser has learned to draw
_UNUSUAL = 3.0  # longest change of the lips, in training deviations: beyond it, the denoiser draws another person


class HeardSpeech:
    """What is heard of the speech at some moments, for the person of a tracklet."""

    def __init__(self, talker: TalkingHead, features: Mapping[int | None, Tensor | SpeechFeatures]) -> None:
        """Hear nothing yet.

        Args:
            talker: The model.
            features: The speech of each face by its number; that of all others under None.
        """
        self.talker, self.features, self._average = talker, features, training_calibration(talker)
        self.kept = PreparedMoments(joined_speech)
        self._targets: dict[tuple[int, float], LipTarget] = {}  # by (face, time)
        self._ahead: dict[tuple[float, ...], tuple[Tensor, Tensor | None]] = {}  # tokens and lips, by moments

    def keep(self, tracklet: Tracklet, times: NDArray[np.float64]) -> None:
        """Hear the speech of a ``tracklet`` at ``times`` (B,) now, for ``at``."""
        self.kept.keep(tracklet.face, times, self._predict(tracklet, times))

    def hear_ahead(self, times: NDArray[np.float64]) -> None:
        """Hear the speech at ``times`` (B,) before it is known who speaks.

        Of one speech for all faces, a first part is kept. ``keep`` has less to do then, with the same bits if it gets
        the same moments at once.
        """
        if len(self.features) == 1 and len(self._ahead) < _AHEAD:
            self._ahead[tuple(times.tolist())] = predict_lips(self.talker, self.features[None], times)

    def at(self, tracklet: Tracklet, times: NDArray[np.float64]) -> SpeechConditions:
        """Return what was heard of a ``tracklet`` at ``times`` (B,), or is heard now."""
        return self.kept.at(tracklet.face, times) or self._predict(tracklet, times)

    def targets(self, tracklet: Tracklet, times: NDArray[np.float64]) -> list[LipTarget] | None:
        """Return how open and how wide the mouth of a ``tracklet`` should be at ``times`` (B,) in seconds.

        Returns:
            B openings and widths; None where the model does not predict them.
        """
        known = {t: self._targets[tracklet.face, t] for t in times.tolist() if (tracklet.face, t) in self._targets}
        if new := [t for t in times.tolist() if t not in known]:
            targets = self.at(tracklet, np.array(new)).targets
            if targets is None:
                return None
            known |= dict(zip(new, targets, strict=True))
        return [known[t] for t in times.tolist()]

    @torch.inference_mode()
    def _predict(self, tracklet: Tracklet, times: NDArray[np.float64]) -> SpeechConditions:
        """The speech conditions at ``times`` (B,), with lips calibrated to the tracklet's person."""
        sound = self.features.get(tracklet.face, self.features[None])
        known = self._ahead.get(tuple(times.tolist()))
        tokens, predicted = known or predict_lips(self.talker, sound, times)
        if predicted is None:
            return SpeechConditions(tokens, None, None)
        average, unit = self._average, self.talker.config.opening_unit
        calibration, stored = tracklet.calibration or average, tracklet.references
        change, opened = predicted - torch.from_numpy(calibration.mean), stored is not None and stored.opened
        gain, targets = _OPENED_GAIN if opened else motion_gain(calibration, tracklet.opening_spread, unit), None
        if unit and stored is not None:
            personal = personal_openings(predicted[:, -1].numpy(), calibration, tracklet, gain * unit)
            openings = with_closures(personal)
            change[:, -1] = torch.from_numpy((openings - stored.mean_opening) / (gain * unit))
            targets = self._targets_of(tracklet, times, (openings, personal), predicted, calibration)
        lips = torch.from_numpy(average.mean) + limited(change * min(gain, _LARGEST_GAIN), _UNUSUAL)
        return SpeechConditions(tokens, lips, targets)

    def _targets_of(
        self,
        tracklet: Tracklet,
        times: NDArray[np.float64],
        openings: tuple[NDArray[np.float64], NDArray[np.float64]],
        predicted: Tensor,
        calibration: LipCalibration,
    ) -> list[LipTarget]:
        """The targets at ``times`` (B,) for this person's ``openings`` and all ``predicted`` lips (B, K).

        The openings (B,) are those with nearly closed lips closed, and those that were predicted.
        """
        stored = tracklet.references
        assert stored is not None, "only tracklets with pictures get here"
        closed, parted = (np.clip(each, 0, _WIDEST * float(stored.openings[-1])) for each in openings)
        widths = personal_widths(predicted.numpy(), parted, calibration, tracklet, self.talker.config.width_units)
        lips = zip(closed.tolist(), widths.tolist(), parted.tolist(), strict=True)
        targets = [LipTarget(*each) for each in lips]
        new = {(tracklet.face, t): target for t, target in zip(times.tolist(), targets, strict=True)}
        self._targets = dict([*self._targets.items(), *new.items()][-_REMEMBERED:])
        return targets


def limited(changes: Tensor, limit: float) -> Tensor:
    """Shorten long vectors ``changes`` (B, K) smoothly, so that none exceeds ``limit``; short ones hardly change."""
    length = changes.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return changes * (limit * torch.tanh(length / limit) / length)
