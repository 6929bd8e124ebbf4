"""Odd files through the main job: right frames, time stamps, orientation and colours, or one clear line.

``make zoo`` runs all of them and prints the table; the tests here that are not slow are a third of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.judge import CASES, FAST, judge
from zoo.model import tiny


@pytest.mark.parametrize("case", FAST, ids=lambda case: case.name)
def test_odd_files(case, tmp_path: Path) -> None:
    verdict = judge(case, tiny(), tmp_path)
    assert not verdict.wrong, f"{verdict.outcome}: {verdict.wrong}"


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case not in FAST], ids=lambda case: case.name)
def test_more_odd_files(case, tmp_path: Path) -> None:
    verdict = judge(case, tiny(), tmp_path)
    assert not verdict.wrong, f"{verdict.outcome}: {verdict.wrong}"


def test_the_zoo_is_large() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
