"""The capacity model: its arithmetic against the real modules, its claims, and the simulation's clockwork."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from deploy.capacity.__main__ import check_table, first_audio_s, main
from deploy.capacity.hardware import GPUS
from deploy.capacity.language_model import CSLM_8B, Timing
from deploy.capacity.published import checks
from deploy.capacity.simulate import Talk, capacity, endpoint_delay_s, simulate
from deploy.capacity.virtual import SharedProcessor, run
from deploy.capacity.vocoder import VocoderTiming, estimator_flops, hift_flops
from model.vocoders.flow_hift.config import VocoderConfig
from model.vocoders.flow_hift.estimator import Estimator
from model.vocoders.flow_hift.hift import Hift
from model.vocoders.flow_hift.small import SMALL

SHORT = Talk(turns=1)


def test_operations_of_the_estimator_are_those_of_the_module() -> None:
    with torch.device("meta"), torch.inference_mode():
        estimator, mel = Estimator(SMALL.flow), torch.empty(1, 80, 96)
        with FlopCounterMode(display=False) as counted:
            estimator(mel, mel, torch.empty(()), torch.empty(1, 80), mel)
    assert estimator_flops(SMALL.flow, 96) == pytest.approx(counted.get_total_flops(), rel=0.02)


def test_operations_of_hift_are_those_of_the_module() -> None:
    hift = Hift(SMALL.hift, 22_050)
    with torch.inference_mode(), FlopCounterMode(display=False) as counted:
        mel = torch.zeros(1, 80, 40)
        hift(mel, torch.zeros(1, 40 * 256))
        hift.pitch(mel)
    assert hift_flops(SMALL.hift) * 40 == pytest.approx(counted.get_total_flops(), rel=0.05)


def test_the_8b_has_the_released_size() -> None:
    assert CSLM_8B.parameters + CSLM_8B.embedding == pytest.approx(8.06e9, rel=0.01)
    assert CSLM_8B.kv_bytes() == 131_072


def test_the_errors_are_as_good_as_the_documents_say() -> None:
    errors = sorted(abs(check.error) for check in checks() if check.fair)
    assert errors[len(errors) // 2] < 0.10 and errors[-1] < 0.45
    assert {"H100", "A100", "L40S", "H200"} <= {word.strip(",") for check in checks() for word in check.what.split()}


def test_a_jump_of_the_clock_takes_no_time_and_waiting_for_nothing_is_an_error() -> None:
    async def sleeper() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert run(sleeper()) == pytest.approx(86_400, abs=1e-3)

    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="never happens"):
        run(stuck())


def test_work_side_by_side_shares_the_processor() -> None:
    async def both() -> list[float]:
        gpu, ends, loop = SharedProcessor(), list[float](), asyncio.get_running_loop()

        async def job(start_s: float, seconds: float) -> None:
            await asyncio.sleep(start_s)
            await gpu.work(seconds)
            ends.append(loop.time())

        await asyncio.gather(job(0, 1), job(0.5, 1), job(10, 2))
        return [*ends, gpu.busy_s]

    assert run(both()) == pytest.approx([1.5, 2.0, 12.0, 4.0], abs=1e-3)


def test_alone_the_simulation_agrees_with_the_sum() -> None:
    lm, vocoder = Timing(GPUS["H100"]), VocoderTiming(GPUS["H100"])
    result = simulate(lm, vocoder, 1, SHORT)
    assert result.late(0.5) == pytest.approx(first_audio_s(lm, vocoder, SHORT), rel=0.15)
    assert result.broken == 0
    assert result.audio_s == pytest.approx(sum(SHORT.chunks) / SHORT.units_s, rel=0.35)


def test_a_crowd_waits_longer_and_a_slow_card_cannot_keep_up() -> None:
    fast = Timing(GPUS["H100"]), VocoderTiming(GPUS["H100"])
    alone, crowd = simulate(*fast, 1, SHORT), simulate(*fast, 32, SHORT)
    assert crowd.late(0.95) > alone.late(0.95) and crowd.busy > alone.busy
    slow = Timing(GPUS["L4"]), VocoderTiming(GPUS["L4"])
    assert simulate(*slow, 1, SHORT).broken_share == 1.0
    assert capacity(*slow, first_audio_s=1.5, broken=0.05, talk=SHORT, most=4) is None


def test_the_limit_is_where_one_more_is_too_many() -> None:
    lm, vocoder = Timing(GPUS["H100"]), VocoderTiming(GPUS["H100"], VocoderConfig(batch=4))
    best = capacity(lm, vocoder, first_audio_s=0.95, broken=1.0, talk=SHORT, most=64)
    assert best is not None and 1 <= best.sessions < 64 and best.late(0.95) <= 0.95
    assert simulate(lm, vocoder, best.sessions + max(2, best.sessions // 8), SHORT).late(0.95) > 0.95


def test_what_does_not_fit_is_said() -> None:
    assert Timing(GPUS["L4"]).fits(3e9, 2048) < Timing(GPUS["L4"], weights="awq").fits(3e9, 2048)
    assert Timing(GPUS["L4"]).fits(9e9, 2048) == 0


def test_the_endpointer_waits_for_its_silence() -> None:
    assert 0.5 <= endpoint_delay_s(3.0) <= 0.57


def test_commands(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main(["check"])
    assert check_table() in capsys.readouterr().out
    main(["simulate", "--gpu", "H100", "--sessions", "2", "--json", str(tmp_path / "run.json")])
    assert capsys.readouterr().out.startswith("2 sessions, 6 answers")
    assert (tmp_path / "run.json").read_text(encoding="utf-8").startswith("[")
