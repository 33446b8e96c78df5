from __future__ import annotations

import pytest

from server.webrtc import registry
from server.webrtc.offers import bounded
from streaming.errors import InvalidRequest
from tests.server.front import listening
from tests.server.webrtc.rtc_peer import calling

HEAD = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"


def candidate(address: str, number: int = 1) -> str:
    return f"a=candidate:{number} 1 udp {number} {address} 5000 typ host\r\n"


ADDRESSES = {
    "public": ("8.8.8.8", "2001:4860:4860::8888"),
    "private": ("10.0.0.1", "192.168.1.1", "169.254.169.254", "fd00::1", "fe80::1", "0a1b.local"),
    "loopback": ("127.0.0.1", "::1"),
    "nobody": ("224.0.0.1", "0.0.0.0", "255.255.255.255", "metadata.example.com", "ff02::1", "1"),
}


@pytest.mark.parametrize("kinds", [(), ("public",), ("private", "loopback"), ("public", "private", "loopback")])
def test_only_addresses_that_are_allowed_are_tried(kinds: tuple[str, ...]) -> None:
    offer = HEAD + "".join(candidate(each) for kind in ADDRESSES.values() for each in kind)
    kept = bounded(offer, kinds)  # type: ignore[arg-type]
    assert kept == HEAD + "".join(candidate(each) for kind, all_ in ADDRESSES.items() if kind in kinds for each in all_)


def test_only_the_first_few_are_tried() -> None:
    offer = HEAD + "".join(candidate("8.8.8.8", number) for number in range(64))
    assert bounded(offer, ("public",)).count("a=candidate") == 16


@pytest.mark.parametrize(
    "more",
    ["".join(candidate("8.8.8.8", number) for number in range(65)), "a=x\r\n" * 1000, "a=" + "x" * 65_536 + "\r\n"],
    ids=["candidates", "lines", "bytes"],
)
def test_an_offer_beyond_reason_is_refused_before_it_is_parsed(more: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bounded(HEAD + more, ())
    assert (refused.value.code, refused.value.param) == ("invalid_sdp", "sdp")


async def test_one_address_does_not_take_all_that_is_there_for_calls_that_are_not_connected() -> None:
    async with listening(max_sessions=32) as front, calling() as caller:
        offer, headers = await caller.offer(), {"content-type": "application/sdp"}
        offers = [await front.client.post("/v1/realtime/calls", content=offer, headers=headers) for _ in range(5)]
        assert [answer.status_code for answer in offers] == [201, 201, 201, 201, 429]
        assert offers[-1].json()["error"]["code"] == "too_many_calls"
        assert offers[-1].headers["retry-after"]


async def test_one_address_begins_so_many_calls_a_minute() -> None:
    async with listening(calls_per_peer=2) as front, calling() as caller:
        offer, headers = await caller.offer(), {"content-type": "application/sdp"}
        for _ in range(2):
            answer = await front.client.post("/v1/realtime/calls", content=offer, headers=headers)
            assert answer.status_code == 201
            assert (await front.client.post(f"{answer.headers['location']}/hangup")).status_code == 200
        refused = await front.client.post("/v1/realtime/calls", content=offer, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_calls")
        assert 1 <= int(refused.headers["retry-after"]) <= 60


async def test_calls_that_never_connect_leave_room() -> None:
    async with listening(max_sessions=8) as front, calling() as caller:
        offer, headers = await caller.offer(), {"content-type": "application/sdp"}
        offers = [await front.client.post("/v1/realtime/calls", content=offer, headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in offers] == [201, 201, 503]
        assert offers[-1].json()["error"]["code"] == "at_capacity"
        assert front.state.admission.active == 8 // registry._SHARE
