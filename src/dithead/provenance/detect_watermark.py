"""Look for the watermark in a video, without the original and without knowing where the face was.

Example::

    from dithead.provenance.detect_watermark import detect

    found = detect("suspect.mp4")              # or detect("suspect.mp4", [b"..."]) for marks made with other keys
    if found.present:
        print(found.payload, found.p_value, [face.seconds for face in found.faces])

``detect`` reads the file; ``WatermarkResult`` is its answer for the whole file and face by face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np

from dithead.provenance.watermark import LEAST_FACE, LEAST_SECONDS, PUBLIC_KEY, Payload
from dithead.provenance.watermark_code import CODE_BITS
from dithead.provenance.watermark_evidence import SPAN, FaceEvidence
from dithead.provenance.watermark_faces import Progress, collect_evidence
from dithead.provenance.watermark_pattern import pattern_of
from dithead.provenance.watermark_statistic import Decision, decide, scores_over_time

FALSE_ALARM = 1e-6
"""Bound on the probability that a file without a mark is said to have one."""
_WINDOW = round(2 / SPAN)  # spans of time over which the mark is searched when its place in the video is told
_LOCAL = 4.0  # score from which such a window counts as marked: 1 in 10,000 would by chance


def silent(what: str, done: int, total: int | None) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class FaceFinding:
    """What was found at one face: one of the people, in one shot."""

    start: float  # seconds, where the face appears
    stop: float
    face_pixels: float  # its width
    place: tuple[int, int]  # of its middle, in pixels from the left and from the top, on average
    present: bool
    p_value: float
    seconds: tuple[tuple[float, float], ...]  # parts that show the mark, accurate to about a second


@dataclass(frozen=True)
class WatermarkResult:
    """What was found in a file."""

    present: bool
    p_value: float  # bound on the probability of so strong a finding in a file without this key's mark
    payload: Payload | None  # None unless present
    bit_accuracy: float | None  # share of the 64 code bits that were right before correction; None unless present
    mirrored: bool  # the video is the mirror image of what was marked
    faces: tuple[FaceFinding, ...]
    promised: bool  # whether a mark, if one had been made, would have to be found
    caveat: str  # why not, in one sentence; empty when promised
    key: bytes | None = None  # with which it was found; None unless present


def detect(
    path: str | PathLike[str],
    keys: Sequence[bytes] = (PUBLIC_KEY,),
    progress: Progress = silent,
) -> WatermarkResult:
    """Look for the mark of any of the keys in a video, and where none is found, in its mirror image.

    Args:
        path: A video.
        keys: The mark was made with one of them; the more there are, the surer a finding must be.
        progress: Called with what is being done, the frames done, and those in all as far as the file says it.

    Raises:
        MediaError: The video cannot be read.
    """
    found = detect_in(collect_evidence(path, progress), keys)
    if found.present or not found.faces:
        return found
    mirror_image = detect_in(collect_evidence(path, progress, mirrored=True), keys)
    return replace(mirror_image, mirrored=True) if mirror_image.present else found


def detect_in(evidence: Sequence[FaceEvidence], keys: Sequence[bytes] = (PUBLIC_KEY,)) -> WatermarkResult:
    """Look for the mark of any of the keys in evidence that was collected before; see ``detect``.

    The probabilities allow for all keys, and for a second call with the evidence of the mirrored video.
    """
    caveat = _caveat(evidence)
    if not evidence:
        return WatermarkResult(False, 1.0, None, None, False, (), False, caveat)
    return min((_detect_key(evidence, key, len(keys), caveat) for key in keys), key=lambda found: found.p_value)


def _detect_key(evidence: Sequence[FaceEvidence], key: bytes, keys: int, caveat: str) -> WatermarkResult:
    """What is found with one of several keys."""
    pattern, trials = pattern_of(key), 2 * keys * (len(evidence) + (len(evidence) > 1))
    singles = [decide([each], pattern, trials) for each in evidence]
    best = min([*singles, decide(evidence, pattern, trials)], key=lambda found: found.p_value)
    present = best.p_value <= FALSE_ALARM
    return WatermarkResult(
        present=present,
        p_value=best.p_value,
        payload=Payload.of_number(best.message) if present else None,
        bit_accuracy=1 - best.wrong_bits / CODE_BITS if present else None,
        mirrored=False,
        faces=tuple(_finding(*each, best if present else None, key) for each in zip(evidence, singles, strict=True)),
        promised=not caveat,
        caveat=caveat,
        key=key if present else None,
    )


def _finding(evidence: FaceEvidence, single: Decision, best: Decision | None, key: bytes) -> FaceFinding:
    seconds = () if best is None else _marked_seconds(evidence, best, key)
    present = single.p_value <= FALSE_ALARM or bool(seconds)
    return FaceFinding(
        evidence.first, evidence.last, evidence.face_pixels, evidence.place, present, single.p_value, seconds
    )


def _marked_seconds(evidence: FaceEvidence, best: Decision, key: bytes) -> tuple[tuple[float, float], ...]:
    marked = scores_over_time(evidence, pattern_of(key), best, _WINDOW) > _LOCAL
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(int), [0]])))
    first = evidence.first_span
    return tuple((float((first + a) * SPAN), float((first + b) * SPAN)) for a, b in edges.reshape(-1, 2))


def _caveat(evidence: Sequence[FaceEvidence]) -> str:
    if not evidence:
        return "no face was found, so there is nowhere to look for a mark"
    if not any(each.face_pixels >= LEAST_FACE for each in evidence):
        return f"every face is narrower than {LEAST_FACE:g} pixels, too small for a mark to be sure to survive"
    if not any(e.last - e.first + SPAN >= LEAST_SECONDS for e in evidence if e.face_pixels >= LEAST_FACE):
        return f"no face is shown for {LEAST_SECONDS:g} seconds, too short for a mark to be sure to be found"
    return ""
