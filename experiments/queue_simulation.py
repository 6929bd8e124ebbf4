"""How does the queue behave with a thousand workers of which one per cent die every hour?

It makes the table of the simulation in docs/explanation/scale.md.

    python experiments/queue_simulation.py [--workers 1000] [--hours 27] [--deaths 0.01] [--load 0.85] [--seed 1]

A discrete simulation, with the rules of ``dithead.serve``: jobs wait in one queue, first come first served; a worker
takes one job at a time; one that dies loses its job to the others after a time of silence (``--takeover``), and they go
on from the last whole segment; a job that dies in its first pass begins again. A dead worker is replaced after some
minutes. Jobs arrive at random (Poisson), and their lengths are log-normal.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from dithead.inference.output_segments import SEGMENT
from dithead.serve.options import StorageOptions, WorkerOptions
from dithead.serve.progress import WEIGHTS
from dithead.serve.work_queue import poll_seconds

FPS = 25.0
POLL = poll_seconds(StorageOptions(database="postgresql://"))
WARM_UP = 3 * 3600.0
"""Seconds that are not counted, because the queue begins empty."""
REPLACED = 300.0
"""Seconds until a dead worker is replaced: a new machine starts and loads the model (our choice)."""


@dataclass
class Job:
    """A video to be made: its frames, and what is on the disk of it."""

    arrived: float
    frames: int
    analysed: bool = False
    drawn: int = 0  # frames in whole segments
    started: float | None = None


@dataclass
class Tally:
    """What is counted."""

    waits: list[float] = field(default_factory=list)
    stays: list[float] = field(default_factory=list)
    useful: float = 0.0  # core seconds
    repeated: float = 0.0
    deaths: int = 0
    done: int = 0


@dataclass(frozen=True)
class Setting:
    """What is simulated."""

    workers: int
    hours: float
    deaths: float  # share of the workers that die in an hour
    load: float  # share of the workers that the jobs keep busy, on average
    takeover: float  # seconds of silence until others take over
    core_ms: float  # core time of one frame, milliseconds
    minutes: float  # mean length of a video
    swing: float  # how much the arrivals of a day swing about their mean: 0.3 for 30 per cent
    resume: bool


class Queue:
    """The simulation: a heap of events, each a time and what happens then."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting, self.rng, self.tally = setting, random.Random(seed), Tally()
        self.events: list[tuple[float, int, str, object]] = []
        self.numbers, self.waiting = count(), deque[Job]()
        self.idle, self.now = setting.workers, 0.0
        self.per_frame = setting.core_ms / 1000
        mean_seconds = setting.minutes * 60 * FPS * self.per_frame
        self.gap = mean_seconds / (setting.load * setting.workers)

    def run(self) -> Tally:
        """Run to the end of the last hour; jobs that are still open then are not counted."""
        self._at(0.0, "arrive", None)
        while self.events:
            self.now, _, what, about = heapq.heappop(self.events)
            if self.now > self.setting.hours * 3600:
                break
            getattr(self, f"_{what}")(about)
        return self.tally

    def _at(self, when: float, what: str, about: object) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), what, about))

    def _arrive(self, _: object) -> None:
        sigma = 0.8
        mean = self.setting.minutes * 60 * FPS
        frames = max(1, round(self.rng.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)))
        self.waiting.append(Job(self.now, frames))
        day = 1 + self.setting.swing * math.sin(2 * math.pi * self.now / 86400)
        self._at(self.now + self.rng.expovariate(day / self.gap), "arrive", None)
        self._assign()

    def _assign(self) -> None:
        while self.idle and self.waiting:
            self.idle -= 1
            self._begin(self.waiting.popleft())

    def _begin(self, job: Job) -> None:
        poll = self.rng.uniform(0, POLL)
        if job.started is None:
            job.started = self.now + poll
            if self.now > WARM_UP:
                self.tally.waits.append(job.started - job.arrived)
        first, second = (job.frames * self.per_frame * WEIGHTS[name] for name in ("finding the face", "drawing mouths"))
        left = (0.0 if job.analysed else first) + second * (1 - job.drawn / job.frames)
        dies = self.rng.expovariate(self.setting.deaths / 3600)
        if dies < left:
            self._at(self.now + poll + dies, "die", (job, dies))
        else:
            self._at(self.now + poll + left, "end", (job, left))

    def _end(self, about: object) -> None:
        job, work = about  # type: ignore[misc]
        self.tally.useful += work
        if self.now > WARM_UP:
            self.tally.done += 1
            self.tally.stays.append(self.now - job.arrived)
        self.idle += 1
        self._assign()

    def _die(self, about: object) -> None:
        job, work = about  # type: ignore[misc]
        kept = self._keep(job, work) if self.setting.resume else 0.0
        self.tally.useful += kept
        self.tally.repeated += work - kept
        self.tally.deaths += 1
        silence = self.rng.uniform(1.0, 1.0 + 1 / 6) * self.setting.takeover
        self._at(self.now + silence, "again", job)
        self._at(self.now + REPLACED, "replace", None)

    def _keep(self, job: Job, work: float) -> float:
        """Note what of a dead worker's work is on the disk; returns its core seconds."""
        first = job.frames * self.per_frame * WEIGHTS["finding the face"]
        second = self.per_frame * WEIGHTS["drawing mouths"]
        kept = 0.0
        if not job.analysed:
            if work < first:
                return 0.0
            job.analysed, kept, work = True, first, work - first
        segments = int(work / (second * SEGMENT))
        job.drawn = min(job.frames, job.drawn + segments * SEGMENT)
        return kept + segments * SEGMENT * second

    def _again(self, about: object) -> None:
        assert isinstance(about, Job)
        self.waiting.appendleft(about)  # it keeps its place: the queue is ordered by when a job was added
        self._assign()

    def _replace(self, _: object) -> None:
        self.idle += 1
        self._assign()


