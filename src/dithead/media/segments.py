"""Keeps segments of a long output on disk as encoded packets, so that work survives a crash, and joins them losslessly.

A segment file is a sequence of records (pts, dts, duration, is it a key frame, size), each followed by the packet's
bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import av

from dithead.media.audio_track import AudioMuxer, EncodedTrack
from dithead.media.encoder import PictureEncoding, with_decoding_times
from dithead.media.files import Seal, create_media, muxer_for, replacing
from dithead.media.planes import Planes
from dithead.media.yielding_encoder import open_yielding
from dithead.stages import moment, stage

_RECORD = struct.Struct("<qqq?q")


def write_segment(path: Path, frames: Iterator[tuple[Planes, int]], encoding: PictureEncoding) -> None:
    """Encode frames into a segment file, which appears whole or not at all.

    Args:
        path: The segment file.
        frames: Planes and time stamp, in the source's time base, of each frame.
        encoding: How they are encoded; the same for all segments of a file.
    """
    context, begin = encoding.codec_context(), None
    open_yielding(context)
    with replacing(path) as temporary, temporary.open("wb") as file:
        for planes, pts in frames:
            with stage("encode"):
                frame = planes.frame_to_encode()
                frame.pts, frame.time_base = pts, context.time_base
                begin = pts * encoding.time_base if begin is None else begin
                _store(file, context.encode(frame), begin)
        with stage("encode"):
            _store(file, context.encode(None), begin or Fraction(0))


def join_segments(
    segments: Sequence[Path],
    output: str | PathLike[str],
    encoding: PictureEncoding,
    *,
    end: Fraction,
    audio: EncodedTrack | None = None,
    metadata: dict[str, str] | None = None,
    seal: Seal | None = None,
) -> None:
    """Write a media file from segments of one encoding; the file appears whole or not at all.

    Args:
        segments: Files of ``write_segment``, in order.
        output: The media file; its suffix chooses the container.
        encoding: How the segments were encoded.
        end: Seconds that the picture lasts; the sound is cut or filled with silence to that length.
        audio: The sound.
        metadata: Tags of the container.
        seal: The last step before the complete file gets its name.

    Raises:
        OutputError: The file cannot be written.
    """
    output = Path(output)
    muxer = muxer_for(output)
    with replacing(output, seal) as temporary, create_media(temporary, muxer, movflags="+faststart") as media:
        media.metadata.update(metadata or {})
        stream = encoding.add_stream(media, output)
        audio_muxer = None if audio is None else AudioMuxer(media, audio)
        media.start_encoding()
        time_base = encoding.time_base
        for packet in _packets(segments):
            packet.stream, packet.time_base = stream, time_base
            if audio_muxer is not None:
                audio_muxer.write_until(min(end, packet.dts * time_base))
            media.mux(packet)
        if audio_muxer is not None:
            audio_muxer.finish(end)


def _store(file: Any, packets: list[Any], begin: Fraction) -> None:
    for packet in with_decoding_times(packets, begin):
        data = bytes(packet)
        file.write(_RECORD.pack(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe, len(data)))
        file.write(data)
        moment("first frame written")


def _packets(segments: Sequence[Path]) -> Iterator[Any]:
    """Yield all packets in order, with decoding times that keep growing where one segment follows another.

    A segment of a few frames is encoded with less delay between decoding and showing than the others. All get the
    longest delay: a gap between the decoding times of two segments would count as the duration of a frame.
    """
    delays = [_delay(segment) for segment in segments]
    last: int | None = None
    for segment, delay in zip(segments, delays, strict=True):
        with segment.open("rb") as file:
            while header := file.read(_RECORD.size):
                pts, dts, duration, key, size = _RECORD.unpack(header)
                packet = av.Packet(file.read(size))
                dts += delay - max(delays)
                last = dts if last is None else max(dts, last + 1)
                packet.pts, packet.dts, packet.duration, packet.is_keyframe = pts, min(last, pts), duration, key
                yield packet


def _delay(segment: Path) -> int:
    """How long before it is shown the first frame of a segment is decoded, in its time base; 0 where it is empty."""
    with segment.open("rb") as file:
        header = file.read(_RECORD.size)
    pts, dts, *_ = _RECORD.unpack(header) if header else (0, 0)
    return int(pts - dts)
