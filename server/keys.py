"""`cslm keys`: makes, lists and revokes the keys in a file. A server that runs notices within a second or two."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(help="Make, list and revoke the API keys in a file.", no_args_is_help=True)

File = Annotated[
    Path, typer.Option("--file", envvar="CSLM_KEYS_FILE", help="The file of keys; it holds their hashes and limits.")
]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Who will have it: letters, digits, and . _ - between them.")],
    file: File,
    sessions: Annotated[int | None, typer.Option(min=1, help="Sessions and requests at once.")] = None,
    turns_per_minute: Annotated[int | None, typer.Option(min=1, help="Turns in any 60 s.")] = None,
    audio_minutes_per_day: Annotated[
        float | None, typer.Option(min=0.01, help="Questions and answers in a day of UTC.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36_500, help="Days until it expires.")] = None,
) -> None:
    """Make a key and print it. Nobody can print it again."""
    from pydantic import ValidationError

    from server.state.key_file import KeyEntry, changing, digest, new_key, now

    key = new_key()
    with _start_errors_shown(), changing(file) as held:
        if held[0].named(name) is not None:
            _fail(f"{file} has a key {name} already; revoked ones stay, so that their holders are told")
        try:
            entry = KeyEntry(
                name=name,
                hash=digest(key.encode()),
                created=now(),
                expires=None if days is None else now() + timedelta(days=days),
                sessions=sessions,
                turns_per_minute=turns_per_minute,
                audio_minutes_per_day=audio_minutes_per_day,
            )
            held[0] = held[0].with_key(entry)
        except ValidationError as failure:
            first = failure.errors(include_url=False, include_input=False)[0]
            _fail(f"{first['loc'][-1] if first['loc'] else 'keys'}: {first['msg']}")
    typer.echo(key)
    typer.echo(f"{name} is in {file}. This key is shown once.", err=True)


@app.command("list")
def list_keys(file: File) -> None:
    """Show names, limits and states. The file does not contain the keys themselves."""
    from rich.console import Console
    from rich.table import Table

    from server.state.key_file import read_keys

    with _start_errors_shown():
        document = read_keys(file)
    table = Table("name", "state", "sessions", "turns a minute", "audio minutes a day", "created", "expires", box=None)
    at = datetime.now(UTC)
    for entry in document.keys:
        state = entry.state(at)
        limits = (entry.sessions, entry.turns_per_minute, entry.audio_minutes_per_day)
        dates = (entry.created, entry.expires)
        table.add_row(
            entry.name,
            state,
            *("any" if limit is None else f"{limit:g}" for limit in limits),
            *("" if date is None else f"{date.astimezone(UTC):%Y-%m-%d %H:%M}" for date in dates),
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Name of the key.")], file: File) -> None:
    """End a key, its sessions and its client secrets."""
    from server.state.key_file import changing, now, read_keys

    with _start_errors_shown():
        read_keys(file)
        with changing(file) as held:
            entry = held[0].named(name)
            if entry is None:
                _fail(f"{file} has no key {name}")
            if entry.revoked is None:
                held[0] = held[0].with_key(entry.model_copy(update={"revoked": now()}))
    typer.echo(f"{name} is revoked", err=True)


@app.command()
def revoke_secret(
    secret: Annotated[str, typer.Argument(help="The client secret (ek_…), or - to read it from standard input.")],
    file: File,
) -> None:
    """Refuse one client secret from now on. Sessions that it opened go on."""
    from server.state.key_file import RevokedSecret, changing, now
    from server.state.secret_signing import secret_id

    value = sys.stdin.read().strip() if secret == "-" else secret
    try:
        id_, expires_at = secret_id(value)
        revoked = RevokedSecret(id=id_, expires=datetime.fromtimestamp(expires_at, UTC))
    except ValueError:
        _fail("this is no client secret, or a damaged one")
    with _start_errors_shown(), changing(file) as held:
        held[0] = held[0].with_revoked(revoked, now())
    typer.echo("the client secret is revoked", err=True)


@contextmanager
def _start_errors_shown() -> Iterator[None]:
    from server.errors import StartError

    try:
        yield
    except StartError as error:
        _fail(f"{error.message} ({error.code})")


def _fail(message: str) -> NoReturn:
    typer.echo(f"cslm: {message}", err=True)
    raise typer.Exit(2)
