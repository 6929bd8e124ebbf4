"""Batches of stage two from cached clips: every row depends on (seed, step, row) alone.

Letters: B batch, W mel frames a window, R references, C latent channels, G latent side, F frames drawn together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.config import DiTTraining
from dithead.errors import ConfigError
from dithead.models.audio.base import MelListener
from dithead.models.denoiser.chunks import CONTEXT
from dithead.models.talking_head import AudioEncoder
from dithead.train.data.clips import Mixture
from dithead.train.data.latent_cache import CachedClip, ClipLatents
from dithead.train.data.lip_basis import LipBasis
from dithead.train.data.speech_augmentation import augment_mel
from dithead.train.data.speech_dataset import unchanged
from dithead.train.loop.processes import team
from dithead.train.loop.runtime import Batch, step_generator, step_rng

Array = NDArray[Any]
_CANDIDATES = 8  # references to choose the best of
_OPEN_OF = 3  # frames to choose the most open of
_KNOWN_SHARE = 0.75  # of the chunks begin with frames of the one before


class LatentDataset:
    """Cached clips in memory."""

    def __init__(
        self, cached: Sequence[CachedClip], basis: LipBasis, settings: DiTTraining, audio: AudioEncoder,
        references: int = 1, together: int = 1,
    ) -> None:  # fmt: skip
        """``together``: frames that are drawn together, F."""
        self.cached, self.clips = cached, [item.latents for item in cached]
        self.names_of = [item.name for item in cached]
        self._mixture = Mixture([item.probability for item in cached], [item.final for item in cached])
        self.settings, self.basis, self.references, self.together = settings, basis, references, together
        self.window, self.rate, self.pad = audio.config.window, audio.rate, audio.pad
        self._augment = augment_mel if isinstance(audio, MelListener) else unchanged

    def batch(self, step: int, seed: int) -> Batch:
        """Everything one update needs of this process's rows, its random numbers included: resuming repeats nothing and
        skips nothing.
        """
        s, each = self.settings, self.together
        chunks = self._chunks()
        rows = [row for chunk in chunks for row in self._rows(step_rng(seed, step, 0, chunk), step / s.steps)]
        out = {key: torch.from_numpy(np.stack([row[key] for row in rows])).float() for key in rows[0]}
        generator, own, count = step_generator(seed, step), slice(chunks.start, chunks.stop), s.batch // each

        def spread(value: Tensor) -> Tensor:
            return value[own].repeat_interleave(each, 0)  # the frames of a chunk share it

        out["noise"] = spread(torch.randn(count, *out["latent"].shape[1:], generator=generator))
        out["uniform"] = spread(torch.rand(count, generator=generator))
        out["drop_audio"] = spread(torch.rand(count, generator=generator) < s.audio_dropout)
        if each > 1:
            begun = spread(torch.rand(count, generator=generator) < _KNOWN_SHARE)
            out["known"] = begun & (torch.arange(len(rows)) % each < CONTEXT)
        return out

    def names(self, step: int, seed: int) -> list[str]:
        """What ``batch`` holds, for people."""
        done = step / self.settings.steps
        picks = [self._pick(step_rng(seed, step, 0, chunk), done) for chunk in self._chunks()]
        return [f"{self.names_of[index]} frame {frame}" for index, frame in picks]

    def _chunks(self) -> range:
        """Which of the global batch's chunks are this process's. ConfigError when they cannot be shared out."""
        share, each = team().rows(self.settings.batch), self.together
        if len(share) % each:
            raise ConfigError(f"dit.batch: {len(share)} rows a process are no multiple of {each} frames drawn together")
        return range(share.start // each, share.stop // each)

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

    def _rows(self, rng: np.random.Generator, progress: float) -> list[dict[str, Array]]:
        """The frames of one chunk around a chosen one; they share the reference and the voice."""
        index, chosen = self._pick(rng, progress)
        clip = self.clips[index]
        if self.together == 1:
            return [self._row(clip, chosen, self._reference(clip, chosen, rng), rng, rng)]
        first = max(0, min(chosen - self.together // 2, len(clip.latents) - self.together))
        reference, voice = self._reference(clip, first, rng), int(rng.integers(2**62))
        frames = [min(first + k, len(clip.latents) - 1) for k in range(self.together)]
        return [self._row(clip, frame, reference, np.random.default_rng(voice), rng) for frame in frames]

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
        choice = self.settings.reference_choice
        if choice == "random":
            return int(rng.integers(len(clip.latents)))
        if choice == "near-mouth":  # of one to all candidates, so that chance has its part
            few = rng.integers(len(clip.latents), size=int(rng.integers(1, _CANDIDATES + 1)))
            return near_mouth(clip, frame, few, rng.uniform(0, self.settings.lip_noise) * rng.standard_normal())
        return far_mouth(clip, frame, rng.integers(len(clip.latents), size=_CANDIDATES))


def near_mouth(clip: ClipLatents, frame: int, candidates: NDArray[np.integer[Any]], error: float) -> int:
    """Of ``candidates`` the frame whose mouth is as open as in ``frame``, or as one would guess it who errs by a share
    of the opening's spread: what ``generate`` shows (``inference.analyse.references``).
    """
    opening = clip.lips[:, -1].astype(np.float32)
    wanted = opening[frame] + error * float(opening.std())
    return int(candidates[int(np.abs(opening[candidates] - wanted).argmin())])


def far_mouth(clip: ClipLatents, frame: int, candidates: NDArray[np.integer[Any]]) -> int:
    """Of ``candidates`` the frame whose head is as in ``frame`` and whose lips are not (after MuseTalk 1.5).

    The lips' place in the crop stands for the head's pose, which alignment has taken away but for that.
    """
    lips = np.linalg.norm(clip.lips[candidates].astype(np.float32) - clip.lips[frame].astype(np.float32), axis=1)
    place = np.abs(clip.mouth[candidates].astype(np.float32) - clip.mouth[frame].astype(np.float32)).mean((1, 2, 3))
    score = lips / max(float(lips.max()), 1e-6) - place / max(float(place.max()), 1e-6)
    return int(candidates[int(score.argmax())])
