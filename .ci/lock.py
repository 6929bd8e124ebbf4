"""Write .ci/requirements.txt: the pinned packages with the SHA-256 of the file that pip takes on this platform.

pip then refuses any file that has changed since (`make setup LOCKED=1`; CI uses it). Hashes hold for the Python and the
platform on which this ran: CI's, Linux x86-64 with Python 3.11. torch is left out, because its file depends on whether
the index of CPU wheels is used; its version is pinned in constraints.txt all the same.

    python .ci/lock.py          # after `make pins`; asks the package index, two minutes
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONSTRAINTS, LOCK = ROOT / "constraints.txt", ROOT / ".ci" / "requirements.txt"
WITHOUT = ("torch",)


def main() -> None:
    """Ask pip which files it would take, and write their hashes."""
    pins = [line for line in CONSTRAINTS.read_text("utf-8").splitlines() if line and name_of(line) not in WITHOUT]
    with tempfile.TemporaryDirectory() as folder:
        wanted, report = Path(folder) / "wanted.txt", Path(folder) / "report.json"
        wanted.write_text("\n".join([*pins, "hatchling"]) + "\n", "utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps",
                   "--only-binary=:all:", "--report", str(report), "-r", str(wanted)]  # fmt: skip
        subprocess.run(command, check=True)  # noqa: S603  # nothing of it comes from outside
        found = json.loads(report.read_text("utf-8"))["install"]
    version = ".".join(platform.python_version_tuple()[:2])
    lines = [f"# Made by .ci/lock.py for Python {version} on {platform.system()} {platform.machine()}; do not edit."]
    for each in sorted(found, key=lambda entry: entry["metadata"]["name"].lower()):
        name, number = each["metadata"]["name"], each["metadata"]["version"]
        digest = each["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={number} --hash=sha256:{digest}")
    LOCK.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{LOCK}: {len(lines) - 1} packages")


def name_of(requirement: str) -> str:
    """Return the normalised name of a requirement."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>; \[]", requirement)[0]).lower()


if __name__ == "__main__":
    main()
