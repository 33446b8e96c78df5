"""Worker processes: hangs and deaths are noticed while idle, starts that fail are repeated, nothing is left behind."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import multiprocessing.util
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from model.workers.frames import Frames, packed
from model.workers.link import Link, Ready, has_ended, is_ready_to_run, own_gauges
from model.workers.supervisor import Supervisor
from model.workers.worker import CHECK_S, Job, Limits, Worker
from streaming.errors import BundleError, EngineUnavailable

LIMITS = Limits(start_s=60, hang_s=1.5, step_s=0.5)
_BLOCK_BYTES = 8 << 20


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take long to start a process; how long work waits for one is not what is tested."""
    monkeypatch.setattr("model.workers.supervisor._WAIT_S", 300.0)


def test_the_end_of_a_process_is_seen_through_a_descriptor_above_1023() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        handle, (soft, hard) = os.pidfd_open(process.pid), resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
        try:
            high = fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 1500)
            assert not has_ended(high)
            process.kill()
            assert has_ended(high, wait=True)
            os.close(high)
        finally:
            process.kill()
            os.close(handle)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def echo(link: Link, refusals: str) -> None:
    """A worker that answers; it cannot start as long as the file `refusals` is there, and `sleep` takes too long."""
    if Path(refusals).exists():
        raise BundleError("the weights are damaged", code="bundle_file_truncated")
    link.send(Ready({"sockets": sockets(os.getpid())}))
    while True:
        message = link.receive()
        if message == "sleep":
            time.sleep(60)
        link.send(message)


def sockets(pid: int) -> list[str]:
    """What a process holds of the network."""
    return [f"{each.laddr}" for each in psutil.Process(pid).net_connections(kind="inet")]


class Ward:
    """A supervisor and what it told."""

    def __init__(self, refusals: Path, *, standby: bool = False) -> None:
        self.heard: list[Any] = []
        self.lost: list[Worker] = []
        self.supervisor = Supervisor(
            "echo",
            Job(echo, (str(refusals),)),
            LIMITS,
            standby=standby,
            on_message=lambda _, message: self.heard.append(message),
            on_lost=self.lost.append,
        )

    async def ask(self) -> None:
        """A message there and back."""
        (await self.supervisor.worker()).send("hello")
        while not self.heard:
            await asyncio.sleep(0.01)
        self.heard.clear()

    def restarts(self, reason: Any) -> int:
        return self.supervisor.state().restarts.get(reason, 0)


@asynccontextmanager
async def ward(tmp_path: Path, **options: Any) -> AsyncGenerator[Ward]:
    """Started, and closed without a trace."""
    it = Ward(tmp_path / "refusals", **options)
    before = len(os.listdir("/proc/self/fd"))
    try:
        yield it
    finally:
        await it.supervisor.close()
    assert not processes()
    assert len(os.listdir("/proc/self/fd")) <= before + 10  # those of the template, its spare and a former spare


def processes() -> list[psutil.Process]:
    """Workers that live."""
    living = [each for each in psutil.Process().children(recursive=True) if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in living if each.name() == "echo"]


@pytest.mark.parametrize(
    ("hurt", "reason"), [(signal.SIGKILL, "died"), (signal.SIGSTOP, "hung"), (signal.SIGABRT, "died")]
)
async def test_a_worker_that_goes_while_idle_is_replaced(tmp_path: Path, hurt: int, reason: str) -> None:
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        first = await it.supervisor.worker()
        os.kill(first.pid, hurt)
        faults = set()
        while not it.restarts(reason):
            faults.add(it.supervisor.fault())
            await asyncio.sleep(0.01)
        assert it.supervisor.fault() == "the echo is restarting"
        assert it.lost == [first]
        if reason == "hung":
            assert "the echo does not answer" in faults  # before it is given up
        await it.ask()
        assert it.supervisor.fault() is None
        assert [each.pid for each in processes()] != [first.pid]
        assert len(processes()) == 1


async def test_a_signal_to_all_processes_is_for_the_gateway(tmp_path: Path) -> None:
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        first = psutil.Process((await it.supervisor.worker()).pid)
        [template] = templates()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            for pid in (template, first.pid):
                os.kill(pid, number)
        await it.ask()
        assert not it.lost
        first.kill()
        while not it.lost:
            await asyncio.sleep(0.01)
        await it.ask()
        assert templates() == {template}


async def test_a_step_that_takes_too_long_is_a_hang(tmp_path: Path) -> None:
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        (await it.supervisor.worker()).send("sleep")
        while not it.restarts("stuck"):
            await asyncio.sleep(0.01)
        await it.ask()


async def test_a_gateway_that_stood_still_blames_no_worker(tmp_path: Path) -> None:
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        for _ in range(3):
            time.sleep(2 * LIMITS.hang_s)  # noqa: ASYNC251 - that is the fault
            for _ in range(5):
                await asyncio.sleep(0)
            assert it.supervisor.fault() is None
        await it.ask()
        assert not it.lost


