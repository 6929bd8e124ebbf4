"""Clips that break tools, made of synthetic presenters: every one keeps its count, its time stamps and its pictures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from dithead.checkpoint import save_model
from dithead.inference.pipeline import generate
from dithead.media.planes import planes_of
from dithead.media.video import probe, read_frames

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
COUNT = 12
UNEVEN = [0, 33, 66, 200, 233, 300, 320, 333, 400, 480, 500, 999]  # milliseconds


@pytest.fixture(scope="module")
def ben() -> list[np.ndarray]:
    frames = islice(read_frames(PRESENTERS / "ben.mp4"), COUNT)
    return [cv2.resize(f.pixels, (256, 256), interpolation=cv2.INTER_AREA) for f in frames]


def nobody(picture: np.ndarray) -> np.ndarray:
    return np.full_like(picture, 70)


def ball(picture: np.ndarray) -> np.ndarray:
    return cv2.circle(picture.copy(), (128, 170), 48, (20, 22, 20), -1, cv2.LINE_AA)


def blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), 9)


def in_the_middle(frames: list[np.ndarray], change) -> list[np.ndarray]:
    return [change(p) if 4 <= k < 8 else p for k, p in enumerate(frames)]


def crossing(mia: list[np.ndarray], ben: list[np.ndarray]) -> list[np.ndarray]:
    """Mia walks from left to right, before Ben who walks the other way."""
    frames = []
    for k in range(COUNT):
        canvas, x = np.full((256, 640, 3), 60, np.uint8), round(384 * k / (COUNT - 1))
        canvas[:, 384 - x : 640 - x] = ben[0]
        canvas[:, x : x + 256] = mia[0]
        frames.append(canvas)
    return frames


CASES = {
    "away for a while": lambda mia, ben: ([*mia[:4], *[nobody(mia[0])] * 16, *mia[4:8]], {}, {}, {"no face"}),
    "two faces crossing": lambda mia, ben: (crossing(mia, ben), {}, {"face": "1"}, None),
    "a cut": lambda mia, ben: ([*mia[:6], *ben[:6]], {}, {}, set()),
    "blurred": lambda mia, ben: (in_the_middle(mia, blurred), {}, {}, {"too blurred", "no face"}),
    "something before the mouth": lambda mia, ben: (in_the_middle(mia, ball), {}, {}, {"mouth covered", "no face"}),
    "variable rate": lambda mia, ben: (mia, {"time_base": Fraction(1, 1000), "stamps": UNEVEN}, {}, set()),
    "10 bit": lambda mia, ben: (mia, {"pix_fmt": "yuv420p10le", "color_range": 1}, {}, set()),
    "odd size": lambda mia, ben: ([p[1:, :-3] for p in mia], {"fps": Fraction(24000, 1001)}, {}, set()),
    "tiny": lambda mia, ben: (
        [cv2.resize(p, (160, 160), interpolation=cv2.INTER_AREA) for p in mia],
        {"fps": Fraction(60)},
        {},
        set(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_hard_clips(case, pictures, ben, footage, speech, talker, tmp_path):
    frames, tags, options, reasons = CASES[case](pictures, ben)
    source = footage(frames, **tags)
    result = generate(source, speech, tmp_path / "out.mkv", fit="silence", model=talker, lossless=True, **options)
    before, after = list(read_frames(source)), list(read_frames(tmp_path / "out.mkv"))
    assert len(after) == result.frames == len(frames)
    assert [f.time for f in after] == pytest.approx([f.time for f in before], abs=1e-3)
    reasons_reported = {stretch.reason for stretch in result.passed_through}
    assert reasons is None or reasons_reported <= reasons
    assert bool(reasons_reported) == bool(reasons) or reasons is None
    untouched = {k for s in result.passed_through for k in range(s.first, s.last + 1)}
    assert len(untouched) == result.faces_missed
    changed = {k for k, pair in enumerate(zip(before, after, strict=True)) if not same(*pair)}
    assert changed
    assert not changed & untouched


def same(a, b) -> bool:
    pix_fmt = b.native.format.name
    there, here = (planes_of(f.native, pix_fmt, f.encoding, f.rotation) for f in (a, b))
    return all(np.array_equal(x, y) for x, y in zip(there.arrays, here.arrays, strict=True))


@pytest.mark.parametrize("turn", [90, 270])
def test_a_turned_video_comes_out_upright(turn, pictures, turned_footage, speech, talker, tmp_path):
    shown = [p[:, 16:240] for p in pictures[:4]]  # taller than wide, as phones write it
    source = turned_footage(shown, turn)
    result = generate(source, speech, tmp_path / "out.mp4", fit="silence", model=talker)
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.rotation) == (224, 256, 0)
    assert (result.frames, result.faces_missed) == (4, 0)
    again = next(read_frames(tmp_path / "out.mp4")).pixels
    assert np.abs(again[:60].astype(int) - shown[0][:60]).mean() < 3


@pytest.mark.slow
def test_4k(pictures, footage, speech, talker, tmp_path):
    frames = [cv2.resize(p, (3840, 2160)) for p in pictures[:3]]
    result = generate(footage(frames), speech, tmp_path / "out.mp4", fit="silence", model=talker)
    info = probe(tmp_path / "out.mp4")
    assert (result.frames, info.width, info.height) == (3, 3840, 2160)


KILLED = """
import sys
import dithead.inference.output_segments as output_segments
from dithead.inference.pipeline import generate
output_segments.SEGMENT = 4
generate(sys.argv[1], sys.argv[2], sys.argv[3], model=sys.argv[4], batch=2, device="cpu", credentials=False)
"""


@pytest.mark.slow
def test_killed_and_called_again_it_ends_the_same(pictures, footage, speech, talker, tmp_path):
    """SIGKILL leaves no time to clean up, and needs none."""
    source, model = footage([*pictures, *pictures[::-1]] * 3), tmp_path / "model"
    save_model(model, talker)

    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", KILLED, source, speech, tmp_path / name, model])

    assert start("whole.mp4").wait() == 0
    work, running = tmp_path / ".cut.mp4.dithead", start("cut.mp4")
    while running.poll() is None and len(list(work.glob("*.segment"))) < 3:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    kept = len(list(work.glob("*.segment")))
    assert kept >= 3
    assert not (tmp_path / "cut.mp4").exists()
    assert start("cut.mp4").wait() == 0
    assert (tmp_path / "cut.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not work.exists()


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [2, 60, 160])
def test_a_file_system_that_is_full(kilobytes, pictures, footage, speech, talker, tmp_path):
    """The limit stands in for the disk: early in the work, in a segment, in the output. One line; then it goes on."""
    source, model = footage([*pictures, *pictures[::-1]] * 2), tmp_path / "model"
    save_model(model, talker)
    command = f'ulimit -f {kilobytes}; exec "$@"' if kilobytes else 'exec "$@"'
    call = [sys.executable, "-m", "dithead.cli", "generate", "--video", source, "--audio", speech, "--model", model]
    call += ["--lossless", "--quiet", "-o", tmp_path / "out.mp4"]
    full = subprocess.run(["bash", "-c", command, "bash", *call], capture_output=True, text=True, check=False)
    assert full.returncode == 2
    assert len(full.stderr.strip().splitlines()) == 1, full.stderr
    assert "the disk is full" in full.stderr
    assert not (tmp_path / "out.mp4").exists()
    assert not list(tmp_path.glob("*.part"))
    assert subprocess.run(call, capture_output=True, check=False).returncode == 0
    assert len(list(read_frames(tmp_path / "out.mp4"))) == 48
