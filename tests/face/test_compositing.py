"""A crop returns to its place in the frame, and no other pixel changes by a single bit."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.face.alignment import crop_transform, invert, transform_points, warp_crop
from dithead.face.compositing import composite, edge_band, match_colour, paste_patch
from dithead.face.masks import polygon_mask, stable_polygon

S = 192


@pytest.fixture(scope="module")
def placed(presenter, face):
    """Frame, transform, soft mask."""
    transform = crop_transform(face, S)
    polygon = stable_polygon(transform_points(face, transform)[None], S)
    return presenter[0], transform, polygon_mask(polygon, S, feather=8)


def reached(frame, transform, mask) -> np.ndarray:
    """(H, W) frame pixels whose place in the crop is within a pixel and a half of the mask."""
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    place = transform_points(np.stack([x, y], axis=-1), transform)
    rows, columns = np.nonzero(mask)
    grown = np.zeros((S + 40, S + 40), bool)
    for dy in (-2, -1, 0, 1, 2):
        for dx in (-2, -1, 0, 1, 2):
            grown[rows + 20 + dy, columns + 20 + dx] = True
    near = np.clip(np.rint(place).astype(int) + 20, 0, S + 39)
    return grown[near[..., 1], near[..., 0]]


def test_only_the_mask_is_touched(placed):
    frame, transform, mask = placed
    kept = frame.copy()
    result = composite(frame, np.full((S, S, 3), 255, np.uint8), transform, mask)
    np.testing.assert_array_equal(frame, kept)
    near = reached(frame, transform, mask)
    np.testing.assert_array_equal(result[~near], frame[~near])
    inside = np.rint(transform_points(np.array([[S / 2, 0.65 * S]]), invert(transform))).astype(int)[0]
    assert (result[inside[1], inside[0]] == 255).all()


@pytest.mark.parametrize(("size", "least"), [(S, 30), (2 * S, 36)])
def test_the_round_trip_is_the_frame(presenter, face, size, least):
    """A crop smaller than the face loses its finest detail; a larger one loses hardly anything."""
    frame, transform = presenter[0], crop_transform(face, size)
    mask = polygon_mask(stable_polygon(transform_points(face, transform)[None], size), size, feather=size // 24)
    result = composite(frame, warp_crop(frame, transform, size), transform, mask)
    changed = (result != frame).any(axis=-1)
    error = (result.astype(float) - frame)[changed]
    assert changed.sum() > 1000
    assert 10 * np.log10(255**2 / np.mean(error**2)) > least


def test_a_mask_outside_the_picture_changes_nothing(placed):
    frame, transform, mask = placed
    away = transform.copy()
    away[:, 2] += 9000
    assert paste_patch(frame, frame[:S, :S], away, mask) is None
    np.testing.assert_array_equal(composite(frame, frame[:S, :S], away, mask), frame)
    assert paste_patch(frame, frame[:S, :S], transform, np.zeros_like(mask)) is None


def test_a_mask_over_the_border_is_cut_there(placed):
    frame, transform, mask = placed
    shifted = transform.copy()
    middle = transform_points(np.array([[0, frame.shape[0] / 2]]), transform)[0]
    shifted[:, 2] += (S / 2, 0.65 * S) - middle  # the frame's left border runs through the mouth
    result = composite(frame, np.full((S, S, 3), 255, np.uint8), shifted, mask)
    assert (result[frame.shape[0] // 2, 0] == 255).all()
    np.testing.assert_array_equal(result[:, frame.shape[1] // 2 + 200 :], frame[:, frame.shape[1] // 2 + 200 :])


def test_the_tint_of_a_decoder_is_removed(placed):
    """The decoder tints what it draws and copies the rest, so that only pixels inside the mask show the tint."""
    frame, transform, mask = placed
    source = warp_crop(frame, transform, S)
    drawn = np.clip(source + np.array([9, -7, 5]), 12, 243).astype(np.uint8)
    drawn[60:70, 60:130] = 0  # something else that is new
    tinted = np.where(mask[..., None] > 0.5, drawn, source).astype(np.uint8)
    matched = match_colour(tinted, source, mask, edge_band(mask))
    inside = (mask > 0.5) & (drawn > 0).all(axis=2) & (source > 12).all(axis=2) & (source < 230).all(axis=2)
    before, after = (np.abs(c.astype(float) - source)[inside].mean() for c in (tinted, matched))
    assert before > 5
    assert after < 1.7
    np.testing.assert_array_equal(matched[mask == 0], source[mask == 0])


def test_matching_changes_neither_equal_nor_very_different_pictures(placed):
    frame, transform, mask = placed
    source = warp_crop(frame, transform, S)
    band = edge_band(mask)
    np.testing.assert_array_equal(match_colour(source, source, mask, band), source)
    other = 255 - source // 8
    np.testing.assert_array_equal(match_colour(other, np.minimum(source, 100), mask, band), other)
