"""What an operator relies on: readiness, metrics, retention, a full disk, a lost database, webhooks, the client."""

from __future__ import annotations

import asyncio
import errno
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
import sqlalchemy as sa

from dithead.errors import ConfigError, DitheadError, FaceError
from dithead.serve import job_run
from dithead.serve.client import Client
from dithead.serve.database import JOBS, META, WORKERS, connect, database_time, prepare_database, retrying
from dithead.serve.options import ServeOptions, StorageOptions
from dithead.serve.progress import ProgressFile
from dithead.serve.schemas import Job
from dithead.serve.storage import Storage, read_json
from dithead.serve.webhooks import WebhookError, deliver, signature, webhook_secret
from dithead.serve.work_queue import DELIVER

from .conftest import ADDRESS


def test_readiness_names_what_is_missing(server, monkeypatch):
    assert server.client.get("/healthz").text == "ok"
    answer = server.client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["workers"]) == (503, "none is ready yet; jobs wait")
    _beat(server, "idle")
    assert server.client.get("/readyz").json() == {
        "ready": True, "checks": {"database": "ok", "disk": "ok", "workers": "ok"}
    }  # fmt: skip
    _beat(server, "no model")
    assert "does not load" in server.client.get("/readyz").json()["checks"]["workers"]
    _beat(server, "idle", ago=100.0)
    assert server.client.get("/readyz").status_code == 503
    monkeypatch.setattr(server.state.storage, "free_bytes", lambda: -1)
    assert "nearly full" in server.client.get("/readyz").json()["checks"]["disk"]


def test_health_is_answered_while_every_thread_of_the_requests_is_taken(server, files):
    upload = server.upload(files["mia.mp4"])
    taken, goes_on = [], threading.Event()

    def faces(*_: object) -> None:
        taken.append(1)
        goes_on.wait(30)
        raise FaceError("no face")

    server.state.inspector.faces = faces

    async def ask() -> tuple[int, int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url=ADDRESS) as client:
            threads = int(anyio.to_thread.current_default_thread_limiter().total_tokens)
            asked = [asyncio.create_task(client.get(f"/v1/uploads/{upload['id']}/faces")) for _ in range(threads)]
            while len(taken) < threads:
                await asyncio.sleep(0.01)
            try:
                alive = await asyncio.wait_for(client.get("/healthz"), 5)
                ready = await asyncio.wait_for(client.get("/readyz"), 5)
            finally:
                goes_on.set()
            await asyncio.gather(*asked)
            return alive.status_code, ready.status_code

    assert asyncio.run(ask()) == (200, 503), "alive, and without a worker"


def _beat(server, state: str, ago: float = 0.0) -> None:
    with server.state.engine.begin() as c:
        c.execute(WORKERS.delete())
        c.execute(WORKERS.insert().values(name="w", beat=database_time(server.state.engine) - ago, state=state))


