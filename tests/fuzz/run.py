"""Damages files for as long as you like, and counts.

    python tests/fuzz/run.py SECONDS [SEED]

The readers run in a process of their own, so that one that dies costs nothing but itself. What breaks a reader is kept
in the folder ``crashers``. The last lines say how often each reader ran, and every way to fail.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.targets import READERS, check, damaged_copy

CRASHERS = Path(__file__).parent / "crashers"
_PART, _HANGS = 1200.0, 1800.0  # seconds that one process works, and that one file may take
_STEP = 10  # reads that are counted at once
# A model folder takes 40 ms, all others 1 to 3.
_SHARES = {"video": 3, "audio": 3, "picture": 4, "job list": 6, "analysis": 4, "model folder": 0.3}


def main(seconds: float, seed: int) -> None:
    """Start one process after the other until the time is up."""
    end, total, faults = time.monotonic() + seconds, Counter[str](), Counter[str]()
    while (left := end - time.monotonic()) > 0:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--part", str(min(left, _PART)), str(seed), folder]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=_PART + _HANGS, check=False)
                code = done.returncode
            except subprocess.TimeoutExpired:
                code = -1
            for line in (Path(folder) / "log").read_text().splitlines() if (Path(folder) / "log").exists() else []:
                kind, name = json.loads(line)
                (faults if kind == "fault" else total)[name] += 1 if kind == "fault" else _STEP
            if code:
                faults[f"the process ended with {code}"] += 1
                _keep(Path(folder) / "now", f"died_{seed}")
        seed += 1
        print(f"{sum(total.values())} reads {dict(total)}; {len(faults)} ways to fail: {dict(faults)}", flush=True)


def part(seconds: float, seed: int, folder: Path) -> None:
    """Damage and read for some seconds; ``log`` has a line for every ten reads and for every fault."""
    rng, end, count = random.Random(seed), time.monotonic() + seconds, Counter[str]()
    names, weights = list(READERS), [_SHARES[name] for name in READERS]
    with (folder / "log").open("a") as log:
        while time.monotonic() < end:
            reader = rng.choices(names, weights)[0]
            shutil.rmtree(folder / "now", ignore_errors=True)
            (folder / "now").mkdir()
            path = damaged_copy(reader, rng, folder / "now")
            before = count[reader] // _STEP
            try:
                count[reader] += check(path)
            except Exception as error:  # noqa: BLE001
                count[reader] += 1
                log.write(json.dumps(["fault", f"{reader} {path.suffix} {type(error).__name__}: {error}"[:200]]) + "\n")
                _keep(folder / "now", f"{seed}_{sum(count.values())}")
            for _ in range(count[reader] // _STEP - before):
                log.write(json.dumps(["reads", reader]) + "\n")
            log.flush()


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
