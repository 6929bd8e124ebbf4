"""Train the audio encoder before the denoiser: predict from speech what the lips do.

It learns from two kinds of speech at once: real and rendered faces, whose lips are measured, and voices without a face
(`dithead voices`: many speakers and languages), whose mouth is known from their phonemes. The voices teach it to
recognise sounds in anyone's speech; the faces teach it what lips do with them.
Letters as in ``data.speech_dataset``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.checkpoint import read_config
from dithead.config import AudioTraining, Preset
from dithead.errors import ConfigError, ModelError
from dithead.hub import SHIPPED, resolve_model
from dithead.models.audio.base import AudioEncoder
from dithead.models.audio.lip_predictor import AVERAGED, LipPredictor
from dithead.models.audio.mel import samples_of
from dithead.models.audio.moonshine_layers import MoonshineLayers
from dithead.models.audio.whisper_layers import WhisperLayers
from dithead.models.pretrained import load_moonshine, load_whisper
from dithead.prepare.dataset import Clip
from dithead.train.data.clips import DataSource, choose_clips, held_out_split
from dithead.train.data.lip_basis import BASIS, COEFFICIENTS
from dithead.train.data.speech_dataset import MOUTH, SpeechDataset
from dithead.train.loop.batches import Batch
from dithead.train.loop.precision import autocast
from dithead.train.loop.processes import process_group
from dithead.train.loop.runtime import TrainingTask, train_loop
from dithead.train.loop.schedule import Schedule, learning_rate
from dithead.train.loop.trainable import Trainable
from dithead.train.loop.weights_file import load_weights, save_weights
from dithead.train.losses.closure_loss import closure_loss
from dithead.train.metrics.held_out_lips import held_out_metrics, measured_and_predicted
from dithead.train.stages.options import AudioOptions
from dithead.train.stages.start import StageStart, start_stage

WEIGHTS = "audio.safetensors"
"""The file in the run folder, beside that of the lip basis, which the denoiser's stage reads."""
_CORRELATION_WEIGHT = 0.5  # of the loss that rewards an opening that rises and falls with the truth; our choice
_MOUTH_BETA = 0.2  # error of a mouth control from which the loss is linear; our choice
_OPENING_ONLY = torch.tensor([0.0] * (COEFFICIENTS - 1) + [1.0])  # what is known of a voice's lips
_HELD_OUT_CLIPS = {"val": 24, "train": 8}  # most clips that are measured, by split
_ALL_FRAMES = 10**9  # frames per person: no limit


