"""One update of the autoencoder's stage: reconstruct under the mask, and learn from the pictures and from the critics.

Letters: B batch, S crop side, C latent channels, G latent side; g x g a window of the latent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dithead.config import AutoencoderTraining
from dithead.critics.face_identity import FaceIdentity
from dithead.models.autoencoder.face import FACTOR, FaceAutoencoder
from dithead.models.denoiser.token_window import Window
from dithead.train.data.drawn_latents import LatentDrawer
from dithead.train.data.image_batch import PICTURES
from dithead.train.loop.batches import Batch
from dithead.train.loop.precision import autocast
from dithead.train.loop.processes import process_group
from dithead.train.loop.randomness import step_generator, step_rng
from dithead.train.loop.schedule import learning_rate
from dithead.train.loop.trainable import Trainable
from dithead.train.losses import reconstruction_loss as losses
from dithead.train.metrics.reconstruction import Distance

WINDOW_STREAM = 5
"""Of the random numbers that choose training windows, see ``step_rng``."""
_DRAWN_STREAM = 13  # of the noise from which latents are drawn
_SHARE_STREAM = 14  # of the shares of the reference's latent in those that are drawn
_LARGEST_SHARE = 0.6  # of these shares: a little more than ``generate`` uses (our choice)
_DISCRIMINATOR_CLIP = 10.0  # norm to which its gradient is clipped; our choice
_WINDOW_SHARE = (0.7, 0.8)  # of the latent's rows and columns that a training window covers


@dataclass
class AutoencoderUpdate:
    """One update of autoencoder and discriminator."""

    settings: AutoencoderTraining
    autoencoder: Trainable
    discriminator: Trainable
    device: torch.device
    seed: int
    lpips: Distance | None = None
    identity: FaceIdentity | None = None
    drawer: LatentDrawer | None = None

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        s = self.settings
        window = training_window(batch["mask"], step_rng(self.seed, step, WINDOW_STREAM))
        whole, drawn = batch["image"], self._drawn_latents(step, batch, window)
        batch = {key: window.pixels(batch[key]).to(self.device, memory_format=torch.channels_last) for key in PICTURES}
        output, masked = self._reconstruct(step, batch, drawn)
        loss, metrics = self._reconstruction_loss(batch, output)
        if masked is not None:
            metrics["masked"] = masked
            loss = loss + s.masked_weight * masked
        if self.identity is not None:
            whole = whole.to(self.device)
            metrics["identity"] = losses.identity_loss(self.identity, window.place_pixels(output, whole), whole)
            loss = loss + s.identity_weight * metrics["identity"]
        adversarial = step >= s.adversarial_start * s.steps
        if adversarial:
            fake, matching = self._adversarial_loss(batch, output)
            loss = loss + s.adversarial_weight * fake + s.matching_weight * matching
            metrics |= {"fake": fake, "matching": matching}
        loss.backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(step, s.steps, s.learning_rate, s.warmup, s.decay)
        norm = self.autoencoder.step(rate, s.clip)
        if adversarial:
            metrics["critic"] = self._update_discriminator(batch, output.detach(), rate)
        return {**{key: float(value.detach()) for key, value in metrics.items()}, "norm": norm, "rate": rate}

    def _drawn_latents(self, step: int, batch: Batch, window: Window) -> tuple[Tensor, Tensor] | None:
        """Let the transformer draw the latents of a window.

        Returns:
            Latents (B, C, g, g) and, as (B, 1, 1, 1), in which rows they count; None where nothing is drawn.
        """
        if self.drawer is None:
            return None
        batch = {key: value.to(self.device) for key, value in batch.items()}
        noise = self._noise(step, _DRAWN_STREAM, self.drawer.shape)
        share = _LARGEST_SHARE * self._shares(step, _SHARE_STREAM)
        return window.cells(self.drawer.draw(batch, noise, share)), batch["drawn"] > 0

    def _noise(self, step: int, stream: int, shape: tuple[int, ...]) -> Tensor:
        """Draw this process's rows of standard normal numbers (B, ...)."""
        rows = process_group().rows(self.settings.batch)
        noise = torch.randn(self.settings.batch, *shape, generator=step_generator(self.seed + stream, step))[rows]
        return noise.to(self.device)

    def _shares(self, step: int, stream: int) -> Tensor:
        """Draw this process's rows of numbers between 0 and 1 (B, 1, 1, 1)."""
        rows = process_group().rows(self.settings.batch)
        shares = torch.rand(self.settings.batch, 1, 1, 1, generator=step_generator(self.seed + stream, step))[rows]
        return shares.to(self.device)

    def _reconstruct(
        self, step: int, batch: Batch, drawn: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        """Encode, add noise to the latents, and decode; rows that are drawn get the transformer's latents as they are.

        Returns:
            The picture (B, 3, S, S), and where masked frames have an encoder of their own, the mean squared difference
            between its latents and those of the encoder of whole pictures.
        """
        model = self.autoencoder.module
        assert isinstance(model, FaceAutoencoder)
        with autocast(self.device):
            z = model.encode(batch["image"])
            noise, level = self._noise(step, 0, tuple(z.shape[1:])).to(z), self._shares(step, 1).to(z)
            z, masked = z + noise * level * self.settings.latent_noise * 2, None
            if drawn is not None:
                z = torch.where(drawn[1], drawn[0].to(z), z)
            if model.masked_encoder is not None:
                known = model.encode_masked(batch["masked"])
                with torch.no_grad():
                    wanted = model.encode(batch["masked"])
                masked = F.mse_loss(known.float(), wanted.float())
                z = torch.where(F.avg_pool2d(batch["mask"], FACTOR) > 0, z, known)  # as ``TalkingHead.generate`` does
            return model.decode(z, batch["masked"], batch["mask"], batch["reference"]).float(), masked

    def _reconstruction_loss(self, batch: Batch, output: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        s = self.settings
        weight = batch["mask"] * (1 + s.mouth_weight * batch["mouth"])
        # The share of all processes' weight: the mean over processes is then that of the whole batch.
        share = weight.sum() / process_group().mean(weight.sum())
        pixel = losses.weighted_mean((output - batch["image"]).abs(), weight) * share
        detail = losses.pyramid_loss(output, batch["image"], weight) * share
        loss, metrics = pixel + s.detail_weight * detail, {"pixel": pixel, "detail": detail}
        if self.lpips is not None:
            metrics["lpips"] = self.lpips(output, batch["image"]).mean()
            loss = loss + s.lpips_weight * metrics["lpips"]
        return loss, metrics

    def _score(self, image: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        with autocast(self.device):
            score, features = self.discriminator.module(image, mask)
        return score.float(), [f.float() for f in features]

    def _adversarial_loss(self, batch: Batch, output: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            _, real = self._score(batch["image"], batch["mask"])
        score, features = self._score(output, batch["mask"])
        return F.relu(1 - score).mean(), losses.feature_matching(real, features)

    def _update_discriminator(self, batch: Batch, output: Tensor, rate: float) -> Tensor:
        score = self._score(torch.cat([batch["image"], output]), batch["mask"].repeat(2, 1, 1, 1))[0]
        loss = losses.hinge_loss(*score.chunk(2))
        self.discriminator.optimizer.zero_grad(set_to_none=True)  # the generator's pass left gradients here
        loss.backward()  # type: ignore[no-untyped-call]
        self.discriminator.step(rate, _DISCRIMINATOR_CLIP)
        return loss.detach()


def training_window(mask: Tensor, rng: np.random.Generator) -> Window:
    """Choose the window to train on: the rows from the top of most masks down, and most columns.

    The rest of the crop is known and would only cost time.
    """
    grid = mask.shape[-1] // FACTOR
    rows, columns = (max(1, round(grid * share)) for share in _WINDOW_SHARE)
    left = int(rng.integers(0, grid - columns + 1))
    return Window(grid - rows, grid, left, left + columns, grid)
