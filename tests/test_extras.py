"""Optional libraries: each belongs to an extra, and where one is missing, the error names the command to install it."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dithead.errors import EXTRAS, DitheadError, MissingExtraError, explain_import

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MODULES = {"opencv_python_headless": "cv2", "c2pa_python": "c2pa", "pillow": "PIL"}
"""Projects of the core whose module has another name."""
NEITHER = {"wandb", "starlette", "h11"}
"""Used only where it is there and a variable asks for it; come with fastapi and uvicorn."""
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
sys.argv = ["dithead", *{arguments}]
from dithead.cli import main
main()
"""


def project_of(requirement: str) -> str:
    return re.split(r"[\[<>=!;~ ]", requirement)[0].replace("-", "_")


def third_party_imports() -> set[str]:
    """The top-level modules that dithead imports anywhere, without those of Python and its own."""
    found = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"dithead"}


def test_every_library_is_in_the_core_or_in_an_extra() -> None:
    core = {MODULES.get(name, name) for name in map(project_of, PROJECT["dependencies"])}
    extras = {module for modules in EXTRAS.values() for module in modules}
    assert third_party_imports() - core - extras <= NEITHER


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_its_modules(extra: str) -> None:
    assert set(EXTRAS[extra]) <= {project_of(entry) for entry in PROJECT["optional-dependencies"][extra]}


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["synth", "1", "-o", "people"], "pip install 'dithead[synth]'"),
        (["voices", "1", "-o", "voices"], "pip install 'dithead[synth]'"),
        (["generate", "--model", "org/name", "--video", "v", "--audio", "a", "-o", "o.mp4"], "v: "),
    ],
    ids=["synth", "voices", "generate"],
)
def test_without_any_extra_a_command_says_what_to_install(arguments: list[str], command: str, tmp_path: Path) -> None:
    modules = {module for modules in EXTRAS.values() for module in modules}
    code = BLOCKED.format(modules=modules, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("dithead: ")
    assert done.stderr.count("\n") == 1
    assert command in done.stderr


def missing(module: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named '{module}'", name=module)


def test_a_missing_module_of_an_extra_names_the_extra() -> None:
    error = explain_import(missing("scipy.sparse"))
    assert isinstance(error, MissingExtraError)
    assert str(error) == "scipy is not installed; install it with: pip install 'dithead[synth]'"


def test_a_library_of_the_core_that_does_not_load_is_left_to_the_doctor() -> None:
    error = explain_import(ImportError("libcudart.so.13: cannot open shared object file\nmore", name="torch"))
    assert isinstance(error, DitheadError)
    assert str(error) == (
        "torch cannot be loaded (libcudart.so.13: cannot open shared object file); "
        "`dithead doctor` says how to repair it"
    )
    assert str(explain_import(ImportError())).startswith("a library cannot be loaded (ImportError)")


def test_a_wrong_import_within_dithead_is_a_bug() -> None:
    assert explain_import(missing("dithead.nothing")) is None


def test_the_page_on_installing_lists_every_extra() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "howto" / "install.md").read_text("utf-8"), re.M))
    assert listed == EXTRAS.keys() == PROJECT["optional-dependencies"].keys() - {"agreement", "dev", "docs"}