class AudioEncoderWithHeads(nn.Module):
    """An audio encoder with heads that only its training needs: lips and mouth controls at every token."""

    def __init__(self, encoder: AudioEncoder) -> None:
        super().__init__()
        config, self.encoder = encoder.config, encoder
        self.lips = nn.Linear(config.width, COEFFICIENTS)
        self.mouth = nn.Linear(config.width, MOUTH)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict the lips (B, 9) at the centre, and lips (B, L, 9) and mouth controls (B, L, 11) at every token.

        Args:
            mel: Feature windows with the past before them (B, P + W, F).
        """
        tokens = self.encoder(mel[:, self.encoder.past :])
        return self.encoder.predict_lips(tokens).float(), self.lips(tokens).float(), self.mouth(tokens).float()


@dataclass
class _AudioUpdate:
    """One update of the audio encoder."""

    settings: AudioTraining
    trainable: Trainable
    device: torch.device
    opening_unit: float
    """What 1 of the opening means, in distances between the outer eye corners."""
    tokens_fixed: bool = False

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        s, batch = self.settings, {key: value.to(self.device) for key, value in batch.items()}
        voice = batch["voice"][:, None]
        weight = 1 - voice + voice * _OPENING_ONLY.to(voice) * s.voice_lips  # (B, 9) of each coefficient
        terms = {} if self.tokens_fixed else self._token_losses(batch, weight)
        if "stretch" in batch:
            terms |= self._lip_predictor_losses(batch, weight)
        weighted = [term * (s.mouth_loss if key == "mouth" else 1.0) for key, term in terms.items()]
        torch.stack(weighted).sum().backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(step, s.steps, s.learning_rate, s.warmup, s.decay)
        norm = self.trainable.step(rate, s.clip)
        return {**{key: float(value.detach()) for key, value in terms.items()}, "norm": norm, "rate": rate}

    def _token_losses(self, batch: Batch, weight: Tensor) -> dict[str, Tensor]:
        with autocast(self.device):
            centre, lips, mouth = self.trainable.module(batch["mel"])
        mouth_error = F.smooth_l1_loss(mouth, batch["mouth"], reduction="none", beta=_MOUTH_BETA)
        return {
            "centre": _weighted_mean(F.smooth_l1_loss(centre, batch["centre"], reduction="none"), weight),
            "lips": _weighted_mean(F.smooth_l1_loss(lips, batch["lips"], reduction="none"), weight[:, None]),
            "mouth": _weighted_mean(mouth_error, batch["voice"][:, None, None]),
        }

    def _lip_predictor_losses(self, batch: Batch, weight: Tensor) -> dict[str, Tensor]:
        """Error of all coefficients, of the opening once more, and of how the opening moves; and of a closure head."""
        predictor = self.trainable.module.get_submodule("encoder.lip_predictor")
        assert isinstance(predictor, LipPredictor)
        with autocast(self.device):
            heard = predictor.hear(samples_of(batch["mel"]))
            read = [reader.read_lips(each) for reader, each in zip(predictor.readers, heard, strict=True)]
        predicted, truth = torch.cat(read).float(), batch["stretch"].repeat(len(read), 1, 1)
        inside, weight = (x.repeat(len(read), 1) for x in (batch["inside"], weight))
        error = F.smooth_l1_loss(predicted, truth, reduction="none")
        shape = _weighted_mean(error, weight[:, None] * inside[..., None])
        opening = _weighted_mean(error[..., -1], weight[:, -1:] * inside)
        moves = _CORRELATION_WEIGHT * correlation_loss(predicted[..., -1], truth[..., -1], inside)
        losses = {"lip_predictor": shape + opening + moves}
        if predictor.closure is not None:
            log_odds = predictor.log_odds(heard[0].float().detach())  # what is heard stays what the lips need
            rows, middle = slice(len(log_odds)), slice(AVERAGED, -AVERAGED)
            openings = truth[rows, middle, -1] * self.opening_unit
            losses["closures"] = closure_loss(log_odds, openings, weight[rows, -1:] * inside[rows, middle])
        return losses


def correlation_loss(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Compute 1 less the mean correlation of the rows of two series (B, E), where ``weight`` (B, E) is 1."""
    count = weight.sum(1, keepdim=True).clamp_min(1)
    a, b = ((x - (x * weight).sum(1, keepdim=True) / count) * weight for x in (predicted, truth))
    return 1 - ((a * b).sum(1) / (a.square().sum(1) * b.square().sum(1)).clamp_min(1e-4).sqrt()).mean()


def _weighted_mean(error: Tensor, weight: Tensor) -> Tensor:
    weight = weight.expand_as(error)
    return (error * weight).sum() / weight.sum().clamp_min(1.0)


def train_audio(
    data: Sequence[DataSource | str], preset: Preset, output: Path, options: AudioOptions | None = None
) -> Path:
    """Train the audio encoder; the same call resumes.

    Args:
        data: Prepared datasets, as ``DataSource`` or ``"FOLDER:WEIGHT"``.
        preset: The model and its training settings.
        output: The run folder.
        options: Steps, seed, device, voices, and the pretrained networks or the run to start from.

    Returns:
        The run folder, whose weights and lip basis the denoiser's stage reads.

    Raises:
        ConfigError: The preset's encoder does not have what the options ask for, or the folder holds another run.
        DataError: A dataset or the folder of voices cannot be read or is empty.
        ModelError: A pretrained network or a checkpoint cannot be read or does not fit.
    """
    options, encoder = options or AudioOptions(), preset.model.audio.load()
    slow = _start_from_pretrained(encoder, options)
    unit = 0.0 if options.tokens_of is None else freeze_tokens(encoder, options.tokens_of)
    start = start_stage("audio", data, encoder.config.__dict__, preset.audio, output, options, options.recorded())
    settings, device = start.settings, start.device
    voices = None if options.voices is None else Path(options.voices)
    dataset = SpeechDataset(start.sources, voices, settings, encoder)
    held_out = _held_out_clips(start.sources)
    if options.tokens_of is not None:
        dataset.align_basis(measured_and_predicted(encoder, dataset.basis, held_out, from_tokens=True), unit)
    if process_group().is_main:
        dataset.basis.save(start.run.folder / BASIS)
    module = AudioEncoderWithHeads(encoder).to(device)
    trainable = Trainable(module, settings.learning_rate, settings.ema, slow=slow, slow_rate=settings.pretrained_rate)
    unit = float(dataset.basis.scale[-1])
    update = _AudioUpdate(settings, trainable, device, unit, tokens_fixed=options.tokens_of is not None)
    task = TrainingTask(
        parts={"listener": trainable},
        make_batch=lambda step: dataset.batch(step, start.seed),
        update=update,
        measure=lambda step: start.run.log(
            step=step, **held_out_metrics(_averaged(trainable), dataset.basis, held_out)
        ),
    )
    train_loop(start.run, task, Schedule(settings.steps), options.init)
    if process_group().is_main:
        _save(start, _averaged(trainable), dataset, held_out)
    process_group().barrier()
    return start.run.folder


