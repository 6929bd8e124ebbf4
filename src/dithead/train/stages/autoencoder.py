"""Trains the face autoencoder, which is stage one.

It reconstructs frames under the mask, where lips count more: an L1 term, a Laplacian-pyramid term, LPIPS where its
weights are given, and late in the training a patch discriminator with feature matching. Latents get noise in training,
so that the decoder tolerates the denoiser's small errors; the encoder bounds their size, so no KL term is needed.
Letters: B batch, S crop side, C latent channels, G latent side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dithead.config import AutoencoderTraining, Preset
from dithead.critics.discriminator import PatchDiscriminator
from dithead.critics.face_identity import load_face_identity
from dithead.errors import ConfigError, ModelError
from dithead.hub import resolve_model
from dithead.model_folder import verify_folder
from dithead.models.autoencoder.face import FaceAutoencoder
from dithead.models.autoencoder.kl import KLConfig
from dithead.train.data.clips import ClipFrames, DataSource, FrameDataset, held_out_split
from dithead.train.data.drawn_latents import LatentDrawer
from dithead.train.data.frame_stream import FrameStream, is_sharded
from dithead.train.data.image_batch import Frames, image_batch
from dithead.train.loop.batches import Batch
from dithead.train.loop.precision import autocast
from dithead.train.loop.processes import process_group
from dithead.train.loop.randomness import step_generator, step_rng
from dithead.train.loop.run_folder import CHECKPOINT
from dithead.train.loop.runtime import TrainingTask, train_loop
from dithead.train.loop.schedule import Schedule
from dithead.train.loop.trainable import Trainable
from dithead.train.loop.weights_file import load_tensors, load_weights, save_weights
from dithead.train.metrics.reconstruction import held_out_metrics, load_lpips
from dithead.train.report.sample_sheet import write_sample_sheet
from dithead.train.stages.autoencoder_update import WINDOW_STREAM, AutoencoderUpdate, training_window
from dithead.train.stages.options import AutoencoderOptions
from dithead.train.stages.start import StageStart, start_stage

WEIGHTS = "autoencoder.safetensors"
"""The file in the run folder that the denoiser's stage reads."""
_HELD_OUT_STREAM, _STATISTICS_STREAM = 7, 9  # of random numbers, see ``step_rng``
_HELD_OUT_FRAMES = 12  # frames of held-out people on which it is measured; our choice
_STATISTICS_BATCHES = _STATISTICS_ROWS = 16  # from which the latents' mean and deviation are measured


@torch.no_grad()
def reconstruct(
    model: FaceAutoencoder, batch: Batch, device: torch.device, drawer: LatentDrawer | None = None
) -> Tensor:
    """Reconstruct the images of a batch (B, 3, S, S), from drawn latents where it says so; the result is on the CPU."""
    batch = {key: value.to(device) for key, value in batch.items()}
    image, masked, mask, reference = (batch[key] for key in ("image", "masked", "mask", "reference"))
    with autocast(device):
        z = model.encode(image)
        if drawer is not None:
            noise = torch.randn(len(image), *drawer.shape, generator=step_generator(0, 0)).to(z)
            z = torch.where(batch["drawn"] > 0, drawer.draw(batch, noise).to(z), z)
        return model.decode(z, masked, mask, reference).float().cpu()


@torch.no_grad()
def measure_statistics(model: FaceAutoencoder, frames: Frames, size: int, device: torch.device) -> None:
    """Set the mean and standard deviation of the latents from augmented training frames."""
    latents = []
    for step in range(_STATISTICS_BATCHES):
        rngs = [step_rng(0, step, _STATISTICS_STREAM, row) for row in range(_STATISTICS_ROWS)]
        batch = image_batch(frames, size, rngs)
        with autocast(device):
            window = training_window(batch["mask"], step_rng(0, step, WINDOW_STREAM))
            latents.append(model.encoder(window.pixels(batch["image"]).to(device)).float())
    model.set_statistics(torch.cat(latents))


def train_autoencoder(
    data: Sequence[DataSource | str], preset: Preset, output: Path, options: AutoencoderOptions | None = None
) -> Path:
    """Train the autoencoder; the same call resumes.

    Args:
        data: Prepared datasets, as ``DataSource`` or ``"FOLDER:WEIGHT"``; their clips need no speech.
        preset: The model and its training settings.
        output: The run folder.
        options: Steps, seed, device, the run to start from, and the model whose latents stay.

    Returns:
        The run folder, whose ``autoencoder.safetensors`` the denoiser's stage reads.

    Raises:
        ConfigError: The preset takes a pretrained autoencoder, the folder holds a run with other settings, or one of
            `--drawn-by` and `autoencoder.drawn_share` is given without the other.
        DataError: A dataset cannot be read or has no usable clips.
        ModelError: A checkpoint or the LPIPS weights cannot be read.
    """
    options, config = options or AutoencoderOptions(), preset.model.autoencoder
    if isinstance(config, KLConfig):
        raise ConfigError(
            f"preset '{preset.model.name}' takes a pretrained autoencoder, there is nothing to train: go on with "
            f"dithead train dit --autoencoder {config.source}"
        )
    if (options.drawn_by is None) != (preset.autoencoder.drawn_share == 0):
        raise ConfigError("latents are drawn with --drawn-by RUN and --set autoencoder.drawn_share=0.75: give both")
    model = preset.model.model_dump(mode="json")
    start = start_stage("autoencoder", data, model, preset.autoencoder, output, options, options.recorded())
    size, network = preset.model.size, FaceAutoencoder(config)
    init = start_from_model(network, options.init)
    if options.latents_of:
        take_latents(network, options.latents_of)
    drawer = None if options.drawn_by is None else LatentDrawer.load(options.drawn_by, start.device)
    lpips, frames = load_lpips(start.settings.lpips, start.device), _training_frames(start, drawer)
    identity = load_face_identity().to(start.device) if start.settings.identity_weight else None
    update = AutoencoderUpdate(start.settings, _trainable(network, start), _trainable(PatchDiscriminator(), start),
                                start.device, start.seed, lpips, identity, drawer)  # fmt: skip
    average = update.autoencoder.average.module
    assert isinstance(average, FaceAutoencoder)
    train_loop(start.run, _task(start, update, average, frames, size), Schedule(start.settings.steps), init)
    if not options.latents_of:
        measure_statistics(average, frames, size, start.device)
    if process_group().is_main:
        save_weights(start.run.folder / WEIGHTS, average.state_dict())
    process_group().barrier()
    return start.run.folder


