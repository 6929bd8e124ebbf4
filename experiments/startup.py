"""How long do the package and the command line take to start, and what takes that time?

It makes the table of start-up times in docs/results/installation.md.

    python experiments/startup.py [ROUNDS]

Each row is the least of several runs in new processes: seconds on the clock, and seconds of processor time, which a
busy machine changes less. ``dithead generate`` runs on a pseudo-terminal, so that it shows its progress; the clock
stops when the first decoded frame shows there, and the process is ended. Its processor time is that of the main thread,
which does not wait for the thread that imports torch and loads the model. The last table has the modules that take
longest to import.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shared import EXAMPLES, make_parser

TICKS = os.sysconf("SC_CLK_TCK")
FIRST_FRAME = re.compile(rb"finding the face[^\n]*?\b[1-9]\d*/")
"""What the terminal shows once a frame has been decoded."""
ROWS = {
    "import dithead": ["-c", "import dithead"],
    "dithead --version": ["-m", "dithead.cli", "--version"],
    "dithead --help": ["-m", "dithead.cli", "--help"],
    "dithead generate --help": ["-m", "dithead.cli", "generate", "--help"],
    "import of the pipeline": ["-c", "import dithead.inference.pipeline"],
    "import torch": ["-c", "import torch"],
}
"""What is measured -> the arguments of the interpreter."""


def run_to_end(arguments: list[str]) -> tuple[float, float]:
    """Run the interpreter; returns seconds on the clock and of the processor."""
    before, begun = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - begun, used


def run_to_first_frame(output: Path) -> tuple[float, float]:
    """Start ``dithead generate`` and end it at its first frame; returns seconds on the clock and of the processor."""
    command = [sys.executable, "-m", "dithead.cli", "generate", "-o", str(output)]
    command += ["--video", str(EXAMPLES / "presenters" / "mia.mp4")]
    command += ["--audio", str(EXAMPLES / "speech" / "english.flac")]
    begun = time.perf_counter()
    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, command)
    seen = b""
    while not FIRST_FRAME.search(seen):
        seen += os.read(terminal, 4096)
    seconds, used = time.perf_counter() - begun, processor_seconds(process)
    os.kill(process, signal.SIGTERM)
    while True:
        try:
            if not os.read(terminal, 4096):
                break
        except OSError:  # the other end is closed
            break
    os.waitpid(process, 0)
    os.close(terminal)
    return seconds, used


def processor_seconds(process: int) -> float:
    """Return the processor time of a running process's main thread so far (Linux)."""
    fields = Path(f"/proc/{process}/task/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def slowest_imports(arguments: list[str], count: int = 12) -> list[tuple[float, str]]:
    """Return the modules whose import takes longest, with what they import themselves: milliseconds and name."""
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True)
    found = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)", done.stderr)
    return sorted(((int(micro) / 1000, name) for micro, name in found), reverse=True)[:count]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("rounds", type=int, nargs="?", default=5)
    rounds = parser.parse_args().rounds
    print("| what starts | s on the clock | s of the processor |\n|---|---:|---:|")
    for name, arguments in ROWS.items():
        runs = [run_to_end(arguments) for _ in range(rounds)]
        print(f"| {name} | {min(wall for wall, _ in runs):.2f} | {min(used for _, used in runs):.2f} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = [run_to_first_frame(Path(folder) / "out.mp4") for _ in range(rounds)]
    wall, used = min(wall for wall, _ in runs), min(used for _, used in runs)
    print(f"| dithead generate, to its first decoded frame | {wall:.2f} | {used:.2f} |")
    print("\n| module, with what it imports | ms |\n|---|---:|")
    for milliseconds, module in slowest_imports(ROWS["import of the pipeline"]):
        print(f"| `{module}` | {milliseconds:.0f} |")


if __name__ == "__main__":
    main()