def _averaged(trainable: Trainable) -> AudioEncoder:
    average = trainable.average.module.get_submodule("encoder")
    assert isinstance(average, AudioEncoder)
    return average


def _save(
    start: StageStart[AudioTraining], encoder: AudioEncoder, dataset: SpeechDataset, held_out: Sequence[Clip]
) -> None:
    """Write the weights, and the basis with the calibration of the predictions."""
    pairs = measured_and_predicted(encoder, dataset.basis, held_out)
    truth, predicted = (np.concatenate(part) for part in zip(*pairs, strict=True))
    dataset.basis.calibrated_to(truth, predicted).save(start.run.folder / BASIS)
    save_weights(start.run.folder / WEIGHTS, encoder.state_dict())


def _start_from_pretrained(encoder: AudioEncoder, options: AudioOptions) -> list[nn.Parameter]:
    """Load the pretrained layers that the options name; return their parameters, which learn slowly."""
    slow: list[nn.Parameter] = []
    if options.speech is not None:
        slow += start_from_whisper(encoder, options.speech)
    if options.lip_predictor is not None:
        slow += start_lip_predictor(encoder, options.lip_predictor)
    return slow


def start_lip_predictor(encoder: AudioEncoder, source: str) -> list[nn.Parameter]:
    """Load the lip predictor of a model, or a Moonshine's first layers, into the lip predictor.

    Args:
        encoder: The audio encoder.
        source: A shipped model by its name or a model folder, or the Moonshine: hub id or folder.

    Returns:
        The parameters of the layers, which should learn slowly.

    Raises:
        ConfigError: The encoder has no lip predictor.
        ModelError: The model or the Moonshine cannot be read or does not fit.
    """
    if encoder.lip_predictor is None:
        raise ConfigError(
            "only an encoder with a lip predictor starts from a Moonshine; add --set model.audio.past=200"
        )
    weights = resolve_model(source) / WEIGHTS if source in SHIPPED else Path(source) / WEIGHTS
    if not weights.exists():
        return _load_pretrained(encoder.lip_predictor.layers, load_moonshine(source), source)
    load_weights(encoder, weights, "name another model", only="lip_predictor")
    return list(encoder.lip_predictor.layers.parameters())


def start_from_whisper(encoder: AudioEncoder, source: str) -> list[nn.Parameter]:
    """Load a Whisper's first layers into ``encoder``; arguments and errors as ``start_lip_predictor``."""
    if encoder.whisper is None:
        raise ConfigError("only an audio encoder of kind 'context' starts from a Whisper; leave --speech out")
    return _load_pretrained(encoder.whisper, load_whisper(source), source)


def _load_pretrained(layers: WhisperLayers | MoonshineLayers, pretrained: Any, source: str) -> list[nn.Parameter]:
    try:
        layers.load_pretrained(pretrained)
    except RuntimeError as error:
        raise ModelError(f"{source} does not fit the preset: {str(error).splitlines()[0]}") from None
    return list(layers.parameters())


def freeze_tokens(encoder: AudioEncoder, model: str) -> float:
    """Load all of ``encoder`` but its lip predictor from a model, and train these parts no more.

    Args:
        encoder: The audio encoder.
        model: The model, as ``dithead generate --model`` names it.

    Returns:
        The model's unit of the opening, in distances between the outer eye corners.

    Raises:
        ConfigError: The encoder has no lip predictor that could be trained.
        ModelError: The model cannot be read, does not fit, or does not know its unit.
    """
    if encoder.lip_predictor is None:
        raise ConfigError("only an encoder with a lip predictor keeps a model's tokens; add --set model.audio.past=200")
    folder = resolve_model(model)
    unit = read_config(folder).opening_unit
    if not unit:
        raise ModelError(f"{model} does not record the unit of its lip opening; train the audio encoder anew")
    load_weights(encoder, folder / WEIGHTS, "name another model", keep="lip_predictor")
    encoder.requires_grad_(False)
    encoder.lip_predictor.requires_grad_(True)
    return unit


def _held_out_clips(sources: Sequence[DataSource]) -> list[Clip]:
    """Choose clips of held-out people; of the training people where nobody is held out."""
    split = held_out_split(sources)
    return [item.clip for item in choose_clips(sources, split, _ALL_FRAMES)[: _HELD_OUT_CLIPS[split]]]
