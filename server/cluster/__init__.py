"""Stages on other hosts: replicas that Ray Serve places, and a gateway that asks them. Only this package imports Ray."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from server.cluster.contract import ClusterError
from server.settings import Settings
from server.state.loading import ServedModel

_HEADLESS_S = "86400"
"""How long Ray lets this process live without a head. Its default is a minute, and the sessions would go with it."""


@asynccontextmanager
async def open_cluster(settings: Settings) -> AsyncGenerator[ServedModel]:
    """The model that the cluster of `settings` serves. Raises BundleError, ClusterError."""
    if importlib.util.find_spec("ray") is None:
        raise ClusterError(
            "backend ray needs Ray, which is not installed: pip install -r requirements/cluster.txt",
            code="cluster_not_installed",
        )
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", _HEADLESS_S)
    from server.cluster.gateway import open_cluster_model

    async with open_cluster_model(settings) as model:
        yield model