def start_from_model(network: FaceAutoencoder, init: Path | None) -> Path | None:
    """Load the autoencoder of the model folder ``init``.

    Returns:
        None; or ``init`` itself where it is another run's folder, from which the loop starts.

    Raises:
        ModelError: The model folder's autoencoder cannot be read or does not fit.
    """
    if init is None or (init / CHECKPOINT).exists() or not (init / WEIGHTS).exists():
        return init
    load_weights(network, init / WEIGHTS, "give another folder")
    return None


def take_latents(network: FaceAutoencoder, source: str) -> None:
    """Give a network the encoder of a model, and the statistics of its latents, which then stay as they are.

    Args:
        network: The network.
        source: Shipped name, model folder or hub id.

    Raises:
        ModelError: The model cannot be read, or its encoder has another shape.
    """
    folder = resolve_model(source)
    verify_folder(folder)
    stored = load_tensors(folder / WEIGHTS, "give another model")
    own = network.state_dict()
    kept = {name: value for name, value in stored.items() if name.startswith(("encoder.", "latent_"))}
    differing = [name for name, value in kept.items() if name not in own or own[name].shape != value.shape]
    if differing:
        raise ModelError(f"{folder}: its encoder does not fit the preset ({differing[0]}); give another model")
    network.load_state_dict(own | kept)
    network.encoder.requires_grad_(False)


def _training_frames(start: StageStart[AutoencoderTraining], drawer: LatentDrawer | None) -> Frames:
    settings, hear = start.settings, None if drawer is None else drawer.hear
    places = settings.steps * settings.batch
    if is_sharded(start.sources):
        return FrameStream(start.sources, "train", start.seed, places, hear)
    return FrameDataset(start.sources, "train", settings.frames_per_identity, places, hear)


def _task(
    start: StageStart[AutoencoderTraining], update: AutoencoderUpdate, average: FaceAutoencoder, frames: Frames,
    size: int,
) -> TrainingTask:  # fmt: skip
    """Bundle what the training loop calls."""
    batch_size, held_out = start.settings.batch, _held_out_batch(start, frames, size, update.drawer)

    def rows(step: int) -> list[np.random.Generator]:
        return [step_rng(start.seed, step, 0, row) for row in process_group().rows(batch_size)]

    def place(step: int) -> int:
        return step * batch_size + process_group().rows(batch_size).start

    def measure(step: int) -> None:
        picture = reconstruct(average, held_out, start.device, update.drawer)
        start.run.log(step=step, **held_out_metrics(picture, held_out, update.lpips))
        sheet_rows = [held_out[key] for key in ("image", "masked", "reference")]
        write_sample_sheet(start.run.folder, step, *sheet_rows, picture)

    return TrainingTask(
        parts={"autoencoder": update.autoencoder, "discriminator": update.discriminator},
        make_batch=lambda step: image_batch(
            frames,
            size,
            rows(step),
            place=place(step),
            opened=start.settings.opened_references,
            drawn=start.settings.drawn_share,
        ),
        update=update,
        measure=measure,
        describe_batch=lambda step: [
            _describe(*frames.pick(rng, place(step) + row)) for row, rng in enumerate(rows(step))
        ],
    )


def _describe(clip: ClipFrames, target: int, reference: int) -> str:
    return f"{clip.id} frames {target} and {reference}"


def _trainable(module: Any, start: StageStart[AutoencoderTraining]) -> Trainable:
    module = module.to(start.device, memory_format=torch.channels_last)
    betas = (0.5, 0.9) if isinstance(module, PatchDiscriminator) else (0.9, 0.99)
    return Trainable(module, start.settings.learning_rate, start.settings.ema, betas)


def _held_out_batch(
    start: StageStart[AutoencoderTraining], frames: Frames, size: int, drawer: LatentDrawer | None
) -> Batch:
    """Load frames of held-out people; of the training people where nobody is held out."""
    source = frames
    if held_out_split(start.sources) == "val":
        most, hear = max(24, start.settings.frames_per_identity // 20), None if drawer is None else drawer.hear
        source = FrameDataset(start.sources, "val", most, hear=hear)
    rngs = [step_rng(0, 0, _HELD_OUT_STREAM, row) for row in range(_HELD_OUT_FRAMES)]
    return image_batch(source, size, rngs, augment=False, opened=start.settings.opened_references, drawn=1.0)
