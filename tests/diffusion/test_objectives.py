"""Noise paths and samplers against closed forms: data N(m, s^2) whose best denoiser is known exactly."""

import sys

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from dithead.diffusion import objectives
from dithead.diffusion.objectives import Denoising, RectifiedFlow, make_objective
from dithead.errors import MissingExtraError

MEAN, STD = 1.5, 0.5


def flow_posterior(z: Tensor, t: Tensor) -> Tensor:
    """E[x0 | z_t] for x0 ~ N(MEAN, STD^2) and z_t = (1 - t) x0 + t noise."""
    t = t.view(-1, 1, 1, 1)
    gain = (1 - t) * STD**2 / ((1 - t) ** 2 * STD**2 + t**2)
    return MEAN + gain * (z - (1 - t) * MEAN)


def test_flow_path_runs_from_data_to_noise() -> None:
    x0, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    path = RectifiedFlow().path(x0, noise, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(path.z_t[0], x0[0])
    torch.testing.assert_close(path.z_t[1], noise[1])
    torch.testing.assert_close(path.target, x0)


def test_flow_times_cover_the_unit_interval_and_favour_pure_noise() -> None:
    t = RectifiedFlow().draw_times(torch.linspace(0, 0.9999, 1001))
    assert 0 < t.min() < 0.01
    assert t.max() == 1
    assert 0.7 < (t == 1).float().mean() < 0.8
    assert 0.35 < (RectifiedFlow(pure_noise=0.4).draw_times(torch.linspace(0, 0.9999, 1001)) == 1).float().mean() < 0.45


def test_flow_sampler_reproduces_mean_and_spread_of_a_gaussian() -> None:
    noise = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    samples = RectifiedFlow().sample(flow_posterior, noise, steps=100)
    assert samples.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert samples.std().item() == pytest.approx(STD, rel=0.03)


def test_one_flow_step_is_regression_to_the_mean() -> None:
    samples = RectifiedFlow().sample(flow_posterior, torch.randn(4, 4, 8, 8), steps=1)
    torch.testing.assert_close(samples, torch.full_like(samples, MEAN))


def test_noise_prediction_inverts_to_x0() -> None:
    x0, noise, t = torch.randn(5, 4, 3, 3), torch.randn(5, 4, 3, 3), torch.rand(5)
    objective = Denoising()
    path = objective.path(x0, noise, t)
    torch.testing.assert_close(objective.estimate_x0(noise, path.z_t, t), x0, atol=2e-4, rtol=1e-3)


def test_ddim_sampler_reproduces_mean_and_spread_of_a_gaussian() -> None:
    alphas = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012).alphas_cumprod

    def predict(z: Tensor, t: Tensor) -> Tensor:
        alpha = alphas[(t * 999).round().long()].view(-1, 1, 1, 1)
        variance = alpha * STD**2 + 1 - alpha
        return (1 - alpha).sqrt() / variance * (z - alpha.sqrt() * MEAN)

    noise = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    noise = noise + alphas[-1].sqrt() * MEAN  # the schedule does not end in pure noise; see arXiv 2305.08891
    samples = Denoising().sample(predict, noise, steps=200)
    assert samples.mean().item() == pytest.approx(MEAN, abs=0.05)
    assert samples.std().item() == pytest.approx(STD, rel=0.05)


@pytest.mark.parametrize(("name", "kind"), [("flow", RectifiedFlow), ("ddpm", Denoising)])
def test_objectives_are_made_by_name(name: str, kind: type) -> None:
    assert isinstance(make_objective(name), kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_flow_takes_the_euler_steps_of_diffusers(steps: int) -> None:
    flow, noise = make_objective("flow"), torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))

    def predict(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z) * (1 + t.view(-1, 1, 1, 1))

    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist())
    z = noise
    for sigma, timestep in zip(scheduler.sigmas[:-1], scheduler.timesteps, strict=True):
        t = sigma.expand(len(z))
        z = scheduler.step((z - predict(z, t)) / sigma, timestep, z).prev_sample
    assert torch.equal(flow.sample(predict, noise, steps), z)


def test_flow_needs_no_diffusers_and_the_papers_objective_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    objectives._ddim.cache_clear()
    noise = torch.zeros(1, 1, 2, 2)
    assert make_objective("flow").sample(lambda z, t: z, noise, 2).shape == noise.shape
    with pytest.raises(
        MissingExtraError, match=r"diffusers is not installed; install it with: pip install 'dithead\[train\]'"
    ):
        make_objective("ddpm").sample(lambda z, t: z, noise, 2)
