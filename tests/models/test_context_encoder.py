"""The context encoder: Whisper's layers and bands, the lip predictor, and what training may change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

from dithead.errors import ModelError
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.models.audio.lip_predictor import AVERAGED, averaged
from dithead.models.audio.mel import log_mel, mel_filters, samples_of
from dithead.models.pretrained import load_whisper
from dithead.train.loop.trainable import Trainable

SMALL = ContextEncoderConfig(window=32, tokens=12, width=16, hidden=24, heads=2, layers=2)


@pytest.fixture
def whisper(tmp_path: Path) -> Path:
    """A random Whisper as the hub has it."""
    config = WhisperConfig(
        d_model=24, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=96, num_mel_bins=80,
        max_source_positions=40, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=8, vocab_size=8,
        pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0,
    )  # fmt: skip
    WhisperModel(config).save_pretrained(tmp_path / "whisper")
    return tmp_path / "whisper"


def test_layers_equal_those_of_whisper(whisper: Path) -> None:
    encoder, source = ContextEncoder(SMALL).eval(), load_whisper(str(whisper))
    encoder.whisper.load_pretrained(source)
    x = torch.randn(2, 16, 24)
    for mine, theirs in zip(encoder.whisper.blocks, source.layers, strict=False):
        found = theirs(x, attention_mask=None)
        assert torch.allclose(mine(x), found[0] if isinstance(found, tuple) else found, atol=1e-5)
    assert torch.equal(encoder.whisper.place, source.embed_positions.weight[-16:])


def test_mel_bands_equal_those_of_whisper() -> None:
    theirs = WhisperFeatureExtractor(feature_size=80).mel_filters
    assert np.allclose(mel_filters("whisper").numpy(), 100 * theirs.T, atol=1e-4)


def test_features_are_near_those_that_whisper_prepares() -> None:
    """A loud and a quiet take of the same noise bursts: the same features, near those of Whisper's own preparation."""
    rng = np.random.default_rng(0)
    envelope = np.repeat(rng.uniform(0, 1, 50) ** 2, 640)
    wave = (rng.standard_normal(32000) * envelope).astype(np.float32)
    encoder = ContextEncoder(ContextEncoderConfig())
    features = [encoder.features(torch.from_numpy(wave * gain)) for gain in (0.2, 0.02)]
    assert (features[0] - features[1]).abs().mean() < 0.05
    loud = wave / wave.std()
    theirs = WhisperFeatureExtractor(feature_size=80)(loud, sampling_rate=16000, padding=False).input_features[0]
    mine = ((features[0].numpy().T + 1.4) / 4).clip(-0.125)[:, : theirs.shape[1]]
    assert np.corrcoef(mine.ravel(), np.asarray(theirs).ravel())[0, 1] > 0.95


def test_shapes_of_tokens_and_lips() -> None:
    encoder = ContextEncoder(SMALL).eval()
    assert encoder(torch.randn(3, 32, 80)).shape == (3, 12, 16)
    assert encoder.predict_lips(encoder(torch.randn(3, 32, 80))).shape == (3, 9)


WITH_PREDICTOR = ContextEncoderConfig(
    window=40,
    tokens=12,
    width=16,
    hidden=24,
    heads=2,
    layers=2,
    past=16,
    lip_predictor_hidden=40,
    lip_predictor_heads=2,
    lip_predictor_layers=2,
)


def test_the_lip_predictor_predicts_for_one_moment_what_it_predicts_for_the_stretch_around() -> None:
    encoder, mel = ContextEncoder(WITH_PREDICTOR).eval(), torch.randn(3, 56, 240)
    assert encoder.lip_predictor is not None
    first = (16 + 40 // 2) // 2 - encoder.lip_predictor.margin - AVERAGED  # tokens are two mel frames
    predicted = averaged(encoder.lip_predictor(samples_of(mel))[:, first : first + 2 * AVERAGED + 1])[:, 0]
    tokens, lips = encoder.tokens_and_lips(mel)
    assert torch.equal(tokens, encoder(mel[:, 16:]))
    assert torch.allclose(0.25 * encoder.predict_lips(tokens) + 0.75 * predicted, lips, atol=1e-5)


def test_the_lip_predictor_uses_the_past_and_the_tokens_do_not() -> None:
    encoder, mel = ContextEncoder(WITH_PREDICTOR).eval(), torch.randn(1, 56, 240)
    other = mel.clone()
    other[:, :12] += torch.randn(240)
    (tokens, lips), (tokens2, lips2) = encoder.tokens_and_lips(mel), encoder.tokens_and_lips(other)
    assert torch.equal(tokens, tokens2)
    assert not torch.allclose(lips, lips2, atol=1e-4)


def test_the_lip_predictor_uses_the_samples_and_not_the_spectrum() -> None:
    wave = torch.randn(8000) * 0.1
    encoder = ContextEncoder(WITH_PREDICTOR).eval()
    features = encoder.features(wave)
    assert features.shape == (51, 240)
    torch.testing.assert_close(samples_of(features)[:8000], wave)
    assert encoder.lip_predictor is not None
    alone = encoder.lip_predictor.at(samples_of(features)[None], 16)
    features[:, :80] = 0
    assert torch.equal(encoder.lip_predictor.at(samples_of(features)[None], 16), alone)


@pytest.mark.parametrize("past", [-4, 6])
def test_an_impossible_past_is_refused(past: int) -> None:
    with pytest.raises(ValueError, match="past"):
        ContextEncoderConfig(past=past)


def test_pretrained_layers_learn_slowly() -> None:
    encoder = ContextEncoder(SMALL)
    trainable = Trainable(encoder, 1e-2, 0.9, slow=list(encoder.whisper.parameters()), slow_rate=0.0)
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    encoder.predict_lips(encoder(log_mel(torch.randn(16000), "whisper")[None, :32])).square().sum().backward()
    trainable.step(1e-2, 1.0)
    changed = {name for name, p in encoder.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert not any(name.startswith("whisper") for name in changed)


def test_another_width_is_refused(whisper: Path) -> None:
    from dithead.train.stages.audio_encoder import start_from_whisper

    with pytest.raises(ModelError, match="does not fit"):
        start_from_whisper(ContextEncoder(ContextEncoderConfig()), str(whisper))
