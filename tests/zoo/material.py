"""What the files of the zoo are made of: a few frames of a rendered presenter with marked corners, and encoders.

The border has another colour in each corner, so that one look at the corners of a result tells whether it is upright
and whether its colours are right. Letters: H, W frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from dithead.media.colour import encoding_of
from dithead.media.planes import planes_of_rgb
from dithead.media.tone_mapping import HLG, PQ
from dithead.media.video import read_frames

PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "mia.mp4"
COUNT, SIDE, MARK = 4, 240, 32
COLOURS = {
    "top left": (200, 60, 60),
    "top right": (60, 180, 70),
    "bottom left": (60, 70, 200),
    "bottom right": (190, 180, 60),
}


@dataclass(frozen=True)
class Case:
    """One odd file: how it is made, and what must come of it."""

    name: str
    make: Callable[[Path], Path]  # given an empty folder
    role: str = "video"  # or "audio"
    frames: int | None = COUNT  # None: any number
    times: tuple[float, ...] | None = None  # seconds; None: at 25 a second
    size: tuple[int, int] = (SIDE, SIDE)  # width and height as displayed
    tolerance: float = 2.5  # levels by which the mean colour of a corner may differ
    corners: bool = True  # whether the corners are compared
    seconds: float = 0.5  # of sound
    says: str = ""  # what the one line of a refusal mentions; then nothing else counts
    note: str = ""  # what a note of the result mentions


@lru_cache(maxsize=1)
def frames() -> tuple[np.ndarray, ...]:
    """Pictures (H, W, 3) of a presenter, each of whose corners has a colour of its own."""
    found = []
    for frame in islice(read_frames(PRESENTER), COUNT):
        picture = cv2.resize(frame.pixels[40:472, 40:472], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        found.append(marked(picture))
    return tuple(found)


def marked(picture: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) with a coloured square in each corner."""
    picture = picture.copy()
    for name, colour in COLOURS.items():
        rows = slice(0, MARK) if "top" in name else slice(-MARK, None)
        columns = slice(0, MARK) if "left" in name else slice(-MARK, None)
        picture[rows, columns] = colour
    return picture


def corner_errors(picture: np.ndarray) -> dict[str, float]:
    """By how many levels each corner of a picture (H, W, 3) misses its colour."""
    height, width = picture.shape[:2]
    rows, columns = max(3, MARK * height // SIDE // 4), max(3, MARK * width // SIDE // 4)
    errors = {}
    for name, colour in COLOURS.items():
        y = rows if "top" in name else height - 3 * rows
        x = columns if "left" in name else width - 3 * columns
        inner = picture[y : y + 2 * rows, x : x + 2 * columns].reshape(-1, 3).astype(float)
        errors[name] = float(np.abs(inner.mean(axis=0) - colour).max())
    return errors


@dataclass(frozen=True)
class Film:
    """How a film is encoded."""

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    rate: Fraction = Fraction(25)
    options: dict[str, str] = field(default_factory=dict)
    muxer: str | None = None
    container: dict[str, str] = field(default_factory=dict)
    stamps: tuple[int, ...] | None = None  # ticks of ``time_base``
    time_base: Fraction | None = None
    tags: dict[str, int] = field(default_factory=dict)  # color_range, colorspace, color_primaries, color_trc
    aspect: Fraction | None = None
    sound: str = ""  # codec of a sound track beside the picture
    flags: int = 0

    def write(self, path: Path, pictures: Iterable[np.ndarray] | None = None) -> Path:
        """Encode pictures (H, W, 3 or 4) into a file."""
        shown = list(frames() if pictures is None else pictures)
        with av.open(str(path), "w", format=self.muxer, container_options=self.container) as media:
            stream = self._stream(media, *shown[0].shape[:2])
            sound = media.add_stream(self.sound, rate=48000, layout="stereo") if self.sound else None
            for k, picture in enumerate(shown):
                media.mux(stream.encode(self._frame(picture, k, stream)))
            media.mux(stream.encode(None))
            if sound is not None:
                media.mux([*encode_sound(sound, 0.5), *sound.encode(None)])
        return path

    def _stream(self, media: Any, height: int, width: int) -> Any:
        stream = media.add_stream(self.codec, rate=self.rate, options=self.options)
        stream.width, stream.height, stream.pix_fmt = width, height, self.pix_fmt
        context = stream.codec_context
        if self.time_base:
            context.time_base = self.time_base
        if self.aspect:
            context.sample_aspect_ratio = self.aspect
        context.flags |= self.flags
        for name, value in self.tags.items():
            setattr(context, name, value)
        return stream

    def _frame(self, picture: np.ndarray, k: int, stream: Any) -> Any:
        kind = "rgba" if picture.shape[2] == 4 else "rgb24"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), kind)
        matrix, full = self.tags.get("colorspace", 5 if picture.shape[0] < 720 else 1), self.tags.get("color_range", 1)
        if (transfer := self.tags.get("color_trc", 2)) in (PQ, HLG):
            encoding = encoding_of(matrix, full, self.pix_fmt, len(picture), transfer, self.tags["color_primaries"])
            frame = planes_of_rgb(picture, self.pix_fmt, encoding).to_frame()
        elif not stream.format.is_rgb:
            frame = frame.reformat(
                format=self.pix_fmt,
                dst_colorspace={9: 9, 1: 1}.get(matrix, 5),
                dst_color_range=2 if full == 2 or "yuvj" in self.pix_fmt else 1,
                interpolation="BICUBIC",
            )
        frame.pts = k if self.stamps is None else self.stamps[k]
        if self.stamps is not None:
            frame.time_base = self.time_base
        return frame


def tone(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """Samples (channels, n) of a rising tone."""
    t = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (200 + 300 * t) * t)
    return np.repeat(wave[None].astype(np.float32), channels, axis=0)


def encode_sound(stream: Any, seconds: float, start: float = 0.0) -> list[Any]:
    """Packets of a tone in the format of a sound stream."""
    rate, layout = stream.rate, stream.layout.name
    samples = tone(seconds, rate, stream.layout.nb_channels)
    source = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1), "flt", layout)
    source.sample_rate, source.pts = rate, round(start * rate)
    resampler = av.AudioResampler(stream.format.name, layout, rate, frame_size=stream.codec_context.frame_size or None)
    packets = []
    for frame in [*resampler.resample(source), *resampler.resample(None)]:
        packets += stream.encode(frame)
    return packets
