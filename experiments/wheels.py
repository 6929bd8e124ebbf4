"""On which systems and Pythons does every dependency of the core have a wheel, so that nothing must be compiled?

It makes the table of wheels in docs/results/installation.md.

    python experiments/wheels.py [INDEX]

It walks through the requirements of the core as they are installed here, takes the version of each that
constraints.txt pins, and reads that project's list of files from the package index that pip reads (PyPI by default;
one request a project). A cell names the Pythons that have a wheel, and the oldest system that one of them runs on.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from shared import make_parser, print_table

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
NEWEST_GLIBC, NEWEST_MACOS = 41, 15
"""Newest systems asked about: glibc 2.41 (Debian 13) and macOS 15."""


class System(NamedTuple):
    """An operating system on one kind of processor: its name, and its platform tags from oldest to newest."""

    name: str
    platforms: dict[str, str]  # platform tag -> what the tag asks of the system


def linux(machine: str) -> dict[str, str]:
    """Return the tags of Linux with the GNU C library, with the version that each needs."""
    old = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
    tags = {f"{name}_{machine}": f"glibc 2.{minor}" for name, minor in old.items()}
    return tags | {f"manylinux_2_{minor}_{machine}": f"glibc 2.{minor}" for minor in range(5, NEWEST_GLIBC + 1)}


def macos() -> dict[str, str]:
    """Return the tags of macOS on Apple's processors, with the version that each needs."""
    machines = ("arm64", "universal2")
    versions = [
        *((f"10_{minor}", "11") for minor in range(9, 17)),
        *((f"{major}_0", str(major)) for major in range(11, NEWEST_MACOS + 1)),
    ]
    return {f"macosx_{tag}_{machine}": f"macOS {version}" for tag, version in versions for machine in machines}


SYSTEMS = (
    System("Linux x86-64", linux("x86_64")),
    System("Linux Arm", linux("aarch64")),
    System("macOS Arm", macos()),
    System("Windows", {"win_amd64": ""}),
)


def core_closure() -> list[str]:
    """Name the core's requirements and what they require in turn on this machine, in alphabetical order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    todo, found = list(project["dependencies"]), set()
    while todo:
        requirement = Requirement(todo.pop())
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        todo += requires(requirement.name) or []
    return sorted(found)


def pinned() -> dict[str, str]:
    """Read constraints.txt: the version of each project."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").split()
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def wheels(name: str, version: str, index: str) -> list[frozenset[Tag]]:
    """Read from the index which wheels a version of a project has, each as its set of tags."""
    address = f"{index.rstrip('/')}/{name}/"
    request = Request(address, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urlopen(request, timeout=60) as answer:
        files = [entry["filename"] for entry in json.load(answer)["files"]]
    named = [file for file in files if file.endswith(".whl") and file.split("-")[1] == version]
    return [tags for *_, tags in map(parse_wheel_filename, named)]


def needs(system: System, python: tuple[int, int], files: list[frozenset[Tag]]) -> str | None:
    """Return the oldest system that a wheel runs on under a Python, "any" for a pure one; None without a wheel."""
    for platform, needed in ({"any": "any"} | system.platforms).items():
        if platform == "any":
            fitting = set(compatible_tags(python, f"cp{python[0]}{python[1]}", []))
        else:
            fitting = {*cpython_tags(python, platforms=[platform]), *compatible_tags(python, platforms=[platform])}
        if any(tag.platform == platform and tag in fitting for tags in files for tag in tags):
            return needed
    return None


def cell(system: System, files: list[frozenset[Tag]]) -> str:
    """Describe which Pythons have a wheel on a system, and what it needs."""
    found = {python: needs(system, python, files) for python in PYTHONS}
    if all(need == "any" for need in found.values()):
        return "pure"
    with_wheel = [f"{major}.{minor}" for (major, minor), need in found.items() if need is not None]
    if not with_wheel:
        return "**none**"
    versions = f"{with_wheel[0]} to {with_wheel[-1]}" if len(with_wheel) == len(PYTHONS) else ", ".join(with_wheel)
    return ", ".join(filter(None, [versions, newest({need for need in found.values() if need})]))


def newest(needed: set[str]) -> str:
    """Of what the wheels of several Pythons need of a system, return the newest."""
    return max(needed, key=lambda text: [int(number) for number in re.findall(r"\d+", text)], default="")


def rows(index: str) -> Iterator[list[str]]:
    versions = pinned()
    for name in core_closure():
        version = versions.get(name) or installed_version(name)  # pip freeze leaves setuptools out
        files = wheels(name, version, index)
        yield [f"{name} {version}", *(cell(system, files) for system in SYSTEMS)]


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("index", nargs="?", default="https://pypi.org/simple")
    found = list(rows(parser.parse_args().index))
    compiled = [row for row in found if set(row[1:]) != {"pure"}]
    print_table(["project", *(system.name for system in SYSTEMS)], compiled)
    pure = ", ".join(row[0] for row in found if row not in compiled)
    print(f"\nPure Python, one wheel for all: {pure}.")


if __name__ == "__main__":
    main()
