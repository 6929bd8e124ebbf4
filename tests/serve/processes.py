"""Starts servers, workers and a Postgres as processes of their own, for the tests that kill them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from dithead.serve.client import Client

SEGMENT = 8
"""Frames of a segment in the workers started here, so that short videos have several."""
_WORKER = """
import sys
import dithead.inference.output_segments as output_segments
import dithead.inference.segment_files as segment_files
output_segments.SEGMENT = {segment}
write = segment_files.write_segment
def logged(path, *rest, **more):
    write(path, *rest, **more)
    with open({log!r}, "a") as file:
        file.write(f"{{path.parent.parent.name}} {{path.name}}\\n")
segment_files.write_segment = logged
from dithead.cli import main
main()
"""
"""A worker with short segments that notes each one that it has drawn."""


def until(holds: Callable[[], Any], seconds: float) -> Any:
    """Wait for something to hold; return it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "took too long"
        time.sleep(0.2)
    return found


class Cluster:
    """A server and workers that share a data folder and a database."""

    def __init__(self, folder: Path, model: Path, database: str = "", takeover: float = 60.0) -> None:
        self.folder, self.model, self.takeover = folder, model, takeover
        self.segments = folder / "segments.txt"
        self.segments.touch()
        self.environment = os.environ | {"DITHEAD_DATA": str(folder / "data"), "DITHEAD_DATABASE": database}
        self.log = (folder / "log.txt").open("ab")
        self.port = _free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def serve(self, *more: str, workers: int = 0) -> None:
        command = [sys.executable, "-m", "dithead.cli", "serve", "--port", str(self.port), "--workers", str(workers)]
        self._start("server", [*command, *self._shared(), "--max-jobs", "100", *more])

    def work(self, name: str) -> None:
        script = _WORKER.format(segment=SEGMENT, log=str(self.segments))
        self._start(name, [sys.executable, "-c", script, "worker", "--name", name, *self._shared()])

    def kill(self, name: str) -> None:
        """End a process as a loss of power would."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(30)

    def client(self) -> Client:
        return Client(f"http://127.0.0.1:{self.port}")

    def ready(self, seconds: float = 400.0) -> None:
        until(lambda: self.status("/readyz") == 200, seconds)

    def status(self, path: str) -> int:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=10).status_code
        except httpx.TransportError:
            return 0

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        self.log.close()

    def drawn(self) -> list[str]:
        """Job and segment, for each segment that was drawn."""
        return self.segments.read_text().splitlines()

    def _shared(self) -> list[str]:
        return ["--model", str(self.model), "--min-free", "0", "--takeover", str(self.takeover)]

    def _start(self, name: str, command: list[str]) -> None:
        self.processes[name] = subprocess.Popen(command, env=self.environment, stderr=self.log)


class Postgres:
    """A Postgres of one's own, as a user that is not root, in a folder that this user can reach."""

    def __init__(self) -> None:
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="dithead-postgres-")), _free_port()
        self.programs = Path(_postgres_programs() or "")
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-D", str(self.folder / "db"), "-U", "dithead", "--auth=trust", "--no-sync")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "dithead", "jobs")

    @property
    def address(self) -> str:
        return f"postgresql://dithead@127.0.0.1:{self.port}/jobs"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "-D", str(self.folder / "db"), "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "db"), "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.as_user, str(self.programs / program), *arguments]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)


def _postgres_programs() -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(re.sub(r"\D", "", p.parts[4])))
    return str(found[-1].parent) if found else None


def has_postgres() -> bool:
    return _postgres_programs() is not None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
