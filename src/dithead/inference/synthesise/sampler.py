"""Samples new mouths for the crops of one tracklet.

Letters: B batch, S crop side, L tokens, A their width, K lip coefficients, P polygon corners, C, G latent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.face.masks import polygon_mask
from dithead.inference.analyse.tracklet import LipCalibration, Tracklet
from dithead.inference.synthesise.encoded_references import EncodedReferences
from dithead.inference.synthesise.lip_calibration import predict_lips, training_calibration
from dithead.inference.synthesise.personal_lips import motion_gain, personal_openings, personal_widths, with_closures
from dithead.inference.synthesise.prepared_moments import (
    MaskedFrames,
    PreparedMoments,
    SpeechConditions,
    joined_frames,
    joined_speech,
)
from dithead.inference.synthesise.reference_bank import FrameReference, ReferenceBank
from dithead.inference.synthesise.reference_set import LipTarget
from dithead.media.files import save_arrays
from dithead.models.talking_head import Conditions
from dithead.options import ReferenceMode
from dithead.prepare.conditions import frame_conditions, to_pixels, to_tensor
from dithead.stages import stage

if TYPE_CHECKING:
    from dithead.inference.synthesise.audio_features import SpeechFeatures
    from dithead.models.talking_head import TalkingHead

_REMEMBERED = 1024  # moments whose targets are kept for ``target_lips`` (our choice)
_AHEAD = 128  # batches that are heard before the first pass has ended, at most: some 25 MB (our choice)
# The next four: docs/log.
_WIDEST = 1.1  # largest target opening over that of the widest reference: there is no picture of a wider mouth
_OPENED_GAIN = 1.2  # gain where the references were made by geometry: drawn lips move a little less than they
_LARGEST_GAIN = 1.6  # largest gain of the lips' motion that the denoiser has learned to draw
_UNUSUAL = 3.0  # longest change of the lips, in training deviations: beyond it, the denoiser draws another person


class MouthSampler:
    """Draws mouths with one model.

    One noise serves the whole clip, so the result does not depend on the batch size.
    """

    def __init__(
        self,
        talker: TalkingHead,
        features: Mapping[int | None, Tensor | SpeechFeatures],
        *,
        seed: int,
        steps: int | None = None,
        reference: ReferenceMode = "static",
    ) -> None:
        """Make a sampler.

        Args:
            talker: The model.
            features: The speech of each face by its number; that of all others under None.
            seed: Of the noise.
            steps: Sampling steps; the model's own number when None.
            reference: See ``options.ReferenceMode``.
        """
        self.talker, self.features, self.steps, self.reference = talker, features, steps, reference
        self.noise = talker.initial_noise(seed)
        self._references, self._average = EncodedReferences(talker), training_calibration(talker)
        self._last: dict[tuple[int, int], Tensor] = {}
        """The latent drawn last (1, C, G, G), as the next reference, by (face, first frame of its tracklet)."""
        self._targets: dict[tuple[int, float], LipTarget] = {}  # by (face, time)
        self._ahead: dict[tuple[float, ...], tuple[Tensor, Tensor | None]] = {}  # tokens and lips, by moments
        self._seen, self._heard = PreparedMoments(joined_frames), PreparedMoments(joined_speech)

    @property
    def size(self) -> int:
        """Crop side S."""
        return self.talker.size

    @property
    def bank(self) -> ReferenceBank:
        """The pictures that references are chosen from."""
        return self._references.bank

    def begin(self) -> None:
        """Begin after a gap in the frames; state is kept by tracklet, so there is nothing to reset."""

    def share_pictures(self, other: MouthSampler) -> None:
        """Use the references that another sampler of the same video and model has read and encoded, and will."""
        self._references.share(other._references)

    def expect(self, tracklet: Tracklet) -> None:
        """Read the references of a tracklet that is drawn next, so that its first frame need not wait for them."""
        if self.reference != "previous":
            self._references.expect(tracklet, tracklet.view(tracklet.start))

    def frames_at_once(self, batch: int, *, first: bool) -> int:
        """Return how many frames ``draw`` should get at once: ``batch``, whether they are the ``first`` or not."""
        del first
        return max(1, batch)

    def see(self, tracklet: Tracklet, crops: NDArray[np.uint8], times: NDArray[np.float64]) -> None:
        """Encode the masked frames before the mouths of a ``tracklet`` are drawn, for which no speech is needed.

        It may be called on another thread than ``draw``, which then has less to do, with the same bits, even if it gets
        several moments at once that were made ready one by one. The arguments ``crops`` and ``times`` are those of
        ``draw``. A mask that follows the face is left to ``draw``.
        """
        if not self._draws_one_by_one(tracklet):
            self._seen.keep(tracklet.face, times, self._masked(crops, tracklet.polygon))

    def hear(self, tracklet: Tracklet, times: NDArray[np.float64]) -> None:
        """Hear the speech before the mouths of a ``tracklet`` are drawn, see ``see``.

        Several frames at once, each of which is drawn by itself, are left to ``draw``.
        """
        if len(times) == 1 or not self._draws_one_by_one(tracklet):
            self._heard.keep(tracklet.face, times, self._predict(tracklet, times))

    def hear_ahead(self, times: NDArray[np.float64]) -> None:
        """Hear the speech at ``times`` (B,) before it is known who speaks, see ``hear``.

        Of one speech for all faces, a first part is kept. ``hear`` has less to do then, with the same bits if it gets
        the same moments at once.
        """
        if self.reference == "static" and len(self.features) == 1 and len(self._ahead) < _AHEAD:
            self._ahead[tuple(times.tolist())] = predict_lips(self.talker, self.features[None], times)

    def _draws_one_by_one(self, tracklet: Tracklet) -> bool:
        return self.reference != "static" or tracklet.frame_polygons is not None

    def draw(
        self,
        tracklet: Tracklet,
        crops: NDArray[np.uint8],
        times: NDArray[np.float64],
        frames: Sequence[int] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw mouths; with the previous frame as reference, calls must follow one another in time.

        Args:
            tracklet: The face and the shot.
            crops: (B, S, S, 3).
            times: (B,) seconds in the speech.
            frames: (B,) frame numbers, for a mask that follows the face, and for references in each frame's own pose;
                without them the mask is ``tracklet.polygon`` and the pose the usual one.

        Returns:
            The crops (B, S, S, 3) with new mouths.
        """
        follows = frames is not None and tracklet.frame_polygons is not None
        if self.reference == "static" and not follows:
            return self._sample(tracklet, crops, times, tracklet.polygon, frames)[0]
        polygons = [tracklet.mask_polygon(k) if follows else tracklet.polygon for k in frames or range(len(crops))]
        every = [slice(k, k + 1) for k in range(len(crops))]
        drawn = [
            self._draw_one(tracklet, crops[one], times[one], polygon, frames and frames[one])
            for one, polygon in zip(every, polygons, strict=True)
        ]
        return np.concatenate(drawn)

    def frame_references(
        self, tracklet: Tracklet, times: NDArray[np.float64], frames: Sequence[int] | None = None
    ) -> list[FrameReference | None]:
        """Choose the person's pictures for the next frames of a ``tracklet``, drawn at ``times`` (B,) in seconds.

        Calls must follow one another in time. Without the numbers of the ``frames`` (B,) the pose is the usual one.
        """
        if self.bank.of(tracklet) is None:
            return [None] * len(times)
        targets: Sequence[LipTarget | None] = self.target_lips(tracklet, times) or [None] * len(times)
        views = _views(tracklet, frames, len(times))
        return [self.bank.frame_reference(tracklet, lips, view) for lips, view in zip(targets, views, strict=True)]

    def target_lips(self, tracklet: Tracklet, times: NDArray[np.float64]) -> list[LipTarget] | None:
        """Return how open and how wide the mouth of a ``tracklet`` should be at ``times`` (B,) in seconds.

        Returns:
            B openings and widths; None where the model does not predict them.
        """
        known = {t: self._targets[tracklet.face, t] for t in times.tolist() if (tracklet.face, t) in self._targets}
        if new := [t for t in times.tolist() if t not in known]:
            targets = self._speech(tracklet, np.array(new)).targets
            if targets is None:
                return None
            known |= dict(zip(new, targets, strict=True))
        return [known[t] for t in times.tolist()]

    def save_state(self, path: Path) -> None:
        """Write what the next frame depends on, for ``load_state`` after an interruption."""
        arrays = {
            f"{face}_{start}_latent": latent.float().cpu().numpy() for (face, start), latent in self._last.items()
        }
        arrays |= {f"{face}_{start}_donor": np.array(k) for (face, start), k in self.bank.donors.items()}
        save_arrays(path, **arrays)

    def load_state(self, path: Path) -> None:
        """Read what ``save_state`` wrote, to continue after that frame."""
        self._last, self.bank.donors = {}, {}
        with np.load(path, allow_pickle=False) as data:
            for name in data.files:
                face, start, kind = name.split("_")
                key = (int(face), int(start))
                if kind == "donor":
                    self.bank.donors[key] = int(data[name])
                else:
                    self._last[key] = torch.from_numpy(data[name]).to(self.talker.device)

    def _draw_one(
        self,
        tracklet: Tracklet,
        crop: NDArray[np.uint8],
        time: NDArray[np.float64],
        polygon: NDArray[np.float32],
        frame: Sequence[int] | None,
    ) -> NDArray[np.uint8]:
        """One frame (1, S, S, 3), conditioned on the last one of its tracklet in the previous-frame mode."""
        key = (tracklet.face, tracklet.start)
        image, latent = self._sample(tracklet, crop, time, polygon, frame, self._last.get(key))
        if self.reference == "previous":
            self._last = {k: v for k, v in self._last.items() if k[0] != tracklet.face} | {key: latent}
        return np.asarray(image, np.uint8)

    def _sample(
        self,
        tracklet: Tracklet,
        crops: NDArray[np.uint8],
        times: NDArray[np.float64],
        polygon: NDArray[np.float32],
        frames: Sequence[int] | None,
        latent: Tensor | None = None,
    ) -> tuple[NDArray[np.uint8], Tensor]:
        """Frames (B, S, S, 3) and latents (B, C, G, G) under one mask; ``latent`` replaces the reference's."""
        masked = self._seen.at(tracklet.face, times) or self._masked(crops, polygon)
        speech = self._speech(tracklet, times)
        with torch.inference_mode():
            references, shares = None if self.reference == "previous" else self.bank.of(tracklet), None
            if references is None or speech.targets is None:
                reference = to_tensor(tracklet.reference[None])
            else:
                views = _views(tracklet, frames, len(times))
                reference, latent, shares = self._references.mixed(tracklet, views, speech.targets, polygon)
            pictures = masked.pictures, masked.mask, reference
            conditions = Conditions(*pictures, speech.tokens, speech.lips, latent, masked.latents, shares)
            with stage("model"):
                images, latents = self.talker.generate(conditions, self.noise, steps=self.steps)
        return to_pixels(images), latents

    def _speech(self, tracklet: Tracklet, times: NDArray[np.float64]) -> SpeechConditions:
        """What was heard at ``times`` (B,), or is heard now."""
        return self._heard.at(tracklet.face, times) or self._predict(tracklet, times)

    def _masked(self, crops: NDArray[np.uint8], polygon: NDArray[np.float32]) -> MaskedFrames:
        masked, mask = frame_conditions(crops, polygon_mask(polygon, self.size))
        with stage("model"):
            return MaskedFrames(masked, mask, self.talker.masked_latents(masked, mask))

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


def _views(tracklet: Tracklet, frames: Sequence[int] | None, count: int) -> list[int]:
    """The pose of each of ``count`` frames; the usual one where their numbers are not known."""
    return [0] * count if frames is None else [tracklet.view(k) for k in frames]


def limited(changes: Tensor, limit: float) -> Tensor:
    """Shorten long vectors ``changes`` (B, K) smoothly, so that none exceeds ``limit``; short ones hardly change."""
    length = changes.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return changes * (limit * torch.tanh(length / limit) / length)
