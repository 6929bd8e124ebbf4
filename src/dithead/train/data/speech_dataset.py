"""Batches of the audio encoder: faces and voices in memory, windows of their speech and what the mouth does in them.

Letters: B batch, W mel frames a window, P before it, F numbers in each: 80, and 160 samples behind them for a lip
predictor; L = W / 2 tokens of 20 ms, N frames, E moments that the lip predictor predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dithead.config import AudioTraining
from dithead.errors import DataError
from dithead.models.audio.base import AudioEncoder
from dithead.models.audio.lip_predictor import LipPredictor
from dithead.models.audio.mel import FLOOR, HOP, N_MELS
from dithead.prepare.dataset import Clip
from dithead.train.data.clips import Mixture, Source, choose_clips
from dithead.train.data.damaged_clips import Damaged
from dithead.train.data.lip_basis import COEFFICIENTS, LipBasis, lip_shapes
from dithead.train.data.speech_augmentation import augment_mel, augment_sound
from dithead.train.loop.processes import team
from dithead.train.loop.runtime import Batch, step_rng

MOUTH = 8
"""Controls of a mouth: jaw, round, wide, part, protrude, tuck, tongue, closure (``synth.face.visemes``)."""
_TOKEN = 2  # mel frames a token
_EARLIEST = 16  # tokens of a stretch before which a lip predictor has too little of the past

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Heard:
    """Speech (T, F) at 100 Hz and what the mouth does in it, every ``spacing`` of its frames."""

    mel: NDArray[np.float16]
    lips: NDArray[np.float32]  # (N, 9)
    mouth: NDArray[np.float32] | None  # (N, 8) controls; None for a face
    spacing: float

    def at(self, values: Floats, moments: NDArray[np.float64]) -> NDArray[np.float32]:
        """Rows of ``values`` (N, K) at frames ``moments`` (M,), interpolated: (M, K)."""
        place = np.clip(moments / self.spacing, 0, len(values) - 1)
        low = np.minimum(place.astype(int), len(values) - 2)
        part = (place - low)[:, None]
        return np.asarray(values[low] * (1 - part) + values[low + 1] * part, np.float32)


class AudioBank:
    """Faces and voices in memory; batches are a function of (seed, step) alone."""

    def __init__(
        self, sources: Sequence[Source], voices: Path | None, settings: AudioTraining, encoder: AudioEncoder
    ) -> None:
        """``encoder`` says what is heard: log-mel, or a pretrained network's features."""
        self.settings, self.encoder = settings, encoder
        self._augment = augment_mel if encoder.mel_features else as_it_is
        chosen = choose_clips(sources, "train", settings.frames_per_identity, power=0.5)
        damaged = Damaged(len(chosen))
        read = [(item, damaged.read(item.clip, partial(shapes_of, item.clip))) for item in chosen]
        known = [(item, shapes) for item, shapes in read if shapes is not None]
        self._mixture = Mixture([item.probability for item, _ in known], [item.final for item, _ in known])
        self.basis = LipBasis.fit([shapes for _, shapes in known])
        self.faces = [self._face(item.clip, shapes) for item, shapes in known]
        self.voices = [] if voices is None else [self._voice(path) for path in sorted(voices.glob("*.npz"))]
        if voices is not None and not self.voices:
            raise DataError(f"{voices} holds no voices; make some with: dithead voices 1000 -o {voices}")

    def turn_basis(self, told: Sequence[tuple[Floats, Floats]], unit: float) -> None:
        """Tell lips as another encoder does, of which truths and guesses (N, 9) are given: 1 of the opening is
        ``unit``, and the directions, which have no sign, point the same way.
        """
        truth, guess = (np.concatenate(part) for part in zip(*told, strict=True))
        r = [np.corrcoef(truth[:, k], guess[:, k])[0, 1] for k in range(COEFFICIENTS)]
        change = np.where(np.array(r) < 0, -1, 1).astype(np.float32)
        scale = self.basis.scale.copy()
        change[-1], scale[-1] = scale[-1] / unit, unit
        self.basis = replace(self.basis, directions=self.basis.directions * change[:-1], scale=scale)
        self.faces = [replace(face, lips=face.lips * change) for face in self.faces]

    def batch(self, step: int, seed: int) -> Batch:
        """mel (B, P + W, F), tokens' lips (B, L, 9) and mouth (B, L, 8), the centre's lips (B, 9), voice (B,) 0 or 1.

        Where there is a lip predictor also the lips (B, E, 9) of the stretch that it predicts, and whether known
        (B, E).
        """
        rows = [
            self._row(step_rng(seed, step, 3, row), step / self.settings.steps)
            for row in team().rows(self.settings.batch)
        ]
        return {key: torch.from_numpy(np.stack([row[key] for row in rows])).float() for key in rows[0]}

    def _row(self, rng: np.random.Generator, progress: float) -> dict[str, NDArray[Any]]:
        if self.voices and rng.random() < self.settings.voice_share:
            item = self.voices[int(rng.integers(len(self.voices)))]
        else:
            item = self.faces[self._mixture.pick(rng, progress)]
        tempo = float(np.exp(rng.normal(0, self.settings.tempo)))
        centre = rng.uniform(0, len(item.mel) - 1)
        window, count, each = self.encoder.config.window, len(self.encoder.position), self.encoder.frames_per_token
        moments = centre + (np.arange(-self.encoder.past, window) - window / 2) * tempo
        tokens = centre + ((np.arange(count) - count / 2) * each + 0.5) * tempo
        zeros = np.zeros((len(tokens), MOUTH), np.float32)
        return {
            "mel": self._heard(rng, item.mel, moments),
            "lips": item.at(item.lips, tokens),
            "centre": item.at(item.lips, np.array([centre]))[0],
            "mouth": zeros if item.mouth is None else item.at(item.mouth, tokens),
            "voice": np.float32(item.mouth is not None),
            **self._stretch(item, moments),
        }

    def _heard(self, rng: np.random.Generator, features: NDArray[np.float16], moments: NDArray[np.float64]) -> Floats:
        """Features (T, F) at ``moments`` (P + W,), in another voice and room."""
        if not self.encoder.has_samples:
            return self._augment(rng, cut_mel(features, moments, self.encoder.pad))
        mel = self._augment(rng, cut_mel(features[:, :N_MELS], moments))
        sound = augment_sound(rng, cut_sound(features[:, N_MELS:].ravel(), moments))
        return np.concatenate([mel, sound.reshape(-1, HOP)], 1)

    def _stretch(self, item: Heard, moments: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """What a lip predictor should predict for speech at ``moments`` (P + W,).

        Nothing before the first or after the last frame, nor where it has too little of what comes before or after.
        """
        predictor = self.encoder.lip_predictor
        if predictor is None:
            return {}
        tokens = predicted_moments(predictor, moments)
        inside = (tokens >= 0) & (tokens <= (len(item.lips) - 1) * item.spacing)
        inside[:_EARLIEST] = False
        inside[-(self.encoder.config.window // (2 * _TOKEN) - predictor.margin) :] = False
        return {"stretch": item.at(item.lips, tokens), "inside": inside.astype(np.float32)}

    def _face(self, clip: Clip, shapes: NDArray[np.float32]) -> Heard:
        return Heard(
            features_of(self.encoder, clip.audio()), self.basis.coefficients(shapes), None, self.encoder.rate / 25
        )

    def _voice(self, path: Path) -> Heard:
        """Of a voice's lips only the opening is known. Raises DataError."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                wave, mouth, gap = stored["wave"], stored["mouth"].astype(np.float32), stored["gap"]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DataError(f"{path}: cannot be read ({error}); delete it and run dithead voices again") from None
        lips = np.zeros((len(mouth), COEFFICIENTS), np.float32)
        lips[:, -1] = gap / self.basis.scale[-1]
        return Heard(features_of(self.encoder, wave / np.float32(32768)), lips, mouth, self.encoder.rate / 100)


def cut_mel(mel: NDArray[np.float16], moments: NDArray[np.float64], pad: float = FLOOR) -> NDArray[np.float32]:
    """Rows of mel (T, 80) at fractional frames ``moments`` (W,), interpolated; silence beyond the ends."""
    low = np.floor(moments).astype(int)
    part = (moments - low).astype(np.float32)[:, None]
    rows = [mel[at.clip(0, len(mel) - 1)].astype(np.float32) for at in (low, low + 1)]
    out = rows[0] * (1 - part) + rows[1] * part
    out[(moments < 0) | (moments > len(mel) - 1)] = pad
    return np.asarray(out, np.float32)


def cut_sound(sound: NDArray[np.float16], moments: NDArray[np.float64]) -> NDArray[np.float32]:
    """160 samples of sound (160 T,) after each of the evenly spaced mel frames ``moments`` (W,): (160 W,)."""
    tempo = moments[1] - moments[0]
    at = HOP * moments[0] + tempo * np.arange(HOP * len(moments))
    return np.interp(at, np.arange(len(sound)), sound.astype(np.float32), left=0.0, right=0.0).astype(np.float32)


def predicted_moments(predictor: LipPredictor, moments: Floats) -> NDArray[np.float64]:
    """For which of ``moments`` (P + W,) the lip predictor predicts the lips (E,)."""
    return np.asarray(moments[::_TOKEN][predictor.margin : -predictor.margin], np.float64)


def as_it_is(_: np.random.Generator, features: Floats) -> Floats:
    """Features of a network that has heard many voices need no other voices."""
    return features


def features_of(encoder: AudioEncoder, wave: Floats) -> NDArray[np.float16]:
    """Features (T, F) of speech."""
    return encoder.features(torch.from_numpy(np.asarray(wave, np.float32))).numpy().astype(np.float16)


def shapes_of(clip: Clip) -> NDArray[np.float32]:
    """Lip shapes (N, 81) of a clip."""
    return lip_shapes(clip.track().landmarks)
