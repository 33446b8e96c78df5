"""The vocoder with small random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.vocoders.flow_hift.decoder import FlowHiftVocoder
from model.vocoders.flow_hift.small import write_small


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cosyvoice")
    write_small(directory)
    return directory


@pytest.fixture(scope="session")
def vocoder(weights: Path) -> FlowHiftVocoder:
    return FlowHiftVocoder.load(weights)
