"""The WebRTC calls of one server: begun by an offer, held in tasks of their own, hung up by id."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiortc import RTCIceServer
from structlog.contextvars import bind_contextvars

from server.errors import TooManyCalls
from server.settings import Settings
from server.state.accounts import Account
from server.state.admission import Admission
from server.state.live import LiveSession, LiveSessions
from server.state.loading import ServedModel
from server.state.metrics import Metrics
from server.state.peers import counted_as
from server.state.recording import UNRECORDED, CallTape, Recorder
from server.state.sessions import realtime_session, session_limits, session_model
from server.state.tracing import NO_TRACES, Tracing
from server.webrtc.call import CONNECT_S, Call
from server.webrtc.offers import bounded
from server.webrtc.own_addresses import shown
from server.webrtc.rate import CallRate
from streaming.errors import CapacityError, NotFound
from streaming.realtime.config import AnyConfig
from streaming.realtime.ga import Dialect
from streaming.realtime.machine import RealtimeMachine

log = logging.getLogger("cslm.calls")


_SHARE = 4
"""One place in so many may be held by calls that are not connected: offers that nobody means cannot take all."""
_SOCKET = "/v1/realtime"
"""Where a call would be held over a socket."""
_PEERS, _LEAST_OF_PEER = 2, 2
"""One in so many of those may be of one peer, but two in any case: who does not connect does not keep others from it."""


@dataclass(frozen=True, slots=True)
class _Held:
    call: Call
    task: asyncio.Task[None]
    peer: str
    account: Account


class CallRegistry:
    """The calls under way, by id."""

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        metrics: Metrics,
        live: LiveSessions,
        tracing: Tracing = NO_TRACES,
        recorder: Recorder = UNRECORDED,
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._metrics, self._live, self._tracing, self._recorder = metrics, live, tracing, recorder
        self._rate = CallRate(settings.calls_per_peer)
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
        self,
        model: ServedModel,
        account: Account,
        offer: str,
        config: AnyConfig | None,
        dialect: Dialect,
        peer: str = "",
    ) -> tuple[str, str]:
        """Answer `offer` of `peer` and hold the call of `account`, its events in `dialect`. Returns its id and the answer.

        Waits for a place. Raises InvalidRequest, RateLimited, CapacityError, TooManyCalls, TooManyWaiting.
        """
        offer = bounded(offer, self._settings.ice_peers)
        counted = counted_as(peer)
        self._check_unconnected(counted)
        self._rate.begin(counted, asyncio.get_running_loop().time())
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        call = Call(_ice_servers(self._settings.ice_servers), dialect)
        task = asyncio.create_task(self._hold(model, account, call, offer, config, peer, answered), name=call.id)
        self._held[call.id] = _Held(call, task, counted, account)
        task.add_done_callback(lambda _: self._held.pop(call.id, None))
        try:
            return call.id, shown(await answered, peer, self._settings.ice_addresses)
        except asyncio.CancelledError:
            task.cancel()
            raise

    def _check_unconnected(self, peer: str) -> None:
        peers = [held.peer for held in self._held.values() if not held.call.connected]
        most = max(1, self._settings.max_sessions // _SHARE)
        if len(peers) >= most:
            raise CapacityError(
                f"{len(peers)} calls wait for their callers to connect; try again later", retry_s=CONNECT_S
            )
        of_peer = max(_LEAST_OF_PEER, most // _PEERS)
        if peers.count(peer) >= of_peer:
            raise TooManyCalls(f"{of_peer} calls from this address are not connected yet; accepted: up to {of_peer}")

    def hang_up(self, call_id: str, account: Account) -> None:
        """End a call of `account`. Raises NotFound (`call_not_found`), also for the calls of others."""
        held = self._held.get(call_id)
        if held is None or held.account is not account:
            raise NotFound(f"there is no call {call_id[:60]!r}, or no longer", code="call_not_found", param="call_id")
        held.call.hang_up()

    async def _hold(
        self,
        model: ServedModel,
        account: Account,
        call: Call,
        offer: str,
        config: AnyConfig | None,
        peer: str,
        answered: asyncio.Future[str],
    ) -> None:
        bind_contextvars(call_id=call.id)
        try:
            with account.session():
                async with self._admission.slot("webrtc", peer):
                    await self._talk(model, account, call, offer, config, answered)
        except Exception as failure:
            if answered.cancelled():
                log.info("the caller left before the answer")
            elif answered.done():
                log.exception("the call failed")
            else:
                answered.set_exception(failure)
        finally:
            await call.close()

    async def _talk(
        self,
        model: ServedModel,
        account: Account,
        call: Call,
        offer: str,
        config: AnyConfig | None,
        answered: asyncio.Future[str],
    ) -> None:
        machine = RealtimeMachine(session_model(model), session_limits(self._settings, model, account), config)
        begun_with = None if config is None else config.model_dump(mode="json", exclude_unset=True)
        recording = self._recorder.session(machine.id, model.name, "webrtc", call.dialect, _SOCKET, begun_with)
        stop, tracing = self._admission.stop, self._tracing
        with tracing.session("webrtc"), recording as tape:
            if tape is not None:
                call.tape = CallTape(tape, type(call.dialect)(), lambda: machine.audio_in)
            live = LiveSession(machine.id, account, "webrtc", machine)
            session = realtime_session(self._settings, self._metrics, model, machine, live, stop, tracing)
            answered.set_result(await call.answer(offer))
            with self._live.logged(live):
                await call.run(session)


def _ice_servers(urls: tuple[str, ...]) -> list[RTCIceServer]:
    """`stun:host:port` or `turn:user:password@host:port`."""
    servers = []
    for url in urls:
        scheme, _, rest = url.partition(":")
        place = urlsplit(f"//{rest}")
        host = rest.rpartition("@")[2]
        servers.append(RTCIceServer(f"{scheme}:{host}", username=place.username, credential=place.password))
    return servers
