from __future__ import annotations

import pytest

from server.state.peers import counted_as


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_site_is_one_peer(address: str, peer: str) -> None:
    assert counted_as(address) == peer
