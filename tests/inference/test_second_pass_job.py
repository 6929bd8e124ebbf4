"""The second pass in two processes gives the bytes of one, whatever becomes of the other process."""

from __future__ import annotations

import signal
import threading
from io import BytesIO

import numpy as np
import pytest

from dithead.inference import helper_process, output_segments, pipeline
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.helper_channel import Channel
from dithead.inference.helper_process import HelperProcess
from dithead.inference.output_credentials import OutputCredentials
from dithead.inference.pipeline import generate
from dithead.inference.synthesise.reference_set import SourcePicture
from dithead.inference.synthesise.sampler import MouthSampler


@pytest.fixture
def make(footage, pictures, speech, talker, tmp_path, monkeypatch):
    """Generate in two processes, or in one; counts the passes that were made in one."""
    monkeypatch.setattr(output_segments, "SEGMENT", 4)
    source, in_one, one = footage(pictures), [], output_segments._in_one_process
    monkeypatch.setattr(output_segments, "_in_one_process", lambda *a: in_one.append(1) or one(*a))

    def run(name, processes, **options):
        in_one.clear()
        monkeypatch.setattr(helper_process, "saves_time", lambda: processes == 2)
        chosen = {"model": talker, "batch": 3, "fit": "silence", "credentials": False} | options
        result = generate(source, speech, tmp_path / name, **chosen)
        return (tmp_path / name).read_bytes(), result, len(in_one)

    return run


@pytest.mark.parametrize(
    "options", [{}, {"reference": "previous"}, {"interpolate": True, "batch": 4}, {"label": "en"}, {"fit": "loop"}]
)
def test_two_processes_give_the_bytes_of_one(make, options):
    one, expected, made_in_one = make("one.mp4", 1, **options)
    assert made_in_one == 1
    progress = []
    two, result, made_in_one = make("two.mp4", 2, progress=lambda *step: progress.append(step), **options)
    assert made_in_one == 0
    assert two == one
    assert result.drawings == expected.drawings
    assert [done for what, done, _ in progress if what == "drawing mouths"] == list(range(1, expected.frames + 1))


def test_a_process_that_dies_midway_is_replaced(make, monkeypatch):
    one, _, _ = make("one.mp4", 1)
    processes, start = [], HelperProcess.start
    monkeypatch.setattr(HelperProcess, "start", lambda self: processes.append(self) or start(self))

    def progress(what, done, total):
        if what == "drawing mouths" and done == 6:
            processes[-1].kill()

    two, _, made_in_one = make("two.mp4", 2, progress=progress)
    assert made_in_one == 1
    assert two == one


def test_both_passes_are_begun_before_what_this_process_loads_and_calibrates_meanwhile(make, monkeypatch):
    events, begin = [], HelperProcess.begin
    monkeypatch.setattr(HelperProcess, "begin", lambda self, job: events.append(type(job).__name__) or begin(self, job))
    monkeypatch.setattr(OutputCredentials, "load", lambda _: events.append("load credentials"))
    calibrate = pipeline.calibrate_job
    monkeypatch.setattr(pipeline, "calibrate_job", lambda *a: events.append("calibrate") or calibrate(*a))
    make("two.mp4", 2)
    assert events == ["FirstPass", "load credentials", "SecondPass", "calibrate"]


def test_the_process_is_let_go_before_the_output_is_joined(make, monkeypatch):
    """Giving back the memory of its frames takes a tenth of a second."""
    processes, start, ended, join = [], HelperProcess.start, [], output_segments._join
    monkeypatch.setattr(HelperProcess, "start", lambda self: processes.append(self) or start(self))

    def joined(*arguments):
        ended.append((processes[-1].memory, processes[-1]._process.wait(60)))
        join(*arguments)

    monkeypatch.setattr(output_segments, "_join", joined)
    make("two.mp4", 2)
    assert ended == [(None, -signal.SIGKILL)]


def test_an_interrupted_job_goes_on_in_two_processes(make, tmp_path):
    one, _, _ = make("one.mp4", 1)

    def interrupt(what, done, total):
        if what == "drawing mouths" and done > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make("two.mp4", 2, progress=interrupt)
    assert len(list(tmp_path.glob(".two*/*.segment"))) >= 1
    two, _, made_in_one = make("two.mp4", 2)
    assert made_in_one == 0
    assert two == one


def test_what_goes_wrong_in_drawing_is_raised(make, monkeypatch):
    def draw(self, *_):
        raise ValueError("no mouth today")

    monkeypatch.setattr(MouthSampler, "draw", draw)
    with pytest.raises(ValueError, match="no mouth today"):
        make("two.mp4", 2)


def test_the_helper_imports_no_torch(make, monkeypatch):
    """It would take a second, and the memory of a model."""
    monkeypatch.setattr("dithead.inference.early_start.CODE", _WITHOUT_TORCH)
    _, _, made_in_one = make("two.mp4", 2)
    assert made_in_one == 0


_WITHOUT_TORCH = (
    "import sys; sys.path[:] = sys.argv[1:]; sys.modules['torch'] = None; "
    "from dithead.inference.helper_process import serve; serve()"
)


def test_known_objects_are_named_and_pictures_sent_once():
    pipe = BytesIO()
    sender = Channel(BytesIO(), pipe)
    mine, theirs = (Tracklet(0, 1, *(np.zeros(1),) * 4, True, True) for _ in range(2))
    sender.share([mine])
    picture = SourcePicture(np.ones((2, 2, 3), np.uint8), np.ones((4, 4, 3), np.uint8), np.eye(2, 3))
    for _ in range(2):
        sender.tell((mine, picture))
    sender.forget_pictures()
    sender.tell(picture)
    receiver = Channel(BytesIO(pipe.getvalue()), BytesIO())
    receiver.share([theirs])
    (tracklet, first), (_, second) = receiver.heard(), receiver.heard()
    assert tracklet is theirs
    assert first is second
    assert np.array_equal(first.picture, picture.picture)
    third = receiver.heard()
    assert third is not first
    assert len(receiver._received) == 1


def test_drawing_threads_end(make):
    make("two.mp4", 2)
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"dithead-draw", "dithead-hear"}
