"""Phoneme times of other tools are read, or refused with an error that names the file."""

import json
from pathlib import Path

import pytest

from dithead.errors import DataError
from dithead.synth.voice.timings import find_timings, read_timings
from dithead.synth.voice.utterance import Phoneme

GRID = """File type = "ooTextFile"
Object class = "TextGrid"
xmin = 0
xmax = 1.0
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.0
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.0
            text = "map"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.0
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.2
            text = "sil"
        intervals [2]:
            xmin = 0.2
            xmax = 0.35
            text = "M"
        intervals [3]:
            xmin = 0.35
            xmax = 0.7
            text = "AE1"
        intervals [4]:
            xmin = 0.7
            xmax = 1.0
            text = "P"
"""
MAP = (Phoneme("", 0.0, 0.2), Phoneme("m", 0.2, 0.35), Phoneme("æ", 0.35, 0.7), Phoneme("p", 0.7, 1.0))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_textgrid_in_arpabet_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(GRID, encoding)
    assert read_timings(path) == MAP
    assert find_timings(tmp_path / "a.wav") == path


def test_ctm_and_json_in_ipa_are_read(tmp_path: Path) -> None:
    ctm, listed, in_object = tmp_path / "a.ctm", tmp_path / "b.json", tmp_path / "c.json"
    ctm.write_text(";; a comment\na 1 0.70 0.30 p\na 1 0.00 0.20 <eps>\na 1 0.20 0.15 m\na 1 0.35 0.35 æ\n")
    rows = [["", 0, 0.2], ["m", 0.2, 0.35], ["æ", 0.35, 0.7], ["p", 0.7, 1.0]]
    listed.write_text(json.dumps(rows))
    in_object.write_text(json.dumps({"phonemes": rows, "text": "map"}))
    for path in (ctm, listed, in_object):
        assert [(p.ipa, round(p.start, 3), round(p.end, 3)) for p in read_timings(path)] == [tuple(r) for r in rows]


def test_ipa_of_single_letters_is_not_taken_for_arpabet(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([["y", 0, 0.1], ["t", 0.1, 0.2]]))
    assert [p.ipa for p in read_timings(path)] == ["y", "t"], "y is a rounded vowel in IPA"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"), ("a.json", '[["m", 0]]'), ("a.json", '[["m", 1, 0.5]]'), ("a.ctm", "a 1 x 0.3 p"),
        ("a.TextGrid", GRID.replace('"phones"', '"tones"')), ("a.TextGrid", ""), ("a.json", '[["sil", 0, 1]]'),
    ],
)  # fmt: skip
def test_a_file_without_times_is_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=name):
        read_timings(tmp_path / name)
