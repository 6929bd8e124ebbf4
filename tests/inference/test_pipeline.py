"""The whole flow on a rendered presenter with an untrained model: what must hold whatever the weights."""

from __future__ import annotations

import copy
import fcntl
import json
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from dithead.errors import ConfigError, FaceError, OutputError
from dithead.inference import output_segments, segment_files
from dithead.inference.pipeline import generate
from dithead.inference.resume import WorkFolder
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.media.audio import read_audio
from dithead.media.planes import Planes, planes_of
from dithead.media.video import probe, read_frames


def planes(path, pix_fmt: str | None = None) -> list[Planes]:
    frames = list(read_frames(path))
    return [planes_of(f.native, pix_fmt or f.native.format.name, f.encoding, f.rotation) for f in frames]


def outside(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) True well away from the lower face of a presenter, near the middle."""
    far = np.ones(shape, bool)
    far[round(0.35 * shape[0]) : round(0.95 * shape[0]), round(0.1 * shape[1]) : round(0.85 * shape[1])] = False
    return far


@pytest.fixture
def made(footage, pictures, speech, talker, tmp_path):
    """Run ``generate`` on presenter footage with given tags and options; returns source, output and result."""

    def tracklet(options=None, frames=None, **tags):
        source = footage(pictures if frames is None else frames, **tags)
        output = tmp_path / "out.mp4"
        return source, output, generate(source, speech, output, fit="silence", model=talker, **(options or {}))

    return tracklet


def test_only_the_lower_face_changes_and_nothing_else_by_a_bit(made):
    source, output, result = made({"lossless": True})
    for old, new in zip(planes(source), planes(output), strict=True):
        assert old.pix_fmt == new.pix_fmt
        far = outside(old.arrays[0].shape)
        changed = old.arrays[0] != new.arrays[0]
        assert not changed[far].any()
        assert changed.mean() > 0.02
        assert all(not (a != b)[far[::2, ::2]].any() for a, b in zip(old.arrays[1:], new.arrays[1:], strict=True))
    assert result.faces_missed == 0
    assert not list(output.parent.glob(".out*"))


def test_default_quality_keeps_45_db_away_from_the_face(made):
    source, output, _ = made()
    for old, new in zip(planes(source), planes(output), strict=True):
        far = outside(old.arrays[0].shape)
        for k, where in enumerate((far, far[::2, ::2], far[::2, ::2])):
            error = np.mean((old.arrays[k].astype(float) - new.arrays[k])[where] ** 2)
            assert 10 * np.log10(255**2 / error) > 45


@pytest.mark.parametrize(
    ("crop", "tags"),
    [
        ((0, 0), {"fps": Fraction(30000, 1001), "color_space": 1, "color_range": 2}),
        ((1, 3), {"fps": Fraction(60)}),  # odd size
        ((0, 0), {"pix_fmt": "yuv420p10le", "color_space": 9, "color_range": 1, "color_primaries": 9}),
        ((0, 0), {"time_base": Fraction(1, 1000), "stamps": [0, 40, 90, 100, 300, 301, 340, 380, 500, 540, 580, 620]}),
    ],
    ids=["ntsc full range", "odd size", "10 bit", "variable rate"],
)  # fmt: skip
def test_the_same_video_comes_out(made, pictures, crop, tags):
    frames = [p[crop[0] :, crop[1] :] for p in pictures]
    source, output, result = made(frames=frames, **tags)
    before, after = probe(source), probe(output)
    assert result.frames == len(pictures)
    assert [f.time for f in read_frames(output)] == pytest.approx([f.time for f in read_frames(source)], abs=1e-3)
    for name in ("width", "height", "color_space", "color_range", "color_primaries"):
        assert getattr(before, name) == getattr(after, name)
    assert after.pix_fmt.replace("yuvj", "yuv") == before.pix_fmt.replace("yuvj", "yuv")


def test_sound_is_the_speech_in_step(made, speech):
    _, output, _ = made()
    wave, back = read_audio(speech), read_audio(output)
    n = round(12 / 25 * 16000)
    best = max(range(-400, 401), key=lambda k: float(wave[500 : n - 500] @ back[500 + k : n - 500 + k]))
    assert best == 0
    assert abs(len(back) - n) < 1100
    assert "AI-generated" in probe(output).metadata["comment"]


def test_frames_without_a_face_pass_through_untouched(made, pictures):
    blank = np.full_like(pictures[0], 80)
    frames = [*pictures[:6], *[blank] * 14, *pictures[6:]]
    source, output, result = made({"lossless": True}, frames=frames)
    assert result.frames == len(frames)
    assert 12 <= result.faces_missed <= 14
    assert {s.reason for s in result.passed_through} == {"no face"}
    first, last = result.passed_through[0].first, result.passed_through[-1].last
    for old, new in list(zip(planes(source), planes(output), strict=True))[first : last + 1]:
        assert all(np.array_equal(a, b) for a, b in zip(old.arrays, new.arrays, strict=True))


def test_the_result_depends_on_the_seed_and_not_on_the_batch(made):
    def pixels(**options):
        _, output, _ = made({"lossless": True} | options)
        return np.stack([p.arrays[0] for p in planes(output)]).astype(int)

    one, three, other = pixels(batch=1), pixels(batch=3), pixels(seed=7)
    assert np.abs(one - three).max() <= 1  # the last bit of a matrix product may differ
    assert (one != other).sum() > 10 * (one != three).sum() + 100


def test_previous_mode_feeds_each_frame_to_the_next(made):
    def pixels(reference):
        _, output, _ = made({"lossless": True, "reference": reference})
        return [p.arrays[0].astype(int) for p in planes(output)]

    static, previous = pixels("static"), pixels("previous")
    assert np.array_equal(static[0], previous[0])  # the first frame sees the reference in both
    assert not np.array_equal(static[1], previous[1])


@pytest.mark.parametrize("reference", ["static", "previous"])
def test_an_interrupted_job_goes_on_and_ends_the_same(
    footage, pictures, speech, talker, tmp_path, monkeypatch, reference
):
    monkeypatch.setattr(output_segments, "SEGMENT", 4)
    source, output = footage(pictures), tmp_path / "out.mp4"
    options = {"model": talker, "reference": reference, "batch": 2, "fit": "silence", "credentials": False}
    generate(source, speech, tmp_path / "whole.mp4", **options)
    drawn: list[int] = []
    draw = MouthSampler.draw

    def counted(self, tracklet, crops, times, frames):
        drawn.append(len(crops))
        if sum(drawn) > 6:
            raise KeyboardInterrupt
        return draw(self, tracklet, crops, times, frames)

    monkeypatch.setattr(MouthSampler, "draw", counted)
    with pytest.raises(KeyboardInterrupt):
        generate(source, speech, output, **options)
    assert not output.exists()
    drawn[:] = [-100]
    result = generate(source, speech, output, **options)
    assert sum(drawn) + 100 == 8  # the first segment's four frames are not drawn again
    assert (result.frames, result.resumed) == (12, 4)
    assert result.frames_per_second == pytest.approx(8 / result.seconds, rel=0.02)
    assert output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", source.name, "speech.wav", "whole.mp4"]


@pytest.mark.parametrize("changed", [False, True])
def test_a_finished_output_is_known_when_the_process_dies_before_its_result_is_taken(
    footage, pictures, speech, talker, tmp_path, monkeypatch, changed
):
    source, output = footage(pictures[:3]), tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "__exit__", lambda work, *_: work._lock.close())  # dies: nobody tidies up
        first = generate(source, speech, output, model=talker, fit="silence")
    made = output.read_bytes()
    if changed:
        output.write_bytes(b"something else")
    else:
        monkeypatch.setattr("dithead.inference.pipeline.write_output", lambda *_: 1 / 0)
    again = generate(source, speech, output, model=talker, fit="silence")
    assert output.stat().st_size > 1000
    assert not list(tmp_path.glob(".out*"))
    if not changed:
        assert again == first
        assert output.read_bytes() == made


def test_a_full_disk_stops_clean_and_says_so(made, tmp_path, monkeypatch):
    monkeypatch.setattr(output_segments, "SEGMENT", 4)
    write = segment_files.write_segment

    def full(path, frames, encoding):
        if path.name.startswith("000001"):
            raise OSError(28, "No space left on device")
        write(path, frames, encoding)

    monkeypatch.setattr(segment_files, "write_segment", full)
    with pytest.raises(OutputError, match=r"out\.mp4: the disk is full; free some space and run the same command"):
        made()
    assert not (tmp_path / "out.mp4").exists()
    monkeypatch.setattr(segment_files, "write_segment", write)
    assert made()[2].frames == 12


def test_another_job_does_not_resume_this_one(made, tmp_path, monkeypatch):
    monkeypatch.setattr(output_segments, "SEGMENT", 4)

    def stop(what, done, total):
        if what == "drawing mouths" and done > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made({"progress": stop})
    drawn: list[int] = []
    made({"seed": 5, "progress": lambda what, done, total: drawn.append(done) if "mouth" in what else None})
    assert drawn == list(range(1, 13))
    assert not list(tmp_path.glob(".*"))


def test_another_model_does_not_resume_what_this_one_drew(footage, pictures, speech, talker, tmp_path, monkeypatch):
    monkeypatch.setattr(output_segments, "SEGMENT", 4)
    source, output = footage(pictures), tmp_path / "out.mp4"
    other = copy.deepcopy(talker)
    other.dit.load_state_dict({name: value * 0.9 for name, value in talker.dit.state_dict().items()})
    stages: list[str] = []

    def make(model, stop_after=99):
        def progress(what, done, total):
            stages.append(what)
            if what == "drawing mouths" and done > stop_after:
                raise KeyboardInterrupt

        generate(source, speech, output, model=model, fit="silence", progress=progress)

    with pytest.raises(KeyboardInterrupt):
        make(talker, stop_after=6)
    stages.clear()
    make(other)
    assert stages.count("finding the face") == len(pictures)  # the calibration is the model's, so it starts over
    resumed = [plane.arrays[0] for plane in planes(output)]
    make(other)
    assert all(np.array_equal(a, b.arrays[0]) for a, b in zip(resumed, planes(output), strict=True))


def test_a_locked_output_is_refused(made, tmp_path):
    folder = tmp_path / ".out.mp4.dithead"
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OutputError, match="is being written by another dithead"):
            made()
    assert folder.exists()


def test_no_face_at_all_is_an_error_and_harms_nothing(made, tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(FaceError, match=r"source\.mkv: no usable face in any of its 5 frames \(no face\); give a"):
        made(frames=[np.full((96, 96, 3), 80, np.uint8)] * 5)
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("which", ["source.mkv", "speech.wav"])
def test_an_output_that_is_an_input_is_refused(footage, pictures, speech, talker, tmp_path, which):
    source = footage(pictures[:2])
    target = tmp_path / "link.mp4"
    target.symlink_to(tmp_path / which)
    before = (tmp_path / which).read_bytes()
    with pytest.raises(OutputError, match="is also an input"):
        generate(source, speech, target, fit="silence", model=talker)
    assert (tmp_path / which).read_bytes() == before


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"reference": "next"}, {"fit": "stretch"}, {"codec": "gif"}, {"device": "abacus"},
                {"start": -1.0}, {"start": 2.0, "end": 1.0}],
)  # fmt: skip
def test_impossible_options_are_refused(footage, pictures, speech, tmp_path, options):
    with pytest.raises(ConfigError):
        generate(footage(pictures[:2]), speech, tmp_path / "out.mp4", **options)


def test_a_result_is_one_line_of_json(made):
    _, output, result = made()
    report = json.loads(result.to_json())
    assert {"output", "frames", "fps", "seconds", "frames_per_second", "faces_missed", "model", "seed"} <= set(report)
    assert report["output"] == str(output)
    assert report["frames"] == 12
    assert report["fps"] == 25
    assert "\n" not in result.to_json()


def test_progress_counts_every_frame(made):
    seen: list[tuple[str, int]] = []
    made({"progress": lambda what, done, total: seen.append((what, done))})
    assert [done for what, done in seen if "face" in what] == list(range(1, 13))
    assert all(a[1] < b[1] for a, b in pairwise(seen) if a[0] == b[0])
