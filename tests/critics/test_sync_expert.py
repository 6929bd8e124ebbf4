"""The sync expert's mathematics: shapes, chance levels, offsets of known embeddings, gradients."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from dithead.critics.sync_expert import EXPERTS, SyncConfig, SyncExpert, contrastive_losses, find_offset, pair_loss
from dithead.errors import ConfigError

SMALL = SyncConfig(side=32, width=8, embedding=16)


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.mark.parametrize("config", [SMALL, SyncConfig(32, True, False, 5, 0, 8, 16)])
def test_embeddings_of_both_experts_are_unit_vectors(config: SyncConfig) -> None:
    expert = SyncExpert(config).eval()
    mouths, speech = expert.embed_mouths(torch.rand(2, 7, 3, 32, 32)), expert.embed_speech(torch.rand(2, 28, 80))
    assert mouths.shape == speech.shape == (2, 7, 16)
    assert torch.allclose(mouths.norm(dim=-1), torch.ones(2, 7), atol=1e-5)


def test_grey_and_colour_images_of_the_same_mouth_are_equal() -> None:
    expert = SyncExpert(SMALL).eval()
    grey = torch.rand(1, 6, 1, 32, 32)
    assert torch.allclose(expert.embed_mouths(grey), expert.embed_mouths(grey.expand(-1, -1, 3, -1, -1)), atol=1e-4)


def test_brightness_and_the_person_do_not_change_the_scoring_expert() -> None:
    expert = SyncExpert(SMALL).eval()
    mouths = torch.rand(1, 8, 1, 32, 32)
    other = mouths * 0.5 + torch.rand(1, 1, 1, 32, 32)  # dimmer, another still picture underneath
    assert (expert.embed_mouths(mouths) * expert.embed_mouths(other)).sum(-1).min() > 0.98


@pytest.mark.parametrize("name", EXPERTS)
def test_gradients_reach_every_parameter_and_the_pixels(name: str) -> None:
    expert, mouths = SyncExpert(EXPERTS[name]), torch.rand(2, 6, 3, 40, 40, requires_grad=True)
    wide, near = contrastive_losses(
        expert.embed_mouths(mouths), expert.embed_speech(torch.rand(2, 24, 80)), expert.scale
    )
    (wide + near).backward()
    assert mouths.grad is not None
    assert mouths.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in expert.parameters())


def test_similarity_is_the_cosine() -> None:
    expert = SyncExpert(SMALL).eval()
    assert expert.similarity(torch.rand(1, 6, 3, 32, 32), torch.rand(1, 24, 80)).abs().max() <= 1 + 1e-5


def test_losses_of_random_and_of_perfect_embeddings() -> None:
    same = torch.ones(3, 8, 16) / 4
    wide, near = contrastive_losses(same, same, torch.tensor(20.0))
    assert wide == pytest.approx(math.log(24))
    assert near == pytest.approx(math.log(8))
    assert pair_loss(same, same, torch.tensor(20.0)) == pytest.approx(math.log(2))
    known = torch.eye(24).view(3, 8, 24)
    assert max(contrastive_losses(known, known, torch.tensor(40.0))) < 1e-6
    assert pair_loss(known, known, torch.tensor(40.0)) < 1e-6


@pytest.mark.parametrize("late", [-5, -1, 0, 3, 5])
def test_the_offset_of_shifted_embeddings_is_the_shift(late: int) -> None:
    track = points(60, 16)
    mouths, speech = track[10:50], track[10 - late : 50 - late]  # the speech of the mouth at t comes at t + late
    found = find_offset(mouths, speech)
    assert found.frames == late
    assert found.distance == pytest.approx(0, abs=1e-3)
    assert found.confidence > 1


def test_unrelated_embeddings_give_no_confidence() -> None:
    found = find_offset(points(200, 128), points(200, 128, seed=1))
    assert found.confidence < 0.1
    assert found.distance == pytest.approx(math.sqrt(2), abs=0.1)


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="odd"):
        SyncConfig(frames=4)
    with pytest.raises(ConfigError, match="too few"):
        find_offset(points(4, 8), points(4, 8))