async def test_a_worker_that_waits_for_a_processor_is_given_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def starved(pid: int, thread: int) -> bool:
        asked.append(thread)
        return True

    async with ward(tmp_path) as it:
        await it.supervisor.start()
        first = await it.supervisor.worker()
        monkeypatch.setattr("model.workers.worker.is_ready_to_run", starved)
        threads = {each.id for each in psutil.Process(first.pid).threads()}
        os.kill(first.pid, signal.SIGSTOP)
        while not it.restarts("hung"):
            await asyncio.sleep(0.01)
    assert len(asked) >= 4 * LIMITS.hang_s / CHECK_S
    assert set(asked) <= threads


def test_a_thread_that_could_run_is_told_from_one_that_cannot() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            while not is_ready_to_run(busy.pid, busy.pid):
                pass
            busy.send_signal(signal.SIGSTOP)
            os.waitpid(busy.pid, os.WUNTRACED)
            assert not is_ready_to_run(busy.pid, busy.pid)
        finally:
            busy.kill()
    assert not is_ready_to_run(busy.pid, busy.pid)


async def test_one_that_stands_by_takes_over_at_once(tmp_path: Path) -> None:
    async with ward(tmp_path, standby=True) as it:
        await it.supervisor.start()
        while len(it.supervisor.state().gauges) < 2 or not all(it.supervisor.state().gauges):
            await asyncio.sleep(0.01)
        await it.ask()
        first = await it.supervisor.worker()
        while len(it.supervisor._ready) < 2:
            await asyncio.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)
        while not it.lost:
            await asyncio.sleep(0)
        assert it.supervisor.fault() is None
        await it.ask()
        while len(processes()) < 2:
            await asyncio.sleep(0.01)


async def test_a_start_that_fails_is_named_the_first_time_and_repeated_later(tmp_path: Path) -> None:
    refusals = tmp_path / "refusals"
    refusals.touch()
    async with ward(tmp_path) as it:
        with pytest.raises(BundleError, match="damaged") as caught:
            await it.supervisor.start()
        assert caught.value.code == "bundle_file_truncated"
    refusals.unlink()
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        refusals.touch()
        os.kill((await it.supervisor.worker()).pid, signal.SIGKILL)
        while it.restarts("failed") < 2:
            await asyncio.sleep(0.01)
        refusals.unlink()
        await it.ask()


async def test_exhausted_descriptors_end_nothing_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, left = socket.socketpair, 3

    def exhausted(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left > 0:
            raise OSError(24, "Too many open files")
        return pairs(*arguments)

    async with ward(tmp_path) as it:
        await it.supervisor.start()
        monkeypatch.setattr("model.workers.worker.socket.socketpair", exhausted)
        os.kill((await it.supervisor.worker()).pid, signal.SIGKILL)
        while it.restarts("failed") < 2:
            await asyncio.sleep(0.01)
        await it.ask()


async def test_work_that_waits_is_told_when_it_is_closed(tmp_path: Path) -> None:
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        (tmp_path / "refusals").touch()
        os.kill((await it.supervisor.worker()).pid, signal.SIGKILL)
        while not it.lost:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(it.supervisor.worker())
        await asyncio.sleep(0)
        await it.supervisor.close()
        with pytest.raises(EngineUnavailable, match="stopped"):
            await waiting


async def test_no_worker_inherits_a_socket_of_the_gateway(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0)) as inheritable:
        inheritable.set_inheritable(True)
        async with ward(tmp_path) as it:
            await it.supervisor.start()
            assert (await it.supervisor.worker()).facts["sockets"] == []


async def test_a_start_that_is_broken_off_hurts_nobody(tmp_path: Path) -> None:
    """What a thread is handing to the new process must not be closed under it: the one they are forked from would end of it."""
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        template = psutil.Process((await it.supervisor.worker()).pid).ppid()
        for delay_s in (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05) * 3:
            other = Ward(tmp_path / "refusals")
            starting = asyncio.create_task(other.supervisor.start())
            await asyncio.sleep(delay_s)
            starting.cancel()
            with suppress(asyncio.CancelledError):  # where starting was quicker, nothing was broken off
                await starting
            await other.supervisor.close()
        await it.ask()
        assert not it.lost
        assert psutil.Process((await it.supervisor.worker()).pid).ppid() == template


async def test_workers_outlive_their_template_and_another_takes_its_place(tmp_path: Path) -> None:
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        first = psutil.Process((await it.supervisor.worker()).pid)
        template = first.parent()
        assert template is not None
        template.kill()
        while first.ppid() == template.pid:
            await asyncio.sleep(0.01)
        assert first.parent() == psutil.Process()  # which can still say when it ends
        await it.ask()
        assert not it.lost
        while not (others := templates() - {template.pid}):  # before it is needed
            await asyncio.sleep(0.01)
        first.kill()
        while not it.lost:
            await asyncio.sleep(0.01)
        assert first not in processes()
        await it.ask()
        assert {each.ppid() for each in processes()} == others
        assert not psutil.pid_exists(first.pid)  # nothing is left of what was adopted


