"""Damaged media files: whatever the bytes, the readers give frames, samples or one named error.

    python tests/media/test_fuzz.py SECONDS [SEED]

goes on for that long and keeps every file that makes a reader fail otherwise in the folder ``crashers`` beside this
file, whose files are tested from then on.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from dithead.errors import MediaError
from dithead.media.audio import read_audio, write_audio
from dithead.media.info import VideoInfo
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter

CRASHERS = Path(__file__).parent / "crashers"
KINDS = (".mp4", ".mov", ".mkv", ".avi", ".mpg", ".wav", ".flac", ".mp3", ".ogg", ".png")


@lru_cache(maxsize=1)
def seeds() -> dict[str, bytes]:
    """A small good file of every kind."""
    with tempfile.TemporaryDirectory() as name:
        return {kind: _good(Path(name) / f"good{kind}").read_bytes() for kind in KINDS}


def _good(path: Path) -> Path:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (32, 48, 3), dtype=np.uint8) for _ in range(4)]
    wave = rng.normal(0, 0.1, 2000).astype(np.float32)
    if path.suffix in (".wav", ".flac"):
        write_audio(path, wave, 16000)
    elif path.suffix in (".mp4", ".mov", ".mkv"):
        with VideoWriter(path, VideoInfo(48, 32, Fraction(25)), audio=(wave, 16000)) as writer:
            for frame in frames:
                writer.write(frame)
    elif path.suffix in (".mp3", ".ogg"):
        codec, rate, form = ("libmp3lame", 16000, "fltp") if path.suffix == ".mp3" else ("libopus", 48000, "flt")
        with av.open(str(path), "w") as media:
            stream = media.add_stream(codec, rate=rate, layout="mono", format=form)
            for start in range(0, 1920, 960):
                frame = av.AudioFrame.from_ndarray(wave[None, start : start + 960], form, "mono")
                frame.sample_rate, frame.pts = rate, start
                media.mux(stream.encode(frame))
            media.mux(stream.encode(None))
    else:
        codec = {".avi": "mpeg4", ".mpg": "mpeg2video", ".png": "png"}[path.suffix]
        kind = {"format": "image2"} if path.suffix == ".png" else {}
        with av.open(str(path), "w", **kind) as media:
            stream = media.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "rgb24" if codec == "png" else "yuv420p"
            for frame in frames[: 1 if codec == "png" else None]:
                media.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            media.mux(stream.encode(None))
    return path


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some overwritten, cut out, doubled, swapped, or missing at the end."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(max(1, len(found)))
        length = rng.choice((1, 2, 4, 8, 64, 512))
        match rng.randrange(6):
            case 0:
                found[at : at + length] = rng.randbytes(length)
            case 1:
                del found[at : at + length]
            case 2:
                found[at:at] = found[at : at + length]
            case 3:
                del found[at:]
            case 4:
                found[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0"))
            case _:
                found[at : at + 1] = bytes([found[at] ^ 1 << rng.randrange(8)]) if at < len(found) else b""
    return bytes(found)


def check(path: Path) -> None:
    """Read a file in every way; only a MediaError of one line, with the name of the file, may be raised."""
    for read in (probe, lambda p: [f.quick_pixels.shape for f in islice(read_frames(p), 50)], read_audio):
        said = ""
        try:
            read(path)
        except MediaError as error:
            said = str(error)
        assert not said or (path.name in said and len(said.splitlines()) == 1), said


@pytest.mark.parametrize("kind", KINDS)
def test_good_files_are_read(kind, tmp_path):
    (tmp_path / f"good{kind}").write_bytes(seeds()[kind])
    check(tmp_path / f"good{kind}")
    if kind in (".wav", ".flac", ".mp3", ".ogg"):
        assert len(read_audio(tmp_path / f"good{kind}")) > 600
    else:
        assert probe(tmp_path / f"good{kind}").width == 48


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_give_frames_or_a_named_error(kind, tmp_path):
    rng = random.Random(7)
    for number in range(25):
        path = tmp_path / f"bad{number}{kind}"
        path.write_bytes(damaged(seeds()[kind], rng))
        check(path)
        path.unlink()


@pytest.mark.parametrize("path", sorted(CRASHERS.glob("*")), ids=lambda path: path.name)
def test_files_that_once_broke_a_reader(path):
    check(path)


def main(seconds: float, seed: int) -> None:
    """Damage files until the time is up."""
    rng, end, count = random.Random(seed), time.monotonic() + seconds, 0
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        while time.monotonic() < end:
            kind = rng.choice(KINDS)
            path = Path(name) / f"fuzz{kind}"
            path.write_bytes(damaged(seeds()[kind], rng))
            CRASHERS.mkdir(exist_ok=True)
            now = CRASHERS / f"now{kind}"  # still there if the process dies
            now.write_bytes(path.read_bytes())
            count += 1
            try:
                check(path)
            except Exception as error:  # noqa: BLE001
                what = f"{kind} {type(error).__name__}: {error}"[:160]
                key = what.split("fuzz")[0]
                if key not in found:
                    now.rename(CRASHERS / f"{seed}_{count}{kind}")
                    print(what, flush=True)
                found[key] = found.get(key, 0) + 1
            now.unlink(missing_ok=True)
    print(f"{count} files, {3 * count} reads; {len(found)} ways to fail: {found}")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
