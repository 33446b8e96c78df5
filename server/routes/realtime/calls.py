"""POST /v1/realtime/calls: an SDP offer in, an SDP answer out, and a WebRTC call until either side hangs up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from aiortc import RTCIceServer
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, RootModel
from starlette.responses import Response

from server.errors import validated
from server.http import openapi
from server.http.dependencies import Gateway, gateway_of, realtime_settings
from server.http.uploads import read_form, read_whole
from server.routes.models import the_model
from server.state.loading import ServedModel
from server.state.sessions import session_limits, session_model, session_observer
from server.webrtc.call import Call
from streaming.errors import InvalidRequest, NotFound
from streaming.realtime.config import AnyConfig, SessionConfig
from streaming.realtime.messages import json_object
from streaming.realtime.session import RealtimeSession
from streaming.realtime.shapes import ClientEventError

log = logging.getLogger("cslm.calls")
router = APIRouter(prefix="/v1/realtime/calls")


Here = Annotated[Gateway, Depends(gateway_of)]
Settings = Annotated[dict[str, Any] | None, Depends(realtime_settings)]
"""Of the client secret that a browser came with; None where it came with the key."""


class CallForm(BaseModel):
    """What a call begins with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sdp: str = Field(min_length=1, description="the offer")
    session: str | None = Field(None, description="settings as in session.update, JSON")


class _Config(RootModel[AnyConfig]):
    """Settings of a session."""


_OFFER = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n…"
_CREATE = openapi.route(
    form=CallForm,
    form_examples={"An offer with settings": {"sdp": _OFFER, "session": '{"type": "realtime", "model": "cslm-mini"}'}},
    answers={"application/sdp": _OFFER},
    status="201",
)
_CREATE["requestBody"]["content"]["application/sdp"] = {
    "schema": {"type": "string"},
    "examples": openapi.shown({"An offer alone": _OFFER}),
}
_HANG_UP = openapi.route(answers={})


@dataclass(frozen=True, slots=True)
class _Held:
    call: Call
    task: asyncio.Task[None]


class Calls:
    """The calls under way, by id."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Calls may be held while the context lasts; at its end all are hung up."""
        try:
            yield
        finally:
            tasks = {held.task for held in self._held.values()}
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def begin(
        self, gateway: Gateway, model: ServedModel, offer: str, config: AnyConfig | None
    ) -> tuple[str, str]:
        """Answer `offer` and hold the call. Returns its id and the answer. Raises InvalidRequest, CapacityError."""
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        call = Call(_ice_servers(gateway.settings.ice_servers))
        task = asyncio.create_task(self._hold(gateway, model, call, offer, config, answered), name=call.id)
        self._held[call.id] = _Held(call, task)
        task.add_done_callback(lambda _: self._held.pop(call.id, None))
        return call.id, await answered

    def hang_up(self, call_id: str) -> None:
        """End a call. Raises NotFound (`call_not_found`)."""
        if call_id not in self._held:
            raise NotFound(f"there is no call {call_id[:60]!r}, or no longer", code="call_not_found", param="call_id")
        self._held[call_id].call.hang_up()

    async def _hold(
        self,
        gateway: Gateway,
        model: ServedModel,
        call: Call,
        offer: str,
        config: AnyConfig | None,
        answered: asyncio.Future[str],
    ) -> None:
        try:
            async with gateway.admission.slot("webrtc"):
                session = RealtimeSession(
                    session_model(model),
                    call.send,
                    limits=session_limits(gateway, model),
                    observer=session_observer(gateway, "webrtc"),
                    config=config,
                )
                answered.set_result(await call.answer(offer))
                await call.run(session)
        except Exception as failure:
            if answered.cancelled():
                log.info("%s: the caller left before the answer", call.id)
            elif answered.done():
                log.exception("%s failed", call.id)
            else:
                answered.set_exception(failure)
        finally:
            await call.close()


@router.post("", summary="Begin a WebRTC call", openapi_extra=_CREATE, response_class=Response, status_code=201)
async def create(request: Request, gateway: Here, settings: Settings) -> Response:
    offer, config = await _asked(request, gateway)
    if settings is not None:
        of_secret = _of_secret(settings)
        config = config or of_secret
    name = config.model if isinstance(config, SessionConfig) else None
    model = the_model(gateway, name or request.query_params.get("model"))
    call_id, answer = await gateway.calls.begin(gateway, model, offer, config)
    headers = {"Location": f"/v1/realtime/calls/{call_id}"}
    return Response(answer, 201, headers=headers, media_type="application/sdp")


@router.post("/{call_id}/hangup", summary="End a WebRTC call", openapi_extra=_HANG_UP, response_class=Response)
async def hangup(call_id: str, gateway: Here, settings: Settings) -> Response:
    gateway.calls.hang_up(call_id)
    return Response(status_code=200)


async def _asked(request: Request, gateway: Gateway) -> tuple[str, AnyConfig | None]:
    """The offer, and the settings to begin with: a form, or the offer as the body (`application/sdp`)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        form = validated(CallForm, await read_form(request, gateway.settings))
        return form.sdp, None if form.session is None else _config(form.session)
    if media_type != "application/sdp":
        raise InvalidRequest(
            "send the offer as application/sdp, or as `sdp` of a form", code="missing_parameter", param="sdp"
        )
    body = await read_whole(request, gateway.settings)
    return body.decode("utf-8", "replace"), None


def _of_secret(settings: dict[str, Any]) -> AnyConfig:
    if settings["type"] == "translation":
        raise InvalidRequest("this client secret is for translation sessions, not for calls", code="wrong_session_type")
    return validated(_Config, settings).root


def _config(text: str) -> AnyConfig:
    try:
        fields = json_object(text)
    except ClientEventError:
        raise InvalidRequest("session is not a JSON object", param="session") from None
    return validated(_Config, fields).root


def _ice_servers(urls: tuple[str, ...]) -> list[RTCIceServer]:
    """`stun:host:port` or `turn:user:password@host:port`."""
    servers = []
    for url in urls:
        scheme, _, rest = url.partition(":")
        place = urlsplit(f"//{rest}")
        host = rest.rpartition("@")[2]
        servers.append(RTCIceServer(f"{scheme}:{host}", username=place.username, credential=place.password))
    return servers