async def spare_of(template: psutil.Process) -> psutil.Process:
    """What takes the template's place, once it is there."""
    while True:
        for each in template.children():
            if each.name() == "template" and each.status() != psutil.STATUS_ZOMBIE:
                return each
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("hurt", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_spare_serves_where_the_template_goes_with_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hurt: int
) -> None:
    """Again and again: each becomes the template, and forks a spare of its own. Nothing is imported anew."""
    monkeypatch.setattr("model.workers.forking._FORK_S", 2.0)
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        for deaths in range(1, 4):
            worker = psutil.Process((await it.supervisor.worker()).pid)
            template = worker.parent()
            assert template is not None
            spare = await spare_of(template)
            template.send_signal(hurt)
            worker.kill()
            while len(it.lost) < deaths:
                await asyncio.sleep(0.01)
            await it.ask()
            assert [each.ppid() for each in processes()] == [spare.pid]
            assert spare.ppid() == os.getpid()


async def test_a_spare_that_goes_is_replaced(tmp_path: Path) -> None:
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        template = psutil.Process((await it.supervisor.worker()).pid).parent()
        assert template is not None
        (first := await spare_of(template)).kill()
        while (await spare_of(template)).pid == first.pid:
            await asyncio.sleep(0.01)
        await it.ask()
        assert not it.lost


def templates() -> set[int]:
    """Children that workers are forked from."""
    children = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    return {each.pid for each in children if each.name() != "echo" and "forkserver" in " ".join(each.cmdline())}


async def test_a_template_whose_socket_was_tidied_away_is_replaced(tmp_path: Path) -> None:
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        shutil.rmtree(multiprocessing.util.get_temp_dir())
        os.kill((await it.supervisor.worker()).pid, signal.SIGKILL)
        while not it.lost:
            await asyncio.sleep(0.01)
        await it.ask()


async def test_a_template_that_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.workers.forking._FORK_S", 1.0)
    async with ward(tmp_path) as it:
        await it.supervisor.start()
        worker = psutil.Process((await it.supervisor.worker()).pid)
        worker.parent().suspend()  # type: ignore[union-attr]
        worker.kill()
        while not it.lost:
            await asyncio.sleep(0.01)
        await it.ask()


GATEWAY = """
import asyncio, signal, sys
from model.workers.supervisor import Supervisor
from model.workers.worker import Job, Limits
from tests.model.workers.test_supervisor import echo

async def main():
    nothing = lambda *arguments: None
    supervisor = Supervisor("echo", Job(echo, (sys.argv[1],)), Limits(60), standby=True, on_message=nothing, on_lost=nothing)
    await supervisor.start()
    while len(supervisor._ready) < 2:
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    await asyncio.sleep(600)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job is told to ignore it
    asyncio.run(main())
"""


@pytest.mark.parametrize("hurt", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_gateway(tmp_path: Path, hurt: int) -> None:
    """Not even a worker that is stopped, which cannot see that its gateway has gone."""
    script = tmp_path / "gateway.py"
    script.write_text(GATEWAY)
    command = [sys.executable, str(script), str(tmp_path / "refusals")]
    gateway = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": "."}
    )
    assert gateway.stdout is not None
    with gateway, gateway.stdout:
        assert gateway.stdout.readline() == "ready\n"
        family = psutil.Process(gateway.pid).children(recursive=True)
        workers = [each for each in family if each.name() == "echo"]
        assert len(workers) == 2
        workers[0].suspend()
        gateway.send_signal(hurt)
        gateway.wait(30)
    psutil.wait_procs(family, timeout=30)
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_messages_come_whole_however_the_bytes_were_cut() -> None:
    messages = [1, "two", b"3" * 1000, {"four": [4.0]}]
    stream = b"".join(map(packed, messages))
    for size in (1, 7, 64, len(stream)):
        frames = Frames()
        assert [m for at in range(0, len(stream), size) for m in frames.feed(stream[at : at + size])] == messages


def let_go(link: Link) -> None:
    """A worker that tells what it held with the blocks of a step, and after it."""
    link.send(Ready())
    while link.receive():
        blocks = [bytearray(b"\1") * _BLOCK_BYTES for _ in range(4)]
        held = own_gauges()["resident_bytes"]
        blocks.clear()
        link.send((held, own_gauges()["resident_bytes"]))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the memory of other C libraries is their own")
async def test_what_a_step_has_freed_serves_the_next() -> None:
    told = asyncio.Queue[tuple[float, float]]()
    supervisor = Supervisor(
        "free", Job(let_go, ()), LIMITS, on_message=lambda _, said: told.put_nowait(said), on_lost=lambda _: None
    )
    await supervisor.start()
    try:
        for _ in range(3):
            (await supervisor.worker()).send("step")
            held, left = await told.get()
            assert held - left < _BLOCK_BYTES
    finally:
        await supervisor.close()
