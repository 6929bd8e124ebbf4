"""Notes which parts of the input do not reach the output, one sentence each, with the option that keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.occlusion import BLURRED, HIDDEN
from dithead.inference.metadata import omitted_notes
from dithead.inference.result import Drawings, FrameSpan
from dithead.inference.source.soundtrack import Soundtrack
from dithead.media.info import VideoInfo
from dithead.media.quality import HARDWARE
from dithead.option_fields import option_fields
from dithead.options import Fit, GenerateJob

_NOTICEABLE = 0.05  # seconds: a difference in length that nobody hears or sees is not worth a note (our choice)
TOO_MANY = 0.2
"""Share of replaced and mended mouths above which a result says more about the source than about the model."""
_OPENED = (
    "the source shows the mouth in one position only; all others are made from it, with teeth that are not the person's"
)
_STRETCHES = 3  # stretches of frames that a note names (our choice)
_UNUSED_FOR_PICTURES = ("start", "end", "fit")
"""Options that mean nothing where the video is a picture, which lasts as long as the speech."""


@dataclass(frozen=True)
class Lengths:
    """How long the inputs and the output are, in seconds."""

    speech: float
    video: float  # of the part that is used
    output: float


def result_notes(info: VideoInfo, analysis: VideoAnalysis, lengths: Lengths, fit: Fit, sound: Soundtrack) -> list[str]:
    """Collect the notes of one finished job.

    Args:
        info: What the source says about itself.
        analysis: What the first pass found.
        lengths: Of speech, video and output.
        fit: What was done where speech and video differ in length.
        sound: Whose speech moves which lips, and what is heard.

    Returns:
        One sentence for each part of the input that the output lacks or shows otherwise.
    """
    notes = [*length_notes(lengths, fit), *sound_notes(info, lengths, sound), *speaker_notes(analysis, sound.speakers)]
    notes += unchanged_notes(analysis)
    if any(r is not None and r.opened for t in analysis.tracklets for r in (t.references, *t.turned_references)):
        notes.append(_OPENED)
    if damaged := sum(span.last - span.first + 1 for span in analysis.damaged):
        notes.append(f"{damaged} damaged frames of the source show the last good frame")
    return notes + omitted_notes(info) + [f"of the source: {remark}" for remark in analysis.remarks]


def unchanged_notes(analysis: VideoAnalysis) -> list[str]:
    """Say which frames of the source pass through without a drawn mouth, and why; of many stretches, the first ones."""
    spans = analysis.passed_through
    if not spans:
        return []
    places = [f"{_frames(span)} ({span.reason})" for span in spans[:_STRETCHES]]
    more = f" and {len(spans) - _STRETCHES} more stretches (--json lists them)" if len(spans) > _STRETCHES else ""
    coverable = any(span.reason in (HIDDEN, BLURRED) for span in spans)
    hint = "; --occlusion off draws mouths that are hidden or blurred, too" if coverable else ""
    missed = f"{analysis.faces_missed} of {analysis.frames} source frames"
    return [f"{missed} pass through unchanged: {', '.join(places)}{more}{hint}"]


def _frames(span: FrameSpan) -> str:
    return f"{span.first}" if span.first == span.last else f"{span.first} to {span.last}"


def length_notes(lengths: Lengths, fit: Fit) -> list[str]:
    """Say what is cut off, or played again, because speech and video differ in length."""
    speech_cut, video_cut = lengths.speech - lengths.output, lengths.video - lengths.output
    added = lengths.output - lengths.video
    notes = []
    if speech_cut > _NOTICEABLE:
        notes.append(
            f"the last {speech_cut:.1f} s of the speech are cut off, because the video ends; --fit bounce keeps them"
        )
    if video_cut > _NOTICEABLE:
        notes.append(
            f"the last {video_cut:.1f} s of the video are cut off, because the speech ends; --fit bounce keeps them"
        )
    if added > _NOTICEABLE:
        how = {"bounce": "played back and forth", "loop": "repeated", "freeze": "stopped at its last frame"}
        notes.append(f"the video is {how.get(fit, 'extended')} for {added:.1f} s, because the speech is longer")
    return notes


def sound_notes(info: VideoInfo, lengths: Lengths, sound: Soundtrack) -> list[str]:
    """Say which sound is not heard: the source's own, further tracks, and speech that is longer than the rest."""
    notes = []
    if info.has_audio and not sound.source_sound_kept:
        tracks = info.other_streams.count("audio")
        own = f"none of the source's {tracks} sound tracks is" if tracks > 1 else "the source's own sound is not"
        kept = "the first" if tracks > 1 else "it"
        notes.append(f"{own} heard; --background-sound source keeps {kept} under the speech")
    for number, seconds in sound.speaker_seconds.items():
        if lengths.output >= sound.seconds - _NOTICEABLE and seconds - lengths.output > _NOTICEABLE:
            hint = "because --audio ends; without it all of every speaker is heard"
            notes.append(f"the last {seconds - lengths.output:.1f} s of speaker {number} are cut off, {hint}")
    missing = 0.0 if sound.background_seconds is None else lengths.output - sound.background_seconds
    if missing > _NOTICEABLE:
        notes.append(f"the background sound ends {missing:.1f} s before the output")
    if missing < -_NOTICEABLE:
        notes.append(f"the last {-missing:.1f} s of the background sound are cut off, because the output ends")
    return notes + sound.notes()


