"""Decides what the output plays: the speech as it is, or a mix of several speakers and a background.

Speech that stands alone passes through at its own rate, channels and loudness. Whatever else is asked for becomes a
``media.sound_mix.SoundMix``, which is computed while the output is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dithead.errors import ConfigError
from dithead.media.audio import audio_seconds
from dithead.media.audio_track import SoundSource, aac_rate
from dithead.media.files import printable
from dithead.media.info import VideoInfo
from dithead.media.sound_header import sound_header
from dithead.media.sound_mix import SoundLayer, SoundMix, file_loudness
from dithead.options import SOURCE, GenerateJob


@dataclass(frozen=True)
class Soundtrack:
    """The sound of one job: whose speech moves which lips, and what is heard."""

    speech: Path
    """The speech of every face without its own: the audio, or that of the first speaker where none is given."""
    speakers: dict[int, Path]
    seconds: float
    """Until the speech ends: the audio, or the longest of the speakers."""
    speaker_seconds: dict[int, float]
    heard: SoundSource
    background_seconds: float | None = None
    """How long a background from a file lasts."""
    source_sound_kept: bool = False
    """Whether the sound of the source video is heard too."""

    @classmethod
    def of_job(cls, job: GenerateJob, info: VideoInfo) -> Soundtrack:
        """Read the lengths of all tracks of a job on a source that ``info`` describes.

        Raises:
            MediaError: A track cannot be read.
            ConfigError: The source's own sound is asked for and there is none.
        """
        speakers = {number: Path(path) for number, path in (job.speakers or {}).items()}
        lengths = {number: audio_seconds(path) for number, path in speakers.items()}
        speech = next(iter(speakers.values())) if job.audio is None else Path(job.audio)
        seconds = max(lengths.values()) if job.audio is None else audio_seconds(speech)
        for value, instead in ((job.background_sound, "a file"), (job.loudness, "a number")):
            if value == SOURCE and not info.has_audio:
                raise ConfigError(f"{job.video}: has no sound of its own; give {instead} instead of 'source'")
        heard, kept = _heard(job, speech, speakers), job.background_sound == SOURCE
        background = None if kept or job.background_sound is None else audio_seconds(Path(job.background_sound))
        return cls(speech, speakers, seconds, lengths, heard, background, kept or _is_own_sound(job))

    def notes(self) -> list[str]:
        """Say where a track is left out, and where the sound cannot be written at its own rate and channels."""
        files = [layer.path for layer in self.heard.layers] if isinstance(self.heard, SoundMix) else [self.speech]
        notes = []
        for path in files:
            header = sound_header(path)
            if (rate := aac_rate(header.rate)) != header.rate:
                notes.append(f"the sound's {header.rate} Hz become {rate} Hz, because AAC has no such rate")
            if header.layout == "stereo" and header.channels > 2:
                notes.append(f"the sound's {header.channels} channels become stereo")
        for path in (*files, self.speech, *self.speakers.values()):
            if (tracks := sound_header(path).tracks) > 1:
                notes.append(f"of the {tracks} sound tracks of {printable(path)} only the first is used")
        return list(dict.fromkeys(notes))


def _heard(job: GenerateJob, speech: Path, speakers: dict[int, Path]) -> SoundSource:
    """What the output plays: a file that passes through, or a mix."""
    layers = [SoundLayer(path) for path in (speakers.values() if job.audio is None else (speech,))]
    if job.background_sound == SOURCE:
        layers.append(SoundLayer(Path(job.video), job.background_gain, job.start))
    elif job.background_sound is not None:
        sound_header(Path(job.background_sound))
        layers.append(SoundLayer(Path(job.background_sound), job.background_gain))
    if len(layers) == 1 and job.loudness is None:
        return layers[0].path
    loudness = file_loudness(Path(job.video)) if isinstance(job.loudness, str) else job.loudness
    return SoundMix(tuple(layers), loudness)


def _is_own_sound(job: GenerateJob) -> bool:
    """Whether the speech is the source's own sound."""
    return job.audio is not None and Path(job.audio).resolve() == Path(job.video).resolve()
