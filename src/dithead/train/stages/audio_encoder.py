"""The audio encoder, before the transformer listens to it: hear what the lips do.

It learns from two kinds of speech at once: real and rendered faces, whose lips are measured, and voices without a
face (`dithead voices`: many speakers and languages), whose mouth is known from their phonemes. The voices teach it to
hear sounds in anyone's speech; the faces what lips do with them.
Letters as in ``train.data.speech_dataset``.
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

from dithead.checkpoint import read_config
from dithead.config import AudioTraining, Preset
from dithead.errors import ConfigError, ModelError
from dithead.hub import resolve_model
from dithead.models.audio.base import AudioEncoder
from dithead.models.audio.mel import samples_of, windows
from dithead.models.audio.moonshine_layers import MoonshineLayers
from dithead.models.audio.whisper_layers import WhisperLayers
from dithead.models.pretrained import load_moonshine, load_whisper
from dithead.prepare.dataset import Clip
from dithead.train.data.clips import Source, WeightedClip, choose_clips, held_out_split
from dithead.train.data.lip_basis import COEFFICIENTS, LipBasis
from dithead.train.data.speech_dataset import MOUTH, AudioBank, Floats, features_of, shapes_of
from dithead.train.loop.processes import team
from dithead.train.loop.runtime import (
    Batch,
    Loop,
    Trainable,
    autocast,
    learning_rate,
    train_loop,
)
from dithead.train.loop.weights_file import fill
from dithead.train.stages.start import start

WEIGHTS, BASIS = "audio.safetensors", "lips.npz"
_AT_ONCE = 64  # windows that are heard together
_RHYTHM = 0.5  # what counts, besides the error of the opening told, that it rises and falls with the truth


class Listener(nn.Module):
    """The encoder with heads that only training needs: what each token's moment does with lips and mouth."""

    def __init__(self, encoder: AudioEncoder) -> None:
        super().__init__()
        config, self.encoder = encoder.config, encoder
        self.lips = nn.Linear(config.width, COEFFICIENTS)
        self.mouth = nn.Linear(config.width, MOUTH)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, P + W, F) to the centre's lips (B, 9), every token's lips (B, L, 9) and mouth (B, L, 8)."""
        tokens = self.encoder(mel[:, self.encoder.past :])
        return self.encoder.predict_lips(tokens).float(), self.lips(tokens).float(), self.mouth(tokens).float()


@dataclass
class _Stage:
    settings: AudioTraining
    listener: Trainable
    device: torch.device
    lip_predictor_alone: bool = False

    def update(self, step: int, batch: Batch) -> dict[str, float]:
        s, batch = self.settings, {key: value.to(self.device) for key, value in batch.items()}
        voice = batch["voice"][:, None]
        known = 1 - voice + voice * _OPENING_ONLY.to(voice) * s.voice_lips  # (B, 9)
        terms = {} if self.lip_predictor_alone else self._tokens(batch, known)
        if "stretch" in batch:
            terms["lip_predictor"] = self._lip_predictor(batch, known)
        counted = [term * (s.mouth_loss if key == "mouth" else 1.0) for key, term in terms.items()]
        torch.stack(counted).sum().backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(step, s.steps, s.learning_rate, s.warmup, s.decay)
        norm = self.listener.step(rate, s.clip)
        return {**{key: float(value.detach()) for key, value in terms.items()}, "norm": norm, "rate": rate}

    def _tokens(self, batch: Batch, known: Tensor) -> dict[str, Tensor]:
        """Errors of what the tokens tell."""
        with autocast(self.device):
            centre, lips, mouth = self.listener.module(batch["mel"])
        wrong = F.smooth_l1_loss(mouth, batch["mouth"], reduction="none", beta=0.2)
        return {
            "centre": _mean(F.smooth_l1_loss(centre, batch["centre"], reduction="none"), known),
            "lips": _mean(F.smooth_l1_loss(lips, batch["lips"], reduction="none"), known[:, None]),
            "mouth": _mean(wrong, batch["voice"][:, None, None]),
        }

    def _lip_predictor(self, batch: Batch, known: Tensor) -> Tensor:
        """Error of what the lip predictor predicts; ``known`` (B, 9) is what each number counts."""
        predictor = self.listener.module.get_submodule("encoder.lip_predictor")
        with autocast(self.device):
            told = predictor(samples_of(batch["mel"]))
        told, wanted, weight = told.float(), batch["stretch"], batch["inside"]
        error = F.smooth_l1_loss(told, wanted, reduction="none")
        spread = _mean(error, known[:, None] * weight[..., None])
        opening = _mean(error[..., -1], known[:, -1:] * weight)
        return spread + opening + _RHYTHM * apart(told[..., -1], wanted[..., -1], weight)


def apart(told: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """1 less the mean correlation of the rows of ``told`` and ``wanted`` (B, E), where ``weight`` (B, E) is 1."""
    count = weight.sum(1, keepdim=True).clamp_min(1)
    a, b = ((x - (x * weight).sum(1, keepdim=True) / count) * weight for x in (told, wanted))
    return 1 - ((a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).clamp_min(1e-4).sqrt()).mean()


_OPENING_ONLY = torch.tensor([0.0] * (COEFFICIENTS - 1) + [1.0])


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    weight = weight.expand_as(error)
    return (error * weight).sum() / weight.sum().clamp_min(1.0)


@torch.inference_mode()
def hear_lips(
    encoder: AudioEncoder, mel: Tensor, frames: int, fps: float = 25.0, *, from_tokens: bool = False
) -> NDArray[np.float32]:
    """What the encoder takes the lips to do at each of ``frames`` pictures of speech (T, F): (frames, 9).

    ``from_tokens``: as predicted from its tokens, also where it has a lip predictor.
    """
    centres = torch.arange(frames) / fps * encoder.rate
    cut = windows(mel, centres, encoder.config.window, encoder.pad, encoder.past)
    lips = [_told(encoder, part, from_tokens).float() for part in cut.split(_AT_ONCE)]
    return np.asarray(torch.cat(lips).numpy(), np.float32)


def _told(encoder: AudioEncoder, cut: Tensor, from_tokens: bool) -> Tensor:
    return encoder.predict_lips(encoder(cut[:, encoder.past :])) if from_tokens else encoder.tokens_and_lips(cut)[1]


def guesses(
    encoder: AudioEncoder, basis: LipBasis, clips: Sequence[Clip], *, from_tokens: bool = False
) -> list[tuple[Floats, Floats]]:
    """For each clip the measured and the guessed coefficients, both (N, 9); ``from_tokens``: see ``hear_lips``."""

    def heard(clip: Clip) -> Floats:
        mel = torch.from_numpy(features_of(encoder, clip.audio())).float()
        return hear_lips(encoder, mel, clip.length, clip.fps, from_tokens=from_tokens)

    return [(basis.coefficients(shapes_of(clip)), heard(clip)) for clip in clips]


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
    lip_predictor: str | None = None,
    seed: int = 0,
    device: str = "auto",
    steps: int | None = None,
    init: Path | None = None,
    tokens_of: str | None = None,
) -> Path:
    """Train the audio encoder; the same call resumes. Returns the run folder; stage two reads its weights and basis.

    ``voices`` is a folder of `dithead voices`, ``init`` an audio run to start from; ``speech`` a Whisper, by hub id or
    folder, whose first layers the encoder starts from, ``lip_predictor`` a Moonshine for its lip predictor.
    ``tokens_of`` is a model, as ``--model`` names it, whose encoder's tokens stay as they are, so that its transformer
    may: only the lip predictor learns.
    Raises DataError, ConfigError and ModelError.
    """
    from safetensors.torch import save_file

    config = preset.model.audio
    encoder = config.load()
    slow: list[nn.Parameter] = []
    if speech is not None:
        slow += start_from_whisper(encoder, speech)
    if lip_predictor is not None:
        slow += start_from_moonshine(encoder, lip_predictor)
    unit = 0.0 if tokens_of is None else keep_tokens(encoder, tokens_of)
    begun = start("audio", data, encoder.config.__dict__, preset.audio, output, seed=seed, device=device,
                  steps=steps, voices=str(voices) if voices else None,
                  **{k: v for k, v in {"speech": speech, "lip_predictor": lip_predictor, "tokens_of": tokens_of}.items()
                     if v})  # fmt: skip
    run, sources, settings, where = begun.run, begun.sources, begun.settings, begun.device
    bank = AudioBank(sources, None if voices is None else Path(voices), settings, encoder)
    held_out = [item.clip for item in _held_out(sources)]
    if tokens_of is not None:
        bank.turn_basis(guesses(encoder, bank.basis, held_out, from_tokens=True), unit)
    if team().leads:
        bank.basis.save(run.folder / BASIS)
    listener = Trainable(Listener(encoder).to(where), settings.learning_rate, settings.ema,
                         slow=slow, slow_rate=settings.pretrained_rate)  # fmt: skip
    stage = _Stage(settings, listener, where, lip_predictor_alone=tokens_of is not None)

    def averaged() -> AudioEncoder:
        average = listener.average.module.get_submodule("encoder")
        assert isinstance(average, AudioEncoder)
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


def start_from_moonshine(encoder: AudioEncoder, source: str) -> list[nn.Parameter]:
    """Fill the lip predictor of ``encoder`` from the Moonshine that ``source`` names; returns what should learn slowly.

    Raises ConfigError and ModelError.
    """
    if encoder.lip_predictor is None:
        raise ConfigError(
            "only an encoder with a lip predictor starts from a Moonshine; add --set model.audio.past=200"
        )
    return _pretrained(encoder.lip_predictor.layers, load_moonshine(source), source)


def start_from_whisper(encoder: AudioEncoder, source: str) -> list[nn.Parameter]:
    """Fill ``encoder`` from the Whisper that ``source`` names; the rest as ``start_from_moonshine``."""
    if encoder.whisper is None:
        raise ConfigError("only an audio encoder of kind 'context' starts from a Whisper; leave --speech out")
    return _pretrained(encoder.whisper, load_whisper(source), source)


def _pretrained(layers: WhisperLayers | MoonshineLayers, pretrained: Any, source: str) -> list[nn.Parameter]:
    try:
        layers.load_pretrained(pretrained)
    except RuntimeError as error:
        raise ModelError(f"{source} does not fit the preset: {str(error).splitlines()[0]}") from None
    return list(layers.parameters())


def keep_tokens(encoder: AudioEncoder, model: str) -> float:
    """Fill all of ``encoder`` but its lip predictor from ``model``, for good; returns the model's ``opening_unit``.

    Raises ConfigError and ModelError.
    """
    if encoder.lip_predictor is None:
        raise ConfigError("only an encoder with a lip predictor keeps a model's tokens; add --set model.audio.past=200")
    folder = resolve_model(model)
    unit = read_config(folder).opening_unit
    if not unit:
        raise ModelError(f"{model} does not say what its encoder tells of the lips; train the audio encoder anew")
    fill(encoder, folder / WEIGHTS, "name another model", own="lip_predictor")
    encoder.requires_grad_(False)
    encoder.lip_predictor.requires_grad_(True)
    return unit


def _held_out(sources: Sequence[Source]) -> list[WeightedClip]:
    split = held_out_split(sources)
    return choose_clips(sources, split, 10**9, 0.5)[: 24 if split == "val" else 8]
