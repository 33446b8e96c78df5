"""HTTP/1.x on one connection, with h11.

uvicorn's other parser, httptools, loses the body of a request that offers an upgrade, and sends chunks to clients of HTTP/1.0.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Any

import h11
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.errors import UploadTimeout
from server.http.error_responses import error_response
from streaming.errors import CapacityError, InvalidRequest, SpeechServerError

log = logging.getLogger("cslm.http")


_MOST_AHEAD_BYTES = 64 * 1024
"""Of requests that a client sends while one is answered. With more, its leaving is not seen before that is over."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`most`: connections at once, sockets included; `most_of_address`: of one peer's address; `header_s`: until a request's
    header is complete, from the connection or from its first byte; `proxies`: addresses and networks that carry many peers.
    """

    most: int
    most_of_address: int
    header_s: float
    proxies: tuple[str, ...] = ()

    def counts(self, address: str) -> bool:
        """Connections of `address` are those of one peer."""
        return not (address and any(ip_address(address) in ip_network(proxy) for proxy in self.proxies))


class Connection(H11Protocol):
    """Requests are answered whatever upgrade they offer; only a `GET` of HTTP/1.1 may become a WebSocket (RFC 6455, 4.1).

    Who opens more connections than `limits` allow is refused, and who begins no request in time is left.
    """

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._patience: asyncio.TimerHandle | None = None

    @property
    def unused(self) -> bool:
        """No request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse, or wait for a request."""
        address = (transport.get_extra_info("peername") or ("",))[0]
        others = [getattr(each, "client", None) for each in self.connections]
        of_address = sum(client is not None and client[0] == address for client in others)
        too_many_of_it = of_address >= self._limits.most_of_address and self._limits.counts(address)
        if len(others) >= self._limits.most or too_many_of_it:
            self.transport, self.flow = transport, FlowControl(transport)
            log.warning("too many connections; refused one")
            self._answer(CapacityError("there are too many connections; try again later"))
            return
        super().connection_made(transport)
        self._wait_for_header()

    def data_received(self, data: bytes) -> None:
        """Part of a request."""
        super().data_received(data)
        answers = self.cycle is not None and not self.cycle.response_complete
        if self.conn.their_state is h11.DONE and len(self.conn.trailing_data[0]) < _MOST_AHEAD_BYTES:
            self.flow.resume_reading()  # uvicorn reads nothing behind a request until that is answered: not even the end
        if answers or self.transport.is_closing() or self.transport.get_protocol() is not self:
            self._stop_waiting()
        elif self._patience is None:
            self._wait_for_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_header(self) -> None:
        self._patience = self.loop.call_later(self._limits.header_s, self._header_late)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _header_late(self) -> None:
        self._answer(UploadTimeout(f"no request came within {self._limits.header_s:g} s"))

    def _get_upgrade(self) -> bytes | None:
        may_upgrade = self.scope["method"] == "GET" and self.scope["http_version"] == "1.1"
        return b"websocket" if may_upgrade and super()._get_upgrade() == b"websocket" else None

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed is answered in the same shape as every other error; within an answer, the connection closes."""
        self._answer(InvalidRequest("the request is not valid HTTP/1.1", code="bad_request"))

    def _answer(self, why: SpeechServerError) -> None:
        """Say `why` where that is still possible, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            error = error_response(why)
            headers = [*error.raw_headers, (b"connection", b"close")]
            reason = HTTPStatus(error.status_code).phrase.encode()
            for event in (
                h11.Response(status_code=error.status_code, headers=headers, reason=reason),
                h11.Data(data=bytes(error.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