def row(setting: Setting, seed: int) -> str:
    """Simulate a setting; return its line of the table."""
    tally = Queue(setting, seed).run()
    waits, stays = np.array(tally.waits), np.array(tally.stays)
    hours = tally.done / (setting.hours - WARM_UP / 3600)
    redone = tally.repeated / (tally.useful + tally.repeated)
    how = f"{setting.load:.0%} ± {setting.load * setting.swing:.0%} busy, {setting.deaths:.0%} die an hour, "
    how += "resumes" if setting.resume else "begins anew"
    shares = [np.percentile(waits, 50), np.percentile(waits, 99)]
    cells = [how, f"{hours:,.0f}", f"{tally.deaths}", *(f"{share:.1f}" for share in shares)]
    cells += [f"{np.percentile(stays, 99) / 60:.0f}", f"{redone:.3%}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=27.0)
    parser.add_argument("--deaths", type=float, default=0.01)
    parser.add_argument("--load", type=float, default=0.85)
    parser.add_argument("--swing", type=float, default=0.0, help="of the arrivals over a day")
    parser.add_argument("--takeover", type=float, default=WorkerOptions().takeover)
    parser.add_argument("--core-ms", type=float, default=200.0, help="core time of one frame")
    parser.add_argument("--minutes", type=float, default=5.0, help="mean length of a video")
    parser.add_argument("--seed", type=int, default=1)
    given = vars(parser.parse_args())
    seed = given.pop("seed")
    print(
        "| setting | jobs an hour | deaths | median wait, s | 99 % wait, s | 99 % until done, min | work done twice |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for load, swing in ((given["load"], given["swing"]), (0.95, 0.0), (0.8, 0.2), (0.8, 0.3)):
        print(row(Setting(**{**given, "load": load, "swing": swing}, resume=True), seed), flush=True)
    print(row(Setting(**{**given, "deaths": 1e-9}, resume=True), seed), flush=True)
    print(row(Setting(**given, resume=False), seed), flush=True)
    print(row(Setting(**{**given, "deaths": 10 * given["deaths"]}, resume=True), seed))
    print(row(Setting(**{**given, "deaths": 10 * given["deaths"]}, resume=False), seed))


if __name__ == "__main__":
    main()
