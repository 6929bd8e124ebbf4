"""How long does live speech take from its coming to its picture, and do picture and sound stay in step?

It makes the table of live speech in docs/results/serve.md.

    python experiments/live_loopback.py FOLDER [--seconds 60] [--video FILE] [--model small]

A server runs on loopback as a process of its own. A client speaks like a microphone, a piece every 40 ms, and notes
every frame and every piece of sound with the moment at which it came. What came is then written as a video, each frame
shown until the next one comes, and the sync expert that scores measures by how many frames the sound is late.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import websockets

from dithead.evaluate.observe_video import observe
from dithead.evaluate.sync_measures import measure_sync
from dithead.media.audio import read_audio
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.writer import VideoWriter
from dithead.serve.client import Client

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE, PIECE = 16000, 640


@dataclass
class Run:
    """What the client took down."""

    delay: float = 0.0
    pictures: list[tuple[float, float, bytes]] = field(default_factory=list)  # seconds, when it came, JPEG
    sounds: list[tuple[float, float, bytes]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)  # when each piece of speech was sent


def speech(seconds: float) -> np.ndarray:
    """Return the three voices of the examples, one after the other with pauses, again and again."""
    pause = np.zeros(RATE // 2, np.float32)
    parts = [read_audio(EXAMPLES / "speech" / f"{name}.flac", RATE) for name in ("english", "spanish", "hindi")]
    once = np.concatenate([piece for part in parts for piece in (part, pause)])
    return np.resize(once, round(seconds * RATE))


def start(folder: Path, model: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server; returns its process and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dithead.cli", "serve", "--data", str(folder / "data"), "--port", str(port)]
    process = subprocess.Popen([*command, "--workers", "0", "--min-free", "0", "--model", model])
    for _ in range(600):
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz")
            return process, f"127.0.0.1:{port}"
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit("the server does not start")


async def talk(address: str, video: Path, wave: np.ndarray) -> Run:
    """Speak for as long as the speech lasts, and take down what comes."""
    with Client(f"http://{address}") as client:
        upload = client.upload(video)
    run, pcm = Run(), (wave * 32767).astype("<i2").tobytes()
    async with websockets.connect(f"ws://{address}/v1/live", max_size=None) as line:
        await line.send(json.dumps({"video": {"upload": upload.id}, "consent": True, "rate": RATE, "real_time": True}))
        while (told := json.loads(await line.recv()))["type"] != "ready":
            if told["type"] != "preparing":
                raise SystemExit(told["detail"])
        run.delay = told["delay"]
        speaking = asyncio.create_task(speak(line, pcm, run))
        end = time.monotonic() + len(wave) / RATE + run.delay + 0.5
        while time.monotonic() < end:
            message = await line.recv()
            now = time.monotonic()
            if isinstance(message, str):
                run.figures.append(json.loads(message))
                continue
            kind, _, seconds = struct.unpack_from("<BxxxId", message)
            (run.pictures if kind == 1 else run.sounds).append((seconds, now, message[16:]))
        await speaking
        await line.send(json.dumps({"type": "end"}))
    return run


async def speak(line: Any, pcm: bytes, run: Run) -> None:
    """Send speech as a microphone does."""
    begun = time.monotonic()
    for number in range(len(pcm) // 2 // PIECE):
        await asyncio.sleep(max(0.0, begun + number * PIECE / RATE - time.monotonic()))
        run.sent.append(time.monotonic())
        await line.send(pcm[2 * number * PIECE : 2 * (number + 1) * PIECE])


def sound_latencies(run: Run, pcm: np.ndarray) -> np.ndarray:
    """Seconds from the sending of each loud piece to its coming back, found by its samples."""
    heard = np.concatenate([np.frombuffer(content, "<i2") for _, _, content in run.sounds])
    came = np.repeat([moment for _, moment, _ in run.sounds], PIECE)
    places: dict[bytes, int] = {}
    width = 64
    for place in range(len(heard) - width):
        if abs(int(heard[place])) > 1000:
            places.setdefault(heard[place : place + width].tobytes(), place)
    found = []
    for number, moment in enumerate(run.sent):
        piece = pcm[number * PIECE : (number + 1) * PIECE]
        loud = np.flatnonzero(np.abs(piece[: PIECE - width]) > 1000)
        if len(loud) and (place := places.get(piece[loud[0] : loud[0] + width].tobytes())) is not None:
            found.append(came[place] - moment)
    return np.array([each for each in found if 0 < each < 10])  # the speech repeats itself


def write_video(run: Run, path: Path, fps: int = 25) -> None:
    """Write what came: at each moment the newest frame, and all the sound."""
    wave = np.concatenate([np.frombuffer(content, "<i2") for _, _, content in run.sounds]).astype(np.float32) / 32768
    first = cv2.imdecode(np.frombuffer(run.pictures[0][2], np.uint8), cv2.IMREAD_COLOR)
    pictures, shown, place = run.pictures, first, 0
    info = VideoInfo(first.shape[1], first.shape[0], Fraction(fps))
    with VideoWriter(path, info, EncoderOptions(crf=12), audio=(wave, RATE)) as writer:
        for number in range(int(len(wave) / RATE * fps)):
            while place < len(pictures) and pictures[place][0] <= number / fps + 1e-6:
                shown = cv2.imdecode(np.frombuffer(pictures[place][2], np.uint8), cv2.IMREAD_COLOR)
                place += 1
            writer.write(np.ascontiguousarray(shown[..., ::-1]))


def report(run: Run, pcm: np.ndarray, seconds: float) -> None:
    """Print what was measured."""

    def line(name: str, values: np.ndarray) -> None:
        shares = " | ".join(f"{1e3 * np.percentile(values, share):.0f}" for share in (50, 95, 99, 100))
        print(f"| {name} | {len(values)} | {shares} |")

    print(f"delay promised: {1e3 * run.delay:.0f} ms; frames {len(run.pictures)} of {round(25 * seconds)}")
    print("| milliseconds | number | median | 95 % | 99 % | most |\n|---|---:|---:|---:|---:|---:|")
    line("speech sent to sound back", sound_latencies(run, pcm))
    begun = min(moment - second for second, moment, _ in run.sounds)
    line("frame after the moment at which it is due", np.array([m - s - begun for s, m, _ in run.pictures]))
    line("sound after the moment at which it is due", np.array([m - s - begun for s, m, _ in run.sounds]))
    print("last figures:", run.figures[-1])


def main() -> None:
    """Run, write and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--video", type=Path, default=EXAMPLES / "presenters" / "mia.mp4")
    parser.add_argument("--model", default=os.environ.get("DITHEAD_MODEL", "small"))
    parser.add_argument("--later", action="store_true", help="only write the video; measure it with --measure")
    parser.add_argument("--measure", action="store_true", help="only measure the video that is there")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    output = given.folder / "loopback.mkv"
    if not given.measure:
        process, address = start(given.folder, given.model)
        try:
            wave = speech(given.seconds)
            run = asyncio.run(talk(address, given.video, wave))
        finally:
            process.terminate()
            process.wait(60)
        report(run, (wave * 32767).astype("<i2"), given.seconds)
        write_video(run, output)
    if not given.later:
        print(measure_sync(observe(output)))


if __name__ == "__main__":
    main()
