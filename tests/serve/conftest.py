"""A server without workers, whose jobs run in the test itself with a tiny untrained model, and small files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import sqlalchemy as sa

pytest.importorskip("dbos")
pytest.importorskip("fastapi")

from fastapi.testclient import TestClient

from dithead.errors import DitheadError
from dithead.inference.result import GenerateResult
from dithead.media.audio import write_audio
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter
from dithead.models.talking_head import TalkingHead
from dithead.options import GenerateJob
from dithead.serve.app import create_app
from dithead.serve.database import JOBS
from dithead.serve.errors import renamed
from dithead.serve.inspector import Inspector
from dithead.serve.job_run import JobRunner
from dithead.serve.options import ServeOptions
from dithead.serve.state import ServerState

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
ADDRESS = "http://127.0.0.1:8710"


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Twelve frames of a presenter, 0.4 s of sound, a picture of the presenter, and a text."""
    folder = tmp_path_factory.mktemp("files")
    frames = [
        cv2.resize(f.pixels, (256, 256), interpolation=cv2.INTER_AREA)
        for f in islice(read_frames(PRESENTERS / "mia.mp4"), 12)
    ]
    with VideoWriter(folder / "mia.mp4", VideoInfo(256, 256, Fraction(25)), EncoderOptions(crf=10)) as writer:
        for frame in frames:
            writer.write(frame)
    t = np.arange(6400) / 16000
    write_audio(folder / "speech.wav", (0.3 * np.sin(2 * np.pi * 300 * t)).astype(np.float32), 16000)
    cv2.imwrite(str(folder / "mia.png"), frames[0][..., ::-1])
    (folder / "notes.txt").write_text("These are no moving pictures.\n" * 50)
    return {path.name: path for path in folder.iterdir()}


class _InThisProcess(Inspector):
    """Asks no other process, which takes a second to start."""

    def _ask(self, function: Any, name: str, path: Path, *args: object, is_search: bool = False) -> Any:
        try:
            return function(*args)
        except DitheadError as error:
            raise renamed(error, {path: name}) from None


class Server:
    """A server in this process: its client, its state, and its only worker, which works when it is told to."""

    def __init__(self, options: ServeOptions, talker: TalkingHead) -> None:
        self.app = create_app(options, with_workers=False)
        self.state: ServerState = self.app.state.server
        self.client = TestClient(self.app, ADDRESS, raise_server_exceptions=False)
        talkers = dict.fromkeys(options.offered, talker)
        state = self.state
        self.runner = JobRunner(options, state.storage, state.engine, state.queue, talkers)

    def upload(self, path: Path, name: str = "", **request: Any) -> dict[str, Any]:
        answer = self.client.post(
            "/v1/uploads", params={"name": name or path.name}, content=path.read_bytes(), **request
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    def body(self, files: dict[str, Path], **more: Any) -> dict[str, Any]:
        """A request for a job with fresh uploads; about 0.4 s of video."""
        video, audio = self.upload(files["mia.mp4"]), self.upload(files["speech.wav"])
        body = {"video": {"upload": video["id"]}, "audio": {"upload": audio["id"]}, "consent": True}
        return body | {"options": {"fit": "cut"}} | more

    def add(self, files: dict[str, Path], **more: Any) -> dict[str, Any]:
        answer = self.client.post("/v1/jobs", json=self.body(files, **more))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def job(self, job_id: str) -> dict[str, Any]:
        return self.client.get(f"/v1/jobs/{job_id}").json()

    def work(self) -> None:
        """Run every job that waits, oldest first."""
        with self.state.engine.connect() as c:
            waiting = sa.select(JOBS.c.id).where(JOBS.c.state == "queued").order_by(JOBS.c.created)
            job_ids = list(c.execute(waiting).scalars())
        for job_id in job_ids:
            self.runner.run(job_id)


@pytest.fixture
def make_server(
    tmp_path: Path, talker: TalkingHead, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Server]]:
    """Make a server from options that differ from the default ones; it is closed after the test."""
    monkeypatch.setattr("dithead.serve.state.Inspector", _InThisProcess)
    made: list[Server] = []

    def make(**options: Any) -> Server:
        chosen = replace(ServeOptions(data=tmp_path / "data", min_free=0.0), **options)
        made.append(Server(chosen, talker))
        return made[-1]

    yield make
    for server in made:
        server.client.close()
        server.state.close()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A server with the default options."""
    return make_server()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Generation that draws nothing and takes no time; the list of the outputs that were asked for."""
    asked: list[Path] = []

    @contextmanager
    def generated(job: GenerateJob) -> Iterator[GenerateResult]:
        output = Path(job.output)
        assert Path(job.video).is_file()
        assert Path(str(job.audio)).is_file()
        job.progress("drawing mouths", 1, 1)
        output.write_bytes(b"video")
        asked.append(output)
        yield GenerateResult(output, 10, 25.0, 0.5, 20.0, 0, "tiny", 0)

    monkeypatch.setattr("dithead.inference.pipeline.generated", generated)
    return asked


def events_of(text: str) -> list[dict[str, Any]]:
    """The jobs that a stream of server-sent events holds."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
