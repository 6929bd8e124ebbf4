"""The whole model: autoencoder, denoiser and audio encoder behind one object that turns speech into mouths.

Letters: B batch, S crop side, C latent channels, G latent side, T feature frames, F numbers in each, L audio tokens, A
their width, K lip coefficients. Images are in [-1, 1].
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.device import Precision, pick_dtype
from dithead.models.audio.base import AudioConfig
from dithead.models.audio.context_encoder import ContextEncoder
from dithead.models.audio.mel import windows
from dithead.models.autoencoder.face import AutoencoderConfig, FaceAutoencoder
from dithead.models.autoencoder.kl import KLAutoencoder, KLConfig
from dithead.models.denoiser.base import DiTConfig, LatentConditions
from dithead.models.denoiser.dit import DiT
from dithead.models.denoiser.token_window import Window, tokens_under_mask, window_of
from dithead.models.denoiser.unet import UNet
from dithead.models.packed import InType, can_pack, packed, packed_autoencoder
from dithead.models.packed_dit import PackedDiT, packed_denoiser
from dithead.types import MaskKind

REFERENCE_SHARE = 0.5
"""Share of the reference's latent in what is decoded, where the reference shows the wanted mouth: what is drawn alone
is a hazy mean at times (docs/log)."""


class HeadConfig(Protocol):
    """What the model reads of its configuration (``config.ModelConfig`` says what each setting means)."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def guidance(self) -> float: ...
    @property
    def opening(self) -> float: ...
    @property
    def opening_unit(self) -> float: ...
    @property
    def width_units(self) -> tuple[float, ...]: ...
    @property
    def mask(self) -> MaskKind: ...
    @property
    def autoencoder(self) -> AutoencoderConfig | KLConfig: ...
    @property
    def dit(self) -> DiTConfig: ...
    @property
    def audio(self) -> AudioConfig: ...


