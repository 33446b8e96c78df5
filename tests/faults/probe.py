"""Asks a server for `/healthz` all the time, from a process of its own, so that only the server and the machine hold it up.

    python -m tests.faults.probe http://127.0.0.1:8080 PID

prints a line of JSON for each request. `PID` is that of the gateway.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import psutil

EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `took_s`: until its answer; `queued_s`: how long of that the gateway's event loop, or this process, could have
    gone on but had no processor; `failure`: what came in place of 200; the gateway's sizes after it.
    """

    took_s: float
    queued_s: float
    failure: str | None
    resident_bytes: int
    descriptors: int

    @property
    def stalled_s(self) -> float:
        """How long the server itself kept it waiting, whatever else ran on the machine."""
        return max(0.0, self.took_s - self.queued_s)


def _queued_s(pid: int) -> float:
    """How long the main thread of a process has waited for a processor in all."""
    schedule = Path(f"/proc/{pid}/task/{pid}/schedstat")
    return int(schedule.read_text().split()[1]) / 1e9 if schedule.exists() else 0.0


def asked(connection: HTTPConnection, gateway: psutil.Process) -> Asked:
    """Ask once."""
    pids = (gateway.pid, psutil.Process().pid)
    queued_s, began_s, failure = sum(map(_queued_s, pids)), time.monotonic(), None
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        answer.read()
        failure = None if answer.status == 200 else str(answer.status)
    except (OSError, HTTPException) as error:
        failure = type(error).__name__
        connection.close()
    took_s = time.monotonic() - began_s
    queued_s = sum(map(_queued_s, pids)) - queued_s
    return Asked(took_s, queued_s, failure, gateway.memory_info().rss, gateway.num_fds())


def main() -> None:
    """Ask until the process is ended."""
    place, gateway = urlsplit(sys.argv[1]), psutil.Process(int(sys.argv[2]))
    connection = HTTPConnection(place.hostname or "", place.port, timeout=60)
    while True:
        print(json.dumps(asdict(asked(connection, gateway))), flush=True)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
