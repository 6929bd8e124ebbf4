"""Frames drawn together: every frame once, each chunk joined to the one before, and what is known stays as it is."""

import pytest
import torch
from torch import Tensor

from dithead.diffusion.objectives import make_objective
from dithead.models.denoiser.chunks import CONTEXT, chunks, knowing, stride


@pytest.mark.parametrize("count", [1, 3, 4, 7, 23])
@pytest.mark.parametrize("frames", [3, 4, 8])
def test_every_frame_is_drawn_once_and_later_chunks_see_those_before(count: int, frames: int) -> None:
    cut = list(chunks(count, frames))
    assert [i for _, first, stop in cut for i in range(first, stop)] == list(range(count))
    assert cut[0][0] == 0
    assert all(stop - known <= frames for known, _, stop in cut)
    assert all(first - known == min(CONTEXT, first) for known, first, _ in cut[1:])


def test_a_model_that_draws_frames_by_themselves_goes_frame_by_frame() -> None:
    assert stride(0) == 1


@pytest.mark.parametrize("name", ["flow", "ddpm", "v", "regression"])
def test_what_is_known_is_seen_clean_and_at_time_zero_whatever_the_sampler(name: str) -> None:
    known, noise, seen = torch.full((2, 1, 1, 1), 5.0), torch.randn(4, 1, 1, 1), []

    def predict(z: Tensor, t: Tensor) -> Tensor:
        seen.append((z.clone(), t.clone()))
        return torch.zeros_like(z)

    make_objective(name).sample(knowing(predict, known), noise, 2)  # type: ignore[arg-type]
    assert seen
    for z, t in seen:
        assert torch.equal(z[:2], known)
        assert t[:2].tolist() == [0.0, 0.0]
        assert (t[2:] > 0).all()
