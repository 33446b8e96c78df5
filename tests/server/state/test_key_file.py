"""Keys at rest, and the command that makes them. No key stands in the file, in a message or in a log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.cli import app
from server.errors import StartError
from server.state.key_file import MOST_REVOKED, KeyDocument, changing, digest, new_key, parsed, read_keys
from server.state.secret_signing import SecretSigner

runner = CliRunner()
HASH = digest(b"anything")


def run(path: Path, *arguments: str, status: int = 0, **options: Any) -> Any:
    result = runner.invoke(app, ["keys", *arguments, "--file", str(path)], **options)
    assert result.exit_code == status, result.output
    return result


def test_a_key_is_printed_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = run(path, "new", "anna", "--sessions", "2", "--turns-per-minute", "30", "--days", "10")
    key = made.stdout.strip()
    assert key.startswith("sk-cslm-") and len(key) > 48 and key not in made.stderr
    [entry] = read_keys(path).keys
    assert (entry.name, entry.hash, entry.sessions, entry.turns_per_minute) == ("anna", digest(key.encode()), 2, 30)
    assert entry.expires is not None and timedelta(days=9) < entry.expires - datetime.now(UTC) < timedelta(days=11)
    assert key not in path.read_text() and path.stat().st_mode & 0o777 == 0o600
    shown = run(path, "list").stdout
    assert "anna" in shown and "good" in shown and "30" in shown and HASH not in shown and entry.hash not in shown


def test_revoked_keys_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    run(path, "new", "anna")
    path.chmod(0o644)
    run(path, "revoke", "anna")
    assert "revoked" in run(path, "list").stdout
    assert "has a key anna already" in run(path, "new", "anna", status=2).stderr
    assert "has no key ben" in run(path, "revoke", "ben", status=2).stderr
    assert path.stat().st_mode & 0o777 == 0o644, "whoever could read it still can"


@pytest.mark.parametrize("may", [True, False])
def test_a_file_that_root_changes_is_still_its_owners(
    may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, given = tmp_path / "keys.json", list[tuple[int, int]]()

    def fchown(file: int, user: int, group: int) -> None:
        given.append((user, group))
        if not may:
            raise PermissionError

    monkeypatch.setattr(os, "fchown", fchown)
    run(path, "new", "anna")
    assert not given
    run(path, "new", "ben")
    assert given == [(path.stat().st_uid, path.stat().st_gid)]
    assert len(read_keys(path).keys) == 2


def test_a_full_list_of_revoked_secrets_stays_as_it_is(tmp_path: Path) -> None:
    path, now = tmp_path / "keys.json", datetime.now(UTC)

    def listed(last: datetime) -> None:
        times = [now + timedelta(days=1)] * (MOST_REVOKED - 1) + [last]
        secrets = [{"id": str(number), "expires": f"{until:%Y-%m-%dT%H:%M:%SZ}"} for number, until in enumerate(times)]
        path.write_text(json.dumps({"revoked_secrets": secrets}))

    secret = SecretSigner("x").make({}, int(now.timestamp()) + 600, key="anna", key_hash="")
    listed(now + timedelta(days=1))
    assert "keys_full" in run(path, "revoke-secret", secret, status=2).stderr
    assert len(read_keys(path).revoked_secrets) == MOST_REVOKED
    listed(now - timedelta(days=1))
    run(path, "revoke-secret", secret)
    assert read_keys(path).revoked_secrets[-1].id == SecretSigner("x").read(secret).id


def test_nothing_is_written_that_could_not_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    run(path, "new", "anna")
    with pytest.raises(StartError, match=r"keys\.0\.hash"), changing(path) as held:
        held[0] = KeyDocument(keys=(held[0].keys[0].model_copy(update={"hash": "sha256:x"}),))
    assert read_keys(path).keys[0].name == "anna"


def test_a_client_secret_is_revoked_by_its_id(tmp_path: Path) -> None:
    path, later = tmp_path / "keys.json", int(datetime.now(UTC).timestamp()) + 600
    secret = SecretSigner("x").make({}, later, key="anna", key_hash="")
    run(path, "revoke-secret", secret)
    run(path, "revoke-secret", "-", input=f"{SecretSigner('x').make({}, later - 60, key='ben', key_hash='')}\n")
    document = read_keys(path)
    assert len(document.revoked_secrets) == 2 and document.revoked_secrets[0].id == SecretSigner("x").read(secret).id
    for wrong in ("ek_x", "sk-1", "ek_", "ek_" + "é" * 9):
        assert "no client secret" in run(path, "revoke-secret", wrong, status=2).stderr


@pytest.mark.parametrize("name", ["", "b ob", "-x", "a" * 41, "näme", "a\nb", "default", "anonymous"])
def test_names_are_labels(name: str, tmp_path: Path) -> None:
    result = runner.invoke(app, ["keys", "new", "--file", str(tmp_path / "keys.json"), "--", name])
    assert result.exit_code == 2 and "sk-cslm" not in result.output
    assert "a name has 1 to 40 letters" in result.stderr or "no key may be named" in result.stderr
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("", "Invalid JSON"),
        ('{"keys": [', "Invalid JSON"),
        ("[]", "object"),
        ({"keys": [{"name": "anna", "hash": "sk-cslm-plain-key"}]}, "keys.0.hash"),
        ({"keys": [{"name": "anna", "hash": HASH, "limit": 3}]}, "keys.0.limit"),
        ({"keys": [{"name": "anna", "hash": HASH, "sessions": 0}]}, "keys.0.sessions"),
        ({"keys": [{"name": "anna", "hash": HASH, "audio_minutes_per_day": -1}]}, "keys.0.audio_minutes_per_day"),
        ({"keys": [{"name": "anna", "hash": HASH, "expires": "2027-01-01T00:00:00"}]}, "keys.0.expires"),
        ({"keys": [{"name": "anna", "hash": HASH, "expires": "soon"}]}, "keys.0.expires"),
        ({"keys": [{"name": "anna", "hash": HASH}, {"name": "ben", "hash": HASH}]}, "keys.1 has the hash of another key"),
        ({"keys": [{"name": "anna", "hash": HASH}, {"name": "anna", "hash": digest(b"b")}]}, "keys.1 has the name of another key"),
        ({"keys": [{"name": "default", "hash": HASH}]}, "no key may be named default"),
        ({"keys": [{"name": f"k{at}", "hash": digest(str(at).encode())} for at in range(257)]}, "256"),
        ({"revoked_secrets": [{"id": "ek_whole secret"}]}, "revoked_secrets.0.id"),
        ({"keys": [{"name": "anna", "hash": HASH, "expires": "9999-12-31T23:00:00-12:00"}]}, "keys.0.expires"),
        ({"keys": [{"name": "anna", "hash": HASH, "created": "0001-01-01T00:00:00+14:00"}]}, "keys.0.created"),
        ({"keys": [{"name": "anna", "hash": HASH, "sessions": 10**400}]}, "keys.0.sessions"),
        ({"keys": [{"name": "anna", "hash": HASH, "audio_minutes_per_day": 1e308}]}, "keys.0.audio_minutes_per_day"),
        (f'{{"keys": [{{"name": "anna", "hash": "{HASH}", "revoked": "2026-01-01T00:00:00Z", "revoked": null}}]}}', "revoked twice"),
        ('{"keys": [], "revoked_secrets": [], "keys": []}', "keys twice"),
        (b"\x00" * 64, "Invalid JSON"),
        ('{"keys": []}'.encode("utf-16"), "UTF-8"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_document_is_named_and_never_quoted(document: Any, fault: str) -> None:
    with pytest.raises(StartError) as refused:
        parsed(document if isinstance(document, str | bytes) else json.dumps(document), "keys.json")
    assert refused.value.code == "keys_invalid" and fault in refused.value.message
    assert "plain" not in refused.value.message and HASH not in refused.value.message


def test_a_byte_order_mark_is_no_fault() -> None:
    """Some editors write it."""
    text = json.dumps({"keys": [{"name": "anna", "hash": HASH}]}).encode("utf-8-sig")
    assert parsed(text, "keys.json").named("anna") is not None


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["fifo", "device", "loop", "too large", "name too long"])
def test_what_is_no_file_of_keys_is_named_at_once(kind: str, tmp_path: Path) -> None:
    """Neither a server that starts nor one that reads its keys anew waits for it, or takes all of it into memory."""
    path = tmp_path / ("x" * 300 if kind == "name too long" else "keys.json")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "too large":
        path.touch()
        os.truncate(path, 1 << 40)
    with pytest.raises(StartError, match="cannot be read") as refused:
        read_keys(path)
    assert refused.value.code == "keys_missing"
    assert "(keys_" in run(path, "new", "anna", status=2).stderr


def test_a_file_that_cannot_be_had(tmp_path: Path) -> None:
    for path, status in ((tmp_path / "none.json", "keys_missing"), (tmp_path, "keys_missing")):
        with pytest.raises(StartError) as refused:
            read_keys(path)
        assert refused.value.code == status
    assert "keys_unwritable" in run(tmp_path / "none" / "keys.json", "new", "anna", status=2).stderr
    (tmp_path / "bad.json").write_text("{")
    assert "keys_invalid" in run(tmp_path / "bad.json", "new", "anna", status=2).stderr
    assert (tmp_path / "bad.json").read_text() == "{", "what cannot be read is not written over"


def test_two_who_add_keys_at_once_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    command = [sys.executable, "-m", "server.cli", "keys", "new", "--file", str(path)]
    makers = [subprocess.Popen([*command, f"k{number}"], stdout=subprocess.DEVNULL) for number in range(4)]
    assert [maker.wait() for maker in makers] == [0] * 4
    assert {entry.name for entry in read_keys(path).keys} == {f"k{number}" for number in range(4)}


def test_keys_differ() -> None:
    assert len({new_key() for _ in range(100)}) == 100
    assert KeyDocument().keys == ()
