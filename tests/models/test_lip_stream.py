"""Lips of speech that arrives piece by piece: the pieces do not matter, and the past is attended to as in one pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.checkpoint import load_model
from dithead.media.audio import read_audio
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.models.audio.lip_stream import LipStream
from dithead.models.packed import can_pack, packed

SPEECH = Path(__file__).parents[2] / "examples" / "speech" / "english.flac"
CONFIG = ContextEncoderConfig(
    window=40, tokens=12, width=16, hidden=24, heads=2, layers=2, past=28,
    lip_predictor_hidden=40, lip_predictor_heads=2, lip_predictor_layers=2,
)  # fmt: skip


@pytest.fixture
def wave() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(24_000) * 0.1


def stream(closure_hidden: int = 0) -> LipStream:
    torch.manual_seed(1)
    found = ContextEncoder(replace(CONFIG, closure_hidden=closure_hidden)).eval().lip_stream()
    assert found is not None
    return found


def lips_of(wave: torch.Tensor, pieces: int, closure_hidden: int = 0) -> torch.Tensor:
    lips = stream(closure_hidden)
    for part in wave.tensor_split(pieces):
        lips.push(part)
    lips.finish(150)
    return lips.at(torch.arange(0, 150, 2).float())


@pytest.mark.parametrize("pieces", [7, 240])
def test_pieces_do_not_matter_by_a_bit(wave: torch.Tensor, pieces: int) -> None:
    assert torch.equal(lips_of(wave, pieces), lips_of(wave, 1))


@pytest.mark.parametrize("closure_hidden", [0, 4])
def test_the_first_step_is_that_of_one_pass_over_the_window(wave: torch.Tensor, closure_hidden: int) -> None:
    lips = stream(closure_hidden)
    steps = lips.steps
    window = torch.cat([torch.zeros(steps.past * 1920), wave])[: steps.window * 1920]
    with torch.inference_mode():
        whole = steps.predictor.along(window[None], steps.past * 6, 6)[0]
    torch.testing.assert_close(lips_of(wave, 9, closure_hidden)[:6], whole, atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(not can_pack(torch.device("cpu")), reason="this PyTorch has no oneDNN")
@pytest.mark.parametrize("closure_hidden", [0, 4])
def test_recorded_steps_of_packed_layers_predict_what_the_network_predicts(
    wave: torch.Tensor, closure_hidden: int
) -> None:
    torch.manual_seed(1)
    encoder = ContextEncoder(replace(CONFIG, closure_hidden=closure_hidden)).eval()
    fast, found = packed(encoder, torch.float32, pack=True), []
    fast.record()
    for each in (encoder, fast):
        lips = each.lip_stream()
        lips.push(wave)
        lips.finish(150)
        found.append(lips.at(torch.arange(0, 150, 2).float()))
    assert fast.lip_stream().steps is fast.lip_stream().steps, "recorded once"
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)


def test_a_block_attends_to_kept_keys_and_values_as_to_the_states_themselves() -> None:
    block = ContextEncoder(CONFIG).eval().lip_predictor.layers.blocks[0]
    from dithead.models.audio.moonshine_layers import rotations

    x, rotation = torch.randn(1, 12, 40), rotations(12, 20)
    with torch.no_grad():
        whole = block(x, rotation)
        _, keys, values = block.attend(x[:, :7], rotation, 0, None)
        rest, all_keys, _ = block.attend(x[:, 7:], rotation, 7, (keys, values))
    torch.testing.assert_close(rest, whole[:, 7:])
    assert all_keys.shape == (1, 12, 40)


def test_lips_come_as_soon_as_promised_and_old_ones_are_forgotten() -> None:
    lips, given = stream(), 0
    for frame in range(0, 1000, 4):
        while lips.tokens <= frame // 2 + 1:
            lips.push(torch.zeros(320))
            given += 320
        assert given / 16_000 <= frame / 100 + lips.latency + 0.02
    assert len(lips._lips) <= 65


def test_the_shipped_model_predicts_in_steps_nearly_what_it_predicts_for_each_moment() -> None:
    encoder, wave = load_model("small").audio, torch.from_numpy(read_audio(SPEECH))[:64_000]
    lips = encoder.lip_stream()
    lips.push(wave)
    lips.finish(400)
    frames = torch.arange(20, 380, 16)
    padded = torch.cat([torch.zeros(40_000), wave, torch.zeros(40_000)])
    centre = (encoder.past + encoder.config.window // 2) // 2
    begins = [40_000 + int(frame) * 160 - centre * 320 for frame in frames]
    length = (encoder.past + encoder.config.window) * 160
    with torch.inference_mode():
        alone = encoder.lip_predictor.at(torch.stack([padded[b : b + length] for b in begins]), centre)
    found = np.stack([lips.at(frames.float())[:, -1].numpy(), alone[:, -1].numpy()])
    assert np.corrcoef(found)[0, 1] > 0.95
