"""What the package brings and does: no network, no executable weights, known licences, hashed installs."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SOCKET_CALL = {"x86_64": 41, "aarch64": 198}
"""Number of the system call ``socket`` by machine."""
NO_NETWORK = """
import ctypes, platform, socket, struct, sys
# A filter of the kernel's (seccomp) kills the process when anything in it, native libraries included, opens an internet
# socket: load the call's number; if it is socket(), load its first argument; AF_INET (2) or AF_INET6 (10) is death.
steps = [(0x20, 0, 0, 0), (0x15, 0, 4, NUMBER), (0x20, 0, 0, 16), (0x15, 1, 0, 2), (0x15, 0, 1, 10),
         (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
filter = Filter(len(steps), ctypes.addressof(program))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(filter)):
    sys.exit(77)
if sys.argv[1] == "probe":
    socket.socket()
    sys.exit(0)
sys.argv[0] = "dithead"
from dithead.cli import main
main()
"""


def load_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_network(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``dithead`` in a process that is killed when it opens an internet socket."""
    import platform

    number = SOCKET_CALL.get(platform.machine()) if sys.platform == "linux" else None
    if number is None:
        pytest.skip("the kernel's filter is written for Linux on x86-64 and Arm")
    code = NO_NETWORK.replace("NUMBER", str(number))
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel lets no process filter its own calls")
    return done


def test_the_filter_kills_whoever_opens_an_internet_socket() -> None:
    assert without_network("probe").returncode < 0


def test_the_main_job_and_verify_open_no_internet_socket(tmp_path: Path) -> None:
    """The shipped model, first use of a key included."""
    presenter, speech = ROOT / "examples/presenters/mia.mp4", next((ROOT / "examples/speech").glob("*.flac"))
    output = tmp_path / "out.mp4"
    done = without_network(
        "generate", "--video", str(presenter), "--audio", str(speech), "-o", str(output), "--end", "0.2", "--fit", "cut"
    )
    assert done.returncode == 0, done.stderr
    checked = without_network("verify", str(output), "--quick", "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["verdict"] == "intact"


def test_nothing_is_unpickled_and_no_weights_can_be_executed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    tracked = listed.stdout.splitlines()
    assert not [name for name in tracked if re.search(r"\.(pt|pth|pkl|pickle|ckpt|bin|joblib)$", name)]
    allowed = {"critics/lpips.py", "critics/syncnet.py", "evaluate/external_networks.py"}  # TorchScript given by hand
    between_own_processes = {"engine.py", "inference/helper_channel.py"}  # never a file
    for file in SOURCES:
        text = file.read_text("utf-8")
        name = file.relative_to(ROOT / "src/dithead").as_posix()
        pickled = re.search(r"\b(pickle|joblib|dill)\.loads?\(|allow_pickle=True|weights_only=False", text)
        assert not pickled or name in between_own_processes, name
        assert "torch.load(" not in text or "weights_only=True" in text or name in allowed, name


def test_every_package_and_every_folder_of_weights_has_a_licence_that_allows_commercial_use() -> None:
    script = load_script(ROOT / "docs/make_licences.py")
    page = script.PAGE.read_text("utf-8")
    rows = dict(re.findall(r"^\| ([a-z0-9-]+) \| (.*) \|$", page, re.M))
    missing = set(script.pinned_names()) - {name for name, licence in rows.items() if licence}
    assert not missing, f"run: python docs/make_licences.py, and add to KNOWN what it cannot tell: {sorted(missing)}"
    forbidden = re.compile(r"AGPL|Affero|(?<!L)GPL|(?<!Lesser )General Public|NonCommercial|Non-Commercial|Proprietary")
    assert not [name for name, licence in rows.items() if forbidden.search(licence)]
    for kind in ("safetensors", "tflite", "npz"):
        for file in (ROOT / "src").rglob(f"*.{kind}"):
            folder = file.parent.relative_to(ROOT).as_posix()
            assert any(folder.startswith(known) for known in script.WEIGHTS), f"{file} has no licence in the table"


def test_the_hashed_packages_are_the_pinned_ones() -> None:
    script = load_script(ROOT / ".ci/lock.py")
    pins = [line for line in script.CONSTRAINTS.read_text("utf-8").splitlines() if line]
    lock = script.LOCK.read_text("utf-8")
    hashed = dict(re.findall(r"^([\w.-]+)==(\S+) --hash=sha256:[0-9a-f]{64}$", lock, re.M))
    hashed = {script.name_of(name): version for name, version in hashed.items()}
    for pin in pins:
        name, _, version = pin.partition("==")
        if script.name_of(pin) in script.WITHOUT:
            continue
        assert script.name_of(pin) in hashed, f"{name} has no hash; run: python .ci/lock.py"
        assert not version or hashed[script.name_of(name)] == version, f"{name} was pinned anew; run .ci/lock.py"


def test_a_release_is_inventoried_hashed_and_signed(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    script = load_script(ROOT / ".ci/release.py")
    (tmp_path / "dithead-1-py3-none-any.whl").write_bytes(b"wheel")
    script.write_sums(tmp_path)
    text = (tmp_path / script.SUMS).read_bytes()
    key = serialization.load_pem_public_key((tmp_path / script.KEY).read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify((tmp_path / script.SIGNATURE).read_bytes(), text, ec.ECDSA(hashes.SHA256()))
    assert text.decode().endswith("  dithead-1-py3-none-any.whl\n")
