"""Kept frames give the output that decoding them again gives, whichever process kept them, or are not kept."""

from __future__ import annotations

import os

import numpy as np
import pytest

from dithead.inference import helper_process, job_analysis
from dithead.inference.early_start import new_memory
from dithead.inference.pipeline import generate
from dithead.inference.source import kept_frames, timeline
from dithead.inference.source.kept_frames import KeptFrames, room
from dithead.inference.source.timeline import SourceClip
from dithead.media.video import probe, read_frames

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no files in memory")


@pytest.fixture
def memory():
    descriptor = new_memory()
    yield descriptor
    os.close(descriptor)


def kept_of(path, memory, limit=1 << 30, pix_fmt="yuv420p", **span):
    clip = SourceClip(path, probe(path), **span)
    keeper = KeptFrames(memory, pix_fmt, limit)
    seen = list(keeper.keeping(clip.frames()))
    return seen, keeper.frames


def same_planes(one, other, pix_fmt):
    pairs = zip(one.planes(pix_fmt).arrays, other.planes(pix_fmt).arrays, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("side", [(96, 96), (90, 70)])
def test_kept_frames_are_those_that_were_decoded(footage, memory, side):
    noise = np.random.default_rng(1)
    path = footage([noise.integers(0, 255, (*side, 3), np.uint8) for _ in range(5)])
    seen, kept = kept_of(path, memory, start=0.04)
    assert len(seen) == len(kept) == 4
    for one, other in zip(seen, kept, strict=True):
        assert (one.index, one.time, one.pts, one.damaged) == (other.index, other.time, other.pts, other.damaged)
        assert same_planes(one, other, "yuv420p")


def test_planes_of_a_kept_frame_are_the_caller_s_own(footage, memory, pictures):
    _, kept = kept_of(footage(pictures[:3]), memory)
    before = kept[1].planes("yuv420p").arrays[0].copy()
    kept[1].planes("yuv420p").arrays[0][:] = 0
    assert np.array_equal(kept[1].planes("yuv420p").arrays[0], before)


def test_turned_frames_are_turned(footage, memory, pictures):
    path = footage(pictures[:3])
    frames = list(read_frames(path))
    for frame in frames:
        frame.rotation = 90
    keeper = KeptFrames(memory, "yuv420p", 1 << 30)
    assert list(keeper.keeping(iter(frames))) == frames
    assert all(same_planes(one, other, "yuv420p") for one, other in zip(frames, keeper.frames, strict=True))


def test_nothing_is_kept_of_what_does_not_fit(footage, memory, pictures):
    path = footage(pictures[:3])
    height, width = pictures[0].shape[:2]
    frame = height * width * 3 // 2
    assert kept_of(path, memory, 3 * frame)[1] is not None
    seen, kept = kept_of(path, memory, 3 * frame - 1)
    assert (len(seen), kept) == (3, None)
    assert os.fstat(memory).st_size == 0


def test_frames_of_another_format_are_not_kept(footage, memory, pictures):
    assert kept_of(footage(pictures[:3]), memory, pix_fmt="yuv444p")[1] is None


def test_room_is_bounded(monkeypatch):
    monkeypatch.setattr(kept_frames, "_free_memory", lambda: 64 << 30)
    assert room(250, 1920, 1080) == kept_frames.MOST
    assert room(300, 1920, 1080) == room(None, 1920, 1080) == 0
    monkeypatch.setattr(kept_frames, "_free_memory", lambda: 1 << 30)
    assert room(10, 1920, 1080) == (1 << 30) // 16
    assert room(250, 1920, 1080) == 0


def test_the_output_has_the_same_bytes_whoever_keeps_the_frames(
    footage, pictures, speech, talker, tmp_path, monkeypatch
):
    source, outputs, decoded = footage(pictures), {}, []
    monkeypatch.setattr(timeline, "read_frames", lambda *a, **k: decoded.append(1) or read_frames(*a, **k))
    for name, limit, own in (("none", 0, False), ("here", 1 << 30, False), ("process", 1 << 30, True)):
        decoded.clear()
        monkeypatch.setattr(job_analysis, "room", lambda *_, limit=limit: limit)
        monkeypatch.setattr(helper_process, "saves_time", lambda own=own: own)
        generate(source, speech, tmp_path / "out.mp4", model=talker, credentials=False, fit="silence")
        outputs[name] = (tmp_path / "out.mp4").read_bytes()
        assert len(decoded) == {"none": 2, "here": 1, "process": 0}[name]
    assert len(set(outputs.values())) == 1
