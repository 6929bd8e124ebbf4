"""The whole model: autoencoder, transformer and audio encoder behind one object that turns speech into mouths.

Shapes: B batch, S crop side, G latent side, L audio tokens, A their width. Images are in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio.base import MelEncoder, MelEncoderConfig
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.models.audio.hf_speech import KLAutoencoder, KLConfig, SpeechConfig, SpeechEncoder
from dithead.models.audio.mel import log_mel, speech_level, windows, with_sound
from dithead.models.autoencoder.face import AutoencoderConfig, FaceAutoencoder
from dithead.models.denoiser.chunks import knowing
from dithead.models.denoiser.dit import DiT, DiTConfig, tokens_under_mask
from dithead.models.denoiser.token_window import Window, window_of
from dithead.models.denoiser.unet import UNet
from dithead.types import MaskKind

AudioEncoder = MelEncoder | ContextEncoder | SpeechEncoder
AudioConfig = MelEncoderConfig | ContextEncoderConfig | SpeechConfig
TARGET_LEVEL = 2.0
"""Loudness every speech track is brought to before the encoder (units of ``speech_level``)."""
QUIETEST_SPEECH = -1.5
"""A track whose loud parts stay below this level is taken for silence and not amplified."""


class HeadConfig(Protocol):
    """What the model reads of its configuration (``config.ModelConfig``)."""

    name: str
    size: int
    steps: int
    guidance: float
    opening: float
    opening_unit: float
    mask: MaskKind
    autoencoder: AutoencoderConfig | KLConfig
    dit: DiTConfig
    audio: AudioConfig


class Sampler(Protocol):
    """What the model asks of its objective (``diffusion.objectives``): a latent from noise in ``steps`` steps."""

    def sample(self, predict: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Tensor: ...


def normalise_level(mel: Tensor) -> Tensor:
    """Shift log-mel (T, 80) so that its loud parts reach ``TARGET_LEVEL``; silence stays at the floor."""
    level = speech_level(mel)
    if level < QUIETEST_SPEECH:
        return mel
    floor = mel.min()
    return torch.where(mel <= floor, mel, mel + (TARGET_LEVEL - level))


def speech_features(audio: AudioEncoder, wave: Tensor) -> Tensor:
    """16 kHz speech (n,) to what ``audio`` hears (T, F), on the CPU."""
    if isinstance(audio, SpeechEncoder):
        return audio.features(wave.to(audio.position.device))
    mel = normalise_level(log_mel(wave, audio.scale))
    return with_sound(mel, wave) if audio.sound else mel


def make_autoencoder(config: AutoencoderConfig | KLConfig) -> FaceAutoencoder | KLAutoencoder:
    """Ours, or a Stable-Diffusion one, with random weights."""
    return KLAutoencoder(config) if isinstance(config, KLConfig) else FaceAutoencoder(config)


def make_audio(config: AudioConfig) -> AudioEncoder:
    """One of ours, or a pretrained speech encoder's shape, with random weights."""
    if isinstance(config, ContextEncoderConfig):
        return ContextEncoder(config)
    return SpeechEncoder(config) if isinstance(config, SpeechConfig) else MelEncoder(config)


def make_denoiser(config: DiTConfig) -> DiT | UNet:
    """The backbone that the configuration asks for, with random weights."""
    return UNet(config) if config.backbone == "unet" else DiT(config)


