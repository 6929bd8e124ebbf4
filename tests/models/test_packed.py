"""The network as it draws fastest: what the plain one draws, and each frame's bits whatever is drawn beside it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dithead.checkpoint import build_model, load_model
from dithead.config import get_preset
from dithead.device import pick_dtype
from dithead.models.autoencoder.face import AutoencoderConfig
from dithead.models.packed import PackedConv, PackedConv1d, PackedLinear, can_pack, packed, packed_autoencoder
from dithead.models.recorded import unrecorded
from dithead.models.talking_head import Conditions, TalkingHead

needs_onednn = pytest.mark.skipif(not can_pack(torch.device("cpu")), reason="this PyTorch has no oneDNN")
needs_bfloat16 = pytest.mark.skipif(
    not can_pack(torch.device("cpu"), torch.bfloat16), reason="this processor has no AVX-512, so bfloat16 is emulated"
)
DRAWS_IN_BFLOAT16 = pick_dtype(torch.device("cpu")) is torch.bfloat16
needs_instructions = pytest.mark.skipif(
    not DRAWS_IN_BFLOAT16, reason="this processor has no bfloat16 instructions: it draws in float32, which is tested"
)


def conditions(talker: TalkingHead, frames: int = 5) -> Conditions:
    """Frames that differ, and the mask of the lower half."""
    torch.manual_seed(0)
    size, dit = talker.size, talker.config.dit
    pictures = torch.nn.functional.interpolate(torch.rand(frames, 3, size // 8, size // 8), size=size) * 2 - 1
    mask = torch.zeros(1, 1, size, size)
    mask[..., size // 2 : -8, size // 8 : -size // 8] = 1
    tokens = talker.audio.position[None] + torch.randn(frames, *talker.audio.position.shape)
    lips = torch.randn(frames, dit.lip_targets) * 0.3 if dit.lip_targets else None
    return Conditions(pictures * (1 - mask), mask, pictures.flip(0), tokens, lips)


def only(c: Conditions, which: list[int]) -> Conditions:
    def pick(x: Tensor) -> Tensor:
        return x[which] if len(x) > 1 else x

    return Conditions(
        pick(c.masked), c.mask, pick(c.reference), pick(c.tokens), None if c.lips is None else pick(c.lips)
    )


@pytest.fixture(scope="module", params=["small", "tiny", "unet"])
def talker(request: pytest.FixtureRequest) -> TalkingHead:
    if request.param == "small":
        return load_model("small")
    torch.manual_seed(0)
    changes = ["model.dit.backbone=unet"] if request.param == "unet" else []
    model = build_model(get_preset("tiny", changes).model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


def drawn(talker: TalkingHead, c: Conditions) -> Tensor:
    return talker.generate(c, talker.initial_noise(0))[0]


@pytest.mark.parametrize(("precision", "mean", "most"), [("float32", 0.001, 0.01), ("bfloat16", 0.3, 8.0)])
def test_it_draws_what_the_plain_network_draws(talker: TalkingHead, precision, mean: float, most: float) -> None:
    c, before = conditions(talker), {name: p.clone() for name, p in talker.state_dict().items()}
    levels = (drawn(talker.for_drawing(precision), c) - drawn(talker, c)).abs() * 127.5
    assert levels.mean() < mean
    assert levels.max() < most
    assert all(torch.equal(before[name], p) for name, p in talker.state_dict().items()), "the model itself is as it was"
    outside = c.mask.expand_as(c.masked) == 0
    assert torch.equal(drawn(talker.for_drawing(precision), c)[outside], c.masked[outside])


@needs_onednn
@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("float32", marks=pytest.mark.slow if DRAWS_IN_BFLOAT16 else ()),
        pytest.param("bfloat16", marks=needs_instructions),
    ],
)
def test_a_frame_has_the_same_bits_in_every_batch_and_with_any_number_of_threads(
    talker: TalkingHead, precision
) -> None:
    if talker.config.dit.backbone == "unet":
        pytest.skip("the U-Net of the ablation is not promised that")
    fast, c, threads = talker.for_drawing(precision), conditions(talker), torch.get_num_threads()
    whole = drawn(fast, c)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            for which in ([0], [4], [3, 1], [0, 1, 2], [4, 3, 2, 1, 0]):
                assert torch.equal(drawn(fast, only(c, which)), whole[which])
    finally:
        torch.set_num_threads(threads)


@needs_onednn
@pytest.mark.parametrize("rows", [1, 12, 50])
@pytest.mark.parametrize("inputs", [112, 240, 256, 384, 512, 1024, 1536])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_instructions)])
def test_a_layer_of_any_size_gives_the_same_bits_in_every_batch(dtype, inputs: int, rows: int) -> None:
    """AMX adds up 240 inputs, and 512 and more, in another order for another number of rows."""
    torch.manual_seed(0)
    layer = packed(torch.nn.Linear(inputs, 256), dtype, pack=True)
    x = (3 * torch.randn(8, rows, inputs)).to(dtype)
    x = x[:, 0] if rows == 1 else x
    with torch.inference_mode():
        whole = layer(x)
        for count in (1, 2, 3, 7):
            assert torch.equal(torch.cat([layer(part) for part in x.split(count)]), whole)


@needs_bfloat16
def test_convolutions_are_laid_out_for_the_pictures_that_they_get() -> None:
    """A layout for pictures of another size made one convolution of a smaller model a hundred times slower."""
    config = AutoencoderConfig(32, (16, 32, 96, 192), (16, 32, 64))
    fast = packed_autoencoder(config.build(), torch.bfloat16, 160, pack=True)
    sides = {name: layer.side for name, layer in fast.named_modules() if isinstance(layer, PackedConv)}
    assert sides["encoder.stem"] == sides["skip.stem"] == 160
    assert (sides["encoder.downs.2"], sides["encoder.levels.3.conv1"], sides["decoder.out"]) == (20, 10, 80)


@needs_bfloat16
def test_what_is_not_recorded_draws_the_same_bits(talker: TalkingHead, monkeypatch) -> None:
    c, recorded = conditions(talker), talker.for_drawing("bfloat16")
    monkeypatch.setattr(torch.jit, "trace", None)
    with unrecorded():
        plain = talker.for_drawing("bfloat16")
    assert torch.equal(drawn(plain, c), drawn(recorded, c))


@needs_onednn
@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 1, 1), (7, 3, 0), (3, 2, 1)])
def test_a_packed_convolution_over_time_computes_the_same(size: int, stride: int, padding: int) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Conv1d(8, 6, size, stride=stride, padding=padding)
    fast = packed(plain, torch.float32, pack=True)
    assert isinstance(fast, PackedConv1d)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x := torch.randn(2, 8, 20)), plain(x))
        assert packed(one := torch.nn.Conv1d(1, 4, 3), torch.float32, pack=True)(x[:, :1]).equal(one(x[:, :1]))


@needs_bfloat16
def test_the_audio_encoder_hears_the_same_in_bfloat16_and_the_same_bits_in_every_batch() -> None:
    talker = load_model("small")
    torch.manual_seed(0)
    windows = torch.nn.functional.interpolate(torch.randn(1, 80, 20), size=300, mode="linear").transpose(1, 2) - 1
    windows = torch.cat([windows, torch.zeros(1, 300, talker.audio.features_width - 80)], -1)[0]
    windows = windows.unfold(0, talker.config.audio.window, 12).transpose(1, 2)
    plain, fast = talker.audio, talker.for_drawing("bfloat16").audio
    with torch.inference_mode():
        wanted, made = plain(windows), fast(windows)
        assert made.dtype == torch.float32
        assert (made - wanted).square().mean().sqrt() < 0.006 * wanted.std()
        apart = fast.predict_lips(made) - plain.predict_lips(wanted)
        assert apart.square().mean().sqrt() < 0.02 * plain.predict_lips(wanted).std()
        for which in ([0], [5, 2], [1, 2, 3]):
            assert torch.equal(fast(windows[which]), made[which])


def test_what_cannot_be_packed_in_bfloat16_is_drawn_unpacked(monkeypatch) -> None:
    monkeypatch.setattr("dithead.models.talking_head.can_pack", lambda device, dtype: dtype is torch.float32)
    model = build_model(get_preset("tiny").model)
    fast = model.for_drawing("bfloat16")
    assert not any(isinstance(layer, PackedLinear | PackedConv) for layer in fast.modules())
    assert not fast.same_in_every_batch
    assert torch.isfinite(drawn(fast, conditions(model))).all()


@needs_onednn
def test_layers_are_packed_and_the_type_follows_the_processor(talker: TalkingHead, monkeypatch) -> None:
    assert any(isinstance(layer, PackedLinear) for layer in talker.for_drawing("float32").dit.modules())
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert pick_dtype(cpu) == torch.float32
    assert pick_dtype(cpu, "bfloat16") == torch.bfloat16
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert pick_dtype(cpu) == torch.bfloat16