class Sampler(Protocol):
    """What the model needs of its objective (``diffusion.objectives``)."""

    def sample(self, predict: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Tensor:
        """Sample a clean latent (B, C, G, G) from ``noise`` with the network ``predict`` in ``steps`` steps."""
        ...


@dataclass(frozen=True)
class Conditions:
    """What frames are generated from."""

    masked: Tensor
    """Masked frames (B, 3, S, S) in [-1, 1]."""
    mask: Tensor
    """Mask (B, 1, S, S) or (1, 1, S, S); 1 is generated, 0 is kept."""
    reference: Tensor
    """Reference frames (B, 3, S, S), or (1, 3, S, S): one for all."""
    tokens: Tensor
    """Audio tokens (B, L, A)."""
    lips: Tensor | None = None
    """Calibrated lip coefficients (B, K); None: those that the audio encoder predicts from the tokens."""
    reference_latent: Tensor | None = None
    """Latents (B, C, G, G) in place of those of ``reference``: known ones, or the previous output's as in the paper."""
    masked_latent: Tensor | None = None
    """What ``TalkingHead.masked_latents`` makes of ``masked``, where it is known already."""
    reference_share: Tensor | None = None
    """Share of the reference's latent in the one that is decoded (B,); None: nothing of it."""


def make_denoiser(config: DiTConfig) -> DiT | UNet:
    """Build the backbone that the configuration names, with random weights."""
    return UNet(config) if config.backbone == "unet" else DiT(config)


class TalkingHead(nn.Module):
    """Stage one and stage two together, as a model folder holds them."""

    def __init__(self, config: HeadConfig, objective: Sampler) -> None:
        super().__init__()
        self.config = config
        self.objective = objective
        self.files: dict[str, Any] = {}
        """Version and hashes of the files that it was loaded from; empty where it was not loaded."""
        self.autoencoder: FaceAutoencoder | KLAutoencoder = config.autoencoder.build()
        self.dit = make_denoiser(config.dit)
        self.audio = config.audio.build()

    @property
    def size(self) -> int:
        """Crop side S in pixels."""
        return self.config.size

    @property
    def device(self) -> torch.device:
        return self.autoencoder.latent_mean.device

    def speech_tokens(self, features: Tensor, times: Tensor) -> Tensor:
        """Compute tokens (B, L, A) for frames at ``times`` (B,) in seconds, from the track's ``features`` (T, F)."""
        return self.audio(self._windows(features, times, 0))  # type: ignore[no-any-return]

    def tokens_and_lips(
        self, features: Tensor, times: Tensor, predicted: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute tokens and calibrated lips for video frames.

        Args:
            features: The track's features (T, F).
            times: Times of the frames (B,), in seconds.
            predicted: What the lip predictor says (B, K), where that is known (``AudioEncoder.lip_blocks``).

        Returns:
            Tokens (B, L, A) and lip coefficients (B, K); None for a model without that condition.
        """
        if predicted is None:
            tokens, lips = self.audio.tokens_and_lips(self._windows(features, times, self.audio.past))
        else:
            tokens, lips = self.audio.tokens_and_mean_lips(self._windows(features, times, 0), predicted)
        return tokens, self.dit.calibrated(lips) if self.config.dit.lip_targets else None

    def _windows(self, features: Tensor, times: Tensor, past: int) -> Tensor:
        centres = times.float().cpu() * self.audio.rate
        cut = windows(features, centres, self.config.audio.window, self.audio.pad, past)
        return cut.to(self.device, self.audio.position.dtype)

    def initial_noise(self, seed: int) -> Tensor:
        """Draw one noise (1, C, G, G) for a whole clip, which is steadier than fresh noise per frame (docs/log)."""
        generator = torch.Generator().manual_seed(seed)
        g, c = self.config.dit.grid, self.config.dit.latent_channels
        return torch.randn(1, c, g, g, generator=generator)

    @torch.inference_mode()
    def generate(
        self, conditions: Conditions, noise: Tensor, *, steps: int | None = None, guidance: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Generate frames.

        Args:
            conditions: What they are generated from.
            noise: Standard normal (1, C, G, G) for all frames, or (B, C, G, G).
            steps: Sampling steps; None: as configured.
            guidance: Scale of classifier-free guidance, 1 is none; None: as configured.

        Returns:
            Frames (B, 3, S, S) in float32, equal to ``masked`` outside the mask, and their latents (B, C, G, G).
        """
        dtype, c = self.autoencoder.dtype, conditions
        exact, exact_mask = c.masked.to(self.device), c.mask.to(self.device)
        masked, mask, reference = (x.to(self.device, dtype) for x in (exact, exact_mask, c.reference))
        b, tokens = len(masked), c.tokens.to(dtype)
        mask_z = F.avg_pool2d(mask, self.size // self.config.dit.grid).expand(b, -1, -1, -1)
        window, index = window_of(mask_z), tokens_under_mask(mask_z)
        known = c.reference_latent
        reference_z = self.encode_window(reference, window) if known is None else known.to(masked)
        masked_z = self.encode_window(masked, window, masked=True) if c.masked_latent is None else c.masked_latent
        reference, mask, reference_z = (x.expand(b, -1, -1, -1) for x in (reference, mask, reference_z))
        lips = self.predict_lips(c.tokens) if c.lips is None else c.lips.to(self.device)
        latent_conditions = LatentConditions(masked_z, mask_z, reference_z, tokens, lips, index)
        z = self._sample(latent_conditions, noise.to(masked_z), steps, guidance)
        if c.reference_share is not None:
            z = torch.lerp(z, reference_z.to(z), c.reference_share.to(z)[:, None, None, None])
        outside = torch.ones(self.config.dit.grid**2, device=z.device, dtype=torch.bool)
        outside[index] = False
        z = torch.where(outside.view(1, 1, *z.shape[-2:]), masked_z, z)
        pictures = (window.pixels(x) for x in (masked, mask, reference))
        patch = self.autoencoder.decode(window.cells(z).to(dtype), *pictures)
        drawn = torch.where(window.pixels(exact_mask) > 0, patch.to(exact), window.pixels(exact))
        return window.place_pixels(drawn, exact), z.float()

    def for_drawing(self, precision: Precision = "auto") -> TalkingHead:
        """Return this model as it draws fastest on its device (``models.packed``); both share what does not change.

        Args:
            precision: Of the autoencoder, the denoiser and the audio encoder's layers before its tokens; the lip
                predictor stays in float32.
        """
        dtype = pick_dtype(self.device, precision)
        pack = can_pack(self.device, dtype)
        fast, own = copy.copy(self), isinstance(self.autoencoder, FaceAutoencoder)
        audio = self.audio
        whisper = self.audio.whisper
        if whisper is not None:  # pretrained encoders of other kinds cannot be copied layer by layer
            audio = copy.copy(self.audio)
            audio._modules = self.audio._modules | {"whisper": None}
            audio = packed(audio, torch.float32, pack=pack)
            audio._modules["whisper"] = InType(packed(whisper, dtype, pack=pack), dtype)
            if pack and isinstance(audio, ContextEncoder):
                audio.record()
        fast._modules = {
            "autoencoder": packed_autoencoder(self.autoencoder, dtype, self.size, pack=pack and own),
            "dit": packed_denoiser(self.dit, dtype, pack=pack),
            "audio": audio,
        }
        return fast

    @property
    def same_in_every_batch(self) -> bool:
        """Whether a frame gets the same bits whatever is drawn beside it."""
        return isinstance(self.dit, PackedDiT) and isinstance(self.autoencoder, FaceAutoencoder)

    def encode_window(self, image: Tensor, window: Window, masked: bool = False) -> Tensor:
        """Encode an ``image`` (B, 3, S, S), ``masked`` or whole, in a ``window``: (B, C, G, G), zero elsewhere."""
        encode = self.autoencoder.encode_masked if masked else self.autoencoder.encode
        return window.place(encode(window.pixels(image)).to(image.dtype))

    @torch.inference_mode()
    def reference_latents(self, pictures: Tensor, mask: Tensor) -> Tensor:
        """Encode references ``pictures`` (B, 3, S, S) as ``generate`` does under a ``mask`` (1, 1, S, S)."""
        pictures, mask = (x.to(self.device, self.autoencoder.dtype) for x in (pictures, mask))
        return self.encode_window(pictures, window_of(F.avg_pool2d(mask, self.size // self.config.dit.grid)))

    @torch.inference_mode()
    def masked_latents(self, masked: Tensor, mask: Tensor) -> Tensor:
        """Encode ``masked`` frames (B, 3, S, S) as ``generate`` does under a ``mask`` (B, 1, S, S)."""
        masked, mask = (x.to(self.device, self.autoencoder.dtype) for x in (masked, mask))
        window = window_of(F.avg_pool2d(mask, self.size // self.config.dit.grid))
        return self.encode_window(masked, window, masked=True)

    def predict_lips(self, tokens: Tensor) -> Tensor | None:
        """Predict calibrated lip coefficients (B, K) from tokens (B, L, A); None for a model without that condition."""
        if not self.config.dit.lip_targets:
            return None
        return self.dit.calibrated(self.audio.predict_lips(tokens))

    def predict_opening(self, tokens: Tensor) -> Tensor | None:
        """Predict by how much the lips open wider than usual (B,), in distances between the outer eye corners.

        None for a model whose ``opening_unit`` is not known.
        """
        lips, unit = self.predict_lips(tokens), self.config.opening_unit
        return None if lips is None or not unit else (lips[:, -1] - self.dit.lip_centre[-1]) * unit

    def _sample(self, conditions: LatentConditions, noise: Tensor, steps: int | None, guidance: float | None) -> Tensor:
        scale, tokens = self.config.guidance if guidance is None else guidance, conditions.audio
        unconditional = conditions._replace(audio=self.audio.unconditional(len(tokens)).to(tokens), lips=None)

        def predict(z: Tensor, t: Tensor) -> Tensor:
            predicted: Tensor = self.dit(z, t, conditions)
            return predicted if scale == 1.0 else torch.lerp(self.dit(z, t, unconditional), predicted, scale)

        noise = noise.expand(len(conditions.masked), -1, -1, -1)
        return self.objective.sample(predict, noise, steps or self.config.steps)
