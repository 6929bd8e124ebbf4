"""Processes are killed at random moments: no job is lost or done twice; pictures and sound are those of one call."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dithead.checkpoint import save_model
from dithead.errors import DitheadError
from dithead.inference.pipeline import generate
from dithead.media.audio import write_audio

from .processes import SEGMENT, Cluster, Postgres, has_postgres, until

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("DITHEAD_KILLS", "50"))
SEED = int(os.environ.get("DITHEAD_KILL_SEED", "1"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, talker: Any) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "tiny", talker)


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.6 seconds of sound, so that a job has five segments of eight frames."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    t = np.arange(25600) / 16000
    write_audio(path, (0.3 * np.sin(2 * np.pi * (200 + 200 * t) * t)).astype(np.float32), 16000)
    return path


@pytest.fixture(scope="module")
def expected(files, speech, model, tmp_path_factory) -> dict[int, bytes]:
    """What one call without any kill makes, by its seed."""
    folder = tmp_path_factory.mktemp("expected")
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dithead.inference.output_segments.SEGMENT", SEGMENT)
        for seed in range(3):
            generate(files["mia.mp4"], speech, folder / f"{seed}.mp4", model=str(model), seed=seed, crf=20)
            made[seed] = packets(folder / f"{seed}.mp4")
    return made


def packets(video: Path) -> bytes:
    """A hash of every packet of picture and sound: the whole file but for its signature, which names the moment."""
    digest = sha256()
    with av.open(str(video)) as media:
        for packet in media.demux():
            digest.update(f"{packet.stream.index} {packet.pts} {packet.dts} {packet.size} ".encode() + bytes(packet))
    return digest.digest()


def add(client, files, speech, count: int, **more: Any) -> dict[str, int]:
    """Add jobs; return the seed of each by its id."""
    video, audio = client.upload(files["mia.mp4"]), client.upload(speech)
    body = {"video": {"upload": video.id}, "audio": {"upload": audio.id}, "consent": True} | more
    seeds = [number % 3 for number in range(count)]
    return {client.create(body | {"options": {"seed": seed, "crf": 20}}).id: seed for seed in seeds}


def check_results(cluster: Cluster, jobs: dict[str, int], expected: dict[int, bytes]) -> None:
    for job_id, seed in jobs.items():
        result = cluster.folder / "data" / "jobs" / job_id / "result.mp4"
        assert packets(result) == expected[seed], f"job {job_id} has other pictures or sound"
    with cluster.client() as client:
        metrics = client.http.get("/metrics").text
    assert f'dithead_jobs_ended_total{{state="done"}} {len(jobs)}.0' in metrics, "each ended once"
    twice = [segment for segment, count in Counter(cluster.drawn()).items() if count > 1]
    assert not twice, "no segment that was on the disk is drawn again"


def wait_for_a_random_moment(rng: random.Random, cluster: Cluster) -> None:
    """Three times in ten while the worker starts or soon after; else after it has drawn up to three segments more."""
    if rng.random() < 0.3:
        time.sleep(rng.uniform(0.2, 8.0))
        return
    enough = len(cluster.drawn()) + rng.randint(1, 3)
    until(lambda: len(cluster.drawn()) >= enough, 600)
    time.sleep(rng.uniform(0.0, 2.0))


class _Ends(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.ends.append((body["data"]["id"], body["type"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_fifty_kills_lose_nothing_and_nothing_is_done_twice(files, speech, model, expected, tmp_path):
    rng = random.Random(SEED)
    ends = HTTPServer(("127.0.0.1", 0), _Ends)
    ends.ends = []
    threading.Thread(target=ends.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{ends.server_port}"
    cluster = Cluster(tmp_path, model)
    try:
        cluster.serve("--webhook-host", host)
        cluster.work("w")
        cluster.ready()
        jobs: dict[str, int] = {}
        for kill in range(KILLS):
            with cluster.client() as client:
                open_jobs = [job for job in client.jobs() if job.state in ("queued", "running")]
                if len(open_jobs) < 2:
                    jobs |= add(client, files, speech, 2, webhook=f"http://{host}/")
            wait_for_a_random_moment(rng, cluster)
            victim = "server" if rng.random() < 0.25 else "w"
            cluster.kill(victim)
            stages = Counter(line.split()[0] for line in cluster.drawn())
            print(f"kill {kill + 1}: {victim}, {len(jobs)} jobs, segments drawn {sum(stages.values())}", flush=True)
            if victim == "server":
                cluster.serve("--webhook-host", host)
                until(lambda: cluster.status("/healthz") == 200, 400)
            else:
                cluster.work("w")
        cluster.ready()
        with cluster.client() as client:
            for job_id in jobs:
                job = client.wait(job_id, 0.5)
                print(f"job {job_id}: {job.state} after {job.attempts} attempts", flush=True)
        check_results(cluster, jobs, expected)
        until(lambda: {job_id for job_id, _ in ends.ends} == set(jobs), 120)
        print(f"{KILLS} kills, {len(jobs)} jobs, {len(cluster.drawn())} segments, {len(ends.ends)} webhook calls")
    finally:
        cluster.stop()
        ends.shutdown()
        ends.server_close()


@pytest.fixture
def postgres():
    if not has_postgres():
        pytest.skip("Postgres is not installed")
    database = Postgres()
    yield database
    database.remove()


def running_on(cluster: Cluster, jobs: dict[str, int], postgres: Postgres) -> dict[str, str]:
    """The worker of each job that is running."""
    import psycopg

    with psycopg.connect(postgres.address) as connection:
        rows = connection.execute("SELECT id, worker FROM dithead_jobs WHERE state = 'running'").fetchall()
    return {job_id: worker for job_id, worker in rows if job_id in jobs}


def test_two_workers_share_the_jobs_and_one_takes_over_from_the_other(
    files, speech, model, expected, tmp_path, postgres
):
    """On Postgres: a worker that is killed loses its job to the other one, which goes on from its segments."""
    cluster = Cluster(tmp_path, model, postgres.address, takeover=6.0)
    try:
        cluster.serve()
        for name in ("w1", "w2"):
            cluster.work(name)
        cluster.ready()
        with cluster.client() as client:
            jobs = add(client, files, speech, 6)
            both = until(lambda: len(set((found := running_on(cluster, jobs, postgres)).values())) == 2 and found, 120)
            lost = next(job_id for job_id, worker in both.items() if worker == "w1")
            until(
                lambda: any(line.startswith(lost) for line in cluster.drawn()) or client.job(lost).state == "done", 120
            )
            cluster.kill("w1")
            killed = time.monotonic()
            client.wait(lost, 0.2)
            print(f"its job ended {time.monotonic() - killed:.1f} s after the kill of w1", flush=True)
            ended = {job_id: client.wait(job_id, 0.2) for job_id in jobs}
            print(
                f"its job ended {time.monotonic() - killed:.1f} s after the kill of w1 (all jobs by then)", flush=True
            )
            attempts = {job_id: job.attempts for job_id, job in ended.items()}
        assert attempts[lost] in (1, 2)
        check_results(cluster, jobs, expected)
        postgres_is_lost_for_a_while(cluster, files, speech, postgres)
    finally:
        cluster.stop()


def postgres_is_lost_for_a_while(cluster: Cluster, files, speech, postgres: Postgres) -> None:
    """Without its database the server says so; jobs that were added before end once it is back."""
    with cluster.client() as client:
        jobs = add(client, files, speech, 1)
        until(lambda: running_on(cluster, jobs, postgres) or client.job(next(iter(jobs))).state == "done", 120)
        postgres.stop()
        until(lambda: cluster.status("/readyz") == 503, 60)
        assert cluster.status("/healthz") == 200
        with pytest.raises(DitheadError, match="the database does not answer; try again in a moment"):
            list(client.jobs())
        postgres.start()
        until(lambda: cluster.status("/readyz") == 200, 400)
        assert client.wait(next(iter(jobs)), 0.5).state == "done"


def activity(postgres: Postgres) -> dict[str, int]:
    """Transactions and written rows so far, and connections now."""
    import psycopg

    with psycopg.connect(postgres.address, autocommit=True) as connection:
        counters = "xact_commit, tup_inserted + tup_updated + tup_deleted"
        query = f"SELECT {counters} FROM pg_stat_database WHERE datname = 'jobs'"
        commits, rows = connection.execute(query).fetchone()
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'jobs' AND pid <> pg_backend_pid()"
        return {"commits": commits, "rows": rows, "connections": connection.execute(count).fetchone()[0]}


def test_what_workers_and_jobs_cost_the_database(files, speech, model, tmp_path, postgres):
    """The numbers of docs/explanation/scale.md: connections and queries of a worker, rows that a job writes."""
    cluster = Cluster(tmp_path, model, postgres.address)
    seconds = 30.0
    try:
        cluster.serve()
        until(lambda: cluster.status("/healthz") == 200, 400)
        alone = activity(postgres)
        for name in ("w1", "w2"):
            cluster.work(name)
        cluster.ready()
        time.sleep(10)
        before = activity(postgres)
        time.sleep(seconds)
        idle = activity(postgres)
        with cluster.client() as client:
            jobs = add(client, files, speech, 4)
            for job_id in jobs:
                client.wait(job_id, 2.0)
        after = activity(postgres)
    finally:
        cluster.stop()
    connections = (idle["connections"] - alone["connections"]) / 2
    commits = (idle["commits"] - before["commits"]) / seconds / 2
    written = (after["rows"] - idle["rows"]) / len(jobs)
    print(
        f"a worker: {connections:g} connections, {commits:.1f} transactions a second; a job: {written:.0f} rows written"
    )
    assert connections <= 8
    assert commits < 20
    assert written < 60
