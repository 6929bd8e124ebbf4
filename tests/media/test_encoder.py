"""Encoders: the one that is named, a clear error where it is missing, and the preset for real time."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import pytest

from dithead.errors import ConfigError, OutputError
from dithead.media.encoder import EncoderOptions, PictureEncoding, encoder_named
from dithead.media.info import VideoInfo
from dithead.media.planes import Planes, planes_of
from dithead.media.quality import HARDWARE, REALTIME
from dithead.media.segments import join_segments, write_segment
from dithead.media.video import read_frames

PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "mia.mp4"


@pytest.fixture(scope="module")
def presenter() -> list[Planes]:
    return [planes_of(f.native, "yuv420p", f.encoding) for f in islice(read_frames(PRESENTER), 24)]


def encoded(folder: Path, frames: list[Planes], preset: str) -> Path:
    height, width = frames[0].arrays[0].shape
    encoding = PictureEncoding(VideoInfo(width, height, Fraction(25)), EncoderOptions(preset=preset))
    write_segment(folder / "part", ((planes, k) for k, planes in enumerate(frames)), encoding)
    join_segments([folder / "part"], folder / f"{preset}.mp4", encoding, end=Fraction(len(frames), 25))
    return folder / f"{preset}.mp4"


def noise(path: Path, frames: list[Planes]) -> float:
    """The mean square error of the luma samples."""
    read = [planes_of(f.native, "yuv420p", f.encoding) for f in read_frames(path)]
    errors = [((a.arrays[0].astype(int) - b.arrays[0]) ** 2).mean() for a, b in zip(read, frames, strict=True)]
    return float(sum(errors) / len(errors))


def test_the_realtime_preset_is_as_good_as_veryfast_and_at_most_half_as_large_again(tmp_path, presenter) -> None:
    fast, small = (encoded(tmp_path, presenter, preset) for preset in (REALTIME, "veryfast"))
    assert noise(fast, presenter) < 1.05 * noise(small, presenter)
    assert fast.stat().st_size < 1.5 * small.stat().st_size
    assert encoded(tmp_path, presenter, "ultrafast").stat().st_size > 1.2 * fast.stat().st_size


@pytest.mark.parametrize("sizes", [(22, 2), (1, 23), (2, 11, 11)])
def test_segments_of_any_length_join_to_one_frame_rate(tmp_path, presenter, sizes) -> None:
    height, width = presenter[0].arrays[0].shape
    encoding = PictureEncoding(VideoInfo(width, height, Fraction(25)), EncoderOptions(preset="veryfast"))
    frames = iter(enumerate(presenter))
    parts = [tmp_path / f"part{k}" for k in range(len(sizes))]
    for part, size in zip(parts, sizes, strict=True):
        write_segment(part, ((planes, k) for k, planes in islice(frames, size)), encoding)
    join_segments(parts, tmp_path / "a.mp4", encoding, end=Fraction(24, 25))
    with av.open(str(tmp_path / "a.mp4")) as media:
        assert media.streams.video[0].average_rate == 25
    assert [frame.time for frame in read_frames(tmp_path / "a.mp4")] == pytest.approx([k / 25 for k in range(24)])


def test_an_hours_pause_within_a_segment_keeps_every_frame_and_its_time(tmp_path, presenter) -> None:
    """Frames after the pause are decoded an hour before they are shown, which is no undefined time."""
    height, width = presenter[0].arrays[0].shape
    encoding = PictureEncoding(VideoInfo(width, height, Fraction(25)), EncoderOptions(preset="veryfast"))
    stamps = [k if k < 12 else 90_000 + k for k in range(24)]
    write_segment(tmp_path / "part", zip(presenter, stamps, strict=True), encoding)
    join_segments([tmp_path / "part"], tmp_path / "a.mkv", encoding, end=Fraction(90_024, 25))
    times = [frame.time for frame in read_frames(tmp_path / "a.mkv")]
    assert times == pytest.approx([stamp / 25 for stamp in stamps], abs=2e-3)


@pytest.mark.parametrize("name", HARDWARE)
def test_hardware_encodes_where_it_is_there_and_is_refused_in_one_line_where_it_is_not(tmp_path, presenter, name):
    info = VideoInfo(presenter[0].arrays[0].shape[1], presenter[0].arrays[0].shape[0], Fraction(25))
    encoding = PictureEncoding(info, EncoderOptions(codec=encoder_named(name, "h264")))
    try:
        encoding.codec_context().open()
    except (av.FFmpegError, ValueError):
        with pytest.raises(
            OutputError, match=rf"^this machine cannot encode with h264_{name} \(.+\); use --encoder auto$"
        ):
            encoding.require_encoder()
        return
    encoding.require_encoder()
    write_segment(tmp_path / "part", ((planes, k) for k, planes in enumerate(presenter)), encoding)
    join_segments([tmp_path / "part"], tmp_path / "a.mp4", encoding, end=Fraction(1))
    assert noise(tmp_path / "a.mp4", presenter) < 6


def test_hardware_that_does_not_take_the_picture_is_refused(monkeypatch) -> None:
    class OnlyNv12:
        video_formats = (av.VideoFormat("nv12", 2, 2),)

    monkeypatch.setattr(av, "Codec", lambda name, mode: OnlyNv12())
    info = VideoInfo(64, 48, Fraction(25), pix_fmt="yuv444p")
    with pytest.raises(OutputError, match="h264_qsv does not encode yuv444p; use --encoder auto"):
        PictureEncoding(info, EncoderOptions(codec="h264_qsv")).require_encoder()


def test_an_encoder_that_does_not_fit_the_codec_is_refused() -> None:
    assert encoder_named("auto", "hevc") == encoder_named("x265", "hevc") == "libx265"
    assert encoder_named("nvenc", "hevc") == "hevc_nvenc"
    with pytest.raises(ConfigError, match="encoder x264 does not make hevc"):
        encoder_named("x264", "hevc")
    with pytest.raises(ConfigError, match="cannot encode without loss"):
        encoder_named("qsv", "h264", lossless=True)
