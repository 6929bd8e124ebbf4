"""Predicts the lips along speech that arrives piece by piece, encoding every moment once instead of once per frame.

Speech is taken in steps of 120 ms. The states of a step are computed together with provisional ones of the speech after
it, and attend to the keys and values that earlier steps left, as in ``LipPredictor.at`` to the states of the past.
Letters: n samples at 16 kHz, B moments, W steps of a window, H width of the network, K lip coefficients.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dithead.models.audio.lip_blocks import STEP_FRAMES, STEP_TOKENS, interpolated
from dithead.models.audio.lip_predictor import LipPredictor
from dithead.models.audio.mel import HOP, SAMPLE_RATE
from dithead.models.audio.moonshine_layers import KERNEL, STATE, STRIDE, MoonshineBlock, rotations

_STEP = STEP_FRAMES * HOP  # samples
_STATES, _SOUNDS = _STEP // STATE, _STEP // STRIDE  # of a step: states, and outputs of the first convolution
_READ_AGAIN = 2  # steps whose states are kept, because the network over time looks back
_KEPT = 64  # steps whose lips are kept: 7.7 s (our choice)


class LipStream:
    """Takes samples, and gives the lips at moments for which enough of the speech after them has come."""

    def __init__(self, predictor: LipPredictor, past: int, ahead: int) -> None:
        """Begin before the first sample; silence is taken to precede it.

        Args:
            predictor: The network.
            past: Mel frames of the past that every moment must have.
            ahead: Mel frames after it that every moment must have.
        """
        self.predictor = predictor
        self.past, self.ahead = (-(-frames // STEP_FRAMES) for frames in (past, ahead))  # in steps
        self.window = self.past + 1 + self.ahead
        weight = predictor.layers.norm.weight
        self._samples = weight.new_zeros(self.past * _STEP)  # from the first step of the present window on
        self._sounds = weight.new_zeros(0)  # (H, outputs) of the first convolution, from there on
        self._rotation = rotations(self.window * _STATES, predictor.layers.width).to(weight)
        self._keys: list[Tensor] = []  # of each layer (1, past states, H)
        self._values: list[Tensor] = []
        self._states = weight.new_zeros(0)  # (states, read width) of the last steps
        self._lips: dict[int, Tensor] = {}  # by step: (tokens, K)
        self._next = 0

    @property
    def latency(self) -> float:
        """Seconds of speech that must have come after a moment before its lips are known, at most."""
        return ((1 + self.ahead) * _STEP + _STEP // STEP_TOKENS) / SAMPLE_RATE

    @property
    def tokens(self) -> int:
        """How many tokens have their lips."""
        return self._next * STEP_TOKENS

    def samples_for(self, token: int) -> int:
        """Return how many samples must have come before a ``token`` has its lips."""
        return (token // STEP_TOKENS + 1 + self.ahead) * _STEP

    @torch.inference_mode()
    def push(self, samples: Tensor) -> None:
        """Take samples (n,), and predict the lips of all steps that they complete."""
        self._samples = torch.cat([self._samples, samples.to(self._samples)])
        while len(self._samples) >= self.window * _STEP:
            self._lips[self._next] = self._step()
            self._lips.pop(self._next - _KEPT, None)
            self._samples = self._samples[_STEP:]
            self._next += 1

    def finish(self, frames: int) -> None:
        """Take silence after the last sample, until the lips at the first ``frames`` mel frames are known."""
        while self.tokens <= frames * STEP_TOKENS // STEP_FRAMES + 1:
            self.push(self._samples.new_zeros(_STEP))

    def at(self, frames: Tensor) -> Tensor:
        """Return the lips (B, K) at mel frames (B,) whose tokens and the next ones are known."""
        return interpolated(frames, lambda token: self._lips[token // STEP_TOKENS][token % STEP_TOKENS])

    def _step(self) -> Tensor:
        """The lips (tokens, K) of the present step."""
        first = self._next == 0
        begin = 0 if first else self.past  # step of the window from which states are computed
        states = self._new_states(self._heard()[:, begin * _SOUNDS :], begin * _STATES)
        known = states[: (self.past + 1) * _STATES] if first else torch.cat([self._states, states[:_STATES]])
        all_states = states if first else torch.cat([self._states, states])
        self._states = known[-_READ_AGAIN * _STATES :]
        token = (self.past if first else _READ_AGAIN) * STEP_TOKENS
        return self.predictor.read_along(all_states[None], token, STEP_TOKENS)[0].float().cpu()

    def _heard(self) -> Tensor:
        """The normed outputs (H, outputs) of the first convolution in the present window."""
        layers = self.predictor.layers
        count = (self.window * _STEP - KERNEL) // STRIDE + 1
        known = self._sounds.shape[1] - _SOUNDS if self._next else 0
        wanted = self._samples[known * STRIDE : (count - 1) * STRIDE + KERNEL]
        new = torch.tanh(layers.conv1(wanted[None, None]))[0]
        self._sounds = torch.cat([self._sounds[:, _SOUNDS:], new], 1) if self._next else new
        return layers.norm(self._sounds[None])[0]  # type: ignore[no-any-return]

    def _new_states(self, heard: Tensor, place: int) -> Tensor:
        """The states (states, read width) from ``place`` in the window on; keys and values are kept for later steps."""
        layers = self.predictor.layers
        x = F.gelu(layers.conv3(F.gelu(layers.conv2(heard[None])))).transpose(1, 2)
        kept = slice(_STATES, (self.past + 1) * _STATES)
        outputs, keys, values = [], [], []
        for number, block in enumerate(layers.blocks):
            assert isinstance(block, MoonshineBlock)
            before = (self._keys[number], self._values[number]) if place else None
            x, key, value = block.attend(x, self._rotation, place, before)
            outputs.append(x)
            keys.append(key[:, kept])
            values.append(value[:, kept])
        self._keys, self._values = keys, values
        return self.predictor.normed(outputs)[0]
