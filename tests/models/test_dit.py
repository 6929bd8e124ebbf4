"""The transformer: identity at the start, tokens, gradients, impossible sizes."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dithead.models.denoiser.dit import Block, DiT, DiTConfig, tokens_per_sample, tokens_under_mask
from dithead.models.denoiser.unet import UNet

CONFIG = DiTConfig(grid=4, latent_channels=8, width=32, depth=2, heads=2, audio_width=16)


def inputs(batch: int = 2) -> tuple[Tensor, ...]:
    z = torch.randn(batch, 8, 4, 4)
    mask = torch.zeros(batch, 1, 4, 4)
    mask[:, :, 2:, 1:3] = 1
    return z, torch.rand(batch), torch.randn_like(z), mask, torch.randn_like(z), torch.randn(batch, 6, 16)


KINDS = {
    "dit": CONFIG,
    "concat": replace(CONFIG, audio="concat"),
    "references": replace(CONFIG, references=3),
    "no reference": replace(CONFIG, references=0),
    "lips": replace(CONFIG, lip_targets=5),
    "unet": replace(CONFIG, backbone="unet", depth=4),
    "temporal": replace(CONFIG, temporal=4),
    "low rank": replace(CONFIG, modulation_rank=6),
}


def awake(config: DiTConfig = CONFIG) -> DiT | UNet:
    """A model whose zero-initialised layers have been moved."""
    torch.manual_seed(0)
    model = UNet(config) if config.backbone == "unet" else DiT(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


def test_block_is_the_identity_at_the_start() -> None:
    x = torch.randn(2, 5, 32)
    torch.testing.assert_close(Block(CONFIG)(x, torch.randn(2, 32), torch.randn(2, 6, 16)), x)


def test_output_is_zero_at_the_start_and_has_the_latents_shape() -> None:
    out = DiT(CONFIG)(*inputs())
    assert out.shape == (2, 8, 4, 4)
    assert not out.any()


def test_listing_every_token_equals_listing_none() -> None:
    model, args = awake(), inputs()
    torch.testing.assert_close(model(*args, torch.arange(16)), model(*args))


def test_order_of_the_token_list_does_not_matter() -> None:
    model, args, index = awake(), inputs(), torch.tensor([5, 9, 10, 14])
    torch.testing.assert_close(model(*args, index), model(*args, index.flip(0)), atol=1e-5, rtol=1e-4)


def test_positions_not_listed_are_zero() -> None:
    out = awake()(*inputs(), torch.tensor([9, 10]))
    assert out.flatten(2)[:, :, [9, 10]].abs().min() > 0
    assert not out.flatten(2)[:, :, [0, 1, 15]].any()


def test_tokens_per_sample_equals_running_each_alone() -> None:
    model, (z, t, m, mask, r, a) = awake(), inputs()
    mask[1, :, 1] = 1  # the second sample's mask is larger
    index = tokens_per_sample(mask)
    assert index.shape == (2, 8)  # rows 2-3, columns 1-2, and all of row 1 in the second sample
    alone = model(z[1:], t[1:], m[1:], mask[1:], r[1:], a[1:], tokens_under_mask(mask[1:]))
    torch.testing.assert_close(model(z, t, m, mask, r, a, index)[1:], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    model = awake(KINDS[kind])
    lips = torch.randn(2, 5) if KINDS[kind].lip_targets else None
    model(*inputs(), lips=lips).square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_starts_at_zero_and_lists_its_positions(kind: str) -> None:
    config = KINDS[kind]
    fresh = UNet(config) if config.backbone == "unet" else DiT(config)
    assert not fresh(*inputs()).any()
    out = awake(config)(*inputs(), torch.tensor([9, 10]))
    assert out.shape == (2, 8, 4, 4)
    assert out.flatten(2)[:, :, [9, 10]].abs().min() > 0
    assert not out.flatten(2)[:, :, [0, 1, 15]].any()


def test_one_reference_stands_for_several() -> None:
    model, (z, t, m, mask, r, a) = awake(KINDS["references"]), inputs()
    torch.testing.assert_close(model(z, t, m, mask, r, a), model(z, t, m, mask, torch.cat([r, r, r], 1), a))


def test_dropping_tokens_outside_the_mask_changes_nothing_where_attention_cannot_see_them() -> None:
    """Without attention among tokens each is computed for itself: listing some must equal computing all."""
    model, args = awake(), inputs()
    for block in model.blocks:
        torch.nn.init.zeros_(block.attention.out.weight)
        torch.nn.init.zeros_(block.attention.out.bias)
    index = torch.tensor([9, 10, 13, 14])
    every, some = (model(*args, i).flatten(2)[:, :, index] for i in (None, index))
    torch.testing.assert_close(some, every, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_audio_changes_the_output(kind: str) -> None:
    model, args = awake(KINDS[kind]), inputs()
    assert not torch.allclose(model(*args), model(*args[:-1], torch.randn(2, 6, 16)))


def test_attention_over_time_adds_nothing_at_the_start() -> None:
    plain, config = awake(), KINDS["temporal"]
    temporal = DiT(config)
    missing = temporal.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing
    assert all(".temporal." in name for name in missing)
    args = inputs(8)
    torch.testing.assert_close(temporal.eval()(*args, frames=4), plain(*args))


def test_frames_of_a_chunk_see_one_another_and_nobody_else() -> None:
    model, args = awake(KINDS["temporal"]), inputs(8)
    changed = (args[0].clone(), *args[1:])
    changed[0][1] += 1  # the second frame of the first chunk
    before, after = model(*args, frames=4), model(*changed, frames=4)
    moved = (before - after).abs().amax((1, 2, 3))
    assert (moved[:4] > 1e-6).all()
    assert not moved[4:].any()


def test_a_chunk_alone_is_as_in_a_batch() -> None:
    model, args = awake(KINDS["temporal"]), inputs(8)
    alone = model(*(x[4:] for x in args), frames=4)
    torch.testing.assert_close(model(*args, frames=4)[4:], alone, atol=1e-5, rtol=1e-4)


def test_tokens_of_a_chunk_are_those_under_any_of_its_masks() -> None:
    mask = torch.zeros(4, 1, 4, 4)
    for frame, row in enumerate((0, 1, 3, 3)):
        mask[frame, 0, row, 0] = 1
    index = tokens_per_sample(mask, frames=2)
    assert index.sort(1).values.tolist() == [[0, 4], [0, 4], [0, 12], [0, 12]]


@pytest.mark.parametrize("change", [{"width": 30}, {"heads": 3}, {"depth": 0}, {"grid": 0}, {"temporal": 2}])
def test_impossible_sizes_raise(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DiTConfig(**{**CONFIG.__dict__, **change})


def test_ring_adds_the_cells_around() -> None:
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, 2, 2] = 0.1
    assert tokens_under_mask(mask).tolist() == [10]
    assert tokens_under_mask(mask, ring=1).tolist() == [5, 6, 7, 9, 10, 11, 13, 14, 15]


def test_a_guess_is_given_back_its_spread_and_its_mean() -> None:
    dit = DiT(DiTConfig(grid=2, width=16, depth=1, heads=2, audio_width=8, lip_targets=2))
    dit.set_calibration(torch.tensor([2.0, 1.0]), torch.tensor([0.5, 0.0]), torch.tensor([1.0, -1.0]))
    guess = torch.tensor([[0.25, -1.0], [1.0, 3.0]])
    torch.testing.assert_close(dit.calibrated(guess), torch.tensor([[1.0, -1.0], [2.5, 3.0]]))


def test_what_the_lips_do_reaches_the_picture_once_trained() -> None:
    torch.manual_seed(0)
    dit = DiT(DiTConfig(grid=2, latent_channels=4, width=16, depth=1, heads=2, audio_width=8, lip_targets=3))
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    z, mask, audio = torch.randn(1, 4, 2, 2), torch.ones(1, 1, 2, 2), torch.randn(1, 6, 8)
    told = [
        dit(z, torch.ones(1), z, mask, z, audio, None, lips) for lips in (None, torch.zeros(1, 3), torch.ones(1, 3))
    ]
    torch.testing.assert_close(told[0], told[1])
    assert (told[1] - told[2]).abs().max() > 1e-3
