"""Sound that is encoded ahead of its use is written as if it were not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dithead.media.audio_track import AudioMuxer, AudioTrack, EncodedTrack
from dithead.media.files import create_media

RATE = 16_000


def written(path: Path, ahead: float, end: Fraction) -> tuple[bytes, int]:
    """The bytes of a file with two seconds of noise, and its samples."""
    wave = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    track = EncodedTrack(AudioTrack((wave, RATE)))
    track.encode_until(ahead)
    with create_media(path, "mp4") as media:
        muxer = AudioMuxer(media, track)
        media.start_encoding()
        muxer.write_until(end / 2)
        muxer.finish(end)
    with av.open(str(path)) as media:
        samples = sum(frame.samples for frame in media.decode(audio=0))
    return path.read_bytes(), samples


@pytest.mark.parametrize("end", [Fraction(2), Fraction(9, 5), Fraction(5, 2)])
def test_what_was_encoded_ahead_gives_the_same_file(tmp_path: Path, end: Fraction) -> None:
    plain, samples = written(tmp_path / "plain.mp4", 0.0, end)
    assert abs(samples - end * RATE) <= 1024  # the last AAC frame may be filled
    for ahead in (0.5, 1.75):
        assert written(tmp_path / "ahead.mp4", ahead, end)[0] == plain


def test_only_whole_frames_are_encoded_ahead_and_each_once() -> None:
    read: list[int] = []
    track = EncodedTrack(AudioTrack((np.zeros(RATE, np.float32), RATE)))
    take = track.track.take
    track.track.take = lambda count: read.append(count) or take(count)  # type: ignore[func-returns-value, method-assign]
    for seconds in (0.1, 0.1, 0.2):
        track.encode_until(seconds)
    assert read == [1024] * (RATE // 5 // 1024)
    for _ in range(3):
        track.frame()
    assert len(read) == RATE // 5 // 1024
