"""Noise paths, what the network predicts on them, and how to sample: flow, the paper's DDPM, and no noise at all.

The network always receives (z_t, t); ``estimate_x0`` turns its output into a clean latent. The paper's DDPM takes its
schedule and sampler from diffusers; rectified flow needs nothing but three lines.
Letters: B batch, C latent channels, G latent side; x0 clean latent, noise standard normal, t in [0, 1] with 1 = pure
noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from dithead.errors import MissingExtraError

ObjectiveName = Literal["flow", "ddpm", "v", "regression"]
"""``flow``: rectified flow. ``ddpm``: the paper's noise prediction. ``v``: velocity on the same path.
``regression``: one step from nothing, no noise path."""
Predictor = Callable[[Tensor, Tensor], Tensor]
"""(z_t (B, C, G, G), t (B,)) to the network's output (B, C, G, G)."""


@dataclass(frozen=True)
class PathSample:
    """Points on the noise path, one for each sample of a batch."""

    z_t: Tensor
    """Noisy latents (B, C, G, G), the network's input."""
    t: Tensor
    """Their times (B,)."""
    target: Tensor
    """What the network should predict (B, C, G, G)."""
    weight: Tensor
    """Weight of each sample's squared error in the loss (B,)."""


class Objective(Protocol):
    """What training and sampling need of a noise path."""

    def draw_times(self, uniform: Tensor) -> Tensor:
        """Uniform numbers (B,) in [0, 1) to training times (B,) in [0, 1]."""
        ...

    def path(self, x0: Tensor, noise: Tensor, t: Tensor) -> PathSample:
        """The points at times ``t`` (B,) between clean latents and noise (B, C, G, G)."""
        ...

    def estimate_x0(self, output: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """The clean latents (B, C, G, G) that a network's ``output`` at ``z_t`` and ``t`` stands for."""
        ...

    def sample(self, predict: Predictor, noise: Tensor, steps: int) -> Tensor:
        """A clean latent (B, C, G, G) from noise in ``steps`` steps."""
        ...


def _per_sample(t: Tensor) -> Tensor:
    return t.view(-1, 1, 1, 1)


@dataclass(frozen=True)
class RectifiedFlow:
    """z_t = (1 - t) x0 + t noise; the network predicts x0 (arXiv 2209.03003; x0-prediction is our choice).

    Args:
        pure_noise: Share of training samples at t = 1, where few-step sampling starts.
        min_time: Bounds the weight 1 / t^2 that turns an x0 error into a velocity error. At small t the noisy latent
            shows the mouth already, so only large t teach the network to use the speech.
    """

    pure_noise: float = 0.75
    min_time: float = 0.7

    def draw_times(self, uniform: Tensor) -> Tensor:
        """See ``Objective.draw_times``; ``pure_noise`` of them are 1, the rest are uniform."""
        spread = (uniform - self.pure_noise) / (1 - self.pure_noise)
        return torch.where(uniform < self.pure_noise, torch.ones_like(uniform), 1 - spread).clamp_min(1e-3)

    def path(self, x0: Tensor, noise: Tensor, t: Tensor) -> PathSample:
        """See ``Objective.path``."""
        at = _per_sample(t)
        return PathSample((1 - at) * x0 + at * noise, t, x0, t.clamp_min(self.min_time) ** -2)

    def estimate_x0(self, output: Tensor, z_t: Tensor, t: Tensor) -> Tensor:  # noqa: ARG002 - the interface
        """See ``Objective.estimate_x0``: the network predicts x0 itself."""
        return output

    def sample(self, predict: Predictor, noise: Tensor, steps: int) -> Tensor:
        """Euler steps from pure noise (B, C, G, G) to a clean latent; one step is plain regression."""
        z, times = noise, torch.cat([torch.linspace(1, 1 / steps, steps), torch.zeros(1)])
        for now, following in pairwise(times):
            t = now.to(z).expand(len(z))
            velocity = (z - self.estimate_x0(predict(z, t), z, t)) / now.to(z)
            z = (z.float() + (following - now).to(z.device) * velocity).to(velocity.dtype)
        return z


@lru_cache(maxsize=1)
def _ddim() -> Any:
    try:
        from diffusers import DDIMScheduler
    except ImportError:
        raise MissingExtraError("train", "diffusers") from None

    return DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
                         set_alpha_to_one=False, timestep_spacing="trailing")  # fmt: skip


