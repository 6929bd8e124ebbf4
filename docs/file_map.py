"""Write the README's file map: one line a file, the first sentence of each file's docstring."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "dithead"
README = ROOT / "README.md"
BEGIN = "<!-- file map: `make map` writes it from the first sentence of each file -->\n"
END = "<!-- end of file map -->"


def describe(file: Path) -> str:
    """The first sentence of a module's docstring, without the full stop."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert docstring, f"{file} has no docstring"
    return re.split(r"(?<=\w)\.(?: |$)", docstring.splitlines()[0])[0]


def file_map() -> str:
    """Markdown: a list of files under each folder, empty ``__init__`` files left out."""
    lines: list[str] = []
    folders = [PACKAGE, *sorted(path for path in PACKAGE.iterdir() if path.is_dir())]
    for folder in folders:
        files = [file for file in sorted(folder.glob("*.py")) if file.stat().st_size]
        if files:
            lines += ["", f"`{folder.relative_to(ROOT)}/`", ""]
            lines += [f"- `{file.name}`: {describe(file)}" for file in files]
    return "\n".join(lines) + "\n\n"


def updated(readme: str) -> str:
    """The README's text with the map in place."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + file_map() + END + after


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
