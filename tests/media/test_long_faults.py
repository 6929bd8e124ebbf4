"""Faults in the middle of long files lose nothing before and after them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from dithead.media.audio import read_audio
from dithead.media.clock import REMARK as JUMPED
from dithead.media.video import read_frames, read_span

SIZE, GROUP = 64, 25
COUNT = 500
"""Frames of a film: 20 seconds."""


def picture(k: int) -> np.ndarray:
    """A grey picture whose level tells the number of the frame within its second."""
    return np.full((SIZE, SIZE, 3), 40 + 6 * (k % 25), np.uint8)


def number(pixels: np.ndarray) -> int:
    return round((float(pixels.mean()) - 40) / 6)


def film(path: Path, frames: range, start: int = 0, **container: str) -> Path:
    with av.open(str(path), "w", container_options=container) as media:
        stream = media.add_stream("libx264", rate=25, options={"qp": "4", "g": str(GROUP), "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for k in frames:
            frame = av.VideoFrame.from_ndarray(picture(k), "rgb24")
            frame.pts = k - frames.start + start
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_group_of_pictures_that_is_gone_costs_itself_alone(tmp_path, suffix):
    path = film(tmp_path / f"a.{suffix}", range(COUNT))
    with av.open(str(path)) as media:
        places = [(p.pos, p.size) for p in media.demux(video=0) if p.size]
    lost = range(10 * GROUP, 11 * GROUP)
    data = bytearray(path.read_bytes())
    if suffix == "ts":  # packets of 188 bytes stay whole, and their content is lost
        begin, end = places[lost.start][0] // 188 * 188, places[lost.stop][0] // 188 * 188
        for at in range(begin, end, 188):
            data[at + 12 : at + 188] = bytes(176)
    else:
        for k in lost:
            data[places[k][0] + 4 : sum(places[k])] = bytes(places[k][1] - 4)
    path.write_bytes(data)
    shown = list(read_frames(path))
    before, after = [f for f in shown if f.index < lost.start - 1], shown[-(COUNT - lost.stop - 2) :]
    assert [number(f.pixels) for f in before] == [k % 25 for k in range(lost.start - 1)]
    assert [number(f.pixels) for f in after] == [k % 25 for k in range(lost.stop + 2, COUNT)]
    assert all(abs(f.time - k / 25) < 0.03 for k, f in zip(range(lost.stop + 2, COUNT), after, strict=True))
    if suffix != "ts":
        assert len(shown) == COUNT
        assert sum(f.damaged for f in shown) >= GROUP - 2


def test_a_clock_that_goes_back_in_the_middle_loses_no_frame(tmp_path):
    parts = [film(tmp_path / f"{k}.ts", range(COUNT // 2), start=start) for k, start in enumerate((5000, 100))]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    shown = list(read_frames(path))
    assert len(shown) == COUNT
    assert [number(f.pixels) for f in shown] == [k % 25 for k in range(COUNT // 2)] * 2
    assert all(0.03 < b.time - a.time < 0.13 for a, b in pairwise(shown))
    assert any(f.remark == JUMPED for f in shown)
    again = list(read_span(path, shown[400].pts, shown[404].pts, seekable=False))
    assert [number(f.pixels) for f in again] == [k % 25 for k in range(150, 155)]


def test_an_hour_of_silence_in_the_middle_keeps_what_comes_after(tmp_path):
    """The track has nothing for an hour; time stamps tell."""
    path, rate, late = tmp_path / "pause.mkv", 8000, 3601
    with av.open(str(path), "w") as media:
        stream = media.add_stream("pcm_s16le", rate=rate, layout="mono")
        stream.codec_context.time_base = Fraction(1, rate)
        for start in (0, late):
            samples = (8000 * np.sin(np.arange(rate) * 0.3)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start * rate, Fraction(1, rate)
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
    wave = read_audio(path, rate)
    assert abs(len(wave) - (late + 1) * rate) < rate // 50
    level = np.abs(wave[: (late + 1) * rate // rate * rate].reshape(-1, rate)).mean(axis=1)
    assert level[0] > 0.1
    assert level[late] > 0.1
    assert level[1:late].max() < 0.01
