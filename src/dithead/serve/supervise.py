"""Starts the workers of ``dithead serve`` as processes of their own, and starts one again that has died.

So a file that crashes its decoder, or a machine short of memory, takes down one job's attempt and never the server.
A worker ends with the server that started it: it watches a pipe that closes when the server is gone.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from dataclasses import asdict, fields, replace
from pathlib import Path

from dithead.errors import DitheadError
from dithead.serve.logs import log_as_json
from dithead.serve.options import ServeOptions, WorkerOptions

log = logging.getLogger("dithead.serve")
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0  # seconds before a worker that died is started again (our choice)
_LAST_WORDS = 20.0  # seconds that workers have to keep their segments when the server ends (our choice)


class LocalWorkers:
    """The workers that a server runs on its own machine."""

    def __init__(self, options: ServeOptions) -> None:
        self.options = options
        self._ending = threading.Event()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start them, and keep them running."""
        for number in range(1, self.options.workers + 1):
            name = f"{self.options.worker_name}-{number}"
            self._threads.append(threading.Thread(target=self._keep, args=(name,), daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """End them; each keeps the segments of its job."""
        self._ending.set()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_LAST_WORDS)
            except subprocess.TimeoutExpired:
                process.kill()
        for thread in self._threads:
            thread.join(5)

    def _keep(self, name: str) -> None:
        wait = _FIRST_WAIT
        while not self._ending.is_set():
            code = self._run(name)
            if self._ending.is_set():
                return
            log.warning("worker died and is started again", extra={"worker": name, "status": code})
            self._ending.wait(wait)
            wait = min(_LONGEST_WAIT, 2 * wait)

    def _run(self, name: str) -> int:
        """Start a worker and wait for its end; options go through the pipe, so that no list of processes shows them."""
        command = [sys.executable, "-c", "from dithead.serve.supervise import child; child()"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603  # our own interpreter and code
        self._processes[name] = process
        assert process.stdin is not None
        try:
            process.stdin.write(_packed(self.options, name) + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        return process.wait()


def _packed(options: ServeOptions, name: str) -> bytes:
    wanted = {each.name for each in fields(WorkerOptions)}
    chosen = {key: value for key, value in asdict(replace(options, name=name)).items() if key in wanted}
    return json.dumps(chosen, default=str).encode()


def child() -> None:
    """Be a worker: read the options from standard input, and end at once when that closes."""
    from dithead.serve.worker import run_worker

    log_as_json()
    given = json.loads(sys.stdin.buffer.readline())
    given |= {"data": Path(given["data"]), "models": tuple(given["models"])}
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run_worker(WorkerOptions(**given))
    except DitheadError as error:
        log.error("worker cannot run", extra={"reason": str(error)})  # a line, no traceback
        sys.exit(2)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
