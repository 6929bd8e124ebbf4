"""Frames and sound to one video file, encoded once, in constant memory, whole or not at all."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

from dithead.errors import OutputError
from dithead.media.audio_track import AudioMuxer, AudioTrack, Sound
from dithead.media.encoder import DEFAULT_PRESET, Clock, PictureEncoding, frame_of
from dithead.media.files import create_media, muxer_for, replacing, shown
from dithead.media.info import VideoInfo
from dithead.media.planes import Planes
from dithead.media.quality import DEFAULT_CRF
from dithead.types import RGB


class VideoWriter:
    """Context manager: ``write`` frames in order; the file appears under its name when the block ends well.

    like: size, frame rate, colour tags and sample format to write.  crf: H.264 quality, smaller is better;
    ``lossless`` keeps every sample.  repeatable: the same frames give the same bytes, on any machine; slower.
    audio: cut or filled with silence to the picture's length.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        like: VideoInfo,
        *,
        crf: float = DEFAULT_CRF,
        lossless: bool = False,
        codec: str = "libx264",
        preset: str = DEFAULT_PRESET,
        repeatable: bool = False,
        audio: Sound | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.path, self.like = Path(path), like
        self.muxer = muxer_for(self.path)
        self.encoding = PictureEncoding(like, crf, lossless, codec, preset, repeatable)
        self.clock = Clock(like)
        self.sound, self.metadata = audio, metadata or {}
        self.frames = 0
        self._end = Fraction(0)

    @property
    def pix_fmt(self) -> str:
        """The sample format being written, which ``Planes`` must have."""
        return self.encoding.pix_fmt

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            track = None if self.sound is None else AudioTrack(self.sound)
            self._media = create_media(temporary, self.muxer, movflags="+faststart")
            stack.callback(self._media.close)
            self._media.metadata.update(self.metadata)
            self._stream = self.encoding.add_to(self._media, self.path)
            self._audio = None if track is None else AudioMuxer(self._media, track)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                self._finish()
            except BaseException as late:
                if not self._stack.__exit__(type(late), late, late.__traceback__):
                    raise
        self._stack.__exit__(kind, error, trace)

    def write(self, picture: RGB | Planes, pts: int | None = None, time_base: Fraction | None = None) -> None:
        """Append one frame (H, W, 3) or its planes. Without ``pts`` it follows the last at the frame rate."""
        frame = frame_of(picture, self.like, self.pix_fmt)
        self.clock.stamp(frame, pts, time_base)
        self._media.mux(self._stream.encode(frame))
        self.frames += 1
        self._end = self.clock.end
        if self._audio is not None:
            self._audio.write_until(self._end)

    def _finish(self) -> None:
        if not self.frames:
            raise OutputError(f"{shown(self.path)}: no frame to write")
        self._media.mux(self._stream.encode(None))
        if self._audio is not None:
            self._audio.finish(self._end)
