"""Damaged files: whatever the bytes, every reader gives what it reads or one line that names the fault.

``python tests/fuzz/run.py SECONDS [SEED]`` goes on for as long as you like and keeps what breaks a reader in the folder
``crashers``, whose files are tested from then on.
"""

from __future__ import annotations

import random
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dithead.errors import DitheadError
from dithead.inference.job_list import read_jobs
from dithead.limits import parse_json
from dithead.media.video import probe
from fuzz.seeds import seeds
from fuzz.targets import READERS, check, damaged_copy

CRASHERS = Path(__file__).parent / "crashers"
COUNTS = {"video": 60, "audio": 40, "picture": 80, "job list": 100, "analysis": 30, "model folder": 15}


@pytest.mark.parametrize("kind", [kind for kind in seeds() if not kind.endswith((".csv", ".jsonl", ".json", ".npz"))])
def test_good_files_are_read(kind, tmp_path):
    (tmp_path / f"good{kind}").write_bytes(seeds()[kind])
    assert check(tmp_path / f"good{kind}") == 3
    if kind in READERS["picture"] + READERS["video"]:
        assert probe(tmp_path / f"good{kind}").height == 64


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_give_what_is_read_or_a_named_error(reader):
    rng = random.Random(7)
    for _ in range(COUNTS[reader]):
        with tempfile.TemporaryDirectory() as folder:
            check(damaged_copy(reader, rng, Path(folder)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(text=st.text(max_size=300), suffix=st.sampled_from([".csv", ".jsonl"]))
def test_any_text_as_a_job_list(text, suffix, tmp_path):
    path = tmp_path / f"jobs{suffix}"
    path.write_text(text, "utf-8", errors="surrogatepass", newline="")
    check(path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4)
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.text(max_size=100) | _JSON.map(str))
def test_any_text_as_json(text):
    """Only a ValueError may come of it."""
    with suppress(ValueError):
        parse_json(text)


def test_json_of_a_million_levels():
    with pytest.raises(ValueError, match="nested"):
        parse_json("[" * 1_000_000 + "]" * 1_000_000)
    with pytest.raises(ValueError, match="nested"):
        parse_json("[" * 100 + "]" * 100)


def test_a_job_list_of_ten_million_rows(tmp_path):
    path = tmp_path / "jobs.csv"
    path.write_bytes(b"video,audio,output\n" + b"a,b,c\n" * 10_000_000)
    with pytest.raises(DitheadError, match=r"jobs\.csv: has 10000002 rows; at most 100000"):
        read_jobs(path)


@pytest.mark.parametrize("path", sorted(CRASHERS.glob("*")), ids=lambda path: path.name)
def test_files_that_once_broke_a_reader(path):
    check(path)
