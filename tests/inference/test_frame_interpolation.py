"""Interpolation: what lies between is moved there; drawing every second frame does not depend on the batch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.optical_flow import picture_at
from dithead.inference.pipeline import generate
from dithead.inference.synthesise.frame_interpolation import FrameInterpolator
from dithead.media.video import read_frames


def blob(x: float) -> np.ndarray:
    y, columns = np.mgrid[:96, :96]
    texture = 40 * np.sin((columns - x) / 3) * np.sin(y / 4)
    bump = 120 * np.exp(-(((columns - x) / 14) ** 2 + ((y - 48) / 14) ** 2))
    return np.repeat(np.clip(60 + bump + texture * (bump > 20), 0, 255)[..., None], 3, axis=2).astype(np.uint8)


def test_half_way_is_half_way_and_not_a_double_exposure():
    a, b, truth = blob(44.0), blob(52.0), blob(48.0)
    made = picture_at(0.04, (0.0, a), (0.08, b))
    mixed = cv2.addWeighted(a, 0.5, b, 0.5, 0)
    errors = [np.abs(x.astype(float) - truth).mean() for x in (made, mixed)]
    assert errors[0] < 0.5 * errors[1]


def test_uneven_times_move_by_their_share():
    ends = (0.0, blob(44.0)), (1.0, blob(52.0))
    rows = [picture_at(t, *ends)[48, :, 0] > 130 for t in (0.25, 0.75)]
    centres = [float(np.average(np.arange(96), weights=row)) for row in rows]
    assert centres[0] + 2 < centres[1]


class Counting:
    """Draws a frame's own number."""

    size = 32

    def __init__(self) -> None:
        self.drawn: list[int] = []

    def frames_at_once(self, batch, *, first):
        return max(1, batch)

    def draw(self, tracklet, crops, times, frames):
        assert list(frames) == [int(c[0, 0, 0]) for c in crops]
        self.drawn += [int(c[0, 0, 0]) for c in crops]
        return crops


class OneTracklet:
    face = 0


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("count", [1, 2, 5, 6, 11])
def test_every_second_frame_the_first_and_the_last_are_drawn(batch, count):
    sampler = Counting()
    pass_, done, room = FrameInterpolator(sampler), 0, 0
    crops = np.stack([np.full((32, 32, 3), k, np.uint8) for k in range(count)])
    made = []
    while done < count:
        room = pass_.frames_at_once(batch, first=done == 0)
        these = range(done, min(done + room, count))
        made += list(pass_.draw(OneTracklet, crops[done : done + room], np.array(these) / 25, these))
        done += room
    assert sampler.drawn == sorted({*range(0, count, 2), count - 1})
    assert [int(m[16, 16, 0]) for m in made] == list(range(count))


def test_a_video_is_interpolated_whatever_the_batch(footage, pictures, speech, talker, tmp_path):
    source = footage(pictures)

    def frames(name, **options):
        made = generate(source, speech, tmp_path / name, fit="silence", model=talker, lossless=True, **options)
        return np.stack([f.pixels for f in read_frames(made.output)]).astype(int)

    plain, one, three = (
        frames("a.mkv"),
        frames("b.mkv", interpolate=True, batch=1),
        frames("c.mkv", interpolate=True, batch=5),
    )
    assert np.abs(one - three).max() <= 2
    assert np.abs(plain[::2] - one[::2]).max() <= 2
    assert (plain[1] != one[1]).any()
