"""Write what goes with a release: an inventory of its parts, a list of hashes, and a signature of that list.

sbom.cdx.json       CycloneDX 1.6: every package of the environment that the release was tested in
SHA256SUMS          of all files of the folder; check them with: sha256sum -c SHA256SUMS
SHA256SUMS.sig      ECDSA signature of that list by the key that `dithead keys show` names
release-key.pem     the public key; check the list with:
                    openssl dgst -sha256 -verify release-key.pem -signature SHA256SUMS.sig SHA256SUMS

python .ci/release.py dist      # after the wheel and the sdist are in dist; `make release` does both
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dithead.provenance.keys import signing_key

SBOM, SUMS, SIGNATURE, KEY = "sbom.cdx.json", "SHA256SUMS", "SHA256SUMS.sig", "release-key.pem"


def write_sbom(folder: Path) -> None:
    """Inventory the packages of this environment; nothing is fetched."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", "pyproject.toml",
               "--output-reproducible", "--of", "JSON", "-o", str(folder / SBOM), sys.executable]  # fmt: skip
    subprocess.run(command, check=True)  # noqa: S603  # nothing of it comes from outside


def write_sums(folder: Path) -> None:
    """List the SHA-256 of every file, and sign the list."""
    files = sorted(path for path in folder.iterdir() if path.name not in (SUMS, SIGNATURE, KEY) and path.is_file())
    text = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (folder / SUMS).write_text(text, "utf-8")
    key = serialization.load_pem_private_key(signing_key().private, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SystemExit("the release is signed with an ECDSA key; trust.toml names another kind")
    (folder / SIGNATURE).write_bytes(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / KEY).write_bytes(public)


def main() -> None:
    """Complete the release in the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    write_sbom(folder)
    write_sums(folder)
    print(f"{folder}: {len((folder / SUMS).read_text().splitlines())} files in {SUMS}, signed")


if __name__ == "__main__":
    main()
