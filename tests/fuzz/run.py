"""Damages files for as long as you like, and counts.

    python tests/fuzz/run.py SECONDS [SEED]

The readers run in a process of their own, so that one that dies costs nothing but itself, and one that needs more than
a minute of processor time for a file is ended. What breaks a reader is kept in the folder ``crashers``. The last lines
say how many damaged files each reader got, how often they were read (a film, a sound and a picture in three ways each),
and every way to fail. With ``TMPDIR=/dev/shm`` the files stay in memory.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from dithead import checkpoint
from dithead.config import ModelConfig
from dithead.models.talking_head import TalkingHead
from fuzz.targets import READERS, check, damaged_copy

CRASHERS = Path(__file__).parent / "crashers"
_PART, _HANGS = 600.0, 1800.0  # seconds that one process works, and may take longer because it gets no processor
_FILE = 60.0  # seconds of processor time that one file may take
_STEP = 10  # files that are counted at once
_BUILT = 64  # models that are kept at once
# A job list takes 0.2 ms, an analysis 0.5, a sound or a picture 1.5, a film 3, a model folder 4.
_SHARES = {"video": 4, "audio": 24, "picture": 24, "job list": 14, "analysis": 17, "model folder": 17}


def main(seconds: float, seed: int) -> None:
    """Start one process after the other until the time is up."""
    end, files, reads, faults = time.monotonic() + seconds, Counter[str](), Counter[str](), Counter[str]()
    while (left := end - time.monotonic()) > 0:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--part", str(min(left, _PART)), str(seed), folder]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=_PART + _HANGS, check=False)
                code = done.returncode
            except subprocess.TimeoutExpired:
                code = -1
            _add_up(Path(folder) / "log", files, reads, faults)
            if code:
                faults[f"the process ended with {code}"] += 1
                _keep(Path(folder) / "now", f"died_{seed}")
        seed += 1
        print(f"{sum(files.values())} files {dict(files)}; {sum(reads.values())} reads {dict(reads)}; "
              f"{len(faults)} ways to fail: {dict(faults)}", flush=True)  # fmt: skip


def _add_up(log: Path, files: Counter[str], reads: Counter[str], faults: Counter[str]) -> None:
    """Add what the log of a process says."""
    for line in log.read_text().splitlines() if log.exists() else []:
        kind, name, count = json.loads(line)
        if kind == "fault":
            faults[name] += count
        else:
            files[name] += _STEP
            reads[name] += count


def part(seconds: float, seed: int, folder: Path) -> None:
    """Damage and read for some seconds; ``log`` has a line for every ten files of a reader and for every fault."""
    rng, end, files, reads = random.Random(seed), time.monotonic() + seconds, Counter[str](), Counter[str]()
    checkpoint.build_model = _built_once(checkpoint.build_model)
    names, weights = list(READERS), [_SHARES[name] for name in READERS]
    with (folder / "log").open("a") as log:
        while time.monotonic() < end:
            reader = rng.choices(names, weights)[0]
            shutil.rmtree(folder / "now", ignore_errors=True)
            (folder / "now").mkdir()
            path = damaged_copy(reader, rng, folder / "now")
            signal.setitimer(signal.ITIMER_PROF, _FILE)  # its signal ends the process
            try:
                reads[reader] += check(path)
            except Exception as error:  # noqa: BLE001
                reads[reader] += 1
                fault = f"{reader} {path.suffix} {type(error).__name__}: {error}"[:200]
                log.write(json.dumps(["fault", fault, 1]) + "\n")
                _keep(folder / "now", f"{seed}_{sum(files.values())}")
            files[reader] += 1
            if files[reader] % _STEP == 0:
                log.write(json.dumps(["reads", reader, reads.pop(reader)]) + "\n")
                log.flush()


def _built_once(build: Callable[[ModelConfig], TalkingHead]) -> Callable[[ModelConfig], TalkingHead]:
    """The same function, which keeps what it builds: building takes 25 of 30 ms of reading a tiny model."""
    built: dict[tuple[str, str], TalkingHead] = {}

    def build_once(config: ModelConfig) -> TalkingHead:
        wanted = (config.model_dump_json(), torch.get_default_device().type)
        if wanted not in built:
            if len(built) == _BUILT:
                built.clear()
            built[wanted] = build(config)
        return built[wanted]

    return build_once


def _keep(folder: Path, name: str) -> None:
    CRASHERS.mkdir(exist_ok=True)
    files = sorted(folder.glob("*")) if folder.exists() else []
    if len(files) == 1:
        suffix = files[0].name[files[0].name.index(".") :]
        shutil.copy(files[0], CRASHERS / f"{name}{suffix}")
    elif files:
        shutil.copytree(folder, CRASHERS / f"{name}_model", dirs_exist_ok=True)


if __name__ == "__main__":
    if sys.argv[1] == "--part":
        part(float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
