"""Predicts the lips along speech that arrives piece by piece, encoding every moment once instead of once per frame.

Speech is taken in steps of 120 ms. The states of a step are computed together with provisional ones of the speech after
it, and attend to the keys and values that earlier steps left, as in ``LipPredictor.at`` to the states of the past.
Letters: n samples at 16 kHz, B moments, W steps of a window, H width of the network, K lip
coefficients, and what a closure head says of the opening where there is one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio.lip_blocks import STEP_FRAMES, STEP_TOKENS, interpolated
from dithead.models.audio.lip_predictor import LipPredictor
from dithead.models.audio.mel import HOP, SAMPLE_RATE
from dithead.models.audio.moonshine_layers import KERNEL, STATE, STRIDE, MoonshineBlock, rotations
from dithead.models.recorded import record

_STEP = STEP_FRAMES * HOP  # samples
_STATES, _SOUNDS = _STEP // STATE, _STEP // STRIDE  # of a step: states, and outputs of the first convolution
_READ_AGAIN = 2  # steps whose states are kept, because the network over time looks back
_KEPT = 64  # steps whose lips are kept: 7.7 s (our choice)


class _StepState(NamedTuple):
    """What a step leaves to the next one."""

    sounds: Tensor  # (H, outputs) of the first convolution in the present window
    keys: Tensor  # (layers, 1, past states, H), not rotated
    values: Tensor  # (layers, 1, past states, H)
    states: Tensor  # (states, read width) of the last steps


class LipSteps(nn.Module):
    """What the network computes for a step; many streams may share it."""

    _rotation: Tensor

    def __init__(self, predictor: LipPredictor, past: int, ahead: int) -> None:
        """Prepare for windows of a fixed length.

        Args:
            predictor: The network.
            past: Mel frames of the past that every moment must have.
            ahead: Mel frames after it that every moment must have.
        """
        super().__init__()
        self.predictor = predictor
        self.past, self.ahead = (-(-frames // STEP_FRAMES) for frames in (past, ahead))  # in steps
        self.window = self.past + 1 + self.ahead
        self._count = (self.window * _STEP - KERNEL) // STRIDE + 1  # outputs of the first convolution in a window
        layers = predictor.layers
        rotation = rotations(self.window * _STATES, layers.width).to(layers.norm.weight)
        self.register_buffer("_rotation", rotation, persistent=False)

    @torch.no_grad()
    def record(self) -> None:
        """Record ``later``, see ``models.recorded``."""
        samples = self.predictor.layers.norm.weight.new_zeros(self.window * _STEP)
        record(self, later=(samples, *self.first(samples)[1:]))

    def first(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Predict the lips of the first step.

        Args:
            samples: Of its window (n,).

        Returns:
            Lips (tokens, K), and the four tensors of ``_StepState``.
        """
        sounds = self._new_sounds(samples, 0)
        states, keys, values = self._new_states(sounds, 0, None, None)
        lips = self.predictor.read_along(states[None], self.past * STEP_TOKENS, STEP_TOKENS)[0]
        return lips, sounds, keys, values, self._last(states[: (self.past + 1) * _STATES])

    def later(
        self, samples: Tensor, sounds: Tensor, keys: Tensor, values: Tensor, states: Tensor
    ) -> tuple[Tensor, ...]:
        """Predict the lips of the next step from its ``samples`` (n,) and what the one before has left."""
        known = self._count - _SOUNDS
        sounds = torch.cat([sounds[:, _SOUNDS:], self._new_sounds(samples, known)], 1)
        new, keys, values = self._new_states(sounds, self.past, keys, values)
        lips = self.predictor.read_along(torch.cat([states, new])[None], _READ_AGAIN * STEP_TOKENS, STEP_TOKENS)[0]
        return lips, sounds, keys, values, self._last(torch.cat([states, new[:_STATES]]))

    def _last(self, known: Tensor) -> Tensor:
        return known[-_READ_AGAIN * _STATES :]

    def _new_sounds(self, samples: Tensor, known: int) -> Tensor:
        """The outputs (H, outputs) of the first convolution but the ``known`` first ones."""
        wanted = samples[known * STRIDE : (self._count - 1) * STRIDE + KERNEL]
        return torch.tanh(self.predictor.layers.conv1(wanted[None, None]))[0]

    def _new_states(
        self, sounds: Tensor, begin: int, past_keys: Tensor | None, past_values: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The states (states, read width) from step ``begin`` of the window on, and the keys and values to be kept."""
        layers = self.predictor.layers
        heard = layers.norm(sounds[None])[:, :, begin * _SOUNDS :]
        x = F.gelu(layers.conv3(F.gelu(layers.conv2(heard)))).transpose(1, 2)
        kept = slice(_STATES, (self.past + 1) * _STATES)
        outputs, keys, values = [], [], []
        for number, block in enumerate(layers.blocks):
            assert isinstance(block, MoonshineBlock)
            before = None if past_keys is None or past_values is None else (past_keys[number], past_values[number])
            x, key, value = block.attend(x, self._rotation, begin * _STATES, before)
            outputs.append(x)
            keys.append(key[:, kept])
            values.append(value[:, kept])
        return self.predictor.normed(outputs)[0], torch.stack(keys), torch.stack(values)


class LipStream:
    """Takes samples, and gives the lips at moments for which enough of the speech after them has come."""

    def __init__(self, steps: LipSteps) -> None:
        """Begin before the first sample; silence is taken to precede it."""
        self.steps = steps
        weight = steps.predictor.layers.norm.weight
        self._samples = weight.new_zeros(steps.past * _STEP)  # from the first step of the present window on
        self._state: _StepState | None = None
        self._lips: dict[int, Tensor] = {}  # by step: (tokens, K)
        self._next = 0

    @property
    def latency(self) -> float:
        """Seconds of speech that must have come after a moment before its lips are known, at most."""
        return ((1 + self.steps.ahead) * _STEP + _STEP // STEP_TOKENS) / SAMPLE_RATE

    @property
    def tokens(self) -> int:
        """How many tokens have their lips."""
        return self._next * STEP_TOKENS

    def samples_for(self, token: int) -> int:
        """Return how many samples must have come before a ``token`` has its lips."""
        return (token // STEP_TOKENS + 1 + self.steps.ahead) * _STEP

    @torch.inference_mode()
    def push(self, samples: Tensor) -> None:
        """Take samples (n,), and predict the lips of all steps that they complete."""
        self._samples = torch.cat([self._samples, samples.to(self._samples)])
        while len(self._samples) >= self.steps.window * _STEP:
            self._lips[self._next] = self._step(self._samples[: self.steps.window * _STEP])
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

    def _step(self, samples: Tensor) -> Tensor:
        """The lips (tokens, K) of the present step."""
        steps, state = self.steps, self._state
        lips, *left = steps.first(samples) if state is None else steps.later(samples, *state)
        self._state = _StepState(*left)
        return lips.float().cpu()
