"""Moonshine layers equal those of transformers, and the lip predictor's tokens lie at the right time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import MoonshineConfig, MoonshineModel

from dithead.errors import ConfigError, ModelError
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.models.audio.lip_predictor import at_tokens
from dithead.models.audio.moonshine_layers import CENTRE, STATE, MoonshineLayers
from dithead.models.pretrained import load_moonshine
from dithead.train.stages.audio_encoder import start_lip_predictor

WITH_PREDICTOR = ContextEncoderConfig(
    window=40,
    tokens=12,
    width=16,
    hidden=24,
    heads=2,
    layers=1,
    past=16,
    lip_predictor_hidden=40,
    lip_predictor_heads=2,
    lip_predictor_layers=2,
)


@pytest.fixture
def moonshine(tmp_path: Path) -> Path:
    """A random Moonshine as the hub has it."""
    config = MoonshineConfig(
        hidden_size=40, intermediate_size=160, encoder_num_hidden_layers=3, encoder_num_attention_heads=2,
        encoder_num_key_value_heads=2, decoder_num_hidden_layers=1, vocab_size=8, pad_token_id=0,
    )  # fmt: skip
    MoonshineModel(config).save_pretrained(tmp_path / "moonshine")
    return tmp_path / "moonshine"


@torch.no_grad()
def test_layers_equal_those_of_moonshine(moonshine: Path) -> None:
    source, layers = load_moonshine(str(moonshine)), MoonshineLayers(40, 2, 3).eval()
    layers.load_pretrained(source)
    sound = torch.randn(2, 9000) * 0.1
    theirs = source(sound).last_hidden_state
    assert theirs.std() > 0.1
    torch.testing.assert_close(source.layer_norm(layers(sound)[-1]), theirs, atol=1e-5, rtol=1e-4)


def test_a_click_changes_the_token_at_its_time_most() -> None:
    """The state whose receptive field is centred on a click changes most, and so does the token there."""
    layers = MoonshineLayers(40, 2, 1).eval()
    for token in (10, 15, 20):
        sound = torch.zeros(1, 12000)
        sound[:, token * 320 - 8 : token * 320 + 8] = 1
        with torch.no_grad():
            clicked = layers.conv3(layers.conv2(layers.conv1(sound[:, None]).abs())).transpose(1, 2)
            silent = layers.conv3(layers.conv2(layers.conv1(torch.zeros(1, 1, 12000)).abs())).transpose(1, 2)
        change = (clicked - silent).abs()
        assert abs(CENTRE + STATE * int(change.mean(-1).argmax()) - token * 320) <= STATE
        assert abs(int(at_tokens(change, 0, 37).mean(-1).argmax()) - token) <= 1


def test_a_lip_predictor_starts_from_moonshine(moonshine: Path) -> None:
    encoder, source = ContextEncoder(WITH_PREDICTOR), load_moonshine(str(moonshine))
    slow = start_lip_predictor(encoder, str(moonshine))
    assert encoder.lip_predictor is not None
    assert torch.equal(encoder.lip_predictor.layers.blocks[1].wide.weight, source.layers[1].mlp.fc1.weight)
    assert len(slow) == 7 + 2 * 10


def test_without_a_lip_predictor_or_with_another_width_it_is_refused(moonshine: Path) -> None:
    with pytest.raises(ConfigError, match="model.audio.past"):
        start_lip_predictor(ContextEncoder(ContextEncoderConfig()), str(moonshine))
    with pytest.raises(ModelError, match="does not fit"):
        start_lip_predictor(ContextEncoder(ContextEncoderConfig(past=200)), str(moonshine))
