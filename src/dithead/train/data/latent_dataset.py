"""Makes batches for the denoiser from cached clips; every row depends on (seed, step, row) alone.

Letters: B batch, W feature frames of a window, F numbers in each, R references, C latent channels, G latent side, N
frames of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from dithead.train.data.speech_dataset import unchanged
from dithead.train.loop.batches import Batch
from dithead.train.loop.processes import process_group
from dithead.train.loop.randomness import step_generator, step_rng

Array = NDArray[Any]
Row = dict[str, Array]
_CANDIDATES = 8  # reference frames to choose the best of; our choice
_OPEN_CANDIDATES = 3  # frames of which the one with the most open mouth is taken; our choice


@dataclass(frozen=True)
class Stretch:
    """Neighbouring frames of one clip.

    Attributes:
        index: Number of the cached clip.
        first: Its first frame that is used.
        reference: The frame that is the reference of all.
        rows: What the denoiser gets for each frame.
    """

    index: int
    first: int
    reference: int
    rows: list[Row]


class LatentDataset:
    """Cached clips in memory."""

    def __init__(
        self, cached: Sequence[CachedClip], basis: LipBasis, settings: DiTTraining, audio: AudioEncoder,
        references: int = 1,
    ) -> None:  # fmt: skip
        """Set up the batches.

        Args:
            cached: The clips.
            basis: Turns lip shapes into coefficients.
            settings: Of the stage.
            audio: The encoder whose windows are cut.
            references: Reference frames R of a row.
        """
        self.cached, self.clips = cached, [item.latents for item in cached]
        self._mixture = Mixture([item.probability for item in cached], [item.final for item in cached])
        self.settings, self.basis, self.audio, self.references = settings, basis, audio, references
        self._augment = augment_mel if audio.mel_features else unchanged

    def batch(self, step: int, seed: int) -> Batch:
        """Make this process's rows of a batch, with the random numbers of the update.

        Returns:
            ``latent`` and ``masked`` (B, C, G, G), ``mask`` and ``mouth`` (B, 1, G, G), ``reference`` (B, R * C, G, G),
            ``mel`` (B, W, F), ``lips`` (B, 9), ``noise`` (B, C, G, G), ``uniform`` (B,) in [0, 1) for the time, and
            ``drop_audio`` (B,), true where the speech is dropped.
        """
        s, own = self.settings, process_group().rows(self.settings.batch)
        rows = [self._training_row(step_rng(seed, step, 0, row), step / s.steps) for row in own]
        out = {key: torch.from_numpy(np.stack([row[key] for row in rows])).float() for key in rows[0]}
        generator, mine = step_generator(seed, step), slice(own.start, own.stop)
        out["noise"] = torch.randn(s.batch, *out["latent"].shape[1:], generator=generator)[mine]
        out["uniform"] = torch.rand(s.batch, generator=generator)[mine]
        out["drop_audio"] = (torch.rand(s.batch, generator=generator) < s.audio_dropout)[mine]
        return out

    def describe_batch(self, step: int, seed: int) -> list[str]:
        """Name the clip and the frame of each row of ``batch``."""
        progress, own = step / self.settings.steps, process_group().rows(self.settings.batch)
        picks = [self._pick(step_rng(seed, step, 0, row), progress) for row in own]
        return [f"{self.cached[index].name} frame {frame}" for index, frame in picks]

    def stretch(self, rng: np.random.Generator, progress: float, count: int) -> Stretch:
        """Draw ``count`` neighbouring frames of one clip, with another of its frames as reference.

        The speech is not augmented.

        Args:
            rng: Draws the clip and the frames.
            progress: Share of the training that is done.
            count: Frames; the last one is repeated where the clip is shorter.
        """
        index, chosen = self._pick(rng, progress)
        clip = self.clips[index]
        first = max(0, min(chosen - count // 2, len(clip.latents) - count))
        other = self._reference_frame(clip, first, rng)
        reference = self._side_by_side(clip, [other] * self.references)
        frames = [min(first + k, len(clip.latents) - 1) for k in range(count)]
        return Stretch(index, first, other, [self._row(clip, frame, reference, None, rng) for frame in frames])

    def window(self, clip: ClipLatents, frame: int, rng: np.random.Generator | None) -> Array:
        """Cut the speech features around a frame (W, F), augmented where ``rng`` is given."""
        window = self.audio.config.window
        centre = round((int(clip.first) + frame) * self.audio.rate / int(clip.fps))
        start = centre - window // 2 + (0 if rng is None else int(rng.integers(-1, 2)))
        at = np.arange(start, start + window)
        cut = clip.mel[at.clip(0, len(clip.mel) - 1)].astype(np.float32)
        cut[(at < 0) | (at >= len(clip.mel))] = self.audio.pad
        return cut if rng is None else self._augment(rng, cut)

    def _pick(self, rng: np.random.Generator, progress: float) -> tuple[int, int]:
        """Draw a clip by its probability and one of its frames."""
        index = self._mixture.pick(rng, progress)
        clip = self.clips[index]
        frames = rng.integers(len(clip.latents), size=_OPEN_CANDIDATES)
        if rng.random() < self.settings.open_share:  # mouths are closed most of the time
            return index, int(frames[np.argmax(clip.lips[frames, -1])])
        return index, int(frames[0])

    def _training_row(self, rng: np.random.Generator, progress: float) -> Row:
        """Draw a frame with its references and its augmented speech."""
        index, frame = self._pick(rng, progress)
        clip = self.clips[index]
        return self._row(clip, frame, self._references(clip, frame, rng), rng, rng)

    def _row(
        self, clip: ClipLatents, frame: int, reference: Array, speech: np.random.Generator | None,
        rng: np.random.Generator,
    ) -> Row:  # fmt: skip
        """Collect what the denoiser gets for one frame; ``speech`` augments the speech, None leaves it as it is."""
        return {
            "latent": clip.latents[frame],
            "masked": clip.masked[frame],
            "mask": clip.mask_of(frame),
            "mouth": clip.mouth[frame],
            "reference": reference,
            "mel": self.window(clip, frame, speech),
            "lips": self._noisy_lips(self.basis.coefficients(clip.lips[frame : frame + 1])[0], rng),
        }

    def _noisy_lips(self, lips: Array, rng: np.random.Generator) -> Array:
        """Add noise to measured lip coefficients (9,), which are then as uncertain as predicted ones."""
        noise = rng.standard_normal(len(lips)).astype(np.float32)
        return lips + noise * np.float32(rng.uniform(0, self.settings.lip_noise))

    def _references(self, clip: ClipLatents, frame: int, rng: np.random.Generator) -> Array:
        """Draw references (R * C, G, G): zeros, the noised frame before, opened closed lips, or other frames."""
        s, kind = self.settings, rng.random()
        if kind < s.reference_dropout:
            return np.zeros((self.references * clip.latents.shape[1], *clip.latents.shape[2:]), np.float16)
        if kind < s.reference_dropout + s.previous_reference and frame:
            noise = rng.standard_normal(clip.latents[0].shape) * rng.uniform(0, s.previous_noise)
            return np.tile((clip.latents[frame - 1] + noise).astype(np.float16), (self.references, 1, 1))
        if clip.opened is not None and rng.random() < s.opened_references:
            return np.tile(clip.opened[self._reference_frame(clip, frame, rng)], (self.references, 1, 1))
        return self._side_by_side(clip, [self._reference_frame(clip, frame, rng) for _ in range(self.references)])

    @staticmethod
    def _side_by_side(clip: ClipLatents, frames: Sequence[int]) -> Array:
        """Concatenate frames on channels (R * C, G, G); R may be 0."""
        return clip.latents[list(frames)].reshape(-1, *clip.latents.shape[2:])

    def _reference_frame(self, clip: ClipLatents, frame: int, rng: np.random.Generator) -> int:
        if self.settings.reference_choice == "random":
            return int(rng.integers(len(clip.latents)))
        # One to all candidates, so that the choice is not always the best one.
        few = rng.integers(len(clip.latents), size=int(rng.integers(1, _CANDIDATES + 1)))
        return nearest_opening_frame(clip, frame, few, rng.uniform(0, self.settings.lip_noise) * rng.standard_normal())


def nearest_opening_frame(clip: ClipLatents, frame: int, candidates: NDArray[np.integer[Any]], error: float) -> int:
    """Choose the frame whose lip opening is nearest to that of ``frame``, as ``inference.analyse.references`` does.

    Args:
        clip: The clip.
        frame: The frame whose opening is wanted.
        candidates: Frames to choose from (K,).
        error: Error of the wanted opening, in standard deviations of the clip's opening: a prediction errs, too.
    """
    opening = clip.lips[:, -1].astype(np.float32)
    wanted = opening[frame] + error * float(opening.std())
    return int(candidates[int(np.abs(opening[candidates] - wanted).argmin())])
