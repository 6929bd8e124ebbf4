"""Makes self-made certificates and reads certificates and keys of any kind, as PEM."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ORGANISATION = "dithead, self-made certificate"
"""Organisation that self-made certificates name, so that nobody takes them for an identity that was checked."""
_YEARS = 10  # of validity: without a time stamp, a signature can be checked only as long as its certificate is valid
_CURVES = {256: "es256", 384: "es384", 521: "es512"}  # size of the curve in bits, and C2PA's name of the algorithm


def new_chain(name: str) -> tuple[bytes, bytes, bytes]:
    """Make a signer called ``name``: a private key, its chain and its issuer's certificate, as PEM."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    issuer_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _certificate("dithead self-made authority", issuer_key, issuer_key, is_authority=True)
    leaf = _certificate(name, key, issuer_key, is_authority=False)
    pem = serialization.Encoding.PEM
    anchor = issuer.sign(issuer_key, hashes.SHA256()).public_bytes(pem)
    chain = leaf.sign(issuer_key, hashes.SHA256()).public_bytes(pem) + anchor
    plain = serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain), chain, anchor


def _certificate(
    name: str, key: EllipticCurvePrivateKey, issuer_key: EllipticCurvePrivateKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    """A certificate as C2PA's profile wants it (C2PA 2.2, section 14.5), not yet signed."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)  # clocks differ
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(_subject("dithead self-made authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365 * _YEARS))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.BasicConstraints(is_authority, None), True)
        .add_extension(_usage(is_authority), True)
    )
    mail = [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    return builder if is_authority else builder.add_extension(x509.ExtendedKeyUsage(mail), False)


def _usage(is_authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=is_authority, crl_sign=is_authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _subject(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION), x509.NameAttribute(NameOID.COMMON_NAME, name),
    ])  # fmt: skip


def public_key_bytes(key: Any) -> bytes:
    """Return a public key as bytes, so that two can be compared."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def algorithm_of(key: Any) -> str:
    """Return C2PA's name of the signature algorithm of a private key; ValueError when it has none."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size in _CURVES:
        return _CURVES[key.key_size]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise ValueError("C2PA signs with ECDSA (P-256, P-384, P-521), Ed25519 or RSA keys only")


def common_name(subject: x509.Name) -> str:
    """Return the common name, or all of a subject that has none."""
    from cryptography.x509.oid import NameOID

    found = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else subject.rfc4514_string()


def split_chain(chain: bytes) -> list[bytes]:
    """Return the certificates of a PEM chain, each as PEM."""
    end = b"-----END CERTIFICATE-----"
    return [part.strip() + b"\n" + end + b"\n" for part in chain.split(end)[:-1]]