def test_a_lost_database_is_said_and_nothing_is_a_fault(server, files, monkeypatch):
    def lost(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("SELECT secret", {}, Exception("no route to db.internal"))

    monkeypatch.setattr(server.state.engine, "connect", lost)
    monkeypatch.setattr(server.state.engine, "begin", lost)
    answer = server.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"].startswith("does not answer")
    for answer in (server.client.get("/v1/jobs"), server.client.post("/v1/uploads", params={"name": "a", "size": 5})):
        assert answer.status_code == 503
        assert answer.json() == {"detail": "the database does not answer; try again in a moment"}
        assert answer.headers["retry-after"]


def test_work_waits_for_a_lost_database():
    answers = iter([sa.exc.OperationalError("", {}, Exception()), sa.exc.OperationalError("", {}, Exception()), 7])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retrying(ask, wait=0.001) == 7


def test_a_full_disk_refuses_uploads_and_lets_jobs_wait(server, files, quick, monkeypatch):
    body = server.body(files)
    job = server.client.post("/v1/jobs", json=body).json()
    monkeypatch.setattr(job_run, "_RETRY", 0.05)
    room = [-1, -1, 10**12]
    monkeypatch.setattr(server.state.storage, "free_bytes", lambda: room.pop(0) if len(room) > 1 else room[0])
    server.work()
    assert server.job(job["id"])["state"] == "done"
    monkeypatch.setattr(server.state.storage, "free_bytes", lambda: -1)
    for answer in (
        server.client.post("/v1/uploads", params={"name": "a", "size": 5}),
        server.client.post("/v1/jobs", json=body),
    ):
        assert (answer.status_code, answer.json()["detail"].split(";")[0]) == (507, "the server's disk is nearly full")


@pytest.mark.parametrize("room", [[-1, -1, 10**12], [10**12, -1, -1, 10**12]], ids=["at its start", "right after it"])
def test_a_job_keeps_its_segments_when_the_disk_is_full(server, files, quick, monkeypatch, room):
    job = server.add(files)
    segments = server.state.storage.job(job["id"]) / ".result.mp4.dithead"
    segments.mkdir()
    (segments / "000000.segment").write_bytes(b"hours of work")
    seen, write = [], job_run.write_json

    def free() -> int:
        seen.append(room.pop(0) if len(room) > 1 else room[0])
        return seen[-1]

    def written(path: Path, value: Any) -> None:
        if len(room) > 1:  # the disk is full until the last look
            raise OSError(errno.ENOSPC, "No space left on device")
        assert (segments / "000000.segment").exists()
        write(path, value)

    monkeypatch.setattr(job_run, "_RETRY", 0.01)
    monkeypatch.setattr(server.state.storage, "free_bytes", free)
    monkeypatch.setattr(job_run, "write_json", written)
    server.work()
    assert -1 in seen
    assert server.job(job["id"])["state"] == "done"


def test_metrics_count_what_ended_even_after_it_is_deleted(server, files, quick):
    for _ in range(2):
        server.add(files)
    server.work()
    cancelled = server.add(files)
    server.client.post(f"/v1/jobs/{cancelled['id']}/cancel")
    for job in server.client.get("/v1/jobs").json()["jobs"]:
        assert server.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    server.client.request("BREW", "/v1/jobs")
    text = server.client.get("/metrics").text
    assert 'dithead_jobs_ended_total{state="done"} 2.0' in text
    assert 'dithead_jobs_ended_total{state="cancelled"} 1.0' in text
    assert "dithead_frames_total 20.0" in text
    assert 'dithead_jobs{state="queued"} 0.0' in text
    assert 'route="/v1/jobs/{job_id}"' in text
    assert "BREW" not in text


def test_what_has_expired_is_deleted_and_no_more(make_server, files, quick):
    server = make_server(keep=1.0)
    done, fresh, waiting = (server.add(files) for _ in range(3))
    for job in (done, fresh):
        server.runner.run(job["id"])
    with server.state.engine.begin() as c:
        c.execute(JOBS.update().where(JOBS.c.id == done["id"]).values(finished=time.time() - 4000))
        c.execute(JOBS.update().where(JOBS.c.id == waiting["id"]).values(created=time.time() - 4000))
    assert server.state.sweep() == 1
    assert server.client.get(f"/v1/jobs/{done['id']}").status_code == 404
    assert not server.state.storage.job(done["id"]).exists()
    assert {server.job(job["id"])["state"] for job in (fresh, waiting)} == {"done", "queued"}


def test_a_folder_that_a_crash_left_is_swept_later(server, monkeypatch):
    orphan = server.state.storage.job("0" * 24)
    orphan.mkdir()
    server.state.sweep()
    assert orphan.exists()
    monkeypatch.setattr("dithead.serve.state.time.time", lambda: time.time_ns() / 1e9 + 7200)
    server.state.sweep()
    assert not orphan.exists()


def test_progress_estimates_the_time_left(tmp_path):
    now = [0.0]
    progress = ProgressFile(tmp_path / "p.json", lambda _: None, clock=lambda: now[0])
    for done in range(1, 11):
        progress.report("finding the face", done, 10)
        now[0] += 1.0
    known = read_json(tmp_path / "p.json")
    assert known["fraction"] == pytest.approx(0.35)
    assert known["seconds_left"] == pytest.approx(9 * 0.65 / 0.35, rel=0.15)
    progress.report("drawing mouths", 5, 10)
    assert read_json(tmp_path / "p.json")["fraction"] == pytest.approx(0.35 + 0.325)


class _Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Location", "http://127.0.0.1:1/other")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def taker():
    listener = HTTPServer(("127.0.0.1", 0), _Taker)
    listener.taken, listener.statuses = [], []
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield listener
    listener.shutdown()
    listener.server_close()


def test_a_webhook_is_signed_and_follows_no_redirect(make_server, files, quick, taker):
    host = f"127.0.0.1:{taker.server_port}"
    server = make_server(webhook_hosts=(host,))
    job = server.add(files, webhook=f"http://{host}/done")
    server.work()
    view, secret = Job(**server.job(job["id"])), server.client.get("/v1/session").json()["webhook_secret"]
    assert secret == webhook_secret(server.state.secret, "local")
    deliver(f"http://{host}/done", view, secret)
    headers, body = taker.taken[0]
    assert json.loads(body)["type"] == "job.done"
    assert json.loads(body)["data"]["id"] == job["id"]
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signature(secret, job["id"], stamp, body)
    assert headers["webhook-signature"] != signature(secret, job["id"], stamp + 1, body)
    for status in (302, 500):
        taker.statuses.append(status)
        with pytest.raises(WebhookError):
            deliver(f"http://{host}/done", view, secret)
    assert len(taker.taken) == 3


@pytest.mark.parametrize("address", [None, "http://hook.example/done"])
def test_a_job_that_is_cancelled_while_it_waits_has_its_webhook_called_once(make_server, files, address):
    server = make_server(webhook_hosts=("hook.example",))
    job = server.add(files, webhook=address)
    for _ in range(2):
        assert server.client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    query = sa.text("SELECT workflow_uuid FROM workflow_status WHERE name = :name AND status = 'ENQUEUED'")
    with server.state.engine.connect() as c:
        calls = list(c.execute(query, {"name": DELIVER}).scalars())
    assert calls == ([] if address is None else [f"{job['id']}-webhook"])


@pytest.mark.parametrize(
    "address",
    ["http://evil.example/", "http://hook.example@evil.example/", "file:///etc/passwd", "hook.example", "", "http://["],
)
def test_no_address_is_called_that_the_owner_does_not_allow(make_server, files, address):
    server = make_server(webhook_hosts=("hook.example",))
    answer = server.client.post("/v1/jobs", json=server.body(files, webhook=address))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("webhook: this server does not call that host")


def test_the_client_uploads_in_parts_waits_and_downloads(server, files, quick, tmp_path, monkeypatch):
    monkeypatch.setattr("dithead.serve.client.PART", 1000)
    client = Client(ADDRESS)
    client.http = server.client
    assert client.info().models == ["small"]
    created = client.create

    def create_and_work(request):
        job = created(request)
        server.work()
        return job

    monkeypatch.setattr(client, "create", create_and_work)
    job = client.generate(files["mia.mp4"], files["speech.wav"], tmp_path / "out.mp4", consent=True)
    assert (tmp_path / "out.mp4").read_bytes() == b"video"
    assert [each.id for each in client.jobs()] == [job.id]
    client.delete(job.id)
    with pytest.raises(DitheadError, match="there is no such job; it may have been deleted"):
        client.job(job.id)
    with pytest.raises(DitheadError, match=r"notes.txt: "):
        client.upload(files["notes.txt"])


def test_a_database_of_a_later_version_is_refused(server):
    with server.state.engine.begin() as c:
        c.execute(META.update().where(META.c.name == "version").values(value="99"))
    with pytest.raises(ConfigError, match="tables of version 99, this dithead knows 1; upgrade dithead"):
        prepare_database(server.state.engine, server.state.storage)


def test_the_database_lies_in_the_data_folder_also_below_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = StorageOptions(data=Path("~/kept"))
    storage = Storage(options.data)
    prepare_database(connect(options), storage)
    assert storage.data == tmp_path / "kept"
    assert (tmp_path / "kept" / "jobs.sqlite").is_file()


def test_models_and_folders_that_clients_could_not_tell_apart_are_refused(tmp_path):
    first, second = tmp_path / "a" / "same", tmp_path / "b" / "same"
    for folder in (first, second):
        folder.mkdir(parents=True)
    for flag, options in (
        ("--model", {"models": (str(first), str(second))}),
        ("--folder", {"folders": (first, second)}),
    ):
        with pytest.raises(ConfigError) as caught:
            ServeOptions(**options)
        assert str(caught.value) == (
            f"{flag}: clients would see both {first} and {second} as 'same'; give one of them another name"
        )
    assert ServeOptions(models=(str(first), str(first)), folders=(first, first)).offered == {"same": str(first)}


def test_a_database_that_is_none_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="database must begin with postgresql://"):
        StorageOptions(database="mysql://x")
    assert StorageOptions(database="postgres://u:p@h/d").database_url == "postgresql+psycopg://u:p@h/d"
    assert ServeOptions(data=Path("/x")).database_url == "sqlite:////x/jobs.sqlite"
