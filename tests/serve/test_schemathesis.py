"""Requests made from our own description, right and wrong ones, in every state of a job: none is a fault of the server.

`pytest tests/serve/test_schemathesis.py` checks that no answer is a 500, and that each is one that is described.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("schemathesis")

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from dithead.serve.database import WORKERS, database_time
from dithead.serve.options import ServeOptions

from .conftest import Server

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filled(talker: Any, files: dict[str, Path]) -> Iterator[tuple[Server, dict[str, list[str]]]]:
    """A server with uploads, and a job in every state."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(
            ServeOptions(data=Path(folder) / "data", min_free=0.0, max_jobs=1000, max_uploads=1000, live=0), talker
        )
        done, failed, cancelled, queued = (server.add(files)["id"] for _ in range(4))
        server.client.post(f"/v1/jobs/{cancelled}/cancel")
        server.runner.run(done)
        (server.state.storage.job(failed) / "in_video").write_bytes(b"broken")
        server.runner.run(failed)
        with server.state.engine.begin() as c:  # a worker that is alive for long, so that the server is ready
            alive = database_time(server.state.engine) + 1e6
            c.execute(WORKERS.insert().values(name="w", beat=alive, state="idle"))
        half = server.client.post("/v1/uploads", params={"name": "half.mp4", "size": 9}, content=b"1234").json()["id"]
        whole = server.upload(files["mia.mp4"])["id"]
        assert [server.job(each)["state"] for each in (done, failed, cancelled, queued)] == [
            "done", "failed", "cancelled", "queued"
        ]  # fmt: skip
        yield server, {"job_id": [done, failed, cancelled, queued], "upload_id": [half, whole]}
        server.client.close()
        server.state.close()


def test_no_request_is_a_fault(filled: tuple[Server, dict[str, list[str]]]) -> None:
    """Requests to every operation; half of them name what exists, the others what they like."""
    server, known = filled
    described = schemathesis.openapi.from_asgi("/openapi.json", server.app, headers={"Host": "127.0.0.1"})
    counts: Counter[str] = Counter()
    turn = count()

    def ask(case: Any) -> None:
        for name, ids in known.items():
            if name in (case.path_parameters or {}) and len(str(case.path_parameters[name])) % 2 == 0:
                case.path_parameters[name] = ids[-1] if case.method == "DELETE" else ids[next(turn) % len(ids)]
        answer = case.call_and_validate(checks=list(CHECKS), headers={"Host": "127.0.0.1"}, timeout=120)
        counts[f"{case.method} {case.path} {answer.status_code}"] += 1

    for found in described.get_all_operations():
        operation = found.ok()
        if not operation.path.endswith("/events"):  # these end only when the job does
            tried = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
            tried(given(case=operation.as_strategy())(ask))()
    for line, times in sorted(counts.items()):
        print(f"{line}: {times}")
    assert len({line.rpartition(" ")[0] for line in counts}) > 15
    assert not any(line.endswith("500") for line in counts)
