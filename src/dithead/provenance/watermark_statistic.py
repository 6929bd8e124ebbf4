"""Decide whether evidence holds the mark of a key, with a bound on the probability of being wrong.

The bound holds for any video that was made without regard to the key. Its coefficients are then fixed numbers, and the
key's signs are coin tosses: the score is a sum of coin tosses with weights whose squares add up to 1. Bentkus and
Dzindzalieta (2015) proved that such a sum exceeds x at most 3.18 times as often as a Gaussian variable does. The number
of messages and places in the cycle that are tried multiplies the bound. Nothing is assumed about the
video: no distribution of its coefficients, and no independence of its frames.
Letters: b spans of time; K coefficients; M sets of signs; B bits of a code word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from dithead.provenance.watermark_code import CODE_BITS, code_words
from dithead.provenance.watermark_evidence import SPAN, FaceEvidence
from dithead.provenance.watermark_grid import HEIGHT, WIDTH
from dithead.provenance.watermark_pattern import SET_SECONDS, SETS, Pattern, band, set_weights

_SPANS = round(SETS * SET_SECONDS / SPAN)  # places in the cycle at which a video may begin
_TINY = 1e-12
_RINGS = 12  # groups of coefficients of similar wavelength that are weighted alike
_TAIL = 1 / (2 * erfc(1.0))  # 1 / (4 P(Z > sqrt 2)): Bentkus and Dzindzalieta, "A tight Gaussian bound for ..."


@dataclass(frozen=True)
class Decision:
    """The best match of a key with some evidence."""

    score: float  # standard deviations
    p_value: float  # bound on the probability that a video without this key's mark scores as high in any of the trials
    message: int
    wrong_bits: int  # of the code word's 64, before they were corrected
    place: int  # spans into the cycle at which the video begins


def decide(evidence: Sequence[FaceEvidence], pattern: Pattern, trials: int = 1) -> Decision:
    """Find the message, and the place in the cycle, that fit best.

    Args:
        evidence: Of one face or of several together.
        pattern: Of the key.
        trials: By how many such calls the answer is chosen: the bound is multiplied by them.
    """
    best = _match(evidence, pattern)
    count = _SPANS * len(code_words()) * trials
    return replace(best, p_value=min(1.0, count * tail(best.score)))


def tail(score: float) -> float:
    """Return a bound on the probability that a normalised sum of coin tosses reaches a score."""
    return min(1.0, _TAIL * 0.5 * erfc(score / sqrt(2)))


def score_at(evidence: Sequence[FaceEvidence], pattern: Pattern, message: int, place: int) -> float:
    """Return the score of one message at one place in the cycle."""
    sums = _weights().T @ np.roll(_phases(evidence), place, axis=0)
    return _score(sums, _signed_word(pattern, message))


def scores_over_time(evidence: FaceEvidence, pattern: Pattern, found: Decision, spans: int) -> NDArray[np.float64]:
    """Return the score (b,) of the message found in the ``spans`` spans of time around each span."""
    rows, word = _whitened(evidence), _signed_word(pattern, found.message)
    weights = _weights()[(evidence.first_span + np.arange(len(rows)) + found.place) % _SPANS]
    starts = np.clip(np.arange(len(rows)) - spans // 2, 0, max(0, len(rows) - spans))
    parts = (slice(start, start + spans) for start in starts)
    return np.array([_score(weights[part].T @ rows[part], word) for part in parts])


def _match(evidence: Sequence[FaceEvidence], pattern: Pattern) -> Decision:
    phases = _phases(evidence)
    soft, norms = np.zeros((_SPANS, CODE_BITS)), np.zeros(_SPANS)
    for place in range(_SPANS):
        sums = _weights().T @ np.roll(phases, place, axis=0)  # (M, K)
        soft[place] = np.bincount(pattern.shares, (sums * pattern.signs).sum(axis=0), CODE_BITS)
        norms[place] = np.linalg.norm(sums) + _TINY
    matches = (soft / norms[:, None]).astype(np.float32) @ code_words().T.astype(np.float32)
    place, message = divmod(int(matches.argmax()), matches.shape[1])
    wrong = int(((soft[place] > 0) != (code_words()[message] > 0)).sum())
    return Decision(float(matches[place, message]), 1.0, message, wrong, place)


def _signed_word(pattern: Pattern, message: int) -> NDArray[np.float64]:
    """The signs (M, K) with which a message is shown."""
    return np.asarray(pattern.signs * code_words()[message][pattern.shares], np.float64)


def _score(sums: NDArray[np.float64], word: NDArray[np.float64]) -> float:
    return float((sums * word).sum() / (np.linalg.norm(sums) + _TINY))


def _phases(evidence: Sequence[FaceEvidence]) -> NDArray[np.float64]:
    """The evidence (spans of a cycle, K) of several faces together."""
    return np.sum([_by_phase(each) for each in evidence], axis=0)


def _by_phase(evidence: FaceEvidence) -> NDArray[np.float64]:
    """The evidence added up by its place in the cycle (spans of a cycle, K), if the video began where a cycle does."""
    rows = _whitened(evidence)
    phases = (evidence.first_span + np.arange(len(rows))) % _SPANS
    found = np.zeros((_SPANS, rows.shape[1]))
    np.add.at(found, phases, rows)
    return found


def _whitened(evidence: FaceEvidence) -> NDArray[np.float64]:
    """The evidence (b, K), every wavelength in units of its usual size."""
    rings = _rings()
    power = np.bincount(rings, evidence.power, _RINGS) / np.bincount(rings, minlength=_RINGS)
    return np.asarray(evidence.sums / np.sqrt(power + 1e-9)[rings])


@cache
def _weights() -> NDArray[np.float64]:
    """How much of each set of signs is shown in each span of a cycle (spans, M)."""
    moments = (np.arange(_SPANS)[:, None] + (np.arange(8) + 0.5) / 8) * SPAN
    return set_weights(moments.ravel()).reshape(_SPANS, 8, SETS).mean(axis=1)


@cache
def _rings() -> NDArray[np.intp]:
    rows, columns = band()
    radius = np.hypot(rows / HEIGHT, columns / WIDTH)
    edges = np.quantile(radius, np.linspace(0, 1, _RINGS + 1)[1:-1])
    return np.digitize(radius, edges)
