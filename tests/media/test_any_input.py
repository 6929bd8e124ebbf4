"""Inputs that break readers, each the representative of its kind: they are read right, or refused in one line."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from dithead.errors import ConfigError, MediaError
from dithead.media.audio import read_audio, write_audio
from dithead.media.clock import REMARK as JUMPED
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.picture import TRANSPARENT, parse_colour
from dithead.media.planes import planes_of
from dithead.media.presentation import INTERLACED, RESIZED
from dithead.media.video import probe, read_frames, read_span
from dithead.media.writer import VideoWriter
from zoo.boxes import set_display_matrix, shorten_edit_list, stored, write_heic


def scene(width: int = 192, height: int = 128) -> np.ndarray:
    """A smooth picture without any symmetry: each corner has a colour of its own."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([40 + 180 * x, 40 + 180 * y, 40 + 90 * (x + y) * (1 - y)], axis=-1).astype(np.uint8)


def encode(path: Path, frames: list[np.ndarray], codec: str, pix_fmt: str, rate=25, **options) -> Path:
    """Write frames by PyAV alone."""
    muxer = {"format": options.pop("muxer")} if "muxer" in options else {}
    with av.open(str(path), "w", **muxer) as media:
        stream = media.add_stream(codec, rate=Fraction(rate), options=options)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pix_fmt
        for k, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, "rgba" if picture.shape[2] == 4 else "rgb24")
            frame.pts = k
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
    return path


def away(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b).mean())


class TestOrientation:
    @pytest.mark.parametrize("number", range(1, 9))
    def test_videos_are_upright(self, tmp_path, number):
        path = encode(tmp_path / "a.mp4", [stored(scene(), number)] * 3, "libx264", "yuv444p", qp="0")
        set_display_matrix(path, number)
        info = probe(path)
        frames = list(read_frames(path))
        assert (info.width, info.height, len(frames)) == (192, 128, 3)
        assert max(away(f.pixels, scene()) for f in frames) < 2
        planes = planes_of(frames[1].native, "yuv444p", frames[1].encoding, frames[1].rotation)
        assert away(planes.rgb(0, 0, 128, 192), scene()) < 2
        [span] = read_span(path, frames[1].pts, frames[1].pts)
        assert away(span.pixels, scene()) < 2

    @pytest.mark.parametrize("number", range(1, 9))
    @pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff", "avif"])
    def test_pictures_are_upright(self, tmp_path, kind, number):
        tags = Image.Exif()
        tags[0x0112] = number
        quality = {"quality": 95} if kind in ("jpg", "webp", "avif") else {}
        Image.fromarray(stored(scene(), number)).save(tmp_path / f"a.{kind}", exif=tags, **quality)
        info = probe(tmp_path / f"a.{kind}")
        assert (info.width, info.height, info.still) == (192, 128, True)
        assert away(next(read_frames(tmp_path / f"a.{kind}")).pixels, scene()) < 4

    @pytest.mark.parametrize("number", range(1, 9))
    def test_heic_of_tiles_is_upright(self, tmp_path, number):
        pytest.importorskip("pi_heif")
        write_heic(tmp_path / "a.heic", scene(), number)
        info = probe(tmp_path / "a.heic")
        assert (info.width, info.height, info.still) == (192, 128, True)
        assert away(next(read_frames(tmp_path / "a.heic")).pixels, scene()) < 4


class TestPictures:
    @pytest.mark.parametrize("name", ["a.gif", "a.avif", "100%d.png", "jpeg.png", "no_suffix"])
    def test_one_picture_is_a_still(self, tmp_path, name):
        kind = {"a.gif": "GIF", "a.avif": "AVIF", "jpeg.png": "JPEG"}.get(name, "PNG")
        Image.fromarray(scene()).save(tmp_path / name, kind, **({"quality": 95} if kind == "JPEG" else {}))
        frames = list(read_frames(tmp_path / name))
        assert (probe(tmp_path / name).still, len(frames)) == (True, 1)
        assert away(frames[0].pixels, scene()) < (8 if kind == "GIF" else 4)

    @pytest.mark.parametrize("suffix", ["webp", "gif", "png", "avif"])
    def test_animations_are_videos(self, tmp_path, suffix):
        shown = [np.roll(scene(), 8 * k, axis=1) for k in range(5)]
        first, *others = map(Image.fromarray, shown)
        exact = {"lossless": True} if suffix == "webp" else {}
        first.save(
            tmp_path / f"a.{suffix}", save_all=True, append_images=others, duration=[40, 40, 80, 40, 40], **exact
        )
        info = probe(tmp_path / f"a.{suffix}")
        frames = list(read_frames(tmp_path / f"a.{suffix}"))
        assert (info.still, len(frames), info.fps) == (False, 5, Fraction(125, 6))
        assert [f.time for f in frames] == pytest.approx([0, 0.04, 0.08, 0.16, 0.2], abs=2e-3)
        assert max(away(f.pixels, p) for f, p in zip(frames, shown, strict=True)) < 9

    def test_identical_frames_of_an_animation_count(self, tmp_path):
        first, *others = [Image.fromarray(np.roll(scene(), k % 2, axis=1)) for k in range(4)]
        first.save(tmp_path / "a.webp", save_all=True, append_images=others, duration=50, lossless=True)
        assert len(list(read_frames(tmp_path / "a.webp"))) == 4

    def test_deep_grey_and_profiles(self, tmp_path):
        grey = (scene()[..., 0].astype(np.uint16) * 257)[..., None]
        cv2.imwrite(str(tmp_path / "grey.png"), grey)
        assert away(next(read_frames(tmp_path / "grey.png")).pixels, np.repeat(scene()[..., :1], 3, axis=2)) < 2

    def test_large_pictures_are_scaled_with_a_remark(self, tmp_path):
        Image.new("RGB", (5000, 1000)).save(tmp_path / "wide.png")
        info = probe(tmp_path / "wide.png")
        assert (info.width, info.height) == (4096, 820)
        assert "4096x820" in info.remarks[0]
        assert next(read_frames(tmp_path / "wide.png")).pixels.shape == (820, 4096, 3)


