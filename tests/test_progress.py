"""Progress is shown as bars, lines, JSON or not at all, and it says how much there is to do."""

from __future__ import annotations

import json

import pytest

from dithead.progress import counted, progress_of, silent, tell, terminal_progress


def test_a_log_file_gets_the_first_and_the_last_of_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_progress() as progress:
        tell(progress, "face.mp4: 3 frames, about 1 s on this machine")
        for item in counted("abc", "drawing", 3, progress):
            assert item in "abc"
    assert capsys.readouterr().err.splitlines() == [
        "dithead: face.mp4: 3 frames, about 1 s on this machine",
        "dithead: drawing: 0 of 3",
        "dithead: drawing: 3 of 3",
    ]


def test_a_machine_gets_json_lines_and_quiet_means_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_progress("json") as progress:
        tell(progress, "a line")
        list(counted(range(5), "drawing", None, progress))
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(e["event"], e.get("text"), e.get("done")) for e in events] == [
        ("note", "a line", None), ("progress", None, 0),
    ]  # fmt: skip
    with terminal_progress("quiet") as progress:
        tell(progress, "a line")
        progress("drawing", 1, 2)
    assert capsys.readouterr().err == ""


def test_true_shows_progress_false_none_and_a_function_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    calls = []
    with progress_of(lambda *step: calls.append(step)) as progress:
        progress("a", 1, 2)
    assert calls == [("a", 1, 2)]
    with progress_of(False) as progress:
        assert progress is silent
    with progress_of(True) as progress:
        progress("a", 1, 2)
    assert capsys.readouterr().err == "dithead: a: 1 of 2\n"
