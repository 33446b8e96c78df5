"""What all tests share. The process is set up before anything imports torch."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from model.lm.process import process_setup

process_setup()

from model.workers.forking import preload
from tests.live_server import serving

# Properties are tried on the same examples every time, however slow the machine.
settings.register_profile(
    "cslm", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("cslm")

preload("model.kinds", "model.vocoders.source_filter", "model.vocoders.flow_hift", "pytest")


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of one real server for all end-to-end tests of a run."""
    with serving(tmp_path_factory.mktemp("server") / "server.log") as url:
        yield url


@pytest.fixture(scope="session")
def small_cslm8b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cslm-8b in small, pulled: see `tests.released.bundle`. Not to be changed."""
    from tests.released.bundle import pulled

    return pulled(tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="session")
def small_glm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GLM-4-Voice in small, pulled: see `tests.released.glm`. Not to be changed."""
    from tests.released.glm import pulled

    return pulled(tmp_path_factory.mktemp("glm"))