class TestTransparency:
    @pytest.mark.parametrize("suffix", ["png", "webp", "gif", "tiff"])
    def test_pictures_show_the_background(self, tmp_path, suffix):
        picture = np.dstack([scene(), np.full((128, 192), 255, np.uint8)])
        picture[:64, :, 3] = 0
        Image.fromarray(picture).save(tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
        assert probe(tmp_path / f"a.{suffix}").remarks == (TRANSPARENT,)
        for colour, expected in (("white", 255), ("#102030", (16, 32, 48))):
            seen = next(read_frames(tmp_path / f"a.{suffix}", background=parse_colour(colour))).pixels
            assert np.abs(seen[:60].astype(int) - expected).max() == 0
            assert away(seen[68:], scene()[68:]) < 8

    @pytest.mark.parametrize(("name", "codec", "pix_fmt"), [("a.mov", "png", "rgba"), ("a.mkv", "ffv1", "yuva420p")])
    def test_videos_show_the_background(self, tmp_path, name, codec, pix_fmt):
        picture = np.dstack([scene(), np.full((128, 192), 255, np.uint8)])
        picture[:64, :, 3] = 0
        frame = next(read_frames(encode(tmp_path / name, [picture] * 2, codec, pix_fmt)))
        assert frame.remark == TRANSPARENT
        assert np.abs(frame.pixels[:60].astype(int) - 255).max() < 3
        assert away(frame.pixels[68:], scene()[68:]) < 3

    def test_vp9_is_remarked_on(self, tmp_path):
        with av.open(str(tmp_path / "a.webm"), "w") as media:
            stream = media.add_stream("libvpx-vp9", rate=25)
            stream.width, stream.height, stream.pix_fmt = 192, 128, "yuva420p"
            stream.metadata["alpha_mode"] = "1"
            frame = av.VideoFrame.from_ndarray(scene(), "rgb24")
            frame.pts = 0
            media.mux(stream.encode(frame))
            media.mux(stream.encode(None))
        assert any("transparency" in remark for remark in probe(tmp_path / "a.webm").remarks)

    def test_an_unknown_colour(self):
        with pytest.raises(ConfigError, match="unknown colour 'blurple'"):
            parse_colour("blurple")


class TestTime:
    @pytest.mark.parametrize("suffix", ["mp4", "mkv"])
    def test_slides_are_whole(self, tmp_path, suffix):
        path = encode(tmp_path / f"a.{suffix}", [scene(), scene()[::-1]], "libx264", "yuv420p", rate=Fraction(1, 3))
        assert [f.time for f in read_frames(path)] == [0, 3]

    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
    def test_cut_off_slides_are_named(self, tmp_path, suffix):
        noise = [np.random.default_rng(k).integers(0, 255, (128, 192, 3), np.uint8) for k in range(4)]
        codec = "mpeg4" if suffix == "avi" else "libx264"
        options = {"movflags": "faststart"} if suffix == "mp4" else {}
        path = tmp_path / f"a.{suffix}"
        with av.open(str(path), "w", container_options=options) as media:
            stream = media.add_stream(codec, rate=Fraction(1, 3) if suffix != "avi" else 25)
            stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
            for k, picture in enumerate(noise):
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts = k
                media.mux(stream.encode(frame))
            media.mux(stream.encode(None))
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(MediaError, match="cut off after frame"):
            list(read_frames(path))

    def test_an_edit_list_that_ends_early_is_no_cut(self, tmp_path):
        path = encode(tmp_path / "a.mp4", [np.roll(scene(), k) for k in range(20)], "libx264", "yuv420p")
        shorten_edit_list(path, 0.5)
        assert len(list(read_frames(path))) in (10, 11)

    def test_a_clock_that_jumps_back_loses_nothing(self, tmp_path):
        stamps = [*range(10), *range(3, 13)]
        path = joined_clips(tmp_path / "a.ts", stamps)
        frames = list(read_frames(path))
        assert [f.time for f in frames] == pytest.approx([k / 25 for k in range(20)], abs=1e-3)
        assert [k for k, f in enumerate(frames) if f.remark == JUMPED] == [10]

    def test_one_wrong_stamp_does_not_shift_the_rest(self):
        from dithead.media.clock import FrameTimes

        times = FrameTimes(Fraction(1, 25), 1)
        stamps = [0, 1, 2, 3, 4, 500 - 460, 6, 7, 8]
        assert [times.place(s) for s in [100, 101, 102, 3, 104, 105]] == [0, 1, 2, 3, 4, 5]
        assert stamps

    def test_a_leap_of_years_is_no_pause(self):
        from dithead.media.clock import FrameTimes

        times = FrameTimes(Fraction(1, 25), 1)
        assert [times.place(s) for s in [0, 1, 10**12, 10**12 + 1]] == [0, 1, 2, 3]

    def test_an_hour_of_pause_stays(self):
        from dithead.media.clock import FrameTimes

        times = FrameTimes(Fraction(1, 25), 1)
        assert [times.place(s) for s in [0, 1, 90_000, 90_001]] == [0, 1, 90_000, 90_001]


def joined_clips(path: Path, seconds_of_frames: list[int]) -> Path:
    """Two recordings copied one after the other, the second with an earlier clock: four seconds back."""
    parts = []
    for number, start in ((0, 10.0), (1, 6.0)):
        part = path.with_name(f"part{number}.ts")
        with av.open(str(part), "w", format="mpegts", container_options={"mpegts_copyts": "1"}) as media:
            stream = media.add_stream("mpeg2video", rate=25, options={"bf": "0"})
            stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 25)
            for k in range(10):
                frame = av.VideoFrame.from_ndarray(np.roll(scene(), 4 * k, axis=1), "rgb24")
                frame.pts, frame.time_base = round(start * 25) + k, Fraction(1, 25)
                media.mux(stream.encode(frame))
            media.mux(stream.encode(None))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


