"""Optical flow with fewer rounds finds what the slower settings find, and wide blurs at half size blur as much."""

from __future__ import annotations

import cv2
import numpy as np

from dithead.face import optical_flow
from dithead.face.optical_flow import flow, grid

HEIGHT, WIDTH = 110, 131


def texture(seed: int = 0) -> np.ndarray:
    rough = np.random.default_rng(seed).uniform(0, 255, (HEIGHT // 4, WIDTH // 4)).astype(np.float32)
    return np.clip(cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def test_flow_finds_a_smooth_motion_as_well_as_the_medium_preset() -> None:
    places = grid(HEIGHT, WIDTH)
    truth = np.dstack([2 * np.sin(places[..., 1] / 25), 1.5 * np.cos(places[..., 0] / 30)]).astype(np.float32)
    start = texture()
    back = places - truth  # close enough to the inverse of so smooth a motion
    end = cv2.remap(start, back, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    medium = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(start, end, None)
    ours, theirs = (np.abs(found - truth)[10:-10, 10:-10].mean() for found in (flow(start, end), medium))
    assert ours < 0.25
    assert ours < 1.25 * theirs + 0.02


def test_a_wide_blur_at_half_the_size_is_that_of_the_whole() -> None:
    rough = np.random.default_rng(1).normal(0, 3, (HEIGHT, WIDTH, 2)).astype(np.float32)
    made, plain = optical_flow._widely_blurred(rough, 6.4), cv2.GaussianBlur(rough, (0, 0), 6.4)
    assert made.shape == plain.shape
    assert np.abs(made - plain).mean() < 0.12 * plain.std()
