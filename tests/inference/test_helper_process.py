"""A first pass in the helper process finds the same, fails alike, and is made here where that process dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import FaceError
from dithead.inference import early_start, helper_process
from dithead.inference.analyse.first_pass import AnalysisSettings
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.early_start import saves_time, start_early
from dithead.inference.first_pass_job import FirstPass, analyse_elsewhere
from dithead.inference.helper_process import HelperProcess
from dithead.inference.pipeline import generate
from dithead.inference.source.timeline import SourceClip
from dithead.media.video import probe
from dithead.stages import recording


@pytest.fixture
def job(footage, pictures, tmp_path):
    path = footage(pictures)
    return FirstPass(SourceClip(path, probe(path)), AnalysisSettings(64), True, ImageStore(tmp_path / "images"))


@pytest.fixture
def process(monkeypatch):
    """One that can be started though torch is imported."""
    monkeypatch.setattr(helper_process, "saves_time", lambda: True)
    with HelperProcess() as process:
        yield process


def test_a_process_finds_the_same(job, process, tmp_path):
    seen = []
    process.start()
    with recording() as recorder:
        found = analyse_elsewhere(process, job, seen.append)
    expected = job._replace(store=ImageStore(tmp_path / "others")).run(lambda _: None)
    assert [frame.number for frame in seen] == list(range(expected.frames))
    assert [frame.time for frame in seen] == [frame.time for frame in job.clip.frames()]
    assert np.array_equal(found.stamps, expected.stamps)
    for one, other in zip(found.tracklets, expected.tracklets, strict=True):
        assert np.array_equal(one.transforms, other.transforms)
        assert np.array_equal(one.reference, other.reference)
        pictures = [each.store.get(each.images) for each in (one.references, other.references)]
        assert all(map(np.array_equal, *pictures))
    assert {"landmarks", FirstPass._field_defaults["outside"]} <= {span.stage for span in recorder.spans}


def test_ctrl_c_reaches_only_the_process_that_started_it_which_ends_it(process):
    process.start()
    child = process._process
    assert os.getpgid(child.pid) != os.getpgid(0)
    process.__exit__(None, None, None)
    assert child.returncode is not None


def test_a_process_that_was_started_early_makes_the_first_pass(job, monkeypatch):
    monkeypatch.setattr(early_start, "saves_time", lambda: True)
    monkeypatch.setattr(helper_process, "saves_time", lambda: False)
    start_early()
    start_early()
    ((early, memory),) = early_start._early
    with HelperProcess() as process, HelperProcess() as other:
        process.start()
        assert (process._process, process.memory) == (early, memory)
        other.start()
        assert not other.started
        assert analyse_elsewhere(process, job, lambda _: None).frames == len(list(job.clip.frames()))
    assert early.returncode is not None


def test_its_errors_are_raised_here(job, process, footage):
    path = footage([np.full((96, 96, 3), 90, np.uint8)] * 3)
    process.start()
    with pytest.raises(FaceError, match="no usable face"):
        analyse_elsewhere(process, job._replace(clip=SourceClip(path, probe(path))), lambda _: None)


def test_a_process_that_died_is_replaced_and_the_output_has_the_same_bytes(
    footage, pictures, speech, talker, tmp_path, monkeypatch
):
    source, outputs = footage(pictures), {}
    for name, code in (("a process", None), ("a dead one", "raise SystemExit"), ("none", None)):
        if code:
            monkeypatch.setattr(early_start, "CODE", code)
        monkeypatch.setattr(helper_process, "saves_time", lambda name=name: name != "none")
        generate(source, speech, tmp_path / "out.mp4", model=talker, credentials=False)
        outputs[name] = (tmp_path / "out.mp4").read_bytes()
    assert len(set(outputs.values())) == 1


def test_a_process_is_started_only_where_it_saves_time(monkeypatch):
    monkeypatch.setattr(early_start, "_cores", lambda: 2)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not saves_time()
    monkeypatch.delitem(sys.modules, "torch")
    assert saves_time()
    monkeypatch.setattr(early_start, "_cores", lambda: 1)
    assert not saves_time()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_it_ends_with_a_parent_that_is_killed():
    script = (
        "from dithead.inference.early_start import started; import time; "
        "(one,) = started(); print(one.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    end = time.monotonic() + 20
    while Path(f"/proc/{child}/status").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}/status").exists()
