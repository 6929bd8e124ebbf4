"""Groups the pictures of a head that turns by its yaw, so that each frame gets references of about its own pose.

A tracklet whose head keeps its pose has one view, and nothing here changes it. Letters: N frames, n samples, V views.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.inference.analyse.references import ChosenSamples, choose_references

# The numbers are our choice. Turns are sines of the yaw.
_WIDTH = 0.3  # span of the turns from which on a tracklet has another view
_MOST = 5  # views
_REACH = 0.75  # of a view's width, on either side of its middle, within which samples belong to it
_ENOUGH = 0.6  # share of the span of all lip openings that a view must show to lend pictures
_TAILS = 0.05  # share of the turns at either end that is left out when views are placed
_SWITCH = 0.2  # of the distance of two views, by which another one must be nearer before it replaces the last one


def view_turns(turns: NDArray[np.float64], openings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place the views of a tracklet.

    Args:
        turns: (n,) sines of the samples' yaw.
        openings: (n,) their lip openings.

    Returns:
        (V,) the middles of the views, that of the usual pose first; one where the head keeps its pose. Frames of a pose
        that does not show enough openings take the nearest view that does; where fewer than two do, all poses are
        views, and mouths are opened by geometry where they are lacking.
    """
    usual = float(np.median(turns))
    low, high = np.quantile(turns, (_TAILS, 1 - _TAILS))
    count = min(_MOST, 1 + int((high - low) / _WIDTH))
    middles = np.linspace(low, high, 2 * count + 1)[1::2]
    if count < 2:
        return np.array([usual])
    seen = {float(m): openings[in_view(turns, float(m), middles)] for m in middles}
    kept = [m for m, own in seen.items() if opens_enough(own, openings)]
    if len(kept) < 2:
        kept = [m for m, own in seen.items() if len(own)]
    return np.array(sorted(kept, key=lambda middle: abs(middle - usual)))


def opens_enough(own: NDArray[np.float64], openings: NDArray[np.float64]) -> bool:
    """Return whether the lip openings (m,) of one view span enough of all ``openings`` (n,)."""
    return len(own) > 1 and _span(own) >= _ENOUGH * _span(openings)


def in_view(turns: NDArray[np.float64], middle: float, middles: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of ``turns`` (n,) belong to the view at ``middle``, one of all ``middles`` (V,); views overlap."""
    apart = np.diff(np.sort(middles))
    reach = _REACH * float(apart.min()) if len(apart) else np.inf
    return np.asarray(np.abs(turns - middle) <= reach)


def choose_view_references(
    openings: NDArray[np.float64],
    widths: NDArray[np.float64],
    turns: NDArray[np.float64],
    sharpness: NDArray[np.float64],
    middles: NDArray[np.float64],
) -> list[ChosenSamples]:
    """Choose the reference pictures of every view, each as ``choose_references`` does.

    Args:
        openings: (n,) lip openings in eye distances.
        widths: (n,) widths of the lips in eye distances.
        turns: (n,) sines of the head's yaw.
        sharpness: (n,) Laplacian variances of the lips.
        middles: (V,) the views, as ``view_turns`` places them.

    Returns:
        For each view, indices into the samples.
    """
    if len(middles) == 1:
        return [choose_references(openings, widths, turns, sharpness)]
    members = [np.flatnonzero(in_view(turns, float(middle), middles)) for middle in middles]
    parts = [(openings[own], widths[own], turns[own], sharpness[own]) for own in members]
    found = [choose_references(*part, float(middle)) for part, middle in zip(parts, middles, strict=True)]
    return [ChosenSamples(*(own[chain].tolist() for chain in view)) for own, view in zip(members, found, strict=True)]


def as_seen_ahead(openings: NDArray[np.float64], turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return lip ``openings`` (n,) in the eye distance of the usual pose: that of a head turned farther is shorter.

    Args:
        openings: Each in eye distances as its picture shows them.
        turns: (n,) sines of the yaw.
    """
    shorter = np.sqrt(1 - np.clip(turns, -0.99, 0.99) ** 2)
    return np.asarray(openings * shorter / np.sqrt(1 - min(0.99, abs(float(np.median(turns)))) ** 2))


def widths_as_seen_ahead(widths: NDArray[np.float64], turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return lip ``widths`` (n,) without what follows from ``turns`` (n,): the lips lie nearer than the eyes."""
    usual = np.polyval(np.polyfit(turns, widths, 2), turns)
    return np.asarray(widths - usual + widths.mean())


def frame_views(turns: NDArray[np.floating[Any]], middles: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Choose a view for each frame; it changes only where another is clearly nearer, so that nothing flickers.

    Args:
        turns: (N,) sines of the yaw, NaN where no face was seen.
        middles: (V,) the views' own.

    Returns:
        (N,) indices of views.
    """
    if len(middles) == 1:
        return np.zeros(len(turns), np.uint8)
    views, last = np.zeros(len(turns), np.uint8), 0
    for k, distances in enumerate(np.abs(np.asarray(turns, np.float64)[:, None] - middles)):
        if np.isfinite(distances[0]):
            best = int(distances.argmin())
            margin = _SWITCH * abs(middles[best] - middles[last])
            last = best if k == 0 or distances[last] > distances[best] + margin else last
        views[k] = last
    return views


def _span(openings: NDArray[np.float64]) -> float:
    return float(np.ptp(np.quantile(openings, (0.03, 0.97)))) if len(openings) > 1 else -1.0
