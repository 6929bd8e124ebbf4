"""Samples new mouths for the crops of one tracklet.

Letters: B batch, S crop side, P polygon corners, C, G latent.
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
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.synthesise.encoded_references import EncodedReferences
from dithead.inference.synthesise.heard_speech import HeardSpeech
from dithead.inference.synthesise.prepared_moments import MaskedFrames, PreparedMoments, joined_frames
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
        self.talker, self.steps, self.reference = talker, steps, reference
        self.noise, self.speech = talker.initial_noise(seed), HeardSpeech(talker, features)
        self._references = EncodedReferences(talker)
        self._last: dict[tuple[int, int], Tensor] = {}
        """The latent drawn last (1, C, G, G), as the next reference, by (face, first frame of its tracklet)."""
        self._seen = PreparedMoments(joined_frames)

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
            self.speech.keep(tracklet, times)

    def hear_ahead(self, times: NDArray[np.float64]) -> None:
        """Hear the speech at ``times`` (B,) before it is known who speaks, see ``HeardSpeech``."""
        if self.reference == "static":
            self.speech.hear_ahead(times)

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
        targets: Sequence[LipTarget | None] = self.speech.targets(tracklet, times) or [None] * len(times)
        views = _views(tracklet, frames, len(times))
        return [self.bank.frame_reference(tracklet, lips, view) for lips, view in zip(targets, views, strict=True)]

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
        speech = self.speech.at(tracklet, times)
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

    def _masked(self, crops: NDArray[np.uint8], polygon: NDArray[np.float32]) -> MaskedFrames:
        masked, mask = frame_conditions(crops, polygon_mask(polygon, self.size))
        with stage("model"):
            return MaskedFrames(masked, mask, self.talker.masked_latents(masked, mask))


def _views(tracklet: Tracklet, frames: Sequence[int] | None, count: int) -> list[int]:
    """The pose of each of ``count`` frames; the usual one where their numbers are not known."""
    return [0] * count if frames is None else [tracklet.view(k) for k in frames]
