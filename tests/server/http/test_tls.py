"""Https without a proxy: the certificate is checked before it is used, and renewed without a restart."""

from __future__ import annotations

import asyncio
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from openai import AsyncOpenAI
from websockets.asyncio.client import connect

from server.errors import StartError
from server.listening import listening_socket
from tests.server.front import eventually, listening


def issued(directory: Path, name: str, password: bytes | None = None) -> tuple[Path, Path, int]:
    """A certificate for localhost that trusts itself, its key, and its serial number."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    serial, now = x509.random_serial_number(), datetime.now(UTC)
    made = (
        x509.CertificateBuilder(
            subject, subject, key.public_key(), serial, now - timedelta(days=1), now + timedelta(days=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden))
    return *paths, serial


async def served_serial(url: str) -> int:
    """Serial number of the certificate that a new connection is shown."""
    unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port, ssl=unchecked)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(shown).serial_number


async def test_stock_clients_over_https_and_a_renewed_certificate(tmp_path: Path) -> None:
    certificate, key, serial = issued(tmp_path, "server")
    trusted = ssl.create_default_context(cafile=certificate)
    async with listening(tls_certificate=certificate, tls_key=key) as front:
        address = front.url.replace("http", "https").replace("127.0.0.1", "localhost")
        async with httpx.AsyncClient(verify=trusted, trust_env=False) as http:
            client = AsyncOpenAI(base_url=f"{address}/v1", api_key="any", http_client=http, max_retries=0)
            assert [model.id for model in (await client.models.list()).data] == ["fake"]
        async with connect(address.replace("https", "wss") + "/v1/realtime", ssl=trusted, proxy=None) as socket:
            assert "session.created" in str(await socket.recv())
            assert await served_serial(front.url) == serial
            other, other_key, renewed = issued(tmp_path, "other")
            other.replace(certificate)
            front.state.reloading.soon()
            await eventually(lambda: front.state.reloading.failed)
            assert await served_serial(front.url) == serial, "a certificate without its key changes nothing"
            other_key.replace(key)
            front.state.reloading.soon()
            await eventually(lambda: not front.state.reloading.failed)
            assert await served_serial(front.url) == renewed
            await socket.send('{"type": "input_audio_buffer.clear"}')
            assert "input_audio_buffer.cleared" in str(await socket.recv()), "connections under way go on"


async def test_a_socket_that_is_handed_over_is_served_with_the_certificate(tmp_path: Path) -> None:
    certificate, key, serial = issued(tmp_path, "server")
    async with listening(tls_certificate=certificate, tls_key=key) as front:
        assert front.server is not None
        listener = listening_socket("127.0.0.1", 0)
        await front.server.accept(listener)
        assert await served_serial(f"https://127.0.0.1:{listener.getsockname()[1]}") == serial


@pytest.mark.parametrize(
    ("fault", "why"),
    [("missing", "server.key cannot be read"), ("fifo", "it is no regular file"), ("mismatched", "do not belong together"), ("damaged", "no PEM files"),
     ("password", "the key has a password")],
)  # fmt: skip
async def test_a_pair_that_cannot_be_used(fault: str, why: str, tmp_path: Path) -> None:
    certificate, key, _ = issued(tmp_path, "server", b"secret" if fault == "password" else None)
    match fault:
        case "missing":
            key.unlink()
        case "fifo":
            certificate.unlink()
            os.mkfifo(certificate)
        case "mismatched":
            key = issued(tmp_path, "other")[1]
        case "damaged":
            certificate.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    with pytest.raises(StartError) as refused:
        async with listening(tls_certificate=certificate, tls_key=key):
            pass
    assert refused.value.code == "tls_invalid" and why in refused.value.message


async def test_one_without_the_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="belong together"):
        async with listening(tls_certificate=tmp_path / "server.pem"):
            pass