class TalkingHead(nn.Module):
    """Stage one and stage two together, as a model folder holds them."""

    def __init__(self, config: HeadConfig, objective: Sampler) -> None:
        super().__init__()
        self.config = config
        self.objective = objective
        self.autoencoder = make_autoencoder(config.autoencoder)
        self.dit = make_denoiser(config.dit)
        self.audio = make_audio(config.audio)

    @property
    def size(self) -> int:
        """Crop side S in pixels."""
        return self.config.size

    @property
    def device(self) -> torch.device:
        return self.autoencoder.latent_mean.device

    def encode_audio(self, wave: Tensor) -> Tensor:
        """16 kHz speech (n,) to features on the CPU: level-normalised log-mel (T, 80), or a speech encoder's (T, H)."""
        return speech_features(self.audio, wave)

    def audio_window(self, features: Tensor, times: Tensor) -> Tensor:
        """Tokens (B, L, A) for frames shown at ``times`` (B,) seconds."""
        return self.audio(self._cut(features, times, 0))

    def hear(self, features: Tensor, times: Tensor) -> tuple[Tensor, Tensor | None]:
        """Tokens (B, L, A) for frames shown at ``times`` (B,) seconds, and what the lips do there (B, lip_targets).

        The latter is None for a model without that condition.
        """
        tokens, guess = self.audio.hear(self._cut(features, times, self.audio.past))
        return tokens, self.dit.calibrated(guess) if self.config.dit.lip_targets else None

    def _cut(self, features: Tensor, times: Tensor, past: int) -> Tensor:
        centres = times.float().cpu() * self.audio.rate
        cut = windows(features, centres, self.config.audio.window, self.audio.pad, past)
        return cut.to(self.device, self.audio.position.dtype)

    def initial_noise(self, seed: int) -> Tensor:
        """One noise (1, C, G, G) for a whole clip: measured steadier than fresh noise per frame."""
        generator = torch.Generator().manual_seed(seed)
        g, c = self.config.dit.grid, self.config.dit.latent_channels
        return torch.randn(1, c, g, g, generator=generator)

    @torch.inference_mode()
    def generate(
        self,
        masked: Tensor,
        mask: Tensor,
        reference: Tensor,
        tokens: Tensor,
        noise: Tensor,
        steps: int | None = None,
        previous_latent: Tensor | None = None,
        guidance: float | None = None,
        lips: Tensor | None = None,
        frames: int = 1,
        known: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Frames (B, 3, S, S) and their latents (B, C, G, G).

        masked (B, 3, S, S), mask (B, 1, S, S), reference (B, 3, S, S) or (1, ...), tokens (B, L, A), noise (1 or B, C,
        G, G). ``previous_latent`` (B, C, G, G) replaces the reference's latent: the paper's previous-frame mode.
        ``lips`` (B, lip_targets) are what they do as the transformer is told, by default what is heard in ``tokens``.
        ``frames``: how many in a row are drawn together, by a model with attention over time; with ``known`` (K, C, G,
        G), the latents of the first K frames, only the B - K others are drawn and returned.
        """
        dtype = self.autoencoder.dtype
        masked, mask, reference = (x.to(self.device, dtype) for x in (masked, mask, reference))
        b = len(masked)
        mask_z = F.avg_pool2d(mask, self.size // self.config.dit.grid).expand(b, -1, -1, -1)
        window, index = window_of(mask_z), tokens_under_mask(mask_z)
        reference_z = self.encode_window(reference, window) if previous_latent is None else previous_latent.to(masked)
        masked_z = self.encode_window(masked, window, masked=True)
        reference, mask, reference_z = (x.expand(b, -1, -1, -1) for x in (reference, mask, reference_z))
        lips, start = self.lips(tokens) if lips is None else lips.to(self.device), noise.to(masked_z)
        z = self._sample(masked_z, mask_z, reference_z, tokens, lips, start, index, steps, guidance, frames, known)
        outside = torch.ones(self.config.dit.grid**2, device=z.device, dtype=torch.bool)
        outside[index] = False
        z = torch.where(outside.view(1, 1, *z.shape[-2:]), masked_z, z)
        new = slice(0 if known is None else len(known), None)
        pictures = (window.pixels(x[new]) for x in (masked, mask, reference))
        patch = self.autoencoder.decode(window.cells(z[new]).to(dtype), *pictures)
        return window.place_pixels(patch, masked[new]).float(), z[new].float()

    def encode_window(self, image: Tensor, window: Window, masked: bool = False) -> Tensor:
        """Latent (B, C, G, G) of an image (B, 3, S, S), ``masked`` or whole, zero outside the window."""
        encode = self.autoencoder.encode_masked if masked else self.autoencoder.encode
        return window.place(encode(window.pixels(image)).to(image.dtype))

    @torch.inference_mode()
    def reference_latents(self, pictures: Tensor, mask: Tensor) -> Tensor:
        """Latents (K, C, G, G) of references (K, 3, S, S), as ``generate`` makes them under ``mask`` (1, 1, S, S)."""
        pictures, mask = (x.to(self.device, self.autoencoder.dtype) for x in (pictures, mask))
        return self.encode_window(pictures, window_of(F.avg_pool2d(mask, self.size // self.config.dit.grid)))

    def moved_opening(self, tokens: Tensor) -> Tensor | None:
        """How much wider than usual the mouth is to open (B,), in distances between the outer eye corners.

        None for a model whose ``opening_unit`` is not known.
        """
        lips, unit = self.lips(tokens), self.config.opening_unit
        return None if lips is None or not unit else (lips[:, -1] - self.dit.lip_centre[-1]) * unit

    def lips(self, tokens: Tensor) -> Tensor | None:
        """What the lips do (B, lip_targets) as the audio encoder hears it; None for a model without that condition."""
        if not self.config.dit.lip_targets:
            return None
        return self.dit.calibrated(self.audio.guess_lips(tokens))

    def _sample(
        self, masked_z: Tensor, mask_z: Tensor, reference_z: Tensor, tokens: Tensor, lips: Tensor | None, noise: Tensor,
        index: Tensor, steps: int | None, guidance: float | None, frames: int, known: Tensor | None,
    ) -> Tensor:  # fmt: skip
        scale = self.config.guidance if guidance is None else guidance
        silent = self.audio.unconditional(len(tokens)).to(tokens)

        def predict(z: Tensor, t: Tensor) -> Tensor:
            def run(audio: Tensor, shape: Tensor | None) -> Tensor:
                return self.dit(z, t, masked_z, mask_z, reference_z, audio, index, shape, frames)

            told = run(tokens, lips)
            return told if scale == 1.0 else torch.lerp(run(silent, None), told, scale)

        noise = noise.expand(len(masked_z), -1, -1, -1)
        if known is None:
            return self.objective.sample(predict, noise, steps or self.config.steps)
        return self.objective.sample(knowing(predict, known), noise, steps or self.config.steps)
