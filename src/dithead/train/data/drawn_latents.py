"""Draws latents with a trained transformer, so that stage one learns to decode what ``generate`` will give it.

A latent that was encoded from the true frame knows the mouth exactly; a drawn one is a mean of what may be. A decoder
that never saw the second kind makes a hazy mouth of it.
Letters: B batch, N frames of a clip, S crop side, C latent channels, G latent side, L audio tokens, A their width, K
lip coefficients.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dithead.checkpoint import load_model
from dithead.errors import ModelError
from dithead.models.autoencoder.face import FACTOR
from dithead.models.denoiser.base import LatentConditions
from dithead.models.denoiser.token_window import tokens_per_sample
from dithead.models.talking_head import REFERENCE_SHARE, TalkingHead
from dithead.prepare.dataset import Clip
from dithead.train.data.clips import FrameSpeech
from dithead.train.data.lip_basis import BASIS, COEFFICIENTS, LipBasis, lip_shapes
from dithead.train.loop.precision import autocast

_HEARD_AT_ONCE = 64  # frames


@dataclass(frozen=True)
class LatentDrawer:
    """Draws latents of training frames with a model: from its audio tokens and the measured lips.

    Attributes:
        talker: The model, which does not learn here.
        basis: Turns measured lip shapes into the coefficients that the model was trained with.
    """

    talker: TalkingHead
    basis: LipBasis

    @classmethod
    def load(cls, run: Path, device: torch.device) -> LatentDrawer:
        """Load the model of a run of `dithead train dit`, and the lip basis of the audio run that it names.

        Args:
            run: The run folder.
            device: Where the model is put.

        Raises:
            ModelError: The folder is no such run, or a part of it is missing.
        """
        try:
            audio = Path(json.loads((run / "config.json").read_text("utf-8"))["audio"])
            basis = LipBasis.load(audio / BASIS)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{run} is no finished run of `dithead train dit` ({error}); give another folder"
            ) from None
        return cls(load_model(run / "model", device=device).eval().requires_grad_(False), basis)

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, G and G of a latent."""
        grid = self.talker.config.dit.grid
        return self.talker.config.dit.latent_channels, grid, grid

    @torch.no_grad()
    def hear(self, clip: Clip, frames: NDArray[np.intp]) -> FrameSpeech:
        """Compute what the transformer is told of some ``frames`` (N,) of a clip."""
        if not clip.has_speech:
            tokens = np.zeros((len(frames), *self.talker.audio.position.shape), np.float16)
            return FrameSpeech(tokens, np.zeros((len(frames), COEFFICIENTS), np.float32), heard=False)
        features = self.talker.audio.features(torch.from_numpy(clip.audio()))
        times = torch.from_numpy(frames / clip.fps)
        parts = [self.talker.speech_tokens(features, part).half().cpu() for part in times.split(_HEARD_AT_ONCE)]
        lips = self.basis.coefficients(lip_shapes(clip.track().landmarks))[frames]
        return FrameSpeech(torch.cat(parts).numpy(), lips.astype(np.float32))

    @torch.no_grad()
    def draw(self, batch: Mapping[str, Tensor], noise: Tensor, share: float | Tensor = REFERENCE_SHARE) -> Tensor:
        """Draw latents (B, C, G, G) and mix them with the reference's, as ``TalkingHead.generate`` does.

        Args:
            batch: ``masked`` and ``reference`` (B, 3, S, S), ``mask`` (B, 1, S, S), ``tokens`` (B, L, A) and ``lips``
                (B, K).
            noise: Standard normal (B, C, G, G).
            share: Share of the reference's latent, one number or (B, 1, 1, 1).
        """
        talker, mask = self.talker, F.avg_pool2d(batch["mask"], FACTOR)
        with autocast(talker.device):
            masked = talker.autoencoder.encode_masked(batch["masked"])
            reference = talker.autoencoder.encode(batch["reference"])
            conditions = LatentConditions(
                masked, mask, reference, audio=batch["tokens"], lips=batch["lips"], token_index=tokens_per_sample(mask)
            )
            drawn = talker.objective.sample(lambda z, t: talker.dit(z, t, conditions), noise, talker.config.steps)
        return drawn.float() + (reference.float() - drawn.float()) * share
