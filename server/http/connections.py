"""HTTP/1.x on one connection, with h11.

uvicorn's other parser, httptools, loses the body of a request that offers an upgrade, and sends chunks to clients of HTTP/1.0.
"""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.http.error_responses import error_response
from streaming.errors import InvalidRequest


class Connection(H11Protocol):
    """Requests are answered whatever upgrade they offer; only a `GET` of HTTP/1.1 may become a WebSocket (RFC 6455, 4.1)."""

    def _get_upgrade(self) -> bytes | None:
        may_upgrade = self.scope["method"] == "GET" and self.scope["http_version"] == "1.1"
        return b"websocket" if may_upgrade and super()._get_upgrade() == b"websocket" else None

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed is answered in the same shape as every other error; within an answer, the connection closes."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            error = error_response(InvalidRequest("the request is not valid HTTP/1.1", code="bad_request"))
            headers = [*error.raw_headers, (b"connection", b"close")]
            for event in (
                h11.Response(status_code=error.status_code, headers=headers, reason=b"Bad Request"),
                h11.Data(data=bytes(error.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
