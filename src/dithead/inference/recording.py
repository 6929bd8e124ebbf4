"""Records a live run: its frames and the speech that drives them become a video file, signed like any other output."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dithead.errors import OutputError
from dithead.inference.metadata import kept_metadata
from dithead.inference.output_credentials import OutputCredentials, model_record
from dithead.inference.redrawn_spans import RedrawnSpans
from dithead.inference.resume import model_key
from dithead.inference.streaming import LiveFrame, LiveHead
from dithead.media.audio_track import AudioTrack, EncodedTrack
from dithead.media.encoder import PictureEncoding
from dithead.media.files import muxer_for, printable, require_output
from dithead.media.planes import Planes
from dithead.media.segments import join_segments, write_segment
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.options import StrPath
from dithead.provenance.manifest import Claim, Source
from dithead.provenance.sign import Credentials
from dithead.types import Wave

_SEGMENT = 25  # frames that are held before they are encoded (our choice)


class LiveRecording:
    """Writes the frames of one live run to a file while they are shown.

    Example:
        recording = LiveRecording(head, "talk.mp4")
        for frame in recording.frames(chunks):
            show(frame.pixels)
        print(recording.credentials)

    The file is complete when ``frames`` ends; if showing stops earlier, it holds what was shown.

    Args:
        head: The person.
        output: The file: .mp4, .mov or .mkv.

    Raises:
        OutputError: The file cannot be written, or is the person's own video.
        ConfigError: The configuration of trust is wrong.
    """

    def __init__(self, head: LiveHead, output: StrPath) -> None:
        self.head, self.output = head, Path(output)
        muxer_for(self.output)
        require_output(self.output, [head.clip.path])
        self.encoding = PictureEncoding(head.clip.info)
        self._signing = OutputCredentials(head.options)
        self._spans = RedrawnSpans(head.analysis, head.clip.info)

    @property
    def credentials(self) -> Credentials:
        """Where the credentials of the finished file are."""
        return self._signing.credentials

    @property
    def watermark(self) -> str:
        """Whose key made the mark in the redrawn mouths: public or own; off: there is none."""
        return self.head.watermark.key_kind

    @property
    def notes(self) -> list[str]:
        """One sentence for each mark that was switched off."""
        return [*self._signing.notes(), *self.head.watermark.notes()]

    def frames(self, chunks: Iterable[Wave], *, loudness: float | None = None) -> Iterator[LiveFrame]:
        """Draw frames while speech comes, see ``LiveHead.frames``, and keep both."""
        with TemporaryDirectory(prefix="dithead-live-") as name:
            files = _Files(Path(name), self.encoding)
            try:
                with closing(self.head.frames(files.kept_speech(chunks), loudness=loudness)) as drawn:
                    for frame in drawn:
                        self._spans.add(frame.index % self.head.analysis.frames, frame.time)
                        files.add(frame)
                        yield frame
            except GeneratorExit:  # showing stopped
                self._finish(files)
                raise
            except BaseException:  # Ctrl-C while a frame was awaited, or the microphone is gone
                if files.shown:
                    self._finish(files)
                raise
            self._finish(files)

    def _finish(self, files: _Files) -> None:
        segments, end = files.finish(self.head.clip.info.fps)
        if not segments:
            raise OutputError(f"{printable(self.output)}: no speech came, so there is nothing to write")
        seal = self._signing.seal(lambda: self._claim(files.speech))
        metadata, sound = kept_metadata(self.head.clip.info), EncodedTrack(AudioTrack(files.speech))
        join_segments(segments, self.output, self.encoding, end=end, audio=sound, metadata=metadata, seal=seal)

    def _claim(self, speech: Path) -> Claim:
        head = self.head
        return self._signing.job_claim(
            model_record(head.talker, model_key(head.talker)["weights"]),
            self._spans.spans(),
            [Source(head.clip.path, "parentOf"), Source(speech, "componentOf")],
            head.watermark.record(head.talker.config.name, "live"),
        )


class _Files:
    """The temporary files of a recording: encoded frames, a segment at a time, and the speech as 16-bit samples."""

    def __init__(self, folder: Path, encoding: PictureEncoding) -> None:
        self.folder, self.encoding = folder, encoding
        self.speech = folder / "speech.wav"
        self._segments: list[Path] = []
        self._waiting: list[tuple[Planes, int]] = []
        self._last = 0
        self._sound = wave.open(str(self.speech), "wb")  # noqa: SIM115  # closed by ``finish``
        self._sound.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))

    def kept_speech(self, chunks: Iterable[Wave]) -> Iterator[Wave]:
        """Pass speech on and write it."""
        for chunk in chunks:
            samples = np.rint(np.clip(np.asarray(chunk, np.float32), -1, 1) * 32767).astype("<i2")
            self._sound.writeframes(samples.tobytes())
            yield chunk

    def add(self, frame: LiveFrame) -> None:
        """Keep a frame; every second or so, those that wait are encoded."""
        self._last = round(frame.time / self.encoding.time_base)
        self._waiting.append((frame.planes, self._last))
        if len(self._waiting) == _SEGMENT:
            self._flush()

    @property
    def shown(self) -> bool:
        """Whether there are frames."""
        return bool(self._segments or self._waiting)

    def finish(self, fps: Fraction) -> tuple[list[Path], Fraction]:
        """Close everything; returns the segments and the time when the last frame ends."""
        self._flush()
        self._sound.close()
        return self._segments, self._last * self.encoding.time_base + 1 / fps

    def _flush(self) -> None:
        if self._waiting:
            path = self.folder / f"{len(self._segments):06d}.segment"
            write_segment(path, iter(self._waiting), self.encoding)
            self._segments.append(path)
            self._waiting = []
