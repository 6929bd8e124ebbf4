"""A closure head says a part of the opening, and nothing else of what is predicted changes by a bit."""

from __future__ import annotations

import pytest
import torch

from dithead.models.audio.lip_predictor import (
    CLOSURE_SHARE,
    EVEN_OPENING,
    OPENING_PER_LOG_ODDS,
    LipPredictor,
)

SAMPLES = 60 * 320


def predictors(odds: float) -> tuple[LipPredictor, LipPredictor]:
    """A lip predictor, and the same with a closure head that always says ``odds``."""
    torch.manual_seed(0)
    without, with_head = LipPredictor(40, 2, 2, 9).eval(), LipPredictor(40, 2, 2, 9, closure_hidden=4).eval()
    missing, unexpected = with_head.load_state_dict(without.state_dict(), strict=False)
    assert {name.split(".")[0] for name in missing} == {"closure"}
    assert not unexpected
    for parameter in with_head.closure.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(with_head.closure[-1].bias, odds)
    return without, with_head


@pytest.mark.parametrize("odds", [-3.0, 0.0, 4.0])
def test_the_head_says_its_share_of_the_opening(odds: float) -> None:
    without, with_head = predictors(odds)
    samples = torch.randn(2, SAMPLES) * 0.1
    with torch.inference_mode():
        before, after = without.along(samples, 20, 9), with_head.along(samples, 20, 9)
    told = EVEN_OPENING - OPENING_PER_LOG_ODDS * odds
    assert torch.equal(after[..., :-1], before[..., :-1])
    torch.testing.assert_close(after[..., -1], (1 - CLOSURE_SHARE) * before[..., -1] + CLOSURE_SHARE * told)


def test_a_head_that_is_surer_of_closed_lips_closes_them_further() -> None:
    samples = torch.randn(1, SAMPLES) * 0.1
    with torch.inference_mode():
        openings = [predictors(odds)[1].along(samples, 20, 9)[..., -1] for odds in (-2.0, 2.0)]
    assert (openings[1] < openings[0]).all()


def test_one_moment_is_that_of_the_stretch_around_it() -> None:
    torch.manual_seed(0)
    predictor, samples = LipPredictor(40, 2, 2, 9, closure_hidden=4).eval(), torch.randn(2, SAMPLES) * 0.1
    with torch.inference_mode():
        alone, along = predictor.at(samples, 24), predictor.along(samples, 20, 9)[:, 4]
    torch.testing.assert_close(alone, along)


def test_what_the_head_looks_at_is_three_tokens_on_either_side() -> None:
    predictor = LipPredictor(40, 2, 2, 9, closure_hidden=4).eval()
    heard = torch.randn(1, 30, 128)
    odds = predictor.log_odds(heard)
    assert odds.shape == (1, 24)
    heard[:, 7] += 1
    changed = (predictor.log_odds(heard) != odds)[0].nonzero().ravel().tolist()
    assert changed == [1, 2, 3, 4, 5, 6, 7]
