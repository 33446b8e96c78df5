"""Places of a server, and the wait for them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from server.errors import ServerStopping, TooManyWaiting
from server.state.admission import Admission
from server.state.gate import GateRules, Place
from streaming.errors import CapacityError
from tests.server.front import eventually


async def hold(admission: Admission, order: list[str], name: str, until: asyncio.Event, peer: str = "") -> None:
    async with admission.slot("rest", peer or name):
        order.append(name)
        await until.wait()


async def test_who_waits_gets_in_in_order_of_arrival() -> None:
    admission, order = Admission(GateRules(1, 4, 4), patience_s=60), list[str]()
    gone = {name: asyncio.Event() for name in "abc"}
    tasks = []
    for number, name in enumerate("abc"):
        tasks.append(asyncio.create_task(hold(admission, order, name, gone[name])))
        await eventually(lambda number=number: (len(order), admission.waiting) == (1, number))
    for name in "abc":
        assert order[-1] == name
        gone[name].set()
        await eventually(lambda name=name: name == "c" or order[-1] != name)
    await asyncio.gather(*tasks)
    assert (order, admission.active, admission.waiting) == (["a", "b", "c"], 0, 0)


async def test_who_waits_is_told_where() -> None:
    admission = Admission(GateRules(1, 4, 4), patience_s=60)
    places = list[Place]()

    async def on_place(place: Place) -> None:
        places.append(place)

    async def wait() -> None:
        async with admission.slot("realtime", on_place=on_place):
            pass

    async with AsyncExitStack() as held:
        await held.enter_async_context(admission.slot("rest"))
        ahead = asyncio.create_task(hold(admission, [], "ahead", asyncio.Event()))
        await eventually(lambda: admission.waiting == 1)
        waiting = asyncio.create_task(wait())
        await eventually(lambda: places)
        ahead.cancel()
        await eventually(lambda: len(places) == 2)
    await waiting
    assert [place.position for place in places] == [2, 1]
    assert all(place.wait_s > 0 for place in places)


async def test_a_wait_has_an_end() -> None:
    admission = Admission(GateRules(1, 4, 4), patience_s=0.05)
    async with admission.slot("rest"):
        with pytest.raises(CapacityError) as refused:
            async with admission.slot("rest"):
                pytest.fail("entered a full house")
        assert refused.value.retry_s and refused.value.retry_s > 0
        assert (admission.active, admission.waiting) == (1, 0)
    assert admission.active == 0


async def test_a_full_queue_and_a_greedy_peer_are_refused_at_once() -> None:
    admission, stay = Admission(GateRules(1, 2, 1), patience_s=60), asyncio.Event()
    async with admission.slot("rest"):
        waiting = [asyncio.create_task(hold(admission, [], name, stay)) for name in "ab"]
        await eventually(lambda: admission.waiting == 2)
        for error, peer in ((CapacityError, "c"),):
            with pytest.raises(error):
                admission.check(peer)
        waiting.pop().cancel()
        await eventually(lambda: admission.waiting == 1)
        with pytest.raises(TooManyWaiting):
            admission.check("a")
        admission.check("c")
        waiting.pop().cancel()
    await eventually(lambda: admission.waiting == 0)


async def test_load_keeps_them_waiting_and_lets_them_in() -> None:
    load = 2.0
    admission = Admission(GateRules(8, 4, 4), load=lambda: load, patience_s=60)
    order = list[str]()
    async with admission.slot("rest"):
        waiting = asyncio.create_task(hold(admission, order, "a", asyncio.Event()))
        await eventually(lambda: admission.waiting == 1)
        assert admission.active == 1
        load = 0.0
    await eventually(lambda: order == ["a"])
    waiting.cancel()


async def test_a_server_that_stops_lets_nobody_wait() -> None:
    admission = Admission(GateRules(1, 4, 4), patience_s=60)
    async with AsyncExitStack() as held:
        await held.enter_async_context(admission.slot("rest"))
        waiting = asyncio.create_task(hold(admission, [], "a", asyncio.Event()))
        await eventually(lambda: admission.waiting == 1)
        stopping = asyncio.create_task(admission.drain(60))
        with pytest.raises(ServerStopping):
            await waiting
        assert admission.waiting == 0
    await stopping
