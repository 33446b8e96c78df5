"""`cslm top`: one server in the terminal, as its metrics show it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer
from rich.console import Console
from rich.live import Live

from clients.errors import ClientError, ConnectionRejected, ForeignMetrics, ServerUnreachable
from clients.metrics_view import SessionView, Snapshot, sessions_of, view
from clients.talk import report_error
from clients.top_screen import drawn

DEFAULT_SERVER = "http://127.0.0.1:8080"
_TIMEOUT_S = 5.0
_MOST_BYTES = 8 * 1024 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Metrics:
    """The metrics at one address. Use as a context."""

    def __init__(self, server: str, api_key: str | None = None) -> None:
        self.url = metrics_url(server)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        proxied = urlsplit(self.url).hostname not in _LOOPBACK
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT_S, trust_env=proxied)

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def look(self) -> Snapshot:
        """As they are now. Raises ServerUnreachable, ConnectionRejected, ForeignMetrics."""
        status, body = self._get(self.url, "text/plain")
        if status in (401, 403):
            raise ConnectionRejected(
                f"{self.url} refuses: HTTP {status}; give the key with --api-key or CSLM_API_KEY",
                code="invalid_api_key",
            )
        if status != 200:
            raise ForeignMetrics(f"{self.url} answers with HTTP {status}: there are no metrics")
        try:
            return Snapshot.of(body.decode(), time.time())
        except UnicodeDecodeError as error:
            raise ForeignMetrics(f"{self.url} is no text") from error
        except ForeignMetrics as error:
            raise ForeignMetrics(f"{self.url}: {error.message}") from error

    def sessions(self) -> list[SessionView] | None:
        """What is under way, as far as the key may see it; None: it may not, or the server does not say.

        Raises ServerUnreachable, ForeignMetrics.
        """
        status, body = self._get(f"{self.url.removesuffix('/metrics')}/v1/sessions", "application/json")
        return sessions_of(body) if status == 200 else None

    def _get(self, url: str, media_type: str) -> tuple[int, bytes]:
        try:
            with self._client.stream("GET", url, headers={"Accept": media_type}) as answer:
                body = bytearray()
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > _MOST_BYTES:
                        raise ForeignMetrics(f"{url} has more than {_MOST_BYTES} bytes: that is not of our server")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerUnreachable(f"nothing answers at {url}: {error or type(error).__name__}") from error
        return answer.status_code, bytes(body)


def metrics_url(server: str) -> str:
    """Where the metrics of the server at `server` are. Raises ServerUnreachable for what is no address."""
    try:
        parts = urlsplit(server if "://" in server else f"http://{server}")
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        if scheme in ("http", "https") and parts.hostname and parts.port != 0:
            path = parts.path.rstrip("/")
            return f"{scheme}://{parts.netloc}{path if path.endswith('/metrics') else '/metrics'}"
    except ValueError:
        pass
    raise ServerUnreachable(f"{server!r} is not a server address; use one like {DEFAULT_SERVER}")


def top(
    server: Annotated[str, typer.Option("--server", "--url", help="The server.")] = DEFAULT_SERVER,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="CSLM_API_KEY", help="For the list of sessions; a proxy may ask for it, too."),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two looks.")] = 2.0,
    once: Annotated[
        bool, typer.Option("--once", help="Print what there is since the server's start, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as one JSON document.")] = False,
) -> None:
    """Sessions, stages, queues and room of a server, as its metrics show them, and what is under way.

    Exit status: 0, or 3 where there is no server or something else answers.
    """
    console = Console()
    try:
        with Metrics(server, api_key) as metrics:
            first = metrics.look()
            if as_json:
                now, under_way = view(first), metrics.sessions()
                listed = None if under_way is None else [asdict(each) for each in under_way]
                typer.echo(json.dumps({"server": metrics.url, **asdict(now), "free": now.free, "under_way": listed}))
            elif once or not console.is_terminal:
                console.print(drawn(view(first), metrics.url, metrics.sessions()))
            else:
                _watch(metrics, first, interval, console)
    except ClientError as error:
        raise typer.Exit(report_error(error)) from error
    except KeyboardInterrupt:
        return


def _watch(metrics: Metrics, last: Snapshot, interval_s: float, console: Console) -> None:
    """Draw until somebody interrupts. A server that does not answer for a while is waited for."""
    shown, under_way, lost = view(last), metrics.sessions(), ""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(drawn(shown, metrics.url, under_way, lost), refresh=True)
            time.sleep(interval_s)
            try:
                now, under_way = metrics.look(), metrics.sessions()
            except ServerUnreachable as error:
                lost = error.message
                continue
            shown, last, lost = view(now, last), now, ""
