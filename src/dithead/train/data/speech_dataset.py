"""Makes batches for the audio encoder: windows of the speech of faces and voices, with the mouth's movement.

Letters: B batch, W feature frames of a window, P of the past before it, F numbers in each (80 of log-mel, and 160
samples behind them where there is a lip predictor), T feature frames of a track, n samples at 16 kHz, L tokens of
20 ms, N frames of a clip, E moments for which the lip predictor predicts the lips.
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
from dithead.train.data.clips import DataSource, Mixture, choose_clips
from dithead.train.data.damaged_clips import DamagedClips
from dithead.train.data.lip_basis import LipBasis, correlations, lip_shapes, shapes_of_lips
from dithead.train.data.speech_augmentation import augment_mel, augment_samples
from dithead.train.loop.batches import Batch
from dithead.train.loop.processes import process_group
from dithead.train.loop.randomness import step_rng

MOUTH = 11
"""Controls of a mouth: ten of ``synth.face.units.CONTROLS``, and lip closure."""
_VOICE_RATE = 100  # mouth controls a second in the files of `dithead voices`
_ROW_STREAM = 3  # of random numbers, see ``step_rng``
_TOKEN = 2  # mel frames of a token
_LEAST_PAST = 16  # tokens at the start of a window for which a lip predictor has too little of the past; our choice

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SpeechTrack:
    """The speech of a face or a voice, and what the mouth does in it.

    Attributes:
        features: Of the whole track (T, F).
        lips: Lip coefficients (N, 9); those of a voice are of the head that its phonemes move.
        mouth: Mouth controls (N, 11) of a voice; None for a face.
        spacing: Feature frames from one row of ``lips`` to the next.
    """

    features: NDArray[np.float16]
    lips: NDArray[np.float32]
    mouth: NDArray[np.float32] | None
    spacing: float

    def at(self, values: Floats, moments: NDArray[np.float64]) -> NDArray[np.float32]:
        """Interpolate rows of ``values`` (N, K) at feature frames ``moments`` (M,): (M, K)."""
        place = np.clip(moments / self.spacing, 0, len(values) - 1)
        low = np.minimum(place.astype(int), len(values) - 2)
        part = (place - low)[:, None]
        return np.asarray(values[low] * (1 - part) + values[low + 1] * part, np.float32)


class SpeechDataset:
    """Faces and voices in memory; batches are a function of (seed, step) alone."""

    def __init__(
        self, sources: Sequence[DataSource], voices: Path | None, settings: AudioTraining, encoder: AudioEncoder
    ) -> None:
        """Load the speech and measure the lips.

        Args:
            sources: Prepared datasets.
            voices: A folder of `dithead voices`, or None.
            settings: Of the stage.
            encoder: Whose features are computed.

        Raises:
            DataError: A dataset has no clips, or the folder of voices has none.
        """
        self.settings, self.encoder = settings, encoder
        self._augment = augment_mel if encoder.mel_features else unchanged
        chosen = choose_clips(sources, "train", settings.frames_per_identity)
        damaged = DamagedClips(len(chosen))
        read = [(item, damaged.read(item.clip, partial(lip_shapes_of, item.clip))) for item in chosen]
        known = [(item, shapes) for item, shapes in read if shapes is not None]
        self._mixture = Mixture([item.probability for item, _ in known], [item.final for item, _ in known])
        self.basis = LipBasis.fit([shapes for _, shapes in known])
        self.faces = [self._load_face(item.clip, shapes) for item, shapes in known]
        self.voices = [] if voices is None else [self._load_voice(path) for path in sorted(voices.glob("*.npz"))]
        if voices is not None and not self.voices:
            raise DataError(f"{voices} holds no voices; make some with: dithead voices 1000 -o {voices}")

    def align_basis(self, pairs: Sequence[tuple[Floats, Floats]], unit: float) -> None:
        """Express lips in the coefficients of another encoder.

        The principal directions, whose signs are arbitrary, get its signs, and the opening gets its unit.

        Args:
            pairs: For each clip the measured coefficients and those that the encoder predicts (N, 9).
            unit: What 1 of its opening means, in distances between the outer eye corners.
        """
        truth, predicted = (np.concatenate(part) for part in zip(*pairs, strict=True))
        change = np.where(correlations(truth, predicted) < 0, -1, 1).astype(np.float32)
        scale = self.basis.scale.copy()
        change[-1], scale[-1] = scale[-1] / unit, unit
        self.basis = replace(self.basis, directions=self.basis.directions * change[:-1], scale=scale)
        self.faces = [replace(face, lips=face.lips * change) for face in self.faces]

    def batch(self, step: int, seed: int) -> Batch:
        """Make this process's rows of a batch.

        Returns:
            ``mel``, feature windows with the past (B, P + W, F); ``lips`` (B, L, 9) and ``mouth`` (B, L, 11) at every
            token; ``centre``, the lips (B, 9) at the window's centre; ``voice`` (B,), 1 for a voice and 0 for a face.
            Where there is a lip predictor also ``stretch``, the lips (B, E, 9) that it predicts, and ``inside``
            (B, E), 1 where these are known.
        """
        rows = [
            self._row(step_rng(seed, step, _ROW_STREAM, row), step / self.settings.steps)
            for row in process_group().rows(self.settings.batch)
        ]
        return {key: torch.from_numpy(np.stack([row[key] for row in rows])).float() for key in rows[0]}

    def _row(self, rng: np.random.Generator, progress: float) -> dict[str, NDArray[Any]]:
        if self.voices and rng.random() < self.settings.voice_share:
            track = self.voices[int(rng.integers(len(self.voices)))]
        else:
            track = self.faces[self._mixture.pick(rng, progress)]
        tempo = float(np.exp(rng.normal(0, self.settings.tempo)))
        centre = rng.uniform(0, len(track.features) - 1)
        window, count, each = self.encoder.config.window, len(self.encoder.position), self.encoder.frames_per_token
        moments = np.asarray(centre + (np.arange(-self.encoder.past, window) - window / 2) * tempo, np.float64)
        tokens = np.asarray(centre + ((np.arange(count) - count / 2) * each + 0.5) * tempo, np.float64)
        no_controls = np.zeros((len(tokens), MOUTH), np.float32)
        return {
            "mel": self._augmented_features(rng, track.features, moments),
            "lips": track.at(track.lips, tokens),
            "centre": track.at(track.lips, np.array([centre]))[0],
            "mouth": no_controls if track.mouth is None else track.at(track.mouth, tokens),
            "voice": np.array(track.mouth is not None, np.float32),
            **self._predicted_stretch(track, moments),
        }

    def _augmented_features(
        self, rng: np.random.Generator, features: NDArray[np.float16], moments: NDArray[np.float64]
    ) -> Floats:
        """Cut features (T, F) at ``moments`` (P + W,) and give them another voice and room."""
        if not self.encoder.has_samples:
            return self._augment(rng, cut_mel(features, moments, self.encoder.pad))
        mel = self._augment(rng, cut_mel(features[:, :N_MELS], moments))
        samples = augment_samples(rng, cut_samples(features[:, N_MELS:].ravel(), moments))
        return np.concatenate([mel, samples.reshape(-1, HOP)], 1)

    def _predicted_stretch(self, track: SpeechTrack, moments: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """Return the lips that a lip predictor should predict from speech at ``moments`` (P + W,).

        They are not known before the first and after the last frame, and do not count where the predictor has too
        little of the past or of the future.
        """
        predictor = self.encoder.lip_predictor
        if predictor is None:
            return {}
        times = predicted_times(predictor, moments)
        inside = (times >= 0) & (times <= (len(track.lips) - 1) * track.spacing)
        inside[:_LEAST_PAST] = False
        inside[-(self.encoder.config.window // (2 * _TOKEN) - predictor.margin) :] = False
        return {"stretch": track.at(track.lips, times), "inside": inside.astype(np.float32)}

    def _load_face(self, clip: Clip, shapes: NDArray[np.float32]) -> SpeechTrack:
        features = features_of(self.encoder, clip.audio())
        return SpeechTrack(features, self.basis.coefficients(shapes), None, self.encoder.rate / clip.fps)

    def _load_voice(self, path: Path) -> SpeechTrack:
        """Load a file of `dithead voices`."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                wave, mouth, lips = (stored[name] for name in ("wave", "mouth", "lips"))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DataError(f"{path}: cannot be read ({error}); delete it and run dithead voices again") from None
        coefficients = self.basis.coefficients(shapes_of_lips(lips.astype(np.float32)))
        features = features_of(self.encoder, wave / np.float32(32768))
        return SpeechTrack(features, coefficients, mouth.astype(np.float32), self.encoder.rate / _VOICE_RATE)