@dataclass(frozen=True)
class Denoising:
    """The paper's path: variance-preserving DDPM, the network predicts the noise, DDIM samples (eta 0).

    The schedule (1,000 scaled-linear steps, as in latent diffusion) is our choice; the paper does not give one.
    The loss is the plain mean square of the prediction.

    Args:
        velocity: Predict v = a noise - s x0 instead (arXiv 2202.00512).
    """

    velocity: bool = False

    def draw_times(self, uniform: Tensor) -> Tensor:
        """See ``Objective.draw_times``: uniform over the schedule's steps."""
        return (uniform * 1000).floor().clamp_max(999) / 999

    def path(self, x0: Tensor, noise: Tensor, t: Tensor) -> PathSample:
        """See ``Objective.path``."""
        index = self._index(t)
        target = _ddim().get_velocity(x0, noise, index) if self.velocity else noise
        return PathSample(_ddim().add_noise(x0, noise, index), t, target, torch.ones_like(t))

    def estimate_x0(self, output: Tensor, z_t: Tensor, t: Tensor) -> Tensor:
        """See ``Objective.estimate_x0``."""
        alpha = _per_sample(self._alpha(t).to(z_t))
        if self.velocity:
            return alpha.sqrt() * z_t - (1 - alpha).sqrt() * output
        return (z_t - (1 - alpha).sqrt() * output) / alpha.sqrt()

    def sample(self, predict: Predictor, noise: Tensor, steps: int) -> Tensor:
        """DDIM from pure noise (B, C, G, G) to a clean latent."""
        kind = "v_prediction" if self.velocity else "epsilon"
        scheduler = type(_ddim()).from_config(_ddim().config, prediction_type=kind)
        scheduler.set_timesteps(steps)
        z = noise
        for timestep in scheduler.timesteps:
            t = (timestep / 999).to(z).expand(len(z))
            z = scheduler.step(predict(z, t), timestep, z, eta=0.0).prev_sample
        return z

    def _alpha(self, t: Tensor) -> Tensor:
        return torch.as_tensor(_ddim().alphas_cumprod.to(t.device)[self._index(t)])

    @staticmethod
    def _index(t: Tensor) -> Tensor:
        return (t * 999).round().long()


@dataclass(frozen=True)
class Regression:
    """No noise path: one call of the network from an empty latent predicts x0, the mean of all mouths that fit."""

    def draw_times(self, uniform: Tensor) -> Tensor:
        """See ``Objective.draw_times``: always 1."""
        return torch.ones_like(uniform)

    def path(self, x0: Tensor, noise: Tensor, t: Tensor) -> PathSample:  # noqa: ARG002 - the interface
        """See ``Objective.path``: the input is zero."""
        return PathSample(torch.zeros_like(x0), t, x0, torch.ones_like(t))

    def estimate_x0(self, output: Tensor, z_t: Tensor, t: Tensor) -> Tensor:  # noqa: ARG002 - the interface
        """See ``Objective.estimate_x0``: the network predicts x0 itself."""
        return output

    def sample(self, predict: Predictor, noise: Tensor, steps: int) -> Tensor:  # noqa: ARG002 - the interface
        """One call, whatever ``steps`` says and ``noise`` holds but its shape."""
        return predict(torch.zeros_like(noise), torch.ones(len(noise), device=noise.device, dtype=noise.dtype))


_OBJECTIVES: dict[ObjectiveName, Callable[[], Objective]] = {
    "flow": RectifiedFlow,
    "ddpm": Denoising,
    "v": partial(Denoising, velocity=True),
    "regression": Regression,
}


def make_objective(name: ObjectiveName) -> Objective:
    """The objective that a model's configuration names."""
    return _OBJECTIVES[name]()
