"""The certificate: checked before it is used, and renewed while the server runs."""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path

import uvicorn

from server.errors import StartError
from server.files import read_regular
from server.state.reloading import Reloading


def keep(config: uvicorn.Config, reloading: Reloading, certificate: Path, key: Path) -> None:
    """Have new connections get what the files hold, whenever they change. Those under way keep what they have.

    Raises StartError (`tls_invalid`) where the pair cannot be used now.
    """

    def apply(_: None) -> None:
        if isinstance(config.ssl, ssl.SSLContext):
            _load(config.ssl, certificate, key)

    check = partial(_check, certificate, key)
    check()
    reloading.add("certificate", [certificate, key], check, apply)


def _check(certificate: Path, key: Path) -> None:
    """In a context of its own: a pair that does not fit would leave the server's with half of it."""
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        try:
            read_regular(path)  # OpenSSL does not say which of them it cannot read
        except OSError as failure:
            raise StartError(f"{path} cannot be read: {failure.strerror}", code="tls_invalid") from None
    try:
        context.load_cert_chain(certificate, key, password="")  # without one OpenSSL would ask the terminal
    except (OSError, ValueError) as failure:  # ssl.SSLError is an OSError
        mismatch = getattr(failure, "reason", None) == "KEY_VALUES_MISMATCH"
        why = "they do not belong together" if mismatch else "they are no PEM files, or the key has a password"
        raise StartError(f"the certificate {certificate} and the key {key}: {why}", code="tls_invalid") from None
