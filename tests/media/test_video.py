"""Frames survive writing and reading: count, time stamps, size, colours, at any rate, depth and rotation."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dithead.errors import MediaError
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.planes import planes_of, planes_of_rgb
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter


def picture(width: int, height: int, k: int = 0) -> np.ndarray:
    """A smooth coloured picture that moves with ``k``."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [np.sin((x + 2 * k) / 17 + c) + np.cos((y - k) / 11 + 2 * c) for c in range(3)]
    return (127 + 50 * np.stack(waves, axis=-1)).astype(np.uint8)


def write(path: Path, info: VideoInfo, count: int, **options) -> list[np.ndarray]:
    pictures = [picture(info.width, info.height, k) for k in range(count)]
    with VideoWriter(path, info, EncoderOptions(**options)) as writer:
        for image in pictures:
            writer.write(image)
    return pictures


def psnr(a: np.ndarray, b: np.ndarray, top: float = 255) -> float:
    return float(10 * np.log10(top**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-12)))


@pytest.mark.parametrize(
    "fps", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(60)]
)
def test_frame_rate_and_count_survive(tmp_path, fps):
    write(tmp_path / "a.mp4", VideoInfo(64, 48, fps), 13)
    info = probe(tmp_path / "a.mp4")
    times = [f.time for f in read_frames(tmp_path / "a.mp4")]
    assert info.fps == fps
    assert info.frames == 13
    assert times == pytest.approx([float(k / fps) for k in range(13)], abs=1e-6)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_variable_time_stamps_survive(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    stamps = [0, 40, 75, 200, 201, 500]  # milliseconds
    with VideoWriter(path, VideoInfo(64, 48, Fraction(12), time_base=Fraction(1, 1000))) as writer:
        for k, pts in enumerate(stamps):
            writer.write(picture(64, 48, k), pts, Fraction(1, 1000))
    assert [f.time for f in read_frames(path)] == pytest.approx([s / 1000 for s in stamps], abs=1e-6)


@pytest.mark.parametrize(("width", "height"), [(64, 48), (63, 48), (64, 47), (161, 91)])
def test_any_size_keeps_its_pixels(tmp_path, width, height):
    pictures = write(tmp_path / "a.mp4", VideoInfo(width, height, Fraction(25)), 3, lossless=True)
    frames = [f.pixels for f in read_frames(tmp_path / "a.mp4")]
    assert [f.shape for f in frames] == [(height, width, 3)] * 3
    assert min(psnr(a, b) for a, b in zip(pictures, frames, strict=True)) > 40  # chroma subsampling only


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize(("space", "color_range"), [(1, 1), (1, 2), (6, 1), (9, 2)])
def test_colour_tags_and_pixels_survive(tmp_path, pix_fmt, space, color_range):
    info = VideoInfo(
        64, 48, Fraction(25), pix_fmt=pix_fmt, color_space=space, color_range=color_range,
        color_primaries=1, color_trc=1,
    )  # fmt: skip
    pictures = write(tmp_path / "a.mp4", info, 2, lossless=True)
    seen = probe(tmp_path / "a.mp4")
    assert (seen.pix_fmt.replace("yuvj", "yuv"), seen.color_space, seen.color_range) == (
        pix_fmt, space, color_range,
    )  # fmt: skip
    frames = [f.pixels for f in read_frames(tmp_path / "a.mp4")]
    assert min(psnr(a, b) for a, b in zip(pictures, frames, strict=True)) > 39


def test_rgb_follows_the_matrix_and_range(tmp_path):
    """Against the definition in H.273, not against the code that wrote it."""
    frame = av.VideoFrame(32, 32, "yuv444p")
    for plane, value in zip(frame.planes, (120, 90, 170), strict=True):
        np.frombuffer(plane, np.uint8)[:] = value
    info = VideoInfo(32, 32, Fraction(25), pix_fmt="yuv444p", color_space=1, color_range=1)
    with VideoWriter(tmp_path / "a.mp4", info, EncoderOptions(lossless=True)) as writer:
        writer.write(planes_of(frame, "yuv444p", info.encoding))
    y, cb, cr = (120 - 16) / 219, (90 - 128) / 224, (170 - 128) / 224
    red, blue = y + 1.5748 * cr, y + 1.8556 * cb
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    pixel = next(read_frames(tmp_path / "a.mp4")).pixels[16, 16]
    assert pixel == pytest.approx(np.rint(255 * np.array([red, green, blue])), abs=1)


def test_quick_pixels_are_nearly_the_exact_ones(tmp_path):
    write(tmp_path / "a.mp4", VideoInfo(64, 48, Fraction(25)), 1)
    frame = next(read_frames(tmp_path / "a.mp4"))
    assert psnr(frame.pixels, frame.quick_pixels) > 35


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_is_undone(tmp_path, turn):
    image = picture(64, 48)
    with av.open(str(tmp_path / "a.mp4"), "w") as media:
        stream = media.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.set_display_rotation(turn)
        planes = planes_of_rgb(image, "yuv444p", VideoInfo(64, 48, Fraction(25)).encoding)
        for k in range(3):
            frame = planes.to_frame()
            frame.pts = k
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
    info, frame = probe(tmp_path / "a.mp4"), next(read_frames(tmp_path / "a.mp4"))
    shown = np.rot90(image, turn // 90)
    assert frame.pixels.shape == shown.shape == (info.height, info.width, 3)
    assert psnr(frame.pixels, shown) > 40
    turned = planes_of(frame.native, "yuv444p", frame.encoding, frame.rotation)
    assert psnr(turned.rgb(0, 0, *shown.shape[:2]), shown) > 40


@pytest.mark.parametrize(("source", "wanted"), [(30, 25), (24, 25), (50, 25), (12, 25)])
def test_resampling_takes_the_nearest_frame(tmp_path, source, wanted):
    write(tmp_path / "a.mp4", VideoInfo(32, 32, Fraction(source)), 2 * source)
    frames = list(read_frames(tmp_path / "a.mp4", fps=Fraction(wanted)))
    natives = {id(f.native): f.native for f in frames}
    assert len(frames) == 2 * wanted
    assert [f.index for f in frames] == list(range(2 * wanted))
    assert [f.time for f in frames] == pytest.approx([k / wanted for k in range(2 * wanted)])
    off = [abs(float(natives[id(f.native)].time) - f.time) for f in frames]
    assert max(off) <= 0.5 / source + 1e-6 or wanted > source


def test_a_late_start_counts_from_the_first_frame(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as media:
        stream = media.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for k in range(5):
            frame = av.VideoFrame.from_ndarray(picture(32, 32, k), "rgb24")
            frame.pts = k + 50
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
    assert probe(tmp_path / "a.mkv").start_time == pytest.approx(2.0)
    assert [f.time for f in read_frames(tmp_path / "a.mkv")] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_planes_change_only_in_the_region():
    planes = planes_of_rgb(picture(64, 48), "yuv420p", VideoInfo(64, 48, Fraction(25)).encoding)
    before = [a.copy() for a in planes.arrays]
    difference = np.full((7, 9, 3), 30.0, np.float32)
    planes.add_rgb_difference(difference, top=11, left=21)
    changed = planes.arrays[0].astype(int) - before[0]
    assert changed[11:18, 21:30].tolist() == [[26] * 9] * 7  # 30 * 219 / 255
    changed[11:18, 21:30] = 0
    assert not changed.any()
    for plane, old in zip(planes.arrays[1:], before[1:], strict=True):
        assert np.array_equal(plane, old)  # grey has no chroma


def test_an_rgb_difference_changes_the_rgb_picture_by_as_much():
    planes = planes_of_rgb(picture(64, 48), "yuv444p10le", VideoInfo(64, 48, Fraction(25)).encoding)
    before = planes.rgb(0, 0, 48, 64).astype(int)
    planes.add_rgb_difference(np.broadcast_to(np.float32([12, -8, 5]), (48, 64, 3)), 0, 0)
    change = planes.rgb(0, 0, 48, 64).astype(int) - before
    assert change.reshape(-1, 3).mean(axis=0) == pytest.approx([12, -8, 5], abs=0.3)


def test_cut_off_mp4_is_named(tmp_path):
    write(tmp_path / "a.mp4", VideoInfo(320, 240, Fraction(25)), 50)
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"b\.mp4: cut off after frame \d+ of 50; copy"):
        list(read_frames(tmp_path / "b.mp4"))


def test_cut_off_mkv_is_named(tmp_path):
    write(tmp_path / "a.mkv", VideoInfo(320, 240, Fraction(25)), 75)
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "b.mkv").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"b\.mkv: .*cut off"):
        list(read_frames(tmp_path / "b.mkv"))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(ValueError, match="48x32 frame in a 32x32 video"):
        write_sizes(path, (32, 48))
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def write_sizes(path: Path, widths: tuple[int, ...]) -> None:
    with VideoWriter(path, VideoInfo(32, 32, Fraction(25))) as writer:
        for width in widths:
            writer.write(picture(width, 32))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_default_quality_keeps_45_db_in_every_plane(tmp_path, pix_fmt):
    info = VideoInfo(160, 120, Fraction(25), pix_fmt=pix_fmt)
    noise = np.random.default_rng(0).normal(0, 1.5, (120, 160, 3))
    images = [np.clip(picture(160, 120, k) + noise, 0, 255).astype(np.uint8) for k in range(6)]
    written = [planes_of_rgb(image, pix_fmt, info.encoding) for image in images]
    with VideoWriter(tmp_path / "a.mp4", info) as writer:
        for planes in written:
            writer.write(planes)
    read = [planes_of(f.native, pix_fmt, f.encoding) for f in read_frames(tmp_path / "a.mp4")]
    for k in range(3):
        assert min(psnr(a.arrays[k], b.arrays[k]) for a, b in zip(written, read, strict=True)) > 45


def test_damaged_frames_show_the_last_good_one(tmp_path):
    """Frames of a codec without prediction, three of them overwritten with random bytes."""
    pictures = [picture(64, 48, 5 * k) for k in range(12)]
    with av.open(str(tmp_path / "a.mkv"), "w") as media:
        stream = media.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for k, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = k
            for packet in stream.encode(frame):
                bad = k in (4, 5, 11)
                sent = av.Packet(b"rubbish" * 9) if bad else packet
                sent.pts, sent.dts, sent.time_base = packet.pts, packet.dts, packet.time_base
                sent.stream, sent.is_keyframe = stream, True
                media.mux(sent)
    frames = list(read_frames(tmp_path / "a.mkv"))
    assert [f.time for f in frames] == pytest.approx([k / 25 for k in range(12)], abs=1e-3)
    assert [k for k, f in enumerate(frames) if f.damaged] == [4, 5, 11]
    shown = [0, 1, 2, 3, 3, 3, 6, 7, 8, 9, 10, 10]
    for frame, k in zip(frames, shown, strict=True):
        assert max(range(12), key=lambda j: psnr(frame.pixels, pictures[j])) == k
