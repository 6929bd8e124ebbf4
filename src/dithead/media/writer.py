"""Writes frames and sound to one video file: encoded once, in constant memory, whole or not at all."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

from dithead.errors import OutputError
from dithead.media.audio_track import AudioMuxer, AudioTrack, EncodedTrack, SoundSource
from dithead.media.encoder import EncoderOptions, FrameClock, PictureEncoding, to_video_frame, with_decoding_times
from dithead.media.files import Seal, create_media, muxer_for, printable, replacing
from dithead.media.info import VideoInfo
from dithead.media.planes import Planes
from dithead.types import RGB


class VideoWriter:
    """Context manager that encodes frames given to ``write`` in order, with sound beside them.

    The file appears under its name when the block ends without an exception, and not before.

    Args:
        path: The file to write; its suffix chooses the container.
        like: Size, frame rate, colour tags and sample format to write.
        quality: Encoder and quality.
        audio: A file with sound, or mono samples with their rate; cut or filled with silence to the picture's length.
        metadata: Tags of the container.
        seal: The last step before the complete file gets its name.

    Raises:
        ConfigError: The quality is out of range.
        OutputError: The file cannot be written, or no frame was.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        like: VideoInfo,
        quality: EncoderOptions | None = None,
        *,
        audio: SoundSource | None = None,
        metadata: dict[str, str] | None = None,
        seal: Seal | None = None,
    ) -> None:
        self.path, self.like = Path(path), like
        self.muxer = muxer_for(self.path)
        self.encoding = PictureEncoding(like, quality or EncoderOptions())
        self.clock = FrameClock(like)
        self.audio, self.metadata, self.seal = audio, metadata or {}, seal
        self.frames = 0
        self._begin = self._end = Fraction(0)  # seconds of the picture

    @property
    def pix_fmt(self) -> str:
        """The sample format being written, which ``Planes`` must have."""
        return self.encoding.pix_fmt

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path, self.seal))
            track = None if self.audio is None else AudioTrack(self.audio)
            self._media = create_media(temporary, self.muxer, movflags="+faststart")
            stack.callback(self._media.close)
            self._media.metadata.update(self.metadata)
            self._stream = self.encoding.add_stream(self._media, self.path)
            self._audio_muxer = None if track is None else AudioMuxer(self._media, EncodedTrack(track))
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
        """Append one frame.

        Args:
            picture: (H, W, 3), or planes in ``pix_fmt``.
            pts: Time stamp in ticks of ``time_base``; None: the frame follows the last one at the frame rate.
            time_base: Seconds of a tick of ``pts``; None: the time base of ``like``.
        """
        frame = to_video_frame(picture, self.like, self.pix_fmt)
        self.clock.stamp(frame, pts, time_base)
        if not self.frames:
            self._begin = frame.pts * Fraction(frame.time_base)
        self._media.mux(with_decoding_times(self._stream.encode(frame), self._begin))
        self.frames += 1
        self._end = self.clock.end
        if self._audio_muxer is not None:
            self._audio_muxer.write_until(self._end)

    def _finish(self) -> None:
        if not self.frames:
            raise OutputError(f"{printable(self.path)}: no frame to write; give a source that has frames")
        self._media.mux(with_decoding_times(self._stream.encode(None), self._begin))
        if self._audio_muxer is not None:
            self._audio_muxer.finish(self._end)
