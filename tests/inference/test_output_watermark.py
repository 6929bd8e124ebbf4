"""Generation marks what it draws, the same way in any batch and after an interruption, unless it is told not to."""

import numpy as np
import pytest

from dithead import generate
from dithead.inference.output_watermark import OutputWatermark, ShownFace
from dithead.media.planes import planes_of
from dithead.media.video import read_frames
from dithead.options import SamplingOptions
from dithead.provenance.switched_off import NO_WATERMARK
from dithead.provenance.watermark import Watermarker


def luma(path):
    return [planes_of(frame.native, "yuv444p", frame.encoding).arrays[0] for frame in read_frames(path)]


@pytest.fixture
def make(footage, pictures, speech, talker, tmp_path):
    """Generate a clip of twelve frames losslessly; return the result."""
    source = footage(pictures)

    def made(name, **options):
        return generate(source, speech, tmp_path / name, model=talker, lossless=True, fit="silence", **options)

    return made


def test_the_mark_is_on_by_default_and_changes_drawn_mouths_a_little(make, pictures):
    marked, plain = make("marked.mkv"), make("plain.mkv", watermark=False)
    for new, old, source in zip(luma(marked.output), luma(plain.output), pictures, strict=True):
        change = new.astype(int) - old
        assert 0 < np.abs(change).max() <= 12
        assert not change[: len(source) // 2].any()  # eyes and forehead
    assert marked.notes.count(NO_WATERMARK) == 0
    assert plain.notes.count(NO_WATERMARK) == 1


def test_the_mark_does_not_depend_on_the_batch(make):
    for a, b in zip(luma(make("one.mkv", batch=1).output), luma(make("five.mkv", batch=5).output), strict=True):
        assert np.array_equal(a, b)


def test_the_mark_knows_what_the_output_was_made_from(make, monkeypatch):
    jobs = []
    monkeypatch.setattr(Watermarker, "apply", lambda self, *_: jobs.append(self.payload.job))
    make("out.mkv")
    assert jobs
    assert set(jobs) == {0}


def test_a_small_or_short_face_is_no_promise_and_the_result_says_so():
    mark = OutputWatermark(SamplingOptions())
    assert mark.notes([ShownFace(200, 4.0), ShownFace(50, 1.0)]) == []
    assert "no face that was redrawn is 180 pixels wide" in mark.notes([ShownFace(120, 60.0)])[0]
    assert (
        "no redrawn face that is 180 pixels wide is shown for 3 seconds or more"
        in mark.notes([ShownFace(200, 2.0), ShownFace(90, 9.0)])[0]
    )
    assert mark.notes([]) == []


def test_the_width_of_a_face_is_that_of_the_picture(make):
    """The face of the pictures is 256 pixels wide with its surroundings."""
    (note,) = [note for note in make("out.mkv").notes if "watermark" in note]
    assert "pixels wide" in note or "3 seconds" in note
