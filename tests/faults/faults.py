"""The faults, and the processes that they hit."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil

STARVED_S = 3.0


@dataclass(frozen=True, slots=True)
class Processes:
    """A server's processes, as they are now. Workers of one name: the one that serves first."""

    gateway: psutil.Process

    def all(self) -> list[psutil.Process]:
        """The gateway and everything below it."""
        return [self.gateway, *self.gateway.children(recursive=True)]

    def named(self, name: str) -> list[psutil.Process]:
        """Workers, the oldest first."""
        found = [each for each in self.gateway.children(recursive=True) if each.name() == name]
        return sorted(found, key=lambda each: each.create_time())

    def template(self) -> psutil.Process:
        """What workers are forked from: a fork has its command line, but a name of its own."""
        workers = ("language-model", "vocoder")
        [template] = [
            each
            for each in self.gateway.children()
            if each.name() not in workers and "forkserver" in " ".join(each.cmdline())
        ]
        return template


Fault = Callable[[Processes], Awaitable[None]]


def hit(name: str, number: signal.Signals, *, all_of_them: bool = False) -> Fault:
    """A signal to the worker of that name that serves, or to all."""

    async def fault(processes: Processes) -> None:
        for each in processes.named(name)[: None if all_of_them else 1]:
            each.send_signal(number)

    return fault


async def kill_template(processes: Processes) -> None:
    """Workers outlive it."""
    processes.template().kill()


async def kill_template_and_engine(processes: Processes) -> None:
    """The next engine has to wait for a template that imports everything."""
    engine = processes.named("language-model")[0]
    processes.template().kill()
    engine.kill()


async def stop_template(processes: Processes) -> None:
    """It can start no worker when the next is needed."""
    processes.template().suspend()
    processes.named("vocoder")[0].kill()


async def starve(processes: Processes) -> None:
    """No descriptor is left in the gateway when the next worker is needed."""
    soft, hard = processes.gateway.rlimit(psutil.RLIMIT_NOFILE)
    processes.gateway.rlimit(psutil.RLIMIT_NOFILE, (processes.gateway.num_fds(), hard))
    try:
        for each in processes.named("vocoder"):
            each.kill()
        await asyncio.sleep(STARVED_S)
    finally:
        processes.gateway.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))


async def hang_up(processes: Processes) -> None:
    """The terminal has closed."""
    processes.gateway.send_signal(signal.SIGHUP)


FAULTS: dict[str, Fault] = {
    "vocoder killed": hit("vocoder", signal.SIGKILL),
    "vocoder stopped": hit("vocoder", signal.SIGSTOP),
    "both vocoders killed": hit("vocoder", signal.SIGKILL, all_of_them=True),
    "both vocoders stopped": hit("vocoder", signal.SIGSTOP, all_of_them=True),
    "engine killed": hit("language-model", signal.SIGKILL),
    "engine stopped": hit("language-model", signal.SIGSTOP),
    "template killed": kill_template,
    "template and engine killed": kill_template_and_engine,
    "template stopped, vocoder killed": stop_template,
    f"no descriptors for {STARVED_S:g} s, both vocoders killed": starve,
    "SIGHUP to the gateway": hang_up,
}
