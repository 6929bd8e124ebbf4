"""The audio encoder, before the transformer listens to it: hear what the lips do.

It learns from two kinds of speech at once: real and rendered faces, whose lips are measured, and voices without a
face (`dithead voices`: many speakers and languages), whose mouth is known from their phonemes. The voices teach it to
hear sounds in anyone's speech; the faces what lips do with them.
Letters: B batch, W mel frames a window, L = W / 2 tokens of 20 ms, N frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dithead.config import AudioTraining, Preset
from dithead.errors import ConfigError, DataError, ModelError
from dithead.models.audio import MelEncoder
from dithead.models.context import ContextEncoder
from dithead.models.mel import FLOOR, windows
from dithead.models.pretrained import SpeechConfig, SpeechEncoder, load_whisper
from dithead.models.talking_head import AudioEncoder, make_audio, speech_features
from dithead.prepare.dataset import Clip
from dithead.train.data import Mixture, Source, WeightedClip, choose_clips, held_out_split
from dithead.train.lipshape import COEFFICIENTS, LipBasis, lip_shapes
from dithead.train.processes import team
from dithead.train.runtime import (
    Batch,
    Loop,
    Trainable,
    autocast,
    learning_rate,
    step_rng,
    train_loop,
)
from dithead.train.speech import augment_mel
from dithead.train.start import start

MOUTH = 8
"""Controls of a mouth: jaw, round, wide, part, protrude, tuck, tongue, closure (``synth.visemes``)."""
WEIGHTS, BASIS = "audio.safetensors", "lips.npz"
_TOKEN = 2  # mel frames a token

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Heard:
    """Speech (T, 80) at 100 Hz and what the mouth does in it, every ``spacing`` of its frames."""

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
        pretrained = isinstance(encoder, SpeechEncoder)
        self.frames_per_token = 1 if pretrained else _TOKEN
        self._augment = as_it_is if pretrained else augment_mel
        chosen = choose_clips(sources, "train", settings.frames_per_identity, power=0.5)
        self._mixture = Mixture([item.probability for item in chosen], [item.final for item in chosen])
        shapes = [_shapes(item.clip) for item in chosen]
        self.basis = LipBasis.fit(shapes)
        self.faces = [self._face(item.clip, shape) for item, shape in zip(chosen, shapes, strict=True)]
        self.voices = [] if voices is None else [self._voice(path) for path in sorted(voices.glob("*.npz"))]
        if voices is not None and not self.voices:
            raise DataError(f"{voices} holds no voices; make some with: dithead voices 1000 -o {voices}")

    def batch(self, step: int, seed: int) -> Batch:
        """mel (B, W, 80), tokens' lips (B, L, 9) and mouth (B, L, 8), the centre's lips (B, 9), voice (B,) 0 or 1."""
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
        window, count, each = self.encoder.config.window, len(self.encoder.position), self.frames_per_token
        moments = centre + (np.arange(window) - window / 2) * tempo
        tokens = centre + ((np.arange(count) - count / 2) * each + 0.5) * tempo
        zeros = np.zeros((len(tokens), MOUTH), np.float32)
        return {
            "mel": self._augment(rng, cut_mel(item.mel, moments, self.encoder.pad)),
            "lips": item.at(item.lips, tokens),
            "centre": item.at(item.lips, np.array([centre]))[0],
            "mouth": zeros if item.mouth is None else item.at(item.mouth, tokens),
            "voice": np.float32(item.mouth is not None),
        }

    def _face(self, clip: Clip, shapes: NDArray[np.float32]) -> Heard:
        return Heard(_heard(self.encoder, clip.audio()), self.basis.coefficients(shapes), None, self.encoder.rate / 25)

    def _voice(self, path: Path) -> Heard:
        """Of a voice's lips only the opening is known. Raises DataError."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                wave, mouth, gap = stored["wave"], stored["mouth"].astype(np.float32), stored["gap"]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DataError(f"{path}: cannot be read ({error}); delete it and run dithead voices again") from None
        lips = np.zeros((len(mouth), COEFFICIENTS), np.float32)
        lips[:, -1] = gap / self.basis.scale[-1]
        return Heard(_heard(self.encoder, wave / np.float32(32768)), lips, mouth, self.encoder.rate / 100)