def speaker_notes(analysis: VideoAnalysis, speakers: Iterable[int]) -> list[str]:
    """Name the speakers whose face the video never shows, so that nobody's lips say their speech."""
    seen = {tracklet.face for tracklet in analysis.tracklets}
    missing = sorted(set(speakers) - seen)
    hint = "`dithead faces` shows which there are"
    return [f"no lips say the speech of speaker {n}: the video shows no face {n}; {hint}" for n in missing]


def job_notes(job: GenerateJob, info: VideoInfo, video_seconds: float) -> list[str]:
    """Name the options that had no effect, because another option or the kind of the source overrules them."""
    usual = {each.name: each.default for each in option_fields(GenerateJob)}
    changed = {name for name, value in usual.items() if getattr(job, name) != value}
    notes = []
    if info.still and (unused := [name for name in _UNUSED_FOR_PICTURES if name in changed]):
        notes.append(f"{_flags(unused)} had no effect: a picture lasts as long as the speech")
    if (
        not info.still
        and job.end is not None
        and job.end - job.start - video_seconds > max(_NOTICEABLE, float(1 / info.fps))
    ):
        notes.append(f"the video ends {job.end - job.start - video_seconds:.1f} s before --end")
    if not info.still and "idle" in changed:
        notes.append("--no-idle had no effect: people in videos move by themselves")
    if job.speakers and "face" in changed:
        notes.append("--face had no effect: --speaker names the faces")
    if job.lossless and "crf" in changed:
        notes.append("--crf had no effect: --lossless keeps every sample")
    if job.encoder in HARDWARE and "encoder_preset" in changed:
        notes.append(f"--encoder-preset had no effect: it is for x264 and x265, and not for {job.encoder}")
    if job.background_sound is None and "background_gain" in changed:
        notes.append("--background-gain had no effect: no --background-sound was given")
    return notes


def drawing_notes(drawings: Drawings) -> list[str]:
    """Warn where pictures of the source stand in for more drawings than can be called rare."""
    if drawings.share <= TOO_MANY:
        return []
    return [
        f"warning: {drawings.replaced} of {drawings.mouths} drawn mouths were replaced by pictures of the source and "
        f"{drawings.mended} were mended; what you see is not what the model draws (--no-detail shows that)"
    ]


def _flags(names: Iterable[str]) -> str:
    return " and ".join(f"--{name.replace('_', '-')}" for name in names)
