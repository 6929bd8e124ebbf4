"""The doctor reports what is wrong with a machine, and does not crash because of it."""

import sys
from collections.abc import Iterator

import pytest

from dithead import doctor
from dithead.doctor import Finding, examine, healthy
from dithead.errors import ModelError


def test_this_machine_has_what_the_tests_need() -> None:
    found = {finding.topic: finding for finding in examine()}
    for topic in ("python", "torch", "opencv", "face networks", "codecs"):
        assert found[topic].status == "ok", found[topic]


def test_every_finding_that_is_not_ok_has_advice() -> None:
    for finding in examine():
        assert finding.status == "ok" or finding.advice or finding.topic == "gpu", finding


@pytest.mark.parametrize("error", [ImportError("libGL.so.1"), ModelError("x"), OSError("disk"), RuntimeError("y")])
def test_a_failing_check_is_a_finding(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def _opencv() -> Iterator[Finding]:
        raise error
        yield

    monkeypatch.setattr(doctor, "CHECKS", (_opencv,))
    (finding,) = examine()
    assert finding.status == "broken"
    assert finding.detail == str(error)
    assert "headless" in finding.advice
    assert not healthy([finding])


def test_a_missing_codec_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CODECS", ("libx264", "nosuchcodec"))
    (finding,) = doctor._codecs()
    assert finding.status == "broken"
    assert "lacks nosuchcodec" in finding.detail


def test_a_missing_extra_names_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EXTRAS", {"serve": ("no_such_module", "json")})
    (finding,) = doctor._extras()
    assert finding == Finding(
        "extra serve", "absent", "no_such_module is not installed", "pip install 'dithead[serve]'"
    )
    assert healthy([finding])


def test_a_light_install_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("dithead.synth")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    (finding,) = doctor._graphics()
    assert finding.status == "absent"
    assert finding.advice == "only for `dithead synth`: pip install 'dithead[synth]'"


def test_a_missing_speech_engine_is_only_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    (finding,) = doctor._speech()
    assert finding.status == "absent"
    assert "apt install espeak-ng" in finding.advice


@pytest.mark.parametrize(("module", "version"), [("numpy", "1.24.0"), ("cv2", "5.1.0")])
def test_a_library_of_the_wrong_version_is_broken(module: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{module}.__version__", version)
    (finding,) = doctor._numpy() if module == "numpy" else doctor._opencv()
    assert finding.status == "broken"
    assert version in finding.detail
    assert finding.advice.startswith("pip install '")
