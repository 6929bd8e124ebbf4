"""Mel features in blocks are those of the whole, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dithead.inference.synthesise.audio_features import FileFeatures, loudness_of
from dithead.media.audio import audio_seconds, read_audio, write_audio
from dithead.models.audio.context_encoder import ContextEncoder, ContextEncoderConfig
from dithead.models.audio.hf_speech import SpeechConfig, SpeechEncoder
from dithead.models.audio.mel import FLOOR, log_mel, windows
from dithead.models.audio.mel_encoder import MelEncoder, MelEncoderConfig

WITH_PREDICTOR = ContextEncoderConfig(
    window=32, tokens=12, width=16, hidden=24, heads=2, layers=1, past=64,
    lip_predictor_hidden=40, lip_predictor_heads=2, lip_predictor_layers=1,
)  # fmt: skip


def mel_encoder():
    return MelEncoder(MelEncoderConfig(width=16, layers=1))


def blocks_of(pieces):
    return np.concatenate([block.numpy() for block in mel_encoder().feature_blocks(map(torch.from_numpy, pieces))])


def noise(count: int) -> np.ndarray:
    wave = np.random.default_rng(count).normal(0, 0.1, count).astype(np.float32)
    wave[: count // 3] = 0
    return wave


@pytest.mark.parametrize("count", [1, 159, 160, 161, 640, 16000, 16079])
def test_blocks_are_the_whole(count):
    wave = noise(count)
    blocks = blocks_of([wave])
    assert blocks.shape == (count // 160 + 1, 80)
    np.testing.assert_allclose(blocks, log_mel(torch.from_numpy(wave)).numpy(), atol=2e-4)


@pytest.mark.parametrize("chunk", [1, 37, 160, 999, 16000])
def test_chunks_do_not_matter_by_a_bit(chunk):
    wave = noise(5000)
    pieces = [wave[k : k + chunk] for k in range(0, len(wave), chunk)]
    in_pieces, whole = blocks_of(pieces), blocks_of([wave])
    assert np.array_equal(in_pieces, whole)


def test_features_of_a_file_are_those_of_the_whole_wave(tmp_path):
    wave = noise(40000)
    write_audio(tmp_path / "a.wav", wave, 16000)
    speech = FileFeatures(mel_encoder(), tmp_path / "a.wav", tmp_path / "a.mel")
    whole = mel_encoder().features(torch.from_numpy(wave))
    times = np.array([0.0, 0.04, 1.0, 1.04, 2.5, 2.9])
    for pair in (times[:2], times[2:4], times[4:]):
        features, moved = speech.around(pair)
        here = windows(features, moved.float() * 100, 48)
        there = windows(whole, torch.from_numpy(pair).float() * 100, 48)
        assert len(features) < 200
        torch.testing.assert_close(here, there, atol=2e-3, rtol=0)
    assert audio_seconds(tmp_path / "a.wav") == 2.5
    assert loudness_of(tmp_path / "a.wav", mel_encoder()) == speech.level


def test_the_samples_of_a_file_stand_behind_its_log_mel(tmp_path):
    wave = noise(20000)
    write_audio(tmp_path / "a.wav", wave, 16000)
    encoder = ContextEncoder(WITH_PREDICTOR)
    speech = FileFeatures(encoder, tmp_path / "a.wav", tmp_path / "a.mel")
    whole = encoder.features(torch.from_numpy(read_audio(tmp_path / "a.wav")))
    assert whole.shape == (126, 240)
    for pair in (np.array([0.0, 0.04]), np.array([1.0, 1.24])):
        features, moved = speech.around(pair)
        here, there = (
            windows(part, torch.as_tensor(times).float() * 100, 32, past=64)
            for part, times in ((features, moved), (whole, pair))
        )
        torch.testing.assert_close(here, there, atol=2e-3, rtol=0)
        assert torch.equal(here[..., 80:], there[..., 80:])
    assert here[..., 80:].abs().max() > 0.1
    beyond = windows(whole, torch.tensor([0.0]), 32, past=64)[0, :80]
    assert (beyond[:, :80] == FLOOR).all()
    assert not beyond[:, 80:].any()


@pytest.mark.parametrize("seconds", [1.25, 4.0, 11.0, 60.0])
def test_lips_are_predicted_for_as_long_as_a_video_goes_on_after_its_speech(tmp_path, seconds):
    write_audio(tmp_path / "a.wav", noise(20000), 16000)
    write_audio(tmp_path / "longer.wav", np.pad(noise(20000), (0, 16000 * 65)), 16000)
    encoder = ContextEncoder(WITH_PREDICTOR).eval()
    short, longer = (FileFeatures(encoder, tmp_path / f"{name}.wav", tmp_path / name) for name in ("a", "longer"))
    times = np.array([seconds, seconds + 0.04])
    torch.testing.assert_close(short.lips_at(times), longer.lips_at(times), atol=1e-5, rtol=1e-4)


def test_silence_is_not_made_louder(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(8000, np.float32), 16000)
    speech = FileFeatures(mel_encoder(), tmp_path / "a.wav", tmp_path / "a.mel")
    features, _ = speech.around(np.array([0.2]))
    assert (features == FLOOR).all()


@pytest.fixture(params=["wav2vec2", "hubert", "whisper"])
def encoder(request, tmp_path):
    """A tiny random network in its own format on disk, loaded as real ones are."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    small = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, **sizes}
    if request.param == "whisper":
        config = transformers.WhisperConfig(
            d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            decoder_start_token_id=3, max_source_positions=1500,
        )  # fmt: skip
        transformers.WhisperModel(config).save_pretrained(tmp_path / "net")
    elif request.param == "hubert":
        transformers.HubertModel(transformers.HubertConfig(**small)).save_pretrained(tmp_path / "net")
    else:
        transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**small)).save_pretrained(tmp_path / "net")
    return SpeechEncoder.load(SpeechConfig(str(tmp_path / "net"), window=8, width=16))


def test_a_pretrained_encoder_gets_the_features_that_training_uses(encoder, tmp_path):
    wave = noise(16_000 * 45 + 77)
    write_audio(tmp_path / "a.wav", wave, 16000)
    speech = FileFeatures(encoder, tmp_path / "a.wav", tmp_path / "a.features")
    whole = encoder.features(torch.from_numpy(read_audio(tmp_path / "a.wav", 16000)))
    assert speech._store.frames == len(whole) == 2250
    assert whole.std() > 0.1
    for times in (np.array([0.0, 0.04]), np.array([19.96, 20.0, 20.04]), np.array([44.96, 47.0])):
        features, moved = speech.around(times)
        here = windows(features, moved.float() * 50, 8, 0.0)
        there = windows(whole, torch.from_numpy(times).float() * 50, 8, 0.0)
        torch.testing.assert_close(here, there, atol=1e-6, rtol=0)
        assert len(features) < 140


def test_a_pretrained_encoder_never_listens_to_more_than_22_seconds(encoder, monkeypatch):
    lengths, block = [], encoder._block
    monkeypatch.setattr(encoder, "_block", lambda wave: lengths.append(len(wave)) or block(wave))
    made = sum(len(part) for part in encoder.feature_blocks(torch.zeros(1600) for _ in range(700)))
    assert made == 3500
    assert len(lengths) == 4
    assert max(lengths) <= 22 * 16_000