class TestFieldsAndSizes:
    @pytest.mark.parametrize(("codec", "options"), [("libx264", {"x264-params": "tff=1"}), ("mpeg2video", {})])
    def test_interlaced_sources_are_merged_with_a_remark(self, tmp_path, codec, options):
        """Two moments woven into one frame: after merging, no line is far from its neighbours."""
        path = tmp_path / "a.mkv"
        with av.open(str(path), "w") as media:
            stream = media.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
            stream.codec_context.flags |= 0x40000 | 0x20000000  # interlaced transform and motion
            for k in range(8):
                woven = np.roll(scene(), 16 * k, axis=1)
                woven[1::2] = np.roll(scene(), 16 * k + 8, axis=1)[1::2]
                frame = av.VideoFrame.from_ndarray(woven, "rgb24").reformat(format="yuv420p")
                frame.pts = k
                media.mux(stream.encode(frame))
            media.mux(stream.encode(None))
        with av.open(str(path)) as media:
            raw = list(media.decode(video=0))
        if not raw[0].interlaced_frame:
            pytest.skip("this encoder does not say that it is interlaced")
        frames = list(read_frames(path))
        assert len(frames) == 8
        assert {f.remark for f in frames} == {INTERLACED}
        assert [f.time for f in frames] == pytest.approx([k / 25 for k in range(8)], abs=2e-3)
        assert combed(frames[4].pixels) < combed(raw[4].to_ndarray(format="rgb24")) / 3
        [span] = read_span(path, frames[4].pts, frames[4].pts)
        assert away(span.pixels, frames[4].pixels) < 2

    def test_a_size_that_changes_is_a_cut_and_scaled(self, tmp_path):
        parts = []
        for width, height in ((192, 128), (96, 64), (64, 64)):
            part = encode(tmp_path / f"{width}.ts", [cv2.resize(scene(), (width, height))] * 4, "libx264", "yuv420p")
            parts.append(part.read_bytes())
        (tmp_path / "a.ts").write_bytes(b"".join(parts))
        frames = list(read_frames(tmp_path / "a.ts"))
        assert {f.pixels.shape for f in frames} == {(128, 192, 3)}
        assert len(frames) == 12
        assert [k for k, f in enumerate(frames) if f.new_size] == [4, 8]
        assert [f.remark for f in frames[1:3] + frames[5:7]] == ["", "", RESIZED, RESIZED]
        assert away(frames[6].pixels, scene()) < 6
        assert frames[10].pixels[:, :28].max() < 8  # a square keeps its shape: black at its sides
        assert away(frames[10].pixels[:, 32:160], cv2.resize(scene(), (128, 128))) < 8


