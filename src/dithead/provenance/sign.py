"""Signs a finished file: its credentials are embedded in it, or lie beside it where its container cannot hold them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dithead.errors import SigningError
from dithead.limits import parse_json
from dithead.media.files import printable, temporary_beside
from dithead.provenance.c2pa_library import credentials_library, is_c2pa_error, offline_context, read_store
from dithead.provenance.keys import SigningKey, signing_key
from dithead.provenance.manifest import Claim, Source, ingredient_label, manifest_definition
from dithead.provenance.media_types import EMBEDDABLE, OTHER, content_type, media_type_of, sidecar_of


@dataclass(frozen=True)
class Credentials:
    """Where an output's credentials are and who signed them."""

    place: str = "off"  # embedded, sidecar, or off
    signer: str = ""
    sidecar: Path | None = None

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON values, without those that are empty."""
        return {name: str(value) for name, value in vars(self).items() if value}


class Signer:
    """Signs files with this installation's key, which is loaded, or made, at once.

    Raises:
        ConfigError: The configured certificate or key cannot be used.
        OutputError: A new key cannot be stored.
    """

    def __init__(self) -> None:
        credentials_library()
        self.key: SigningKey = signing_key()

    def sign(self, path: Path, claim: Claim, *, final: Path | None = None) -> Credentials:
        """Sign a file in place.

        Args:
            path: The complete file, which may still have a temporary name.
            claim: What its credentials say.
            final: The name that it will have; its suffix decides where the credentials go. None: ``path``.

        Returns:
            Where the credentials are.

        Raises:
            SigningError: It cannot be signed; the file is as it was.
        """
        final = final or path
        sidecar = None if media_type_of(final) in EMBEDDABLE else sidecar_of(final)
        part = temporary_beside(final)
        try:
            manifest = self._sign(path, part, claim, final, embed=sidecar is None)
            if sidecar is None:
                part.replace(path)
            else:
                part.write_bytes(manifest)
                part.replace(sidecar)
        except OSError as error:
            raise SigningError(f"{printable(final)}: cannot be signed ({error.strerror or error})") from error
        finally:
            part.unlink(missing_ok=True)
        return Credentials("sidecar" if sidecar else "embedded", self.key.name, sidecar)

    def _sign(self, path: Path, target: Path, claim: Claim, final: Path, *, embed: bool) -> bytes:
        """Write the signed copy of a file, or nothing where credentials lie beside it; returns the manifest store."""
        media_type = media_type_of(final)
        definition = manifest_definition(claim, final.name, media_type)
        with self._errors_named(final), offline_context() as context, ExitStack() as stack:
            builder = stack.enter_context(credentials_library().Builder(definition, context))
            for source in claim.sources:
                _add_ingredient(builder, source, ingredient_label(claim, source))
            if not embed:
                builder.set_no_embed()
            source_file = stack.enter_context(path.open("rb"))
            target_file = stack.enter_context(target.open("w+b") if embed else io.BytesIO())
            return bytes(builder.sign(self._signer(), media_type, source_file, target_file))

    def _signer(self) -> Any:
        c2pa, key = credentials_library(), self.key
        info = c2pa.C2paSignerInfo(
            alg=key.algorithm.encode(), sign_cert=key.chain, private_key=key.private,
            ta_url=None if key.timestamp_authority is None else key.timestamp_authority.encode(),
        )  # fmt: skip
        return c2pa.Signer.from_info(info)

    @contextmanager
    def _errors_named(self, final: Path) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not is_c2pa_error(error):
                raise
            authority = self.key.timestamp_authority
            hint = f"; is the time-stamp authority {authority} reachable?" if authority else ""
            reason = " ".join(str(error).split())
            raise SigningError(f"{printable(final)}: cannot be signed ({reason}){hint}") from None


def _add_ingredient(builder: Any, source: Source, label: str) -> None:
    """Name a source in a manifest, with the credentials that it has itself, embedded or beside it."""
    known: dict[str, Any] = {"title": source.path.name, "relationship": source.relationship, "label": label}
    sidecar = sidecar_of(source.path)
    if sidecar.is_file() and (store := _sidecar_store(source.path, sidecar)) is not None:
        builder.add_resource(label, io.BytesIO(read_store(sidecar)))
        known |= {
            "manifest_data": {"format": "application/c2pa", "identifier": label},
            "active_manifest": store["active_manifest"],
            "validation_results": store["validation_results"],
        }
    media_type = content_type(source.path)
    try:
        with source.path.open("rb") as file:
            builder.add_ingredient(known, media_type, file)
    except Exception as error:
        if not is_c2pa_error(error):
            raise
        with source.path.open("rb") as file:  # damaged where credentials would be: named without them
            builder.add_ingredient(known, OTHER, file)


def _sidecar_store(path: Path, sidecar: Path) -> dict[str, Any] | None:
    """The manifest store beside a file, if it can be read."""
    c2pa = credentials_library()
    try:
        with (
            path.open("rb") as file,
            offline_context() as context,
            c2pa.Reader(content_type(path), file, read_store(sidecar), context=context) as reader,
        ):
            store: dict[str, Any] = parse_json(reader.json())
            return store
    except (OSError, ValueError):
        return None
    except Exception as error:
        if not is_c2pa_error(error):
            raise
        return None
