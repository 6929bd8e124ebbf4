"""The shipped model on a synthetic presenter: a measure that does not put known cases in order fails the build."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from dithead.checkpoint import load_model
from dithead.evaluate.baselines import write_copy, write_frozen
from dithead.evaluate.clip_measures import measure_self
from dithead.evaluate.observe_video import observe
from dithead.evaluate.sync_measures import measure_sync
from dithead.hub import DEFAULT_MODEL
from dithead.inference.pipeline import generate
from dithead.media.audio import read_audio, write_audio
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
RATE = 16000
FRAMES = 75


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Measures by case: the truth, ours, ours driven by another's speech, and the mouth frozen."""
    folder = tmp_path_factory.mktemp("cases")
    speaker, stranger = (
        PRESENTERS / f"{name}.mp4" for name in ("mia", "ben")
    )  # whose lips are followed well; ben's hardly beyond chance
    clip, info = folder / "clip.mp4", probe(speaker)
    own, other = (read_audio(path, RATE)[: FRAMES * RATE // 25] for path in (speaker, stranger))
    small = replace(info, width=info.width // 2, height=info.height // 2)
    with VideoWriter(clip, small, audio=(own, RATE)) as writer:
        for frame in islice(read_frames(speaker), FRAMES):
            writer.write(frame.pixels[::2, ::2])
    source, model = observe(clip), load_model(DEFAULT_MODEL)
    made = {
        "truth": write_copy(source, folder / "truth.mp4", own),
        "frozen": write_frozen(source, folder / "frozen.mp4", own),
    }
    for case, wave in (("ours", own), ("shuffled", other)):
        write_audio(folder / f"{case}.wav", wave, RATE)
        made[case] = generate(clip, folder / f"{case}.wav", folder / f"{case}.mp4", model=model, fit="silence").output
    seen = {case: observe(path, source) for case, path in made.items()}
    return {case: measure_self(video, source) | measure_sync(video, own) for case, video in seen.items()}


@pytest.mark.parametrize("metric", ["lip_correlation", "lip_velocity_correlation"])
def test_following_the_speech_differs_from_other_speech_and_from_stillness(scores, metric):
    truth, ours, shuffled, frozen = (scores[c][metric] for c in ("truth", "ours", "shuffled", "frozen"))
    assert truth > ours > max(shuffled, frozen)  # which of these two is higher is chance: neither follows


def test_the_landmarks_of_the_truth_are_nearest_then_ours(scores):
    truth, ours, shuffled, frozen = (scores[c]["lmd"] for c in ("truth", "ours", "shuffled", "frozen"))
    assert truth < ours < min(shuffled, frozen)


def test_the_expert_finds_which_mouth_speaks_the_sound(scores):
    """Each by the sound it was to speak: the shuffled one by that of the clip, which is not its own."""
    truth, ours, shuffled, frozen = (scores[c]["sync_confidence"] for c in ("truth", "ours", "shuffled", "frozen"))
    assert min(truth, ours) > 2 * max(shuffled, frozen)


@pytest.mark.parametrize("metric", ["psnr_mouth", "ssim"])
def test_looking_like_the_truth_differs_from_a_frozen_mouth(scores, metric):
    assert scores["truth"][metric] > max(scores[case][metric] for case in ("ours", "shuffled", "frozen"))


def test_the_lips_move_and_a_frozen_mouth_does_not(scores):
    assert scores["ours"]["lip_gain"] > 3 * scores["frozen"]["lip_gain"]
    assert scores["ours"]["lip_lag"] in (-1, 0, 1)


def test_every_frame_comes_back(scores):
    assert all(case["frames_error"] == 0 for case in scores.values())
