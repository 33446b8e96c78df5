"""Replicas, as Serve ends them. No cluster is needed."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements/cluster.txt")
from server.cluster.deployments import Encoder, LanguageModel, Vocoder


@pytest.mark.parametrize("stage", [Encoder, LanguageModel, Vocoder])
async def test_a_replica_whose_stage_could_not_be_opened_closes_what_it_had_opened(stage: Any) -> None:
    closed = list[str]()
    opened = AsyncExitStack()
    opened.callback(closed.append, "worker")
    await stage.__del__(SimpleNamespace(_opened=opened))
    assert closed == ["worker"]
