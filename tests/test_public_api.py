"""The public surface: these names, these signatures, lazily."""

import inspect
import subprocess
import sys

import pytest

import dithead

PUBLIC = {
    "ConfigError",
    "DataError",
    "DitheadError",
    "DitheadPipeline",
    "FaceError",
    "GenerateResult",
    "MediaError",
    "MissingExtraError",
    "ModelError",
    "OutputError",
    "VerifyResult",
    "__version__",
    "generate",
    "load_model",
    "prepare_dataset",
    "save_model",
    "verify",
}


def test_these_names_and_no_others() -> None:
    assert set(dithead.__all__) == PUBLIC
    assert set(dir(dithead)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(dithead, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'generation'"):
        _ = dithead.generation  # type: ignore[attr-defined]


def test_every_error_is_a_dithead_error() -> None:
    errors = [getattr(dithead, name) for name in PUBLIC if name.endswith("Error")]
    assert all(issubclass(error, dithead.DitheadError) for error in errors)


def test_generate_takes_three_paths_and_keywords() -> None:
    from dithead.inference.pipeline import generate

    parameters = inspect.signature(generate).parameters
    assert list(parameters)[:3] == ["video", "audio", "output"]
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[3:])
    assert {"model", "steps", "seed", "device", "reference"} <= set(parameters)


def test_generate_is_a_plain_function() -> None:
    assert inspect.isfunction(dithead.generate)
    assert "speaking" in inspect.getdoc(dithead.generate) or "audio" in inspect.getdoc(dithead.generate)


def test_the_help_of_functions_names_options_as_python_writes_them() -> None:
    for function in (dithead.generate, dithead.prepare_dataset):
        assert "--" not in str(function.__doc__)
    assert "credentials=False is noted in the result" in str(dithead.generate.__doc__)
    assert "where the speech is longer, see fit." in str(dithead.generate.__doc__)


def test_importing_the_package_does_not_load_torch() -> None:
    code = "import sys, dithead; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
