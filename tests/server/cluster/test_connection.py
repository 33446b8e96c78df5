"""What is told where there is no head. No cluster is needed."""

from __future__ import annotations

import logging
import socket

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements/cluster.txt")
import ray
from ray._private import services

from server.cluster import connection
from server.cluster.contract import ClusterError


@pytest.mark.parametrize("found", [False, True])
def test_what_listens_but_is_no_head_is_not_waited_for(found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a head that is stopped, or another service. Ray itself would wait for a day. `found`: by Ray, where the address is auto."""
    monkeypatch.setattr(connection, "_CONNECT_S", 0.3)
    monkeypatch.setattr(ray, "init", lambda **_: None)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ClusterError, match=r"did not answer within 0\.3 s") as refused,
    ):
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda _: address)
        connection._connect("auto" if found else address)
    assert refused.value.code == "cluster_unreachable"


async def test_what_is_waited_for_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else an operator would hear of a missing GPU after a quarter of an hour."""
    monkeypatch.setattr(connection, "_POLL_S", 0.0)
    answers = iter(["no encoder", "no encoder", "no vocoder", None])
    monkeypatch.setattr(connection, "_missing", lambda: next(answers))
    with caplog.at_level(logging.INFO):
        await connection._wait_for_stages(60.0)
    assert [record.message for record in caplog.records if "waiting" in record.message] == [
        "waiting for the cluster: no encoder",
        "waiting for the cluster: no vocoder",
    ]
