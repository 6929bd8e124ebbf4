"""Backgrounds repeat with their seed, and none is black or overexposed."""

import numpy as np
import pytest

from dithead.synth.scene.backdrop import KINDS, SIZE, backdrop

DAY = (1.0, 1.0, 1.0)


def test_a_seed_gives_the_same_background_again() -> None:
    first, again, other = (backdrop(np.random.default_rng(seed), DAY) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == ((SIZE, SIZE, 3), np.uint8)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_kind_has_a_plausible_brightness() -> None:
    assert sum(share for _, _, share in KINDS.values()) == pytest.approx(1)
    for number, (paint, _, _) in enumerate(KINDS.values()):
        canvas = paint(np.random.default_rng(number))
        assert canvas.shape == (SIZE, SIZE, 3)
        assert canvas.min() >= 0
        assert 0.01 < canvas.mean() < 1.3


def test_a_warm_white_balance_makes_a_warm_wall() -> None:
    plain, warm = (backdrop(np.random.default_rng(3), white) for white in (DAY, (1.2, 1.0, 0.7)))
    assert warm[..., 0].mean() > plain[..., 0].mean()
    assert warm[..., 2].mean() < plain[..., 2].mean()
