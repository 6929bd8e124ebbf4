"""The denoisers: identity at the start, token lists, gradients, impossible sizes."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dithead.models.denoiser.base import DiTConfig, LatentConditions
from dithead.models.denoiser.dit import DiT, DiTBlock
from dithead.models.denoiser.token_window import tokens_per_sample, tokens_under_mask
from dithead.models.denoiser.unet import UNet
from dithead.models.packed import can_pack
from dithead.models.packed_dit import packed_denoiser

CONFIG = DiTConfig(grid=4, latent_channels=8, width=32, depth=2, heads=2, audio_width=16)


def inputs(batch: int = 2, **changes: Tensor | None) -> tuple[Tensor, Tensor, LatentConditions]:
    """Noisy latents, times and conditions; ``changes`` replace conditions."""
    z = torch.randn(batch, 8, 4, 4)
    mask = torch.zeros(batch, 1, 4, 4)
    mask[:, :, 2:, 1:3] = 1
    t = torch.rand(batch)
    conditions = LatentConditions(torch.randn_like(z), mask, torch.randn_like(z), torch.randn(batch, 6, 16))
    return z, t, conditions._replace(**changes)


KINDS = {
    "dit": CONFIG,
    "concat": replace(CONFIG, audio="concat"),
    "references": replace(CONFIG, references=3),
    "no reference": replace(CONFIG, references=0),
    "lips": replace(CONFIG, lip_targets=5),
    "unet": replace(CONFIG, backbone="unet", depth=4),
    "low rank": replace(CONFIG, modulation_rank=6),
}


def randomised(config: DiTConfig = CONFIG) -> DiT | UNet:
    """A model whose zero-initialised layers have been moved."""
    torch.manual_seed(0)
    model = UNet(config) if config.backbone == "unet" else DiT(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


@pytest.mark.skipif(not can_pack(torch.device("cpu")), reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unet"])
def test_the_packed_transformer_computes_the_same_and_each_sample_by_itself(kind: str) -> None:
    model, (z, t, c) = randomised(KINDS[kind]), inputs(3, token_index=torch.tensor([5, 9, 10, 14]))
    assert isinstance(model, DiT)
    c = c._replace(reference=torch.randn(3, 24, 4, 4)) if kind == "references" else c
    c = c._replace(lips=torch.randn(3, 5)) if kind == "lips" else c
    fast = packed_denoiser(model, torch.float32, pack=True)
    with torch.inference_mode():
        for times in (t, t[:1].expand(3), t[1:2].expand(3)):  # one time for all is remembered
            torch.testing.assert_close(fast(z, times, c), model(z, times, c), atol=1e-6, rtol=1e-5)
        alone = fast(z[1:2], t[:1], LatentConditions(*(None if x is None else x[1:2] for x in c[:5]), c.token_index))
        assert torch.equal(alone, fast(z, t[:1].expand(3), c)[1:2])


def test_block_is_the_identity_at_the_start() -> None:
    x = torch.randn(2, 5, 32)
    torch.testing.assert_close(DiTBlock(CONFIG)(x, torch.randn(2, 32), torch.randn(2, 6, 16)), x)


def test_output_is_zero_at_the_start_and_has_the_latents_shape() -> None:
    out = DiT(CONFIG)(*inputs())
    assert out.shape == (2, 8, 4, 4)
    assert not out.any()


def test_listing_every_token_equals_listing_none() -> None:
    model, (z, t, c) = randomised(), inputs()
    torch.testing.assert_close(model(z, t, c._replace(token_index=torch.arange(16))), model(z, t, c))


def test_the_order_of_the_token_list_does_not_matter() -> None:
    model, (z, t, c), index = randomised(), inputs(), torch.tensor([5, 9, 10, 14])
    one, other = (model(z, t, c._replace(token_index=i)) for i in (index, index.flip(0)))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_positions_not_listed_are_zero() -> None:
    out = randomised()(*inputs(token_index=torch.tensor([9, 10])))
    assert out.flatten(2)[:, :, [9, 10]].abs().min() > 0
    assert not out.flatten(2)[:, :, [0, 1, 15]].any()


def test_tokens_per_sample_equals_running_each_alone() -> None:
    model, (z, t, c) = randomised(), inputs()
    c.mask[1, :, 1] = 1  # the second sample's mask is larger
    index = tokens_per_sample(c.mask)
    assert index.shape == (2, 8)  # rows 2-3, columns 1-2, and all of row 1 in the second sample
    second = LatentConditions(*(x[1:] for x in c[:4]), token_index=tokens_under_mask(c.mask[1:]))
    alone, both = model(z[1:], t[1:], second), model(z, t, c._replace(token_index=index))
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    model = randomised(KINDS[kind])
    lips = torch.randn(2, 5) if KINDS[kind].lip_targets else None
    model(*inputs(lips=lips)).square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_starts_at_zero_and_lists_its_positions(kind: str) -> None:
    config = KINDS[kind]
    fresh = UNet(config) if config.backbone == "unet" else DiT(config)
    assert not fresh(*inputs()).any()
    out = randomised(config)(*inputs(token_index=torch.tensor([9, 10])))
    assert out.shape == (2, 8, 4, 4)
    assert out.flatten(2)[:, :, [9, 10]].abs().min() > 0
    assert not out.flatten(2)[:, :, [0, 1, 15]].any()


def test_one_reference_stands_for_several() -> None:
    model, (z, t, c) = randomised(KINDS["references"]), inputs()
    several = c._replace(reference=torch.cat([c.reference] * 3, 1))
    torch.testing.assert_close(model(z, t, c), model(z, t, several))


def test_dropping_tokens_outside_the_mask_changes_nothing_where_attention_cannot_see_them() -> None:
    """Without attention among tokens each is computed for itself: listing some must equal computing all."""
    model, (z, t, c) = randomised(), inputs()
    for block in model.blocks:
        torch.nn.init.zeros_(block.attention.out.weight)
        torch.nn.init.zeros_(block.attention.out.bias)
    index = torch.tensor([9, 10, 13, 14])
    every, some = (model(z, t, c._replace(token_index=i)).flatten(2)[:, :, index] for i in (None, index))
    torch.testing.assert_close(some, every, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_audio_changes_the_output(kind: str) -> None:
    model, (z, t, c) = randomised(KINDS[kind]), inputs()
    assert not torch.allclose(model(z, t, c), model(z, t, c._replace(audio=torch.randn(2, 6, 16))))


@pytest.mark.parametrize("change", [{"width": 30}, {"heads": 3}, {"depth": 0}, {"grid": 0}])
def test_impossible_sizes_raise(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DiTConfig(**{**CONFIG.__dict__, **change})


def test_ring_adds_the_cells_around() -> None:
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, 2, 2] = 0.1
    assert tokens_under_mask(mask).tolist() == [10]
    assert tokens_under_mask(mask, ring=1).tolist() == [5, 6, 7, 9, 10, 11, 13, 14, 15]


def test_calibration_scales_and_shifts_predicted_lips() -> None:
    dit = DiT(DiTConfig(grid=2, width=16, depth=1, heads=2, audio_width=8, lip_targets=2))
    dit.set_calibration(torch.tensor([2.0, 1.0]), torch.tensor([0.5, 0.0]), torch.tensor([1.0, -1.0]))
    predicted = torch.tensor([[0.25, -1.0], [1.0, 3.0]])
    torch.testing.assert_close(dit.calibrated(predicted), torch.tensor([[1.0, -1.0], [2.5, 3.0]]))


def test_lips_change_the_output_and_none_means_zero() -> None:
    torch.manual_seed(0)
    dit = DiT(DiTConfig(grid=2, latent_channels=4, width=16, depth=1, heads=2, audio_width=8, lip_targets=3))
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    z, mask, audio = torch.randn(1, 4, 2, 2), torch.ones(1, 1, 2, 2), torch.randn(1, 6, 8)
    resting, zero, moved = (
        dit(z, torch.ones(1), LatentConditions(z, mask, z, audio, lips))
        for lips in (None, torch.zeros(1, 3), torch.ones(1, 3))
    )
    torch.testing.assert_close(resting, zero)
    assert (zero - moved).abs().max() > 1e-3
