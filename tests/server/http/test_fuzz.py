"""Every route against its own description, with requests that keep to it and requests that do not: none fails in the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import settings

from server.app import create_app
from tests.server.front import listening, make_settings

DESCRIPTION = schemathesis.openapi.from_dict(create_app(make_settings()).openapi())
QUICK = settings(max_examples=15)


@schemathesis.serializer("audio/*", "application/sdp")
def raw(context: schemathesis.SerializationContext, value: object) -> bytes:
    """A body that is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of fake stages in a thread of its own, which takes any name for its model: what lies behind that is of interest."""
    server = listening(model_aliases="*")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server) as front:
        yield front.url


@DESCRIPTION.parametrize()
@QUICK
def test_no_request_fails_in_the_server(case: schemathesis.Case, url: str) -> None:
    answer = case.call(base_url=url)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"type", "code", "message", "param"}
