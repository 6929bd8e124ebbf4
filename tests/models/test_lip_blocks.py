"""Lips along a track in blocks: the same whatever is asked, and near those of a window for every moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.checkpoint import load_model
from dithead.inference.synthesise.audio_features import FileFeatures
from dithead.inference.synthesise.lip_calibration import predict_lips
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.models.audio.lip_blocks import LipBlocks

SPEECH = Path(__file__).parents[2] / "examples" / "speech" / "english.flac"
CONFIG = ContextEncoderConfig(
    window=40, tokens=12, width=16, hidden=24, heads=2, layers=2, past=16,
    lip_predictor_hidden=40, lip_predictor_heads=2, lip_predictor_layers=2,
)  # fmt: skip


@pytest.fixture
def track():
    """Samples of 14 seconds as ``LipBlocks`` reads them, and how often it has read."""
    torch.manual_seed(0)
    wave, calls = torch.randn(224_000) * 0.1, []

    def samples(first: int, stop: int) -> torch.Tensor:
        calls.append((first, stop))
        padded = torch.cat([torch.zeros(32_000), wave, torch.zeros(160_000)])
        return padded[32_000 + first * 160 : 32_000 + stop * 160]

    return samples, calls


def blocks(samples, closure_hidden: int = 0) -> LipBlocks:
    torch.manual_seed(1)
    found = ContextEncoder(replace(CONFIG, closure_hidden=closure_hidden)).eval().lip_blocks(samples)
    assert found is not None
    return found


def test_what_is_asked_together_and_in_which_order_does_not_matter(track) -> None:
    samples, _ = track
    moments = torch.tensor([0.0, 3.0, 383.0, 385.0, 900.0])
    together, backwards = blocks(samples).at(moments), blocks(samples).at(moments.flip(0)).flip(0)
    alone = torch.cat([blocks(samples).at(moments[k : k + 1]) for k in range(5)])
    assert torch.equal(together, backwards)
    assert torch.equal(together, alone)


def test_every_block_is_computed_once_and_has_the_past_and_the_future_that_it_needs(track) -> None:
    samples, calls = track
    lips = blocks(samples)
    for frame in range(0, 1400, 4):
        lips.at(torch.tensor([float(frame)]))
    assert len(calls) == 4
    for number, (first, stop) in enumerate(calls):
        assert first <= 384 * number - CONFIG.past
        assert stop >= 384 * (number + 1) + CONFIG.window // 2


@pytest.mark.parametrize("closure_hidden", [0, 4])
def test_a_token_is_that_of_the_block_around_it_and_half_tokens_lie_between(track, closure_hidden: int) -> None:
    samples, _ = track
    lips = blocks(samples, closure_hidden)
    past = lips.past * 6
    whole = lips.predictor.along(samples(-lips.past * 12, 384 + lips.ahead * 12)[None], past, 192)[0]
    torch.testing.assert_close(
        lips.at(torch.tensor([0.0, 10.0, 11.0])), torch.stack([whole[0], whole[5], (whole[5] + whole[6]) / 2])
    )


def test_an_encoder_without_a_lip_predictor_has_no_blocks() -> None:
    config = ContextEncoderConfig(window=32, tokens=12, width=16, hidden=24, heads=2, layers=1)
    assert ContextEncoder(config).lip_blocks(lambda first, stop: torch.zeros((stop - first) * 160)) is None


def test_the_shipped_model_predicts_in_blocks_nearly_what_it_predicts_for_each_moment(tmp_path: Path) -> None:
    talker = load_model("small")
    speech, times = FileFeatures(talker.audio, SPEECH, tmp_path / "speech.mel"), np.arange(0.4, 4, 0.16)
    in_blocks = predict_lips(talker, speech, times)[1]
    with torch.inference_mode():
        features, moved = speech.around(times)
        one_by_one = talker.tokens_and_lips(features, moved)[1]
    assert in_blocks is not None
    assert one_by_one is not None
    openings = np.stack([in_blocks[:, -1].numpy(), one_by_one[:, -1].numpy()])
    assert np.corrcoef(openings)[0, 1] > 0.97
    assert np.abs(openings[0] - openings[1]).mean() < 0.15 * openings[1].std()
