"""How fast does the server answer one client, eight and sixty-four, and what does it do with a thousand?

It makes the table of answers in docs/results/serve.md.

    python experiments/serve_load.py FOLDER [--seconds 10]

The server runs on loopback as a process of its own, without workers, with a hundred jobs in its table. Each client asks
for the state of a job again and again, as a page does that polls.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

from dithead.serve.client import Client

EXAMPLES = Path(__file__).parents[1] / "examples"
JOBS = 100


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server; returns its process and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dithead.cli", "serve", "--data", str(folder / "data"), "--port", str(port)]
    command += ["--workers", "0", "--min-free", "0", "--max-jobs", str(10 * JOBS)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            httpx.get(f"{address}/healthz")
            return process, address
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit("the server does not start")


def fill(address: str) -> list[str]:
    """Add jobs, which nobody runs; returns their ids."""
    with Client(address) as client:
        video = client.upload(EXAMPLES / "presenters" / "mia.mp4")
        audio = client.upload(EXAMPLES / "speech" / "english.flac")
        body = {"video": {"upload": video.id}, "audio": {"upload": audio.id}, "consent": True}
        return [client.create(body).id for _ in range(JOBS)]


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time that a process has used, from Linux's table of processes."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def poll(address: str, jobs: list[str], clients: int, seconds: float) -> tuple[list[float], int]:
    """Let clients poll; returns the seconds of each answer, and how many failed."""
    times: list[float] = []
    failed = 0
    end = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)

    async def one(client: httpx.AsyncClient, number: int) -> None:
        nonlocal failed
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                answer = await client.get(f"{address}/v1/jobs/{jobs[number % len(jobs)]}")
                failed += answer.status_code != 200
            except httpx.TransportError:
                failed += 1
            times.append(time.monotonic() - began)

    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        await asyncio.gather(*(one(client, number) for number in range(clients)))
    return times, failed


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    process, address = start(given.folder)
    try:
        jobs = fill(address)
        print("| clients | answers a second | median, ms | 95 %, ms | 99 %, ms | processor ms an answer | failed |")
        print("|---:|---:|---:|---:|---:|---:|---:|")
        for clients in (1, 8, 64, 1000):
            before = processor_seconds(process)
            times, failed = asyncio.run(poll(address, jobs, clients, given.seconds))
            work = 1e3 * (processor_seconds(process) - before) / len(times)
            shares = " | ".join(f"{1e3 * np.percentile(times, share):.0f}" for share in (50, 95, 99))
            print(f"| {clients} | {len(times) / given.seconds:.0f} | {shares} | {work:.1f} | {failed} |", flush=True)
    finally:
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main()
