"""The denoiser measured on held-out people: which references it gets, and that it samples as generation does."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model
from dithead.config import get_preset
from dithead.models.audio.context_encoder import ContextEncoderConfig
from dithead.models.denoiser.base import LatentConditions
from dithead.models.denoiser.token_window import tokens_per_sample
from dithead.models.talking_head import Conditions, TalkingHead
from dithead.prepare.conditions import to_tensor
from dithead.train.data.clips import DataSource, choose_held_out_clips
from dithead.train.data.latent_cache import ClipLatents, LatentEncoder, cache_clips
from dithead.train.data.latent_dataset import LatentDataset
from dithead.train.data.lip_basis import LipBasis
from dithead.train.metrics import held_out_latents
from dithead.train.metrics.held_out_latents import (
    HeldOutClip,
    held_out_clips,
    held_out_metrics,
    mouth_change,
    mouth_error,
    mouth_spread,
    paste_references,
    sample,
)

FRAMES, SAMPLED = 20, 16


def clip(references: int = 1, frames: int = FRAMES) -> HeldOutClip:
    """Frame k is full of k, and its lips are k / 10 open; the lower half is masked."""
    rows = np.arange(frames, dtype=np.float16)
    latents = np.zeros((frames, 2, 4, 4), np.float16) + rows[:, None, None, None]
    half = np.zeros((1, 4, 4), np.float16)
    half[:, 2:] = 1
    lips = np.zeros((frames, 81), np.float16)
    lips[:, -1] = rows / 10
    one = ClipLatents(latents, latents * (1 - half), half, np.stack([half] * frames), lips,
                      np.zeros((99, 80), np.float16), np.asarray(0), np.asarray(25))  # fmt: skip
    cached = SimpleNamespace(name="a", item=SimpleNamespace(clip=SimpleNamespace(audio=lambda: np.zeros(1600))))
    audio = SimpleNamespace(features=lambda wave: torch.zeros(99, 80))
    dataset: Any = SimpleNamespace(clips=[one], cached=[cached], references=references, audio=audio)
    return held_out_clips(dataset)[0]


def talker(moved: list[float] | None, references: int = 1) -> Any:
    """A model whose mouth is its reference, and which predicts that the lips open by ``moved`` more than usual."""
    config = SimpleNamespace(dit=SimpleNamespace(references=references), steps=1, guidance=1.0, opening_unit=1.0)

    def tokens_and_lips(features: torch.Tensor, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        lips = None if moved is None else torch.tensor(moved[: len(times)])[:, None]
        return torch.zeros(len(times), 8, 4), lips

    def denoise(z: torch.Tensor, t: Any, conditions: LatentConditions) -> torch.Tensor:
        return conditions.reference[:, : z.shape[1]]

    dit: Any = denoise
    dit.lip_centre = torch.zeros(1)
    return SimpleNamespace(
        config=config, device=torch.device("cpu"), dit=dit, tokens_and_lips=tokens_and_lips,
        audio=SimpleNamespace(unconditional=lambda batch: torch.zeros(batch, 8, 4)),
        initial_noise=lambda seed: torch.zeros(1, 2, 4, 4),
        objective=SimpleNamespace(sample=lambda predict, noise, steps: predict(noise, torch.zeros(len(noise)))),
    )  # fmt: skip


def record_references(model: Any) -> list[torch.Tensor]:
    """Let the model note the references it gets."""
    seen: list[torch.Tensor] = []

    def denoise(z: torch.Tensor, t: Any, conditions: LatentConditions) -> torch.Tensor:
        seen.append(conditions.reference)
        return z

    dit: Any = denoise
    dit.lip_centre = model.dit.lip_centre
    model.dit = dit
    return seen


def test_references_are_mouths_as_open_as_predicted_and_never_the_frame_itself() -> None:
    mean = (FRAMES - 1) / 20
    predicted = [k / 10 - mean for k in [*range(SAMPLED - 3), 17, 18, 25]]
    one = clip()
    made = sample(talker(predicted), one)
    assert made[:, 0, 3, 0].tolist() == [16.0] * (SAMPLED - 3) + [17.0, 18.0, 19.0]
    torch.testing.assert_close(made[:, :, :2], one.latent[:, :, :2])
    torch.testing.assert_close(paste_references(talker(predicted), one), made)


def test_one_reference_serves_all_frames_where_wanted_or_nothing_is_predicted() -> None:
    one = clip()
    last = float(one.reference[0, 0, 0, 0])
    for made in (sample(talker([0.0] * SAMPLED), one, references="fixed"), sample(talker(None), one)):
        assert set(made[:, 0, 3, 0].tolist()) == {last}


def test_the_previous_output_can_be_the_reference() -> None:
    one = clip()
    made = sample(talker([0.0] * SAMPLED), one, references="previous")
    assert set(made[:, 0, 3, 0].tolist()) == {float(one.reference[0, 0, 0, 0])}
    assert made[1:, 0, 0, 0].tolist() == one.latent[1:, 0, 0, 0].tolist()


def test_several_references_are_the_nearest_ones_and_short_clips_use_their_own_frames() -> None:
    three = talker([10.0] * SAMPLED, references=3)
    seen = record_references(three)
    sample(three, clip(references=3))
    assert seen[0][0, ::2, 0, 0].tolist() == [19.0, 18.0, 17.0]
    sample(three, clip(references=3), references="nearest")
    assert seen[1][0, ::2, 0, 0].tolist() == [19.0]
    assert len(clip(references=3, frames=18).others) == 18


def test_a_model_without_references_gets_none_and_pasting_them_is_still_measured() -> None:
    none, one = talker([10.0] * SAMPLED, references=0), clip(references=0)
    seen = record_references(none)
    sample(none, one)
    assert [reference.shape[1] for reference in seen] == [0]
    assert paste_references(none, one)[0, 0, 3, 0] == 19


def test_what_the_model_makes_of_the_speech_takes_the_speech_of_another_clip() -> None:
    """A model that pastes the mouth that it hears: beside one clip alone, 0 would say that it ignores the speech."""
    listens = talker(None)
    listens.tokens_and_lips = lambda features, times: (torch.zeros(len(times), 8, 4), features[: len(times), :1])
    lips = torch.arange(SAMPLED)[:, None] / 10 - (FRAMES - 1) / 20
    one = replace(clip(), features=lips)
    other = replace(one, features=lips.flip(0))
    alone = held_out_metrics(listens, [one])
    assert "held_out_listening" not in alone
    assert all(np.isfinite(list(alone.values())))
    both = held_out_metrics(listens, [one, other])
    assert set(both) == {*alone, "held_out_listening"}
    own, exchanged = (
        mouth_error([sample(listens, a, b) for a, b in pairs], [one, other])
        for pairs in (((one, one), (other, other)), ((one, other), (other, one)))
    )
    assert both["held_out_listening"] == pytest.approx(exchanged / own - 1)


def test_a_clip_of_one_frame_does_not_change_and_spoils_no_mean() -> None:
    several, single = clip(), clip(frames=1)
    latents = [several.latent, single.latent]
    assert mouth_change(latents, [several, single]) == mouth_change(latents[:1], [several]) > 0
    assert mouth_spread(latents, [several, single]) == mouth_spread(latents[:1], [several]) > 0
    assert mouth_change(latents[1:], [single]) == 0
    scores = held_out_metrics(talker([0.0] * SAMPLED), [several, single])
    assert all(np.isfinite(list(scores.values())))


@pytest.fixture(scope="module")
def model() -> TalkingHead:
    """A tiny model with a lip predictor, guidance, a calibration and a known unit of the opening."""
    torch.manual_seed(0)
    sizes = {"hidden": 24, "heads": 2, "layers": 1}
    predictor = {f"lip_predictor_{name}": value for name, value in {"hidden": 40, "heads": 2, "layers": 2}.items()}
    audio = ContextEncoderConfig(window=32, tokens=12, width=16, past=64, **sizes, **predictor)
    tiny = get_preset("tiny").model
    changes = {"audio": audio, "opening_unit": 0.1, "guidance": 2.0, "steps": 2}
    made = build_model(tiny.model_copy(update=changes))
    for parameter in made.dit.parameters():  # the layers that start at zero would make all conditions mute
        torch.nn.init.normal_(parameter, std=0.1)
    made.dit.set_calibration(torch.full((9,), 1.5), torch.full((9,), 0.2), torch.full((9,), 0.1))
    return made.eval()


@pytest.fixture(scope="module")
def held_out(model: TalkingHead, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> HeldOutClip:
    items = choose_held_out_clips([DataSource(dataset)], 1)
    cached = cache_clips(tmp_path_factory.mktemp("latents"), items, [1], LatentEncoder(model, 0))
    basis = LipBasis(np.zeros((80, 8), np.float32), np.ones(9, np.float32))
    return held_out_clips(LatentDataset(cached, basis, get_preset("tiny").dit, model.audio), frames=8)[0]


def test_frames_are_sampled_as_generation_samples_them(
    model: TalkingHead, held_out: HeldOutClip, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same speech, lips, references and noise give the latents of ``TalkingHead.generate``, guidance included."""
    monkeypatch.setattr(held_out_latents, "autocast", lambda device: torch.autocast("cpu", enabled=False))
    made = sample(model, held_out, references="fixed")
    item = choose_held_out_clips([DataSource(dataset)], 1)[0].clip
    tokens, lips = model.tokens_and_lips(model.audio.features(torch.from_numpy(item.audio())), torch.arange(8) / 25)
    crops = to_tensor(item.frames()[:8])
    mask = torch.zeros(8, 1, 64, 64)
    mask[:, :, 16:] = 1  # any mask that the known latents are replaced in
    conditions = Conditions(crops * (1 - mask), mask, crops, tokens, lips, held_out.reference.expand(8, -1, -1, -1))
    spied: list[LatentConditions] = []
    forward = model.dit.forward

    def spy(z: torch.Tensor, t: torch.Tensor, given: LatentConditions) -> torch.Tensor:
        spied.append(given)
        own = LatentConditions(held_out.masked, held_out.mask, given.reference, given.audio, given.lips)
        return forward(z, t, own._replace(token_index=tokens_per_sample(held_out.mask)))

    monkeypatch.setattr(model.dit, "forward", spy)
    _, latents = model.generate(conditions, model.initial_noise(0))
    assert len(spied) == 4, "two steps, each with and without the conditions"
    inside = (held_out.mask > 0).expand_as(made)
    torch.testing.assert_close(made[inside], latents[inside], rtol=1e-3, atol=1e-3)


def test_the_lips_are_those_that_the_lip_predictor_predicts_from_the_past(
    model: TalkingHead, held_out: HeldOutClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sample(model, held_out)
    assert model.audio.lip_predictor is not None
    at = type(model.audio.lip_predictor).at
    monkeypatch.setattr(type(model.audio.lip_predictor), "at", lambda *a: at(*a) + 5.0)
    assert not torch.allclose(sample(model, held_out), before), "the lip predictor has a say"


def test_guidance_counts(model: TalkingHead, held_out: HeldOutClip, monkeypatch: pytest.MonkeyPatch) -> None:
    guided = sample(model, held_out)
    monkeypatch.setattr(model, "config", model.config.model_copy(update={"guidance": 1.0}))  # type: ignore[attr-defined]
    assert not torch.allclose(sample(model, held_out), guided)