def cut_mel(mel: NDArray[np.float16], moments: NDArray[np.float64], pad: float = FLOOR) -> NDArray[np.float32]:
    """Rows of mel (T, 80) at fractional frames ``moments`` (W,), interpolated; silence beyond the ends."""
    low = np.floor(moments).astype(int)
    part = (moments - low).astype(np.float32)[:, None]
    rows = [mel[at.clip(0, len(mel) - 1)].astype(np.float32) for at in (low, low + 1)]
    out = rows[0] * (1 - part) + rows[1] * part
    out[(moments < 0) | (moments > len(mel) - 1)] = pad
    return np.asarray(out, np.float32)


def as_it_is(_: np.random.Generator, features: Floats) -> Floats:
    """Features of a network that has heard many voices need no other voices."""
    return features


def _heard(encoder: AudioEncoder, wave: Floats) -> NDArray[np.float16]:
    """Features (T, F) of speech."""
    return speech_features(encoder, torch.from_numpy(np.asarray(wave, np.float32))).numpy().astype(np.float16)


def _shapes(clip: Clip) -> NDArray[np.float32]:
    return lip_shapes(clip.track().landmarks)


class Listener(nn.Module):
    """The encoder with heads that only training needs: what each token's moment does with lips and mouth."""

    def __init__(self, encoder: AudioEncoder) -> None:
        super().__init__()
        config, self.encoder = encoder.config, encoder
        self.lips = nn.Linear(config.width, COEFFICIENTS)
        self.mouth = nn.Linear(config.width, MOUTH)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-mel (B, W, 80) to the centre's lips (B, 9), every token's lips (B, L, 9) and mouth (B, L, 8)."""
        tokens = self.encoder(mel)
        return self.encoder.guess_lips(tokens).float(), self.lips(tokens).float(), self.mouth(tokens).float()


@dataclass
class _Stage:
    settings: AudioTraining
    listener: Trainable
    device: torch.device

    def update(self, step: int, batch: Batch) -> dict[str, float]:
        s, batch = self.settings, {key: value.to(self.device) for key, value in batch.items()}
        with autocast(self.device):
            centre, lips, mouth = self.listener.module(batch["mel"])
        voice, face = batch["voice"][:, None], 1 - batch["voice"][:, None]
        known = face + voice * _OPENING_ONLY.to(voice) * s.voice_lips  # (B, 9)
        terms = {
            "centre": _mean(F.smooth_l1_loss(centre, batch["centre"], reduction="none"), known),
            "lips": _mean(F.smooth_l1_loss(lips, batch["lips"], reduction="none"), known[:, None]),
            "mouth": _mean(F.smooth_l1_loss(mouth, batch["mouth"], reduction="none", beta=0.2), voice[..., None]),
        }
        (terms["centre"] + terms["lips"] + s.mouth_loss * terms["mouth"]).backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(step, s.steps, s.learning_rate, s.warmup, s.decay)
        norm = self.listener.step(rate, s.clip)
        return {**{key: float(value.detach()) for key, value in terms.items()}, "norm": norm, "rate": rate}


_OPENING_ONLY = torch.tensor([0.0] * (COEFFICIENTS - 1) + [1.0])


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    weight = weight.expand_as(error)
    return (error * weight).sum() / weight.sum().clamp_min(1.0)


@torch.inference_mode()
def hear_lips(encoder: AudioEncoder, mel: Tensor, frames: int, fps: float = 25.0) -> NDArray[np.float32]:
    """What the encoder takes the lips to do at each of ``frames`` pictures of speech (T, 80): (frames, 9)."""
    cut = windows(mel, torch.arange(frames) / fps * encoder.rate, encoder.config.window, encoder.pad)
    return np.asarray(encoder.guess_lips(encoder(cut)).float().numpy(), np.float32)


def guesses(encoder: AudioEncoder, basis: LipBasis, clips: Sequence[Clip]) -> list[tuple[Floats, Floats]]:
    """For each clip the measured and the guessed coefficients, both (N, 9)."""
    truths = [basis.coefficients(_shapes(clip)) for clip in clips]
    heard = [hear_lips(encoder, torch.from_numpy(_heard(encoder, c.audio())).float(), c.length, c.fps) for c in clips]
    return list(zip(truths, heard, strict=True))


def held_out_scores(encoder: AudioEncoder, basis: LipBasis, clips: Sequence[Clip]) -> dict[str, float]:
    """Mean over clips of the correlation and the gain of the guessed opening against the measured one."""
    scores = []
    for truth, guess in guesses(encoder, basis, clips):
        spread = guess[:, -1].std() / max(truth[:, -1].std(), 1e-6)
        scores.append((np.corrcoef(truth[:, -1], guess[:, -1])[0, 1], spread))
    r, gain = np.nanmean(scores, axis=0)
    return {"held_out_r": float(r), "held_out_gain": float(gain)}


def train_audio(
    data: Sequence[Source | str],
    preset: Preset,
    output: Path,
    *,
    voices: Path | None = None,
    speech: str | None = None,
    seed: int = 0,
    device: str = "auto",
    steps: int | None = None,
    init: Path | None = None,
) -> Path:
    """Train the audio encoder; the same call resumes. Returns the run folder; stage two reads its weights and basis.

    ``voices`` is a folder of `dithead voices`, ``init`` an audio run to start from; ``speech`` a Whisper, by hub id or
    folder, whose first layers the encoder starts from. Raises DataError, ConfigError and ModelError.
    """
    from safetensors.torch import save_file

    config = preset.model.audio
    encoder = SpeechEncoder.load(config) if isinstance(config, SpeechConfig) else make_audio(config)
    if speech is not None:
        start_from_whisper(encoder, speech)
    begun = start("audio", data, encoder.config.__dict__, preset.audio, output, seed=seed, device=device,
                  steps=steps, voices=str(voices) if voices else None,
                  **({"speech": speech} if speech else {}))  # fmt: skip
    run, sources, settings, where = begun.run, begun.sources, begun.settings, begun.device
    bank = AudioBank(sources, None if voices is None else Path(voices), settings, encoder)
    if team().leads:
        bank.basis.save(run.folder / BASIS)
    slow = encoder.from_elsewhere() if isinstance(encoder, ContextEncoder) and speech is not None else ()
    listener = Trainable(Listener(encoder).to(where), settings.learning_rate, settings.ema,
                         slow=slow, slow_rate=settings.pretrained_rate)  # fmt: skip
    stage = _Stage(settings, listener, where)
    held_out = [item.clip for item in _held_out(sources)]

    def averaged() -> AudioEncoder:
        average = listener.average.module.get_submodule("encoder")
        assert isinstance(average, MelEncoder | ContextEncoder | SpeechEncoder)
        return average

    def score(step: int) -> None:
        run.log(step=step, **held_out_scores(averaged(), bank.basis, held_out))

    train_loop(run, {"listener": listener}, Loop(settings.steps), lambda step: bank.batch(step, seed), stage.update,
               score, init)  # fmt: skip
    if team().leads:
        truth, heard = (np.concatenate(part) for part in zip(*guesses(averaged(), bank.basis, held_out), strict=True))
        bank.basis.calibrated_by(truth, heard).save(run.folder / BASIS)
        part = run.folder / "audio.part"
        save_file({k: v.contiguous().cpu() for k, v in averaged().state_dict().items()}, part)
        part.replace(run.folder / WEIGHTS)
    team().wait()
    return run.folder


def start_from_whisper(encoder: AudioEncoder, source: str) -> None:
    """Fill ``encoder`` from the Whisper that ``source`` names. Raises ConfigError and ModelError."""
    if not isinstance(encoder, ContextEncoder):
        raise ConfigError("only an audio encoder of kind 'context' starts from a Whisper; leave --speech out")
    whisper = load_whisper(source)
    try:
        encoder.take_from(whisper)
    except RuntimeError as error:
        raise ModelError(f"{source} does not fit the preset: {str(error).splitlines()[0]}") from None


def _held_out(sources: Sequence[Source]) -> list[WeightedClip]:
    split = held_out_split(sources)
    return choose_clips(sources, split, 10**9, 0.5)[: 24 if split == "val" else 8]
