"""Signs a statement with a local key: a DSSE envelope, made by securesystemslib."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgecheck.errors import DependencyError, InputError
from edgecheck.regular import require_regular
from edgecheck.report.release.statement import PAYLOAD_TYPE

MOST_KEY_BYTES = 64 << 10  # an RSA key of 16,384 bits has 13 kB
INSTALL = "signing needs securesystemslib: pip install 'edgecheck[attest]'"


def signed(statement: str, key: Path) -> str:
    """Return a statement in a signed DSSE envelope, as JSON.

    Args:
        statement: the JSON text, which is signed byte for byte.
        key: an unencrypted private key, PEM: Ed25519, ECDSA or RSA.

    Raises:
        InputError: the file cannot be read, or is not such a key.
        DependencyError: securesystemslib is not installed.
    """
    try:
        from securesystemslib.dsse import Envelope
        from securesystemslib.signer import CryptoSigner
    except ImportError:
        raise DependencyError(INSTALL) from None
    private = _private_key(key)
    try:
        signer = CryptoSigner(private)
    except ValueError as error:  # of a key that only agrees on secrets, or of a curve that nothing verifies
        raise InputError(f"{key}: cannot sign ({error}); name an Ed25519, ECDSA (P-256) or RSA key") from None
    envelope = Envelope(statement.encode(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), indent=2) + "\n"


def _private_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    require_regular(path, MOST_KEY_BYTES)
    try:
        return load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a private key") from None
    except TypeError:
        raise InputError(f"{path}: the key is encrypted; decrypt it, or sign the statement with another tool") from None
    except Exception:  # cryptography raises its own types, and ValueError, for what is no key
        raise InputError(f"{path}: not a private key in PEM; `openssl genpkey -algorithm ed25519` makes one") from None
