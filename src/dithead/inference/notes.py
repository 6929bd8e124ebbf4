"""Notes which parts of the input do not reach the output, one sentence each, with the option that keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.metadata import omitted_notes
from dithead.media.info import VideoInfo
from dithead.options import Fit

_NOTICEABLE = 0.05  # seconds: a difference in length that nobody hears or sees is not worth a note (our choice)


@dataclass(frozen=True)
class Lengths:
    """How long the inputs and the output are, in seconds."""

    speech: float
    video: float  # of the part that is used
    output: float


def result_notes(
    info: VideoInfo, analysis: VideoAnalysis, lengths: Lengths, fit: Fit, speakers: Iterable[int]
) -> list[str]:
    """Collect the notes of one finished job.

    Args:
        info: What the source says about itself.
        analysis: What the first pass found.
        lengths: Of speech, video and output.
        fit: What was done where speech and video differ in length.
        speakers: Numbers of the faces that have speech of their own.

    Returns:
        One sentence for each part of the input that the output lacks or shows otherwise.
    """
    notes = [*length_notes(lengths, fit), *speaker_notes(analysis, speakers)]
    if missed := analysis.faces_missed:
        reasons = ", ".join(dict.fromkeys(span.reason for span in analysis.passed_through))
        notes.append(f"{missed} of {analysis.frames} source frames pass through unchanged ({reasons})")
    if damaged := sum(span.last - span.first + 1 for span in analysis.damaged):
        notes.append(f"{damaged} damaged frames of the source show the last good frame")
    return notes + omitted_notes(info) + [f"of the source: {remark}" for remark in analysis.remarks]


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
        notes.append(f"the last {video_cut:.1f} s of the video are cut off, because the speech ends (--fit {fit})")
    if added > _NOTICEABLE:
        how = {"bounce": "played back and forth", "loop": "repeated", "freeze": "stopped at its last frame"}
        notes.append(f"the video is {how.get(fit, 'extended')} for {added:.1f} s, because the speech is longer")
    return notes


def speaker_notes(analysis: VideoAnalysis, speakers: Iterable[int]) -> list[str]:
    """Name the speakers whose face the video never shows, so that nobody's lips say their speech."""
    seen = {tracklet.face for tracklet in analysis.tracklets}
    missing = sorted(set(speakers) - seen)
    return [f"no lips say the speech of speaker {number}: the video shows no face {number}" for number in missing]