def cut_mel(mel: NDArray[np.float16], moments: NDArray[np.float64], pad: float = FLOOR) -> NDArray[np.float32]:
    """Interpolate rows of ``mel`` (T, 80) at fractional frames ``moments`` (W,); ``pad`` lies beyond the ends."""
    low = np.floor(moments).astype(int)
    part = (moments - low).astype(np.float32)[:, None]
    rows = [mel[at.clip(0, len(mel) - 1)].astype(np.float32) for at in (low, low + 1)]
    out = rows[0] * (1 - part) + rows[1] * part
    out[(moments < 0) | (moments > len(mel) - 1)] = pad
    return np.asarray(out, np.float32)


def cut_samples(samples: NDArray[np.float16], moments: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cut 160 samples after each of the evenly spaced mel frames ``moments`` (W,) out of (160 T,): (160 W,)."""
    tempo = moments[1] - moments[0]
    at = HOP * moments[0] + tempo * np.arange(HOP * len(moments))
    return np.interp(at, np.arange(len(samples)), samples.astype(np.float32), left=0.0, right=0.0).astype(np.float32)


def predicted_times(predictor: LipPredictor, moments: Floats) -> NDArray[np.float64]:
    """Return for which of ``moments`` (P + W,) the lip predictor predicts the lips (E,)."""
    return np.asarray(moments[::_TOKEN][predictor.margin : -predictor.margin], np.float64)


def unchanged(_: np.random.Generator, features: Floats) -> Floats:
    """Return features of a pretrained network as they are: it has learned from many voices already."""
    return features


def features_of(encoder: AudioEncoder, wave: Floats) -> NDArray[np.float16]:
    """Compute the features (T, F) of speech (n,) in half precision."""
    return encoder.features(torch.from_numpy(np.asarray(wave, np.float32))).numpy().astype(np.float16)


def lip_shapes_of(clip: Clip) -> NDArray[np.float32]:
    """Measure the lip shapes (N, 81) of a clip."""
    return lip_shapes(clip.track().landmarks)
