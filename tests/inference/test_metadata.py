"""The metadata that the output keeps: named tags and earlier marks; a note names what it omits."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dithead.inference.metadata import kept_metadata, omitted_notes, synthetic_note
from dithead.media.info import VideoInfo


def info(**more) -> VideoInfo:
    return VideoInfo(64, 64, Fraction(25), **more)


def test_title_people_and_dates_come_along_and_other_tags_do_not():
    kept = kept_metadata(info(metadata={"TITLE": "a talk", "artist": "Mia", "encoder": "Lavf", "location": "+52+13/"}))
    assert kept == {"title": "a talk", "artist": "Mia", "comment": synthetic_note()}


def test_no_earlier_mark_is_removed_or_repeated():
    marked = info(metadata={"comment": "made by another tool"})
    once = kept_metadata(marked)["comment"]
    assert once == f"made by another tool; {synthetic_note()}"
    assert kept_metadata(info(metadata={"comment": synthetic_note()}))["comment"] == synthetic_note()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, []),
        ({"other_streams": ("audio",)}, []),
        ({"other_streams": ("audio", "subtitle", "data")}, ["subtitle, data"]),
        ({"remarks": ("its transparency is left out",)}, ["transparency"]),
        ({"remarks": ("it is transparent",), "other_streams": ("subtitle",)}, ["transparent", "subtitle"]),
    ],
)
def test_what_is_left_out_is_said(more, said):
    notes = omitted_notes(info(**more))
    assert len(notes) == len(said)
    assert all(part in note for part, note in zip(said, notes, strict=True))
