"""The measures that need no weights on a synthetic presenter: cases whose answer is known must come out so."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dithead.errors import ConfigError, DataError
from dithead.evaluate.baselines import write_copy, write_frozen
from dithead.evaluate.clip_measures import audio_offset, carries_sound, measure_self
from dithead.evaluate.lip_landmarks import track_lips
from dithead.evaluate.lip_series import LipSeries, compare_cross, compare_self, compare_silent
from dithead.evaluate.observe_video import Observation, observe
from dithead.evaluate.report import list_failures
from dithead.evaluate.score import score_folders
from dithead.media.audio import read_audio, write_audio
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
SECONDS = 2
RATE = 16000


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """The first seconds of a presenter, as a video of its own."""
    source = sorted(PRESENTERS.glob("*.mp4"))[0]
    path = tmp_path_factory.mktemp("truth") / "clip.mp4"
    wave = read_audio(source, RATE)[: SECONDS * RATE]
    with VideoWriter(path, probe(source), audio=(wave, RATE)) as writer:
        for frame in read_frames(source):
            if frame.time < SECONDS:
                writer.write(frame.pixels)
    return path


@pytest.fixture(scope="module")
def source(clip) -> Observation:
    return observe(clip)


@pytest.fixture(scope="module")
def frames(clip) -> list[np.ndarray]:
    return [frame.pixels for frame in read_frames(clip)]


@pytest.fixture(scope="module")
def wave(clip) -> np.ndarray:
    return read_audio(clip, RATE)


def written(path: Path, frames: list[np.ndarray], clip: Path, wave: np.ndarray) -> Path:
    info = replace(probe(clip), width=frames[0].shape[1], height=frames[0].shape[0])
    with VideoWriter(path, info, audio=(wave, RATE)) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def test_the_presenter_speaks_and_is_tracked(source):
    assert source.lips.missed == 0
    assert source.lips.openings.std() > 0.02


def test_one_more_encode_costs_almost_nothing(source, wave, tmp_path):
    scores = measure_self(observe(write_copy(source, tmp_path / "copy.mp4", wave), source), source, wave)
    assert scores["lip_correlation"] > 0.99
    assert scores["lip_gain"] == pytest.approx(1, abs=0.05)
    assert scores["sharpness"] == pytest.approx(1, abs=0.15)
    assert scores["psnr"] > 38
    assert scores["flicker"] < 2
    assert (scores["frames_error"], scores["lip_lag"], scores["faces_missed"]) == (0, 0, 0)
    assert abs(scores["audio_offset_ms"]) < 1


def test_a_frozen_mouth_rests_and_follows_nothing(source, wave, tmp_path):
    frozen = observe(write_frozen(source, tmp_path / "frozen.mp4", wave), source)
    scores = measure_self(frozen, source)
    assert abs(scores["lip_correlation"]) < 0.5
    # What is left is the noise of the landmarks: 0.155 and 0.68 here (MediaPipe: 0.158 and 0.68), 0.18 and 0.71 at most
    # over noisy and cut copies. The first frame alone, whose region the detector finds, makes it so much: its mouth
    # measures 0.08, all others 0.02. Another nearly as closed mouth, which a last bit can choose, gives 0.03 and 0.48.
    assert scores["lip_gain"] < 0.2
    assert compare_silent(frozen.lips, source.lips)["aperture_ratio"] < 0.2
    assert scores["jitter"] < 0.75
    assert scores["psnr_mouth"] < scores["psnr"]


@pytest.mark.parametrize("k", [-4, 3])
def test_frames_shifted_by_k_are_lag_k(source, frames, k):
    moved = [frames[min(max(i - k, 0), len(frames) - 1)] for i in range(len(frames))]
    scores = compare_self(track_lips(moved), source.lips)
    assert scores["lip_lag"] == k
    assert scores["lip_lag_correlation"] > 0.95 > scores["lip_correlation"]


@pytest.mark.parametrize("k", [-2, 5])
def test_sound_shifted_by_k_frames_is_an_offset_of_k_frames(clip, frames, wave, tmp_path, k):
    n = k * RATE // 25
    moved = np.pad(wave, (n, 0))[: len(wave)] if n > 0 else np.pad(wave[-n:], (0, -n))
    assert audio_offset(written(tmp_path / "moved.mp4", frames, clip, moved), wave) == pytest.approx(40 * k, abs=1)


def test_blur_lowers_sharpness_step_by_step(clip, frames, wave, source, tmp_path):
    measured = [1.0]
    for sigma in (1.0, 2.5):
        soft = [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames]
        scores = measure_self(observe(written(tmp_path / f"{sigma}.mp4", soft, clip, wave), source), source)
        measured.append(scores["sharpness"])
        assert scores["lip_correlation"] > 0.9  # the lips are where they were
    assert measured[0] > measured[1] > measured[2]
    assert measured[2] < 0.2


def test_another_frame_size_is_scored_at_the_sources(clip, frames, wave, source, tmp_path):
    half = [cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for frame in frames]
    scores = measure_self(observe(written(tmp_path / "half.mp4", half, clip, wave), source), source)
    assert scores["lip_correlation"] > 0.95
    assert scores["sharpness"] < 0.8
    assert scores["psnr"] > 25


def test_another_clips_speech_exposes_a_copied_input(source):
    lips = source.lips
    other = LipSeries(lips.times, *(np.roll(each, 17, axis=0) for each in (lips.openings, lips.widths, lips.mouth)))
    copied = compare_cross(lips, other, lips)
    honest = compare_cross(other, other, lips)
    assert copied["source_correlation"] == pytest.approx(1)
    assert honest["driver_correlation"] == pytest.approx(1)
    assert honest["driver_correlation"] > copied["driver_correlation"]
    assert copied["source_partial"] > honest["source_partial"]


def test_score_counts_what_is_missing(clip, frames, wave, tmp_path):
    truth, made = tmp_path / "truth", tmp_path / "made"
    truth.mkdir()
    made.mkdir()
    (truth / "a.mp4").symlink_to(clip)
    (truth / "b.mp4").symlink_to(clip)
    (truth / "c.mp4").symlink_to(clip)
    written(made / "a.mp4", frames[:-1], clip, wave)
    (made / "b.mp4").write_bytes(b"not a video")
    report = score_folders(made, truth, tmp_path / "report")
    correlation = report["metrics"]["lip_correlation"]
    assert (correlation["n"], correlation["failed"]) == (1, 2)
    assert report["metrics"]["frames_error"]["mean"] == -1
    assert set(report["rows"]["generated"]["errors"]) == {"b", "c"}
    assert {p.name for p in (tmp_path / "report").iterdir()} >= {"report.json", "report.md", "report.html"}


def test_score_adds_notes_on_odd_files(clip, frames, wave, tmp_path):
    truth, made = tmp_path / "truth", tmp_path / "mine"
    truth.mkdir()
    made.mkdir()
    few, info = frames[:15], replace(probe(clip), width=frames[0].shape[1] // 2, height=frames[0].shape[0] // 2)
    for name in ("wide", "mute", "half"):
        written(truth / f"{name}.mp4", few, clip, wave[: 15 * 640])
    written(made / "wide.mp4", [f[60:-60] for f in few], clip, wave[: 15 * 640])
    with VideoWriter(made / "mute.mp4", info) as writer:
        for frame in few[:10]:
            writer.write(np.ascontiguousarray(frame[::2, ::2]))
    (made / "half_wav2lip.mp4").symlink_to(truth / "half.mp4")
    (made / "other.mp4").symlink_to(truth / "half.mp4")
    report = score_folders(made, truth, tmp_path / "report")
    notes = "\n".join(report["notes"])
    for expected in (
        "mine: half_wav2lip.mp4 is measured as half",
        "mine: other.mp4 is left out, no true video is called 'other'\n",
        "mute: the generated video has no sound",
        "mute: 0.40 s long, the true video 0.60 s",
        "which is another shape",
    ):
        assert expected in notes + "\n", notes
    assert report["rows"]["generated"]["label"] == "mine"
    assert list_failures(report) == []
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<h2>Notes</h2>" in page
    assert "is measured as half" in page


def test_score_puts_several_tools_and_the_truth_into_one_table(clip, frames, wave, tmp_path):
    few, sound = frames[:15], wave[: 15 * 640]
    for folder, picture in (
        ("truth", few),
        ("copied", few),
        ("blurred", [cv2.GaussianBlur(f, (0, 0), 3) for f in few]),
    ):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "a.mp4", picture, clip, sound)
    tools = {"one": tmp_path / "copied", "two": tmp_path / "blurred" / "a.mp4"}
    steps = []
    report = score_folders(tools, tmp_path / "truth", tmp_path / "report", progress=lambda *step: steps.append(step))
    assert list(report["rows"]) == ["truth", "one", "two"]
    assert report["headline"] == "one"
    psnr = {name: row["metrics"]["psnr"]["mean"] for name, row in report["rows"].items()}
    assert psnr["truth"] > 35
    assert psnr["one"] > psnr["two"] + 5
    assert {what for what, *_ in steps} == {"clips"}
    assert steps[0] == ("clips", 0, 1)
    assert steps[-1] == ("clips", 1, 1)
    assert (tmp_path / "report" / "previews" / "a_self.mp4").exists()
    with pytest.raises(ConfigError, match="a name other than truth"):
        score_folders({"truth": tmp_path / "copied"}, tmp_path / "truth", tmp_path / "other")


def test_score_encodes_the_truth_again_after_it_was_replaced(clip, frames, wave, tmp_path):
    few, sound = frames[:15], wave[: 15 * 640]
    for folder in ("truth", "made"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "a.mp4", few, clip, sound)
    score_folders(tmp_path / "made", tmp_path / "truth", tmp_path / "report")
    written(tmp_path / "truth" / "a.mp4", [frame[:, ::-1] for frame in few], clip, sound)
    report = score_folders(tmp_path / "made", tmp_path / "truth", tmp_path / "report")
    assert report["rows"]["truth"]["metrics"]["psnr"]["mean"] > 35
    assert report["rows"]["generated"]["metrics"]["psnr"]["mean"] < 20


def test_with_other_speech_the_copied_source_is_a_row_too(clip, frames, wave, tmp_path):
    few, sound = frames[:15], wave[: 15 * 640]
    for folder, picture in (("truth", few), ("made", few), ("drivers", frames[15:30])):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "a.mp4", picture, clip, sound)
    report = score_folders(tmp_path / "made", tmp_path / "truth", tmp_path / "report", drivers=tmp_path / "drivers")
    assert list(report["rows"]) == ["truth", "copy_input", "generated"]
    rows = {name: row["metrics"]["cross_driver_correlation"]["mean"] for name, row in report["rows"].items()}
    assert rows["truth"] > 0.9
    assert rows["copy_input"] == pytest.approx(rows["generated"], abs=0.1)


def test_with_other_speech_the_copy_fails_by_itself(clip, frames, wave, tmp_path, monkeypatch):
    def fail(video, path, audio):
        if "copy_input" in path.parts:
            raise DataError("this source is odd")
        return write_copy(video, path, audio)

    monkeypatch.setattr("dithead.evaluate.score.write_copy", fail)
    for folder in ("truth", "made", "drivers"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "a.mp4", frames[:15], clip, wave[: 15 * 640])
    report = score_folders(tmp_path / "made", tmp_path / "truth", tmp_path / "report", drivers=tmp_path / "drivers")
    errors = {name: row["errors"] for name, row in report["rows"].items()}
    assert errors == {"truth": {}, "copy_input": {"a": "this source is odd"}, "generated": {}}


def test_with_other_speech_every_row_is_judged_by_that_speech(clip, frames, wave, tmp_path):
    few, own, other = frames[:15], wave[: 15 * 640], wave[-15 * 640 :]
    for folder, picture, sound in (
        ("truth", few, own), ("drivers", frames[15:30], other), ("one", few, other), ("two", few, own),
    ):  # fmt: skip
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "a.mp4", picture, clip, sound)
    tools, out = {name: tmp_path / name for name in ("one", "two")}, tmp_path / "report"
    report = score_folders(tools, tmp_path / "truth", out, drivers=tmp_path / "drivers")
    assert carries_sound(out / "videos" / "copy_input" / "cross" / "a.mp4", other)
    assert carries_sound(out / "previews" / "a_cross.mp4", other)
    assert not carries_sound(tmp_path / "two" / "a.mp4", other)
    assert np.isnan(audio_offset(tmp_path / "two" / "a.mp4", other))
    distance = {name: row["metrics"]["cross_sync_distance"]["mean"] for name, row in report["rows"].items()}
    assert distance["one"] == pytest.approx(distance["two"], abs=0.02)
    assert distance["copy_input"] == pytest.approx(distance["one"], abs=0.05)
    assert "source | one | two; driven by another clip's speech" in (out / "report.html").read_text()
    assert [note for note in report["notes"] if "its sound is not the speech" in note] == [
        "a: two: its sound is not the speech that drives the clip; its lips are judged by that speech"
    ]


def test_score_needs_a_common_name(clip, tmp_path):
    for folder, names in (("truth", "ac"), ("made", "b")):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.mp4").symlink_to(clip)
    with pytest.raises(DataError, match=r"no video is named like a true one \(b against a, c\)"):
        score_folders(tmp_path / "made", tmp_path / "truth", tmp_path / "report")


@pytest.mark.parametrize("seconds", [0.05, 0.12, 0.3])
def test_the_offset_of_a_short_sound_is_found(tmp_path, seconds):
    wave = np.random.default_rng(0).standard_normal(int(16000 * seconds)).astype(np.float32) * 0.1
    write_audio(tmp_path / "short.wav", wave, 16000)
    assert audio_offset(tmp_path / "short.wav", wave) == pytest.approx(0, abs=1)
