"""A closure head says a part of the opening, and nothing else of what is predicted changes by a bit."""

from __future__ import annotations

import pytest
import torch

from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
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
    assert torch.equal(after[..., :-1], before)
    torch.testing.assert_close(after[..., -1], torch.full((2, 9), told))


def test_the_surer_of_closed_lips_the_less_open_they_become_and_nothing_else_changes() -> None:
    config = ContextEncoderConfig(
        window=40, tokens=12, width=16, hidden=24, heads=2, layers=1, past=16,
        lip_predictor_hidden=40, lip_predictor_heads=2, lip_predictor_layers=2,
    )  # fmt: skip
    encoder, mel = ContextEncoder(config).eval(), torch.randn(3, 56, 240)
    found = []
    for head in predictors(-2.0)[0], predictors(-2.0)[1], predictors(2.0)[1]:
        encoder.lip_predictor = head
        with torch.inference_mode():
            found.append(encoder.tokens_and_lips(mel))
    (tokens, lips), (tokens_apart, apart), (tokens_closed, closed) = found
    assert torch.equal(tokens, tokens_apart)
    assert torch.equal(tokens, tokens_closed)
    assert torch.equal(apart[:, :-1], lips[:, :-1])
    assert torch.equal(closed[:, :-1], lips[:, :-1])
    torch.testing.assert_close(apart[:, -1] - closed[:, -1], torch.full((3,), 4 * CLOSURE_SHARE * OPENING_PER_LOG_ODDS))


def test_one_moment_is_that_of_the_stretch_around_it() -> None:
    torch.manual_seed(0)
    predictor, samples = LipPredictor(40, 2, 2, 9, closure_hidden=4).eval(), torch.randn(2, SAMPLES) * 0.1
    with torch.inference_mode():
        alone, along = predictor.at(samples, 24), predictor.along(samples, 20, 9)[:, 4]
    torch.testing.assert_close(alone, along)


def test_several_readers_predict_the_mean_of_what_each_would() -> None:
    torch.manual_seed(0)
    several, samples = LipPredictor(40, 2, 2, 9, closure_hidden=4, readers=3).eval(), torch.randn(2, SAMPLES) * 0.1
    weights, alone = several.state_dict(), []
    for prefix in ("", "more_readers.0.", "more_readers.1."):
        one = LipPredictor(40, 2, 2, 9, closure_hidden=4).eval()
        one.load_state_dict({name: weights.get(prefix + name, weights[name]) for name in one.state_dict()})
        with torch.inference_mode():
            alone.append(one.along(samples, 20, 9)[..., :9])
    with torch.inference_mode():
        predicted = several.along(samples, 20, 9)
    torch.testing.assert_close(predicted[..., :9], torch.stack(alone).mean(0))
    assert not torch.allclose(alone[0], alone[1])


def test_what_the_head_looks_at_is_three_tokens_on_either_side() -> None:
    predictor = LipPredictor(40, 2, 2, 9, closure_hidden=4).eval()
    heard = torch.randn(1, 30, 128)
    odds = predictor.log_odds(heard)
    assert odds.shape == (1, 24)
    heard[:, 7] += 1
    changed = (predictor.log_odds(heard) != odds)[0].nonzero().ravel().tolist()
    assert changed == [1, 2, 3, 4, 5, 6, 7]


def test_the_opening_is_averaged_over_a_shorter_time_than_the_shape_of_the_lips() -> None:
    torch.manual_seed(0)
    predictor, samples = LipPredictor(40, 2, 2, 9).eval(), torch.randn(2, SAMPLES) * 0.1
    first = 20 - predictor.margin  # ``forward`` leaves out the first tokens
    with torch.inference_mode():
        each, found = predictor(samples)[:, first - 3 : first + 4], predictor.along(samples, 20, 1)[:, 0]
    torch.testing.assert_close(found[:, :-1], each[..., :-1].mean(1))
    torch.testing.assert_close(found[:, -1], each[:, 2:5, -1].mean(1))
