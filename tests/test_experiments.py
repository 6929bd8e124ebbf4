"""Experiments and recipes keep working as the package changes: their imports, their options, and what they call."""

import ast
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from typer.main import get_command

from dithead.cli import app
from dithead.config import get_preset

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path for path in (ROOT / "experiments").glob("*.py") if path.name != "shared.py")
RECIPES = sorted((ROOT / "recipes").glob("*.sh"))
SHELL_FUNCTIONS = {"variant": "train dit", "render": "synth"}  # of the recipes: they pass their options on


def name_of(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_every_experiment_says_how_it_is_called(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    assert f"python experiments/{script.name}" in capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_every_experiment_says_which_question_it_answers(script: Path) -> None:
    docstring = ast.get_docstring(ast.parse(script.read_text("utf-8"))) or ""
    assert "?" in docstring.split("\n\n")[0] or "answers no question" in docstring


def private_names(source: str) -> list[str]:
    """Names with a leading underscore that are imported, or read from anything but ``self``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dithead"):
            found += [name for name in (*str(node.module).split("."), *(a.name for a in node.names)) if name[0] == "_"]
        elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
            found += [node.attr] if ast.unparse(node.value) != "self" else []
    return found


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / "experiments" / "shared.py"], ids=name_of)
def test_experiments_use_public_names_only(script: Path) -> None:
    assert private_names(script.read_text("utf-8")) == []


def test_the_rule_sees_private_names() -> None:
    source = "from dithead.face import _mesh\nfrom dithead.face.masks import _grown\nimport a\na._b\nself._c\n"
    assert private_names(source) == ["_mesh", "_grown", "_b"]


def dithead_calls(recipe: Path) -> Iterator[list[str]]:
    """The words of each call of dithead after its name, with the recipe's own arrays written out."""
    text = re.sub(r"\\\n\s*", " ", recipe.read_text("utf-8"))
    arrays = {name: " ".join(words.split()) for name, words in re.findall(r"^(\w+)=\((--.*?)\)$", text, re.M | re.S)}
    for name, words in arrays.items():
        text = text.replace(f'"${{{name}[@]}}"', words)
    for line in text.splitlines():
        words = shlex.split(line.split(" | ")[0], comments=True) if re.match(r"\s*(dithead|\w+) ", line) else []
        if words and words[0] == "dithead":
            yield words[1:]
        elif words and words[0] in SHELL_FUNCTIONS and any(word.startswith("--") for word in words):
            yield [*SHELL_FUNCTIONS[words[0]].split(), *words[1:]]


def unknown_options(words: list[str]) -> list[str]:
    """The options among the words that the sub-command they begin with does not have."""
    command = get_command(app)
    while words and (inner := getattr(command, "commands", {}).get(words[0])) is not None:
        command, words = inner, words[1:]
    assert not getattr(command, "commands", {}), f"no sub-command of dithead: {words[:1]}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words if re.match(r"-{1,2}[a-z]", word) and word not in known]


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_recipes_are_valid_shell_scripts(recipe: Path) -> None:
    done = subprocess.run(["bash", "-n", str(recipe)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_recipes_call_what_dithead_has(recipe: Path) -> None:
    calls = list(dithead_calls(recipe))
    assert calls
    assert [unknown for words in calls for unknown in unknown_options(words)] == []


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_recipes_set_what_a_preset_has(recipe: Path) -> None:
    for words in dithead_calls(recipe):
        changes = [entry for option, entry in pairwise(words) if option == "--set"]
        get_preset(words[words.index("--preset") + 1] if "--preset" in words else "tiny", changes)


@pytest.mark.parametrize("file", [*RECIPES, *SCRIPTS], ids=name_of)
def test_files_that_they_name_exist(file: Path) -> None:
    named = re.findall(r"\b(?:experiments|recipes|docs)/[\w./-]+\.\w+", file.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_a_wrong_option_is_found(tmp_path: Path) -> None:
    recipe = tmp_path / "a.sh"
    recipe.write_text('small=(--preset tiny\n  --color blue)\ndithead train dit "${small[@]}" \\\n  --sped 3 # --no\n')
    assert [unknown_options(words) for words in dithead_calls(recipe)] == [["--color", "--sped"]]
