"""The shipped scoring expert on rendered presenters, who are in nobody's training data: offsets, and order of cases."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.critics.sync_expert import EXPERTS
from dithead.critics.sync_offset import find_crops_offset, load_shipped_expert, mouth_centre
from dithead.errors import ModelError
from dithead.evaluate.baselines import write_frozen
from dithead.evaluate.observe_video import observe
from dithead.evaluate.sync_measures import crop_landmarks, measure_sync
from dithead.media.audio import read_audio
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter

PRESENTERS = sorted((Path(__file__).parents[2] / "examples" / "presenters").glob("*.mp4"))
RATE, FRAMES = 16000, 100


def shifted(wave, late):
    n = late * RATE // 25
    return np.pad(wave, (n, 0))[: len(wave)] if n >= 0 else np.pad(wave[-n:], (0, -n))


@pytest.fixture(scope="module", params=PRESENTERS, ids=lambda path: path.stem)
def case(request, tmp_path_factory):
    path, info = tmp_path_factory.mktemp("clip") / "clip.mp4", probe(request.param)
    wave = read_audio(request.param, RATE)[: FRAMES * RATE // 25]
    with VideoWriter(path, info, audio=(wave, RATE)) as writer:
        for frame in islice(read_frames(request.param), FRAMES):
            writer.write(frame.pixels)
    return observe(path), wave


@pytest.mark.parametrize("late", range(-5, 6))
def test_sound_shifted_by_k_frames_is_offset_k(case, late):
    video, wave = case
    assert measure_sync(video, shifted(wave, late))["sync_offset"] == pytest.approx(late, abs=1)


def test_the_truth_differs_from_another_voice_and_a_frozen_mouth(case, tmp_path):
    video, wave = case
    others = [read_audio(path, RATE)[: len(wave)] for path in PRESENTERS]
    other = next(o for o in others if len(o) != len(wave) or not np.allclose(o, wave, atol=1e-3))
    frozen = observe(write_frozen(video, tmp_path / "frozen.mp4", wave), video)
    truth, strange, still = measure_sync(video), measure_sync(video, other), measure_sync(frozen)
    assert truth["sync_confidence"] > 2 * max(strange["sync_confidence"], still["sync_confidence"])
    assert truth["sync_distance"] < min(strange["sync_distance"], still["sync_distance"])


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_the_one_for_losses_finds_offsets_too(case, late):
    video, wave = case
    found = find_crops_offset(
        video.crops, mouth_centre(crop_landmarks(video)), shifted(wave, late), load_shipped_expert("loss")
    )
    assert found.frames == pytest.approx(late, abs=1)
    assert found.confidence > 0.05  # an unmoving mouth reads 0.03


@pytest.mark.parametrize("name", EXPERTS)
def test_the_experts_are_small_and_of_the_architecture_they_are_named_for(name):
    expert = load_shipped_expert(name)
    assert sum(p.numel() for p in expert.parameters()) < 1.5e6
    assert expert.config == EXPERTS[name]


def test_likeness_to_the_loss_expert_pulls_pixels_towards_the_speech():
    """Five frames are enough for it, and its gradient reaches every one of them."""
    expert, generator = load_shipped_expert("loss"), torch.Generator().manual_seed(0)
    mouths = (torch.rand(1, 5, 3, 40, 40, generator=generator) * 2 - 1).requires_grad_()
    mel = torch.randn(1, 20, 80, generator=generator)
    before = expert.similarity(mouths, mel).mean()
    (gradient,) = torch.autograd.grad(before, mouths)
    assert (gradient.abs().amax(dim=(2, 3, 4)) > 0).all()
    assert expert.similarity(mouths + 0.05 * gradient.sign(), mel).mean() > before + 0.01


def test_one_that_is_not_there_is_named():
    with pytest.raises(ModelError, match="'other' is missing"):
        load_shipped_expert("other")
