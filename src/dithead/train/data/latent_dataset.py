"""Batches of stage two from cached clips: every row depends on (seed, step, row) alone.

Letters: B batch, W mel frames a window, R references, C latent channels, G latent side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dithead.config import DiTTraining
from dithead.models.audio.base import AudioEncoder
from dithead.train.data.clips import Mixture
from dithead.train.data.latent_cache import CachedClip, ClipLatents
from dithead.train.data.lip_basis import LipBasis
from dithead.train.data.speech_augmentation import augment_mel
from dithead.train.data.speech_dataset import as_it_is
from dithead.train.loop.processes import team
from dithead.train.loop.runtime import Batch, step_generator, step_rng

Array = NDArray[Any]
_CANDIDATES = 8  # references to choose the best of
_OPEN_OF = 3  # frames to choose the most open of


class LatentBank:
    """Cached clips in memory."""

    def __init__(
        self, cached: Sequence[CachedClip], basis: LipBasis, settings: DiTTraining, audio: AudioEncoder,
        references: int = 1,
    ) -> None:  # fmt: skip
        self.cached, self.clips = cached, [item.latents for item in cached]
        self.names_of = [item.name for item in cached]
        self._mixture = Mixture([item.probability for item in cached], [item.final for item in cached])
        self.settings, self.basis, self.references = settings, basis, references
        self.window, self.rate, self.pad = audio.config.window, audio.rate, audio.pad
        self._augment = augment_mel if audio.mel_features else as_it_is

    def batch(self, step: int, seed: int) -> Batch:
        """Everything one update needs of this process's rows, its random numbers included: resuming repeats nothing and
        skips nothing.
        """
        s, own = self.settings, team().rows(self.settings.batch)
        rows = [self._training_row(step_rng(seed, step, 0, row), step / s.steps) for row in own]
        out = {key: torch.from_numpy(np.stack([row[key] for row in rows])).float() for key in rows[0]}
        generator, mine = step_generator(seed, step), slice(own.start, own.stop)
        out["noise"] = torch.randn(s.batch, *out["latent"].shape[1:], generator=generator)[mine]
        out["uniform"] = torch.rand(s.batch, generator=generator)[mine]
        out["drop_audio"] = (torch.rand(s.batch, generator=generator) < s.audio_dropout)[mine]
        return out

    def names(self, step: int, seed: int) -> list[str]:
        """What ``batch`` holds, for people."""
        done, own = step / self.settings.steps, team().rows(self.settings.batch)
        picks = [self._pick(step_rng(seed, step, 0, row), done) for row in own]
        return [f"{self.names_of[index]} frame {frame}" for index, frame in picks]

    def stretch(
        self, rng: np.random.Generator, progress: float, count: int
    ) -> tuple[int, int, int, list[dict[str, Array]]]:
        """``count`` frames in a row of one clip, with another of its frames as reference and nothing of the speech
        changed: the clip's number, the first frame, the reference, and a row for each frame.
        """
        index, chosen = self._pick(rng, progress)
        clip = self.clips[index]
        first = max(0, min(chosen - count // 2, len(clip.latents) - count))
        other = self._other_frame(clip, first, rng)
        reference = self._side_by_side(clip, [other] * self.references)
        frames = [min(first + k, len(clip.latents) - 1) for k in range(count)]
        return index, first, other, [self._row(clip, frame, reference, None, rng) for frame in frames]

    def mel(self, clip: ClipLatents, frame: int, rng: np.random.Generator | None) -> Array:
        """Speech around a frame (W, 80), augmented when ``rng`` is given; or a speech encoder's features (W, H)."""
        centre = round((int(clip.first) + frame) * self.rate / 25)
        start = centre - self.window // 2 + (0 if rng is None else int(rng.integers(-1, 2)))
        at = np.arange(start, start + self.window)
        cut = clip.mel[at.clip(0, len(clip.mel) - 1)].astype(np.float32)
        cut[(at < 0) | (at >= len(clip.mel))] = self.pad
        return cut if rng is None else self._augment(rng, cut)

    def _pick(self, rng: np.random.Generator, progress: float) -> tuple[int, int]:
        """A clip by its probability and one of its frames."""
        index = self._mixture.pick(rng, progress)
        clip = self.clips[index]
        frames = rng.integers(len(clip.latents), size=_OPEN_OF)
        if rng.random() < self.settings.open_share:  # mouths are closed most of the time
            return index, int(frames[np.argmax(clip.lips[frames, -1])])
        return index, int(frames[0])

    def _training_row(self, rng: np.random.Generator, progress: float) -> dict[str, Array]:
        """A chosen frame, with its reference and speech augmented."""
        index, chosen = self._pick(rng, progress)
        clip = self.clips[index]
        return self._row(clip, chosen, self._reference(clip, chosen, rng), rng, rng)

    def _row(
        self,
        clip: ClipLatents,
        frame: int,
        reference: Array,
        voice: np.random.Generator | None,
        rng: np.random.Generator,
    ) -> dict[str, Array]:
        return {
            "latent": clip.latents[frame],
            "masked": clip.masked[frame],
            "mask": clip.mask_of(frame),
            "mouth": clip.mouth[frame],
            "reference": reference,
            "mel": self.mel(clip, frame, voice),
            "lips": self._told(self.basis.coefficients(clip.lips[frame : frame + 1])[0], rng),
        }

    def _told(self, lips: Array, rng: np.random.Generator) -> Array:
        """What the transformer is told of the lips (9,): the truth, as uncertain as a guess."""
        noise = rng.standard_normal(len(lips)).astype(np.float32)
        return lips + noise * np.float32(rng.uniform(0, self.settings.lip_noise))

    def _reference(self, clip: ClipLatents, frame: int, rng: np.random.Generator) -> Array:
        """References (R * C, G, G): none, the frame before with noise, or other frames of the clip."""
        s, kind = self.settings, rng.random()
        if kind < s.reference_dropout:
            return np.zeros((self.references * clip.latents.shape[1], *clip.latents.shape[2:]), np.float16)
        if kind < s.reference_dropout + s.previous_reference and frame:
            noise = rng.standard_normal(clip.latents[0].shape) * rng.uniform(0, s.previous_noise)
            return np.tile((clip.latents[frame - 1] + noise).astype(np.float16), (self.references, 1, 1))
        return self._side_by_side(clip, [self._other_frame(clip, frame, rng) for _ in range(self.references)])

    @staticmethod
    def _side_by_side(clip: ClipLatents, frames: Sequence[int]) -> Array:
        """Frames on channels (R * C, G, G); R may be 0."""
        return clip.latents[list(frames)].reshape(-1, *clip.latents.shape[2:])

    def _other_frame(self, clip: ClipLatents, frame: int, rng: np.random.Generator) -> int:
        if self.settings.reference_choice == "random":
            return int(rng.integers(len(clip.latents)))
        few = rng.integers(len(clip.latents), size=int(rng.integers(1, _CANDIDATES + 1)))  # so chance has its part
        return near_mouth(clip, frame, few, rng.uniform(0, self.settings.lip_noise) * rng.standard_normal())


def near_mouth(clip: ClipLatents, frame: int, candidates: NDArray[np.integer[Any]], error: float) -> int:
    """Of ``candidates`` the frame whose mouth is as open as in ``frame``, or as one would guess it who errs by a share
    of the opening's spread: what ``generate`` shows (``inference.analyse.references``).
    """
    opening = clip.lips[:, -1].astype(np.float32)
    wanted = opening[frame] + error * float(opening.std())
    return int(candidates[int(np.abs(opening[candidates] - wanted).argmin())])
