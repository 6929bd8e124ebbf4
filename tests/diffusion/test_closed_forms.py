"""A correlated Gaussian, whose best prediction and whose every sample are known, through every objective.

For data N(m, S) all marginals of a noise path are Gaussian with covariances that commute, so the probability-flow ODE
has a solution on paper: it maps noise n to m + S^(1/2) n. Letters: D dimensions (the channels), K samples.
"""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from scipy.integrate import solve_ivp
from torch import Tensor

from dithead.diffusion.objectives import Denoising, Objective, RectifiedFlow, Regression, make_objective

MEAN = torch.tensor([1.5, -0.5, 0.2], dtype=torch.float64)
ROOT = torch.tensor([[0.6, 0.1, 0.0], [0.1, 0.4, -0.2], [0.0, -0.2, 0.8]], dtype=torch.float64)  # S^(1/2), symmetric
COVARIANCE = ROOT @ ROOT
ALPHAS = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012).alphas_cumprod.double()


def draw(count: int = 4096) -> Tensor:
    return torch.randn(count, 3, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def best_x0(z: Tensor, signal: float, noise: float) -> Tensor:
    """E[x0 | z] (K, D) for z = signal x0 + noise n."""
    gain = signal * COVARIANCE @ torch.linalg.inv(signal**2 * COVARIANCE + noise**2 * torch.eye(3, dtype=z.dtype))
    return MEAN + (z - signal * MEAN) @ gain.T


def flow_network(z: Tensor, t: Tensor) -> Tensor:
    at = float(t[0])
    return best_x0(z[..., 0, 0], 1 - at, at)[..., None, None]


def denoising_network(velocity: bool):
    def network(z: Tensor, t: Tensor) -> Tensor:
        alpha = float(ALPHAS[round(float(t[0]) * 999)])
        a, s = math.sqrt(alpha), math.sqrt(1 - alpha)
        x0 = best_x0(z[..., 0, 0], a, s)[..., None, None]
        noise = (z - a * x0) / s
        return a * noise - s * x0 if velocity else noise

    return network


def assert_distribution(samples: Tensor, expected: Tensor, atol: float) -> None:
    """Right one by one against the solution on paper, and so in mean and covariance."""
    torch.testing.assert_close(samples, expected, atol=atol, rtol=0)
    flat = samples.flatten(1)
    torch.testing.assert_close(flat.mean(0), MEAN, atol=0.05, rtol=0)
    torch.testing.assert_close(torch.cov(flat.T), COVARIANCE, atol=0.05, rtol=0)


def test_flow_sampler_follows_the_exact_solution() -> None:
    noise = draw()
    exact = (MEAN + noise[..., 0, 0] @ ROOT)[..., None, None]
    assert_distribution(RectifiedFlow().sample(flow_network, noise, 400), exact, atol=0.02)


@pytest.mark.parametrize("velocity", [False, True])
def test_ddim_sampler_follows_the_exact_solution(velocity: bool) -> None:
    last = float(ALPHAS[-1])
    noise = draw()
    values, vectors = torch.linalg.eigh(COVARIANCE)
    spread = vectors @ torch.diag((values / (last * values + 1 - last)).sqrt()) @ vectors.T
    exact = (MEAN + noise[..., 0, 0] @ spread)[..., None, None]  # the start is not quite pure noise: arXiv 2305.08891
    start = noise + (math.sqrt(last) * MEAN)[:, None, None]
    assert_distribution(Denoising(velocity=velocity).sample(denoising_network(velocity), start, 500), exact, atol=0.05)


@pytest.mark.parametrize("steps", [1, 2, 4, 10])
def test_flow_steps_are_those_of_euler_written_by_hand(steps: int) -> None:
    z = noise = draw(8)
    for i in range(steps):
        t, after = 1 - i / steps, 1 - (i + 1) / steps
        z = z + (after - t) * (z - flow_network(z, torch.full((8,), t))) / t
    torch.testing.assert_close(RectifiedFlow().sample(flow_network, noise, steps), z, atol=1e-5, rtol=1e-5)


def test_flow_sampler_agrees_with_an_adaptive_solver() -> None:
    noise = draw(2)

    def velocity(t: float, z: object) -> object:
        at = torch.as_tensor(z, dtype=torch.float64).view(2, 3, 1, 1)
        return ((at - flow_network(at, torch.full((2,), t))) / t).flatten().numpy()

    solved = solve_ivp(velocity, (1.0, 1e-4), noise.flatten().numpy(), rtol=1e-8, atol=1e-8).y[:, -1]
    ours = RectifiedFlow().sample(flow_network, noise, 1000).flatten()
    torch.testing.assert_close(ours, torch.from_numpy(solved), atol=5e-3, rtol=0)


@pytest.mark.parametrize("velocity", [False, True])
@pytest.mark.parametrize("steps", [1, 4, 50])
def test_ddim_steps_are_those_written_by_hand(velocity: bool, steps: int) -> None:
    network, z = denoising_network(velocity), draw(8)
    ours = Denoising(velocity=velocity).sample(network, z, steps)
    times = [round(1000 - i * 1000 / steps) - 1 for i in range(steps)]
    for time, after in zip(times, [*times[1:], 0], strict=True):
        alpha = float(ALPHAS[time])
        end = float(ALPHAS[after]) if time != times[-1] else float(ALPHAS[0])
        output = network(z, torch.full((8,), time / 999))
        a, s = math.sqrt(alpha), math.sqrt(1 - alpha)
        x0 = a * z - s * output if velocity else (z - s * output) / a
        noise = (z - a * x0) / s
        z = math.sqrt(end) * x0 + math.sqrt(1 - end) * noise
    torch.testing.assert_close(ours, z, atol=2e-4, rtol=1e-4)


def test_the_noise_schedule_is_scaled_linear() -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close((1 - betas).cumprod(0), ALPHAS, rtol=1e-4, atol=1e-7)
    t = torch.tensor([0.0, 0.5, 1.0])
    sample = Denoising().path(torch.ones(3, 1, 1, 1), torch.zeros(3, 1, 1, 1), t)
    torch.testing.assert_close(sample.z_t.flatten().double(), ALPHAS[[0, 500, 999]].sqrt(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("velocity", [False, True])
def test_paths_and_targets_are_those_of_diffusers(velocity: bool) -> None:
    reference = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    x0, noise, index = torch.randn(4, 2, 3, 3), torch.randn(4, 2, 3, 3), torch.tensor([0, 10, 500, 999])
    sample = Denoising(velocity=velocity).path(x0, noise, index / 999)
    torch.testing.assert_close(sample.z_t, reference.add_noise(x0, noise, index))
    torch.testing.assert_close(sample.target, reference.get_velocity(x0, noise, index) if velocity else noise)


@pytest.mark.parametrize("name", ["flow", "ddpm", "v", "regression"])
def test_the_perfect_prediction_gives_x0_back(name: str) -> None:
    objective: Objective = make_objective(name)  # type: ignore[arg-type]
    x0, noise = torch.randn(64, 2, 3, 3).double(), torch.randn(64, 2, 3, 3).double()
    t = objective.draw_times(torch.linspace(0, 0.999, 64).double())
    sample = objective.path(x0, noise, t)
    torch.testing.assert_close(objective.estimate_x0(sample.target, sample.z_t, t), x0, atol=1e-4, rtol=1e-4)


def test_flow_weight_turns_an_x0_error_into_a_velocity_error() -> None:
    x0, noise, t = torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2), torch.tensor([0.2, 0.5, 1.0])
    sample = RectifiedFlow(pure_noise=0.0, min_time=0.05).path(x0, noise, t)
    wrong = x0 + 0.1
    velocity, predicted = noise - x0, (sample.z_t - wrong) / t.view(-1, 1, 1, 1)
    x0_error = (wrong - sample.target).square().mean((1, 2, 3)) * sample.weight
    torch.testing.assert_close((predicted - velocity).square().mean((1, 2, 3)), x0_error)


def test_regression_needs_neither_noise_nor_steps() -> None:
    seen = []

    def network(z: Tensor, t: Tensor) -> Tensor:
        seen.append((z.abs().max().item(), t.tolist()))
        return torch.ones_like(z)

    assert Regression().sample(network, torch.randn(2, 1, 1, 1), 8).eq(1).all()
    assert seen == [(0.0, [1.0, 1.0])]
