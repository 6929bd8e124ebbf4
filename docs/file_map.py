"""Write docs/reference/file-map.md: one line for each file, the first sentence of its docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dithead"
PAGE = ROOT / "docs" / "reference" / "file-map.md"
HEAD = """# File map

<!-- `make map` writes this page from the first sentence of each file. Do not edit it by hand. -->

This page lists every Python file of the package by folder, with the first sentence of its docstring.
[Design](../explanation/design.md) explains how the folders depend on one another.
"""


def describe(file: Path) -> str:
    """Return the first sentence of a module's docstring, without the full stop."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert docstring, f"{file} has no docstring"
    return re.split(r"(?<=[\w`)])\.(?: |$)", docstring.splitlines()[0])[0].replace("``", "`")


def folders() -> list[Path]:
    """Return the package folder and all folders below it that hold Python files, sorted by path."""
    below = (path for path in PACKAGE.rglob("*") if path.is_dir() and any(path.glob("*.py")))
    return [PACKAGE, *sorted(path for path in below if path.name != "__pycache__")]


def file_map() -> str:
    """Return the page as Markdown; ``__init__`` files without content are left out."""
    lines = [HEAD]
    for folder in folders():
        files = [file for file in sorted(folder.glob("*.py")) if file.stat().st_size]
        lines.append(f"## `{folder.relative_to(PACKAGE.parent)}/`\n")
        lines += [f"- `{file.name}`: {describe(file)}" for file in files]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(file_map(), encoding="utf-8")
