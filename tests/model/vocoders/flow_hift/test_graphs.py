"""Recorded windows give the samples that eager ones give. Recorded here is a function that is called again: no GPU is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.vocoders.flow_hift.config import Grid
from model.vocoders.flow_hift.decoder import FlowHiftVocoder
from model.vocoders.flow_hift.graphs import Function, Graphs, Tensors, bucket, padded
from model.vocoders.flow_hift.hift import Hift
from model.vocoders.flow_hift.small import SMALL


@dataclass
class Again:
    """As a CUDA graph: computes from the memory it was recorded with, into results that the next replay overwrites."""

    recorded: int = 0
    replayed: int = 0

    def __call__(self, function: Function, arguments: Tensors) -> Callable[[], Tensors]:
        self.recorded += 1
        results = function(*arguments)

        def replay() -> Tensors:
            self.replayed += 1
            for place, fresh in zip(results, function(*arguments), strict=True):
                place.copy_(fresh)
            return results

        return replay


FEW = Grid(ramp=(12, 12), block=24, back=24, ahead=8, fade=4)
"""A grid of small windows: what is computed does not matter here, only that it is the same."""


def both(vocoder: FlowHiftVocoder, again: Again, grid: Grid, batch: int) -> tuple[FlowHiftVocoder, FlowHiftVocoder]:
    """Eager and recorded, of the same weights."""
    config = replace(vocoder.config, grid=grid, batch=batch)
    parts = (config, vocoder.flow, vocoder.hift, {"one": torch.ones(192)}, vocoder.predictor)
    return FlowHiftVocoder(*parts), FlowHiftVocoder(*parts, recorder=again)


def units(count: int, seed: int) -> list[int]:
    return np.random.RandomState(seed).randint(0, 4096, count).tolist()


@pytest.fixture(scope="module")
def pair(vocoder: FlowHiftVocoder) -> tuple[FlowHiftVocoder, FlowHiftVocoder, Again]:
    """Eager and recorded, and the recorder."""
    again = Again()
    return *both(vocoder, again, FEW, 4), again


def test_a_stream_alone_is_the_same_to_the_sample(pair: tuple[FlowHiftVocoder, FlowHiftVocoder, Again]) -> None:
    eager, recorded, again = pair
    line, state, pieces = units(60, 1), recorded.open(), []
    before = again.recorded
    for start in range(0, 60, 7):
        pieces.append(recorded.push(state, line[start : start + 7], final=start + 7 >= 60))
    np.testing.assert_array_equal(np.concatenate(pieces), eager.decode(line))
    assert again.recorded == before, "nothing is recorded once turns are spoken"


def test_first_windows_and_all_that_follow_are_replayed(
    pair: tuple[FlowHiftVocoder, FlowHiftVocoder, Again], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, recorded, again = pair
    eager_windows = list[Tensors]()
    assert recorded._graphs is not None
    for graphs in recorded._graphs:
        plain = graphs._function
        monkeypatch.setattr(graphs, "_function", lambda *x, plain=plain: (eager_windows.append(x), plain(*x))[1])
    before, state = again.replayed, recorded.open()
    assert recorded.push(state, units(60, 2)).size > 0
    assert 2 * state.block < again.replayed - before <= 3 * state.block  # before 15 frames are known, nothing sounds
    assert eager_windows == []
    recorded.push(state, [], final=True)
    assert eager_windows, "a last window has any shape and is not recorded"


@pytest.mark.parametrize("sessions", [2, 3, 4])
def test_batches_differ_from_one_alone_by_rounding(
    pair: tuple[FlowHiftVocoder, FlowHiftVocoder, Again], sessions: int
) -> None:
    eager, recorded, again = pair
    lines = [units(50, 10 + number) for number in range(sessions)]
    before = again.recorded
    heard = recorded.push_all([(recorded.open(), line, False) for line in lines])
    wanted = eager.push_all([(eager.open(), line, False) for line in lines])
    for pcm, same in zip(heard, wanted, strict=True):
        assert pcm.size == same.size
        assert np.sqrt(np.mean((pcm - same) ** 2)) < 0.02 * np.sqrt(np.mean(same**2)) + 1e-3
    assert again.recorded == before


def test_windows_with_a_prompt_are_the_same(vocoder: FlowHiftVocoder) -> None:
    eager, recorded = both(vocoder, Again(), replace(FEW, prompt=True), 1)
    line = units(50, 3)
    np.testing.assert_array_equal(recorded.decode(line), eager.decode(line))


def test_results_are_the_callers_own_and_arguments_are_not_kept() -> None:
    graphs = Graphs(lambda x: (2 * x,), Again())
    with graphs.recording():
        (first,) = graphs(torch.tensor([1.0]))
    argument = torch.tensor([5.0])
    (second,) = graphs(argument)
    argument.fill_(7.0)
    assert (first.item(), second.item(), len(graphs)) == (2.0, 10.0, 1)
    (other,) = graphs(torch.tensor([1.0, 2.0]))
    assert (other.tolist(), len(graphs)) == ([2.0, 4.0], 1)


def test_batches_are_filled_up_with_their_last_row() -> None:
    assert [bucket(rows) for rows in range(1, 10)] == [1, 2, 4, 4, 8, 8, 8, 8, 16]
    rows = [Tensor([1.0]), Tensor([2.0]), Tensor([3.0])]
    assert padded(rows, 4).flatten().tolist() == [1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize("steps", [5, 48, 173])
def test_the_inverse_transform_is_torchs_own(steps: int) -> None:
    hift = Hift(SMALL.hift, SMALL.sample_rate)
    config = SMALL.hift
    spectrum = torch.randn(2, config.n_fft // 2 + 1, steps, dtype=torch.complex64)
    wanted = torch.istft(spectrum, config.n_fft, config.hop, config.n_fft, window=hift.window)
    torch.testing.assert_close(hift._istft(spectrum), wanted, rtol=1e-5, atol=1e-6)


def test_a_setting_alone_records_nothing_without_a_gpu(weights: Path) -> None:
    plain = FlowHiftVocoder.load(weights)
    config = replace(plain.config, graphs=True)
    assert FlowHiftVocoder(config, plain.flow, plain.hift, {"one": torch.ones(192)})._graphs is None
