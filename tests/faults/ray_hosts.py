"""A Ray cluster of several hosts on one machine: each has a network namespace, so that its cable can be pulled, and one of
processes, because Ray looks for the node beside it among those that it sees. Gateways are on a host with this machine's network.

Needs Linux, root, `ip` (iproute2), `unshare` and `nsenter` (util-linux).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.live_server import ROOT

_BRIDGE, _NETWORK = "cslm-hosts", "10.203.77"
GATEWAYS, _HEAD, _PORT = f"{_NETWORK}.1", f"{_NETWORK}.2", 6379
_STORE_BYTES, _START_S = 100 << 20, 150.0
HEAD = f"{_HEAD}:{_PORT}"
_SEPARATE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
HEADLESS_S = 600
"""How long Ray's processes outlive their head, in place of a minute."""


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass(slots=True)
class Host:
    """One host: processes that see each other alone, and but for `number` 1, a network of their own, all named by `number`."""

    number: int
    cpus: int
    log: Path
    environment: dict[str, str]
    within: list[str] = field(default_factory=list[str])
    """What a command begins with to run on this host."""
    _first: subprocess.Popen[bytes] | None = None
    _node: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Of its Ray node."""
        return f"{_NETWORK}.{self.number}"

    def connect(self) -> None:
        """Make the network, and a cable from it to the bridge."""
        space, near, far = f"cslm{self.number}", f"cslm-near{self.number}", f"cslm-far{self.number}"
        _ip("netns", "add", space)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", space)
        _ip("link", "set", near, "master", _BRIDGE, "up")
        _ip("-n", space, "address", "add", f"{self.address}/24", "dev", far)
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "link", "set", far, "up")

    def disconnect(self) -> None:
        """Remove what there is of it. A network outlives its name while a process is in it, so its cable goes first."""
        for words in (("link", "delete", f"cslm-near{self.number}"), ("netns", "delete", f"cslm{self.number}")):
            subprocess.run(["ip", *words], check=False, capture_output=True)

    def start(self) -> None:
        """Switch it on, start its Ray node, and wait until that says so."""
        network = [] if self.number == 1 else ["ip", "netns", "exec", f"cslm{self.number}"]
        self._first = subprocess.Popen([*network, *_SEPARATE, "sleep", "infinity"])
        while not (inside := psutil.Process(self._first.pid).children()):
            time.sleep(0.02)
        self.within = ["nsenter", f"--target={inside[0].pid}", "--pid", "--mount", "--net"]
        role = ["--head", f"--port={_PORT}", "--include-dashboard=false", f"--temp-dir={self.log.parent}/ray"]
        command = [
            *self.within,
            str(Path(sys.executable).with_name("ray")),
            "start",
            "--block",
            "--disable-usage-stats",
        ]
        command += role if self.address == _HEAD else [f"--address={HEAD}"]
        command += [f"--node-ip-address={self.address}", f"--num-cpus={self.cpus}", "--num-gpus=0"]
        command += [f"--object-store-memory={_STORE_BYTES}"]
        files = self.log.with_suffix("")  # who shares a directory of temporary files is taken to share the network
        files.mkdir(exist_ok=True)
        end_s = time.monotonic() + _START_S
        with self.log.open("wb") as out:
            while "Ray runtime started" not in (said := self.log.read_text(errors="replace")):
                if time.monotonic() > end_s:
                    raise RuntimeError(f"host {self.number} did not start:\n{said[-2000:]}")
                if not self.running():  # it gives up after half a minute, which a full machine may take
                    self._node = subprocess.Popen(
                        command,
                        cwd=ROOT,
                        env=self.environment | {"TMPDIR": str(files)},
                        stdout=out,
                        stderr=subprocess.STDOUT,
                    )
                time.sleep(0.1)

    def running(self) -> bool:
        """Its Ray node has not ended."""
        return self._node is not None and self._node.poll() is None

    def replicas(self, stage: str) -> list[psutil.Process]:
        """Of the deployment `stage`."""
        listed = subprocess.run(
            ["ip", "netns", "pids", f"cslm{self.number}"], check=True, capture_output=True, text=True
        )
        processes = [psutil.Process(int(pid)) for pid in listed.stdout.split() if psutil.pid_exists(int(pid))]
        return [each for each in processes if _title(each).startswith(f"ray::ServeReplica:{stage}:")]

    def kill(self) -> None:
        """The host is gone at once, with everything on it: the kernel ends all that its first process has started."""
        for each in (self._first, self._node):
            if each is not None:
                each.kill()
                each.wait()

    def cable(self, state: str) -> None:
        """`down`: no packet comes or goes; `up`: they do again."""
        _ip("link", "set", f"cslm-near{self.number}", state)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@contextmanager
def ray_hosts(place: Path, workers: int) -> Iterator[tuple[Host, Host, list[Host]]]:
    """The head, the gateways' host and `workers` hosts for stages, each with a Ray node. The head's tables are kept in `place`."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "RAY_worker_niceness": "0",  # in place of 15: on hosts of their own, replicas would give way to nobody
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(HEADLESS_S),
        "RAY_gcs_storage": "rocksdb",
        "RAY_gcs_storage_path": str(place / "gcs"),
    }
    numbers = {2: 0, 1: 0} | dict.fromkeys(range(3, 3 + workers), 1)
    hosts = [Host(number, cpus, place / f"host{number}.log", environment) for number, cpus in numbers.items()]
    head, gateways, *others = hosts
    try:
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("address", "add", f"{GATEWAYS}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        for host in (head, *others):
            host.connect()
        for host in hosts:
            host.start()
        yield head, gateways, others
    finally:
        for host in hosts:
            host.kill()
        for host in (head, *others):
            host.disconnect()
        subprocess.run(["ip", "link", "delete", _BRIDGE], check=False, capture_output=True)
