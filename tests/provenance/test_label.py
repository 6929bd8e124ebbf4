"""A visible label can be read on any picture at any size, in many languages, and hides no face."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.media.colour import encoding_of
from dithead.media.planes import planes_of_rgb, to_rgb
from dithead.provenance.label import Box, Label
from dithead.provenance.label_text import WORDINGS, draw_text, label_wording

LIMITED_709 = encoding_of(1, 1, "yuv420p", 720)


def labelled(label: Label, picture: np.ndarray) -> np.ndarray:
    planes = planes_of_rgb(picture, "yuv420p", LIMITED_709)
    label.apply(planes)
    return to_rgb(planes.to_frame(), LIMITED_709)


def luminance(grey: float) -> float:
    """Relative luminance of WCAG 2 of a grey of 0 to 255."""
    c = grey / 255
    return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4


@pytest.mark.parametrize("background", [0, 128, 255])
def test_the_contrast_is_seven_to_one_on_any_picture(background):
    picture = np.full((360, 640, 3), background, np.uint8)
    label = Label("en", (640, 360))
    box = label.box
    seen = labelled(label, picture)[box.top : box.bottom, box.left : box.right].mean(axis=2)
    light, dark = np.quantile(seen[label.ink > 0.99], 0.5), np.quantile(seen[label.ink == 0], 0.5)
    assert (luminance(light) + 0.05) / (luminance(dark) + 0.05) >= 7


@pytest.mark.parametrize("size", [(1920, 1080), (640, 360), (320, 240), (96, 96), (64, 48), (48, 200)])
@pytest.mark.parametrize("text", ["zh", "el", "Yapay zekâ ile üretildi 人工智能生成合成内容"])
def test_a_label_fits_into_every_frame(size, text):
    box = Label(text, size).box
    assert 0 <= box.left < box.right <= size[0]
    assert 0 <= box.top < box.bottom <= size[1]


def test_letters_are_a_twentieth_of_the_shorter_side_high():
    ink = Label("H", (1920, 1080)).ink
    rows = np.flatnonzero((ink > 0.5).any(axis=1))
    assert rows.max() - rows.min() + 1 >= 0.05 * 1080


def test_the_label_avoids_the_faces():
    size = (640, 360)
    left_half, lower_half = Box(0, 0, 320, 360), Box(0, 180, 640, 360)
    assert Label("en", size, [left_half]).box.left >= 320
    box = Label("en", size, [left_half, lower_half]).box
    assert box.left >= 320
    assert box.bottom <= 180


def test_pixels_outside_the_label_keep_every_bit():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (120, 160, 3), np.uint8)
    planes = planes_of_rgb(picture, "yuv420p", LIMITED_709)
    before = [plane.copy() for plane in planes.arrays]
    label = Label("en", (160, 120))
    label.apply(planes)
    box = label.box
    changed = planes.arrays[0] != before[0]
    assert changed[box.top : box.bottom, box.left : box.right].mean() > 0.5
    changed[box.top : box.bottom, box.left : box.right] = False
    assert not changed.any()


@pytest.mark.parametrize("language", WORDINGS)
def test_every_language_can_be_drawn(language):
    text = label_wording(language)
    assert text == WORDINGS[language]
    assert 0.05 < draw_text(text, 40, 2000).mean() < 0.6


def test_overlapping_strokes_stay_ink_and_holes_stay_open():
    letter = draw_text("O", 80, 200)
    rows, columns = (np.flatnonzero((letter > 0.5).any(axis=axis)) for axis in (1, 0))
    assert letter[int(rows.mean()), int(columns.mean())] == 0, "the middle of an O is open"


def test_long_text_is_broken_into_lines():
    one, two = draw_text("AI-generated video", 30, 1000), draw_text("AI-generated video", 30, 250)
    assert two.shape[1] <= 250 < one.shape[1]
    assert two.shape[0] == 2 * one.shape[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1 to 120"),
        ("x" * 121, "1 to 120"),
        ("تم", "no letter 'ت'"),
        ("bell\a", r"no letter '\\x07'"),
        ("ar", "no label in the"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(text, message):
    with pytest.raises(ConfigError, match=message):
        label_wording(text)
