"""Pretrained networks, small and random, saved in their libraries' formats and loaded by the code for real ones."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from dithead.checkpoint import build_model, load_model, save_model
from dithead.config import ModelConfig
from dithead.errors import ModelError
from dithead.models.audio.hf_speech import SpeechConfig, SpeechEncoder
from dithead.models.autoencoder.kl import KLAutoencoder, KLConfig
from dithead.models.denoiser.base import DiTConfig
from dithead.models.pretrained import load_pretrained
from dithead.models.talking_head import Conditions

transformers = pytest.importorskip("transformers")


def save_kl(folder: Path, seed: int = 0, levels: int = 4) -> Path:
    torch.manual_seed(seed)
    kl = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=(8,) * levels, norm_num_groups=4, latent_channels=4, scaling_factor=0.2,
    )  # fmt: skip
    kl.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def kl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_kl(tmp_path_factory.mktemp("kl"))


@pytest.fixture(scope="module", params=["wav2vec2", "hubert", "whisper"])
def speech(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    small = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, **sizes}
    if request.param == "wav2vec2":
        model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**small))
    elif request.param == "hubert":
        model = transformers.HubertModel(transformers.HubertConfig(**small))
    else:
        config = transformers.WhisperConfig(
            d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            decoder_start_token_id=3, max_source_positions=1500,
        )  # fmt: skip
        model = transformers.WhisperModel(config)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return folder


def test_latents_of_a_stable_diffusion_autoencoder_are_folded_and_scaled(kl: Path) -> None:
    model = KLAutoencoder.load(KLConfig(str(kl)))
    original, image = AutoencoderKL.from_pretrained(kl), torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        latent, raw = model.encode(image), original.encode(image).latent_dist.mode()
        assert latent.shape == (1, 16, 4, 4)
        torch.testing.assert_close(torch.nn.functional.pixel_shuffle(latent, 2), raw * 0.2)
        none = torch.zeros(1, 1, 64, 64)
        torch.testing.assert_close(model.decode(latent, image, 1 - none, image), original.decode(raw).sample)
        torch.testing.assert_close(model.decode(latent, image, none, image), image)


def test_masked_frames_can_have_their_own_encoder(kl: Path, tmp_path: Path) -> None:
    other = save_kl(tmp_path / "other", seed=1)
    one, two = (KLAutoencoder.load(KLConfig(str(kl), masked)) for masked in ("", str(other)))
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(one.encode_masked(image), one.encode(image))
        torch.testing.assert_close(two.encode_masked(image), KLAutoencoder.load(KLConfig(str(other))).encode(image))


def test_speech_features_equal_the_networks_and_come_every_20_ms(speech: Path) -> None:
    encoder = SpeechEncoder.load(SpeechConfig(str(speech), window=8, width=16))
    wave = torch.randn(16_000 * 2, generator=torch.Generator().manual_seed(0)) * 0.1
    features = encoder.features(wave)
    assert features.shape == (100, 16)
    if not encoder.is_whisper:
        network = transformers.AutoModel.from_pretrained(speech).eval()
        scaled = (wave - wave.mean()) / wave.std(unbiased=False)
        with torch.no_grad():
            own = network(scaled[None]).last_hidden_state[0]
        torch.testing.assert_close(features[: len(own)], own, atol=1e-4, rtol=1e-3)
    tokens = encoder(features[:8][None])
    assert tokens.shape == (1, 8, 16)
    assert encoder.predict_lips(tokens).shape == (1, 9)
    assert not any(p.requires_grad for p in encoder.backbone.parameters())


def test_long_speech_is_encoded_in_blocks(speech: Path) -> None:
    encoder = SpeechEncoder.load(SpeechConfig(str(speech), window=8, width=16))
    assert encoder.features(torch.randn(16_000 * 41)).shape == (2050, 16)


def test_a_model_of_pretrained_parts_is_saved_and_loaded_without_its_sources(
    kl: Path, speech: Path, tmp_path: Path
) -> None:
    pictures = KLAutoencoder.load(KLConfig(str(kl)))
    encoder = SpeechEncoder.load(SpeechConfig(str(speech), window=8, width=16))
    dit = DiTConfig(grid=4, latent_channels=16, width=32, depth=1, heads=2, audio_width=16)
    config = ModelConfig(
        size=64,
        autoencoder=replace(pictures.config, source="gone"),
        dit=dit,
        audio=replace(encoder.config, source="gone"),
    )
    model = build_model(config)
    model.autoencoder.load_state_dict(pictures.state_dict())
    model.audio.load_state_dict(encoder.state_dict())
    back = load_model(save_model(tmp_path / "model", model, dtype=torch.float32))
    wave, image = torch.randn(16_000), torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(back.audio.features(wave), encoder.features(wave))
    with torch.no_grad():
        torch.testing.assert_close(back.autoencoder.encode(image), pictures.encode(image))
    tokens = back.speech_tokens(back.audio.features(wave), torch.tensor([0.5]))
    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, 32:, 16:48] = 1
    made, _ = back.generate(Conditions(image * (1 - mask), mask, image, tokens), back.initial_noise(0))
    assert made.shape == (1, 3, 64, 64)


@pytest.mark.parametrize("part", [(KLAutoencoder, KLConfig), (SpeechEncoder, SpeechConfig)])
def test_missing_weights_give_one_line_with_the_command(part: tuple[Any, Any]) -> None:
    network, config = part
    with pytest.raises(ModelError, match=r"hf download /nowhere/at-all$") as caught:
        network.load(config("/nowhere/at-all"))
    assert "\n" not in str(caught.value)


def test_retries_of_the_hub_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> None:
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 8s")
        raise OSError("no connection")

    with pytest.raises(ModelError, match="no connection"):
        load_pretrained("some/model", load)
    logging.getLogger("huggingface_hub.utils._http").warning("logged again")
    assert "Retrying" not in caplog.text
    assert "logged again" in caplog.text


def test_networks_that_do_not_fit_are_refused(kl: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="shrinks pictures 4 times"):
        KLAutoencoder.load(KLConfig(str(save_kl(tmp_path / "three", levels=3))))