def combed(picture: np.ndarray) -> float:
    """How far lines are from the mean of their neighbours, beside vertical edges alike in both fields."""
    lines = picture.astype(float)
    return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())


class TestFilesThatNameOthers:
    LISTS: ClassVar = {
        "concat.mp4": "ffconcat version 1.0\nfile '{}'\n",
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
        "list.mp4": "\ufeff#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n",
        "dash.mpd": '<?xml version="1.0"?>\n<MPD type="static"><BaseURL>{}</BaseURL></MPD>',
        "picture.svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{}"/></svg>',
        "picture.png": '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="{}"/></svg>',
        "call.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5000 RTP/AVP 96\n",
    }

    @pytest.mark.parametrize("name", LISTS)
    def test_lists_are_refused(self, tmp_path, name):
        other = encode(tmp_path / "other.mp4", [scene()] * 2, "libx264", "yuv420p")
        (tmp_path / name).write_text(self.LISTS[name].format(other))
        for read in (probe, read_audio, lambda p: list(read_frames(p))):
            with pytest.raises(MediaError, match="one input is one file") as caught:
                read(tmp_path / name)
            assert len(str(caught.value).splitlines()) == 1

    def test_numbered_pictures_are_not_gathered(self, tmp_path):
        for k in range(3):
            Image.fromarray(np.roll(scene(), 8 * k)).save(tmp_path / f"shot{k}.png")
        with pytest.raises(MediaError, match="no such file"):
            probe(tmp_path / "shot%d.png")
        Image.fromarray(scene()).save(tmp_path / "shot%d.png")
        assert away(next(read_frames(tmp_path / "shot%d.png")).pixels, scene()) == 0


class TestImpossibleClaims:
    @pytest.mark.parametrize("kind", ["png", "bmp", "gif"])
    def test_a_picture_of_ten_thousand_million_pixels(self, tmp_path, kind):
        side = 100_000
        if kind == "png":
            head = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
            parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
            data = b"\x89PNG\r\n\x1a\n" + b"".join(
                struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts
            )
        elif kind == "bmp":
            data = b"BM" + struct.pack("<3I", 1000, 0, 54) + struct.pack("<3I2H6I", 40, side, side, 1, 24, *[0] * 6)
            data += bytes(1000)
        else:
            data = (
                b"GIF89a"
                + struct.pack("<2H3B", 65535, 65535, 0, 0, 0)
                + b","
                + struct.pack("<4HB", 0, 0, 65535, 65535, 0)
            )
            data += b"\x02\x01\0\0;"
        (tmp_path / f"a.{kind}").write_bytes(data)
        with pytest.raises(MediaError, match="claims"):
            probe(tmp_path / f"a.{kind}")

    def test_a_thousand_streams(self, tmp_path):
        wave = (np.sin(np.arange(200)) * 3000).astype(np.int16)[None]
        with av.open(str(tmp_path / "a.mkv"), "w") as media:
            streams = [media.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(300)]
            for stream in streams:
                frame = av.AudioFrame.from_ndarray(wave, "s16", "mono")
                frame.sample_rate, frame.pts = 8000, 0
                media.mux(stream.encode(frame))
        with pytest.raises(MediaError, match="streams") as caught:
            read_audio(tmp_path / "a.mkv")
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.slow
    def test_sound_of_a_sample_a_second(self, tmp_path):
        write_audio(tmp_path / "a.wav", np.zeros(100_000, np.float32), 16000)
        data = bytearray((tmp_path / "a.wav").read_bytes())
        data[24:28] = struct.pack("<I", 1)
        (tmp_path / "a.wav").write_bytes(data)
        with pytest.raises(MediaError, match="hours"):
            read_audio(tmp_path / "a.wav")


def test_one_frame_of_hevc_is_written(tmp_path):
    """x265 leaves the decoding time of a single frame undefined."""
    for k in range(8):
        with VideoWriter(
            tmp_path / f"{k}.mp4", VideoInfo(64, 64, Fraction(25)), EncoderOptions(codec="libx265")
        ) as writer:
            writer.write(scene(64, 64))
        assert len(list(read_frames(tmp_path / f"{k}.mp4"))) == 1


def test_the_writer_still_reads_itself(tmp_path):
    """The limits are no obstacle to what this package writes."""
    with VideoWriter(tmp_path / "a.mov", VideoInfo(64, 48, Fraction(25)), EncoderOptions()) as writer:
        writer.write(scene(64, 48))
    assert len(list(read_frames(tmp_path / "a.mov"))) == 1
