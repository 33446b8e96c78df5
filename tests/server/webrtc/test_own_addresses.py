"""What an answer shows of the host: to callers from the internet no address of an inner network."""

from __future__ import annotations

import re

import pytest

from server.webrtc.own_addresses import shown

HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
PRIVATE = "a=candidate:a 1 udp 2130706431 192.168.7.8 33645 typ host\r\n"
LOCAL_V6 = "a=candidate:b 1 udp 2130706431 fd00::2 50889 typ host\r\n"
PUBLIC = "a=candidate:c 1 udp 2130706431 9.9.9.9 40000 typ host\r\n"
REFLEXIVE = "a=candidate:d 1 udp 1694498815 9.9.9.9 41000 typ srflx raddr 192.168.7.8 rport 33645\r\n"
RELAYED = "a=candidate:e 1 udp 16777215 9.9.9.10 42000 typ relay raddr 192.168.7.8 rport 33645\r\n"


def answer(*candidates: str, host: str = "192.168.7.8") -> str:
    medium = f"m=audio 33645 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 {host}\r\na=mid:0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
    return HEAD + medium + "".join(candidates) + "a=end-of-candidates\r\na=ice-ufrag:x\r\n"


@pytest.mark.parametrize("caller", ["8.8.8.8", "2a00:1450::5", "::ffff:8.8.8.8"])
@pytest.mark.parametrize("seen", [REFLEXIVE, RELAYED, PUBLIC])
def test_a_public_caller_sees_public_addresses_alone(caller: str, seen: str) -> None:
    told = shown(answer(PRIVATE, LOCAL_V6, seen), caller, "auto")
    assert "192.168" not in told and "fd00" not in told
    assert told.count("a=candidate:") == 1
    assert re.search(r"^a=candidate:\S+ 1 udp \d+ 9\.9\.9\.\d+ ", told, re.MULTILINE)
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n" in told
    assert told.endswith("a=end-of-candidates\r\na=ice-ufrag:x\r\n")


@pytest.mark.parametrize("caller", ["192.168.7.9", "127.0.0.1", "::1", "fe80::1%eth0", "", "testclient"])
def test_a_neighbour_sees_all(caller: str) -> None:
    whole = answer(PRIVATE, LOCAL_V6, PUBLIC, REFLEXIVE)
    assert shown(whole, caller, "auto") == whole


def test_where_none_else_would_work_the_private_ones_are_shown() -> None:
    whole = answer(PRIVATE, LOCAL_V6)
    assert shown(whole, "8.8.8.8", "auto") == whole
    assert "192.168" not in shown(whole, "8.8.8.8", "public")


def test_the_setting_decides() -> None:
    whole = answer(PRIVATE, REFLEXIVE)
    assert shown(whole, "8.8.8.8", "all") == whole
    assert "192.168" not in shown(whole, "127.0.0.1", "public")
