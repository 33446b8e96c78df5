#!/usr/bin/env python3
"""Install cslm-serve into a virtual environment: pinned, and only when something changed.

    python3 deploy/install.py [--venv .venv] [--variant auto|cpu|gpu|portable] [--with dev ...] [--no-project]

`cpu` is vLLM for x86-64 and aarch64 Linux, `gpu` vLLM for NVIDIA, `portable` plain PyTorch for every other machine;
`auto` takes the best that fits and says why. `--with torch-cuda` takes PyTorch as PyPI has it for x86-64 Linux, with CUDA's
libraries, where PyTorch's CPU index cannot be reached. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
STAMP = "cslm-installed.json"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
VARIANTS = ("cpu", "gpu", "portable")
TORCH_CUDA = "torch-cuda"
ADDITIONS = ("cluster", "dev", "judge", "mic", "otel", TORCH_CUDA, "train")
PYTHONS = ((3, 11), (3, 14))
GLIBC = (2, 31)  # of the newest wheel in requirements/cpu.txt (llguidance: manylinux_2_31)


class InstallError(Exception):
    """Says what is missing and what to do about it."""


@dataclass(frozen=True)
class Machine:
    """What the choice of a variant depends on."""

    system: str
    arch: str
    glibc: tuple[int, ...]
    avx2: bool
    libnuma: bool
    gpus: tuple[str, ...]


def look_around() -> Machine:
    """This machine."""
    libc, version = platform.libc_ver()
    glibc = tuple(int(part) for part in version.split(".")[:2]) if libc == "glibc" else ()
    return Machine(platform.system(), platform.machine(), glibc, _has_avx2(), _has_library("libnuma.so.1"), _gpus())


def choose(machine: Machine, wanted: str) -> tuple[str, str]:
    """The variant to install and the reason. A wish is granted: images are built on other machines than they run on."""
    objections = {"portable": "", "gpu": _against_gpu(machine), "cpu": _against_cpu(machine)}
    if wanted != "auto":
        return wanted, f"as asked, although {objections[wanted]}" if objections[wanted] else "as asked"
    if not objections["gpu"]:
        return "gpu", f"found {machine.gpus[0]}"
    if not objections["cpu"]:
        return "cpu", objections["gpu"]
    return "portable", f"without vLLM, on the slower transformers backend: {objections['cpu']}"


def _against_gpu(machine: Machine) -> str:
    if machine.system != "Linux" or machine.arch != "x86_64":
        return f"no GPU build of vLLM is pinned for {machine.system} on {machine.arch}"
    return "" if machine.gpus else "no NVIDIA GPU found (`nvidia-smi -L` lists none)"


def _against_cpu(machine: Machine) -> str:
    if machine.system != "Linux" or machine.arch not in ("x86_64", "aarch64"):
        return f"there is no vLLM wheel for {machine.system} on {machine.arch}"
    if machine.glibc < GLIBC:
        return f"vLLM's wheels need glibc {'.'.join(map(str, GLIBC))} or newer"
    if machine.arch == "x86_64" and not machine.avx2:
        return "vLLM needs a processor with AVX2"
    if not machine.libnuma:
        return "vLLM needs the library libnuma.so.1 (Debian, Ubuntu: apt-get install libnuma1)"
    return ""


def _has_avx2() -> bool:
    try:
        return " avx2 " in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _has_library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _gpus() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    lines = listing.stdout.splitlines() if listing.returncode == 0 else []
    return tuple(line.split(" (UUID")[0] for line in lines if line.startswith("GPU "))


def apt_install(*packages: str) -> bool:
    """Install Debian packages where that is possible without asking: as root, with apt. True if done."""
    if os.environ.get("CSLM_NO_APT") or not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    say(f"apt-get install {' '.join(packages)}")
    quiet = {
        "stdout": subprocess.DEVNULL,
        "stdin": subprocess.DEVNULL,
        "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    }
    subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    return subprocess.run(command, check=False, **quiet).returncode == 0


def say(text: str) -> None:
    """One line to the person who waits."""
    print(f"install: {text}", flush=True)


def digest(variant: str, additions: list[str], project: bool) -> str:
    """Changes when what would be installed changes."""
    state = hashlib.sha256(json.dumps([variant, sorted(additions), project, sys.version_info[:3], str(ROOT)]).encode())
    for path in [*sorted(REQUIREMENTS.glob("*.txt")), ROOT / "pyproject.toml", Path(__file__)]:
        if path.is_file():
            state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def make_venv(venv: Path) -> Path:
    """The environment's Python; makes the environment unless it is there and of this Python."""
    python = venv / "bin" / "python"
    wanted = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python.exists():
        ask = [python, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
        found = subprocess.run(ask, capture_output=True, text=True, check=False)
        if found.stdout.strip() == wanted and (venv / "bin" / "pip").exists():
            return python
        say(f"{venv} is not a working environment of Python {wanted}: making it anew")
    make = [sys.executable, "-m", "venv", "--clear", str(venv)]
    if subprocess.run(make, capture_output=True, check=False).returncode == 0:
        return python
    if apt_install(f"python{wanted}-venv") and subprocess.run(make, check=False).returncode == 0:
        return python
    raise InstallError(
        f"Python {wanted} cannot make a virtual environment (Debian, Ubuntu: apt-get install python{wanted}-venv)"
    )


class Pip:
    """pip of one environment, without dependency resolution: the lists are complete."""

    def __init__(self, python: Path) -> None:
        self._command = [str(python), "-m", "pip", "--disable-pip-version-check"]
        self._python = python

    def install(self, *what: str, quiet_failure: bool = False) -> bool:
        """True if it worked; a failure is pip's to explain."""
        command = [*self._command, "install", "--no-deps", "--no-input", "-q", *what]
        return (
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL if quiet_failure else None).returncode == 0
        )

    def value(self, expression: str) -> str:
        """What `expression` prints there, "" where it fails."""
        run = subprocess.run(
            [str(self._python), "-c", f"print({expression})"], capture_output=True, text=True, check=False
        )
        return run.stdout.strip()


def torch_version() -> str:
    """The pinned version."""
    lines = (REQUIREMENTS / "torch.txt").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("torch==") for line in lines if line.startswith("torch=="))


def install_cpu_torch(pip: Pip) -> None:
    """torch without CUDA: from PyTorch's own index, else whatever pip is configured to find, if that is a CPU build."""
    version = torch_version()
    installed = pip.value("__import__('importlib.metadata').metadata.version('torch')")
    if installed.split("+")[0] == version and pip.value("__import__('torch').version.cuda") == "None":
        return
    plain = platform.system() == "Darwin"  # there the build on PyPI is the CPU build
    say(f"torch {version}, CPU build (about 200 MB)")
    asked = ["--retries", "0", "--timeout", "15", "--index-url", TORCH_CPU_INDEX, f"torch=={version}+cpu"]
    if not plain and pip.install(*asked, quiet_failure=True):
        return
    if not plain:
        say(f"{TORCH_CPU_INDEX} did not answer: taking torch=={version} as pip finds it")
    if not pip.install(f"torch=={version}"):
        raise InstallError(f"torch {version} could not be installed")


def verify(pip: Pip, variant: str, *, any_torch: bool = False) -> None:
    """The installed torch starts, and unless `any_torch` is of the kind that the variant needs."""
    if any_torch:
        if not pip.value("__import__('torch').__version__"):
            raise InstallError("torch does not start: run `python -c 'import torch'` in that environment to see why")
        return
    cuda = pip.value("__import__('torch').version.cuda")
    if variant == "gpu" and cuda in ("", "None"):
        raise InstallError(
            "torch was installed without CUDA: pip is configured to prefer a CPU build; try `--variant cpu`"
        )
    if variant != "gpu" and cuda != "None":
        raise InstallError(
            f"torch was installed with CUDA or does not start, and {TORCH_CPU_INDEX} could not be reached. "
            "Allow that address, or point pip at a mirror of it (PIP_EXTRA_INDEX_URL), or take 3 GB more "
            f"(`--with {TORCH_CUDA}`), and try again."
        )


def install(venv: Path, variant: str, additions: list[str], project: bool) -> None:
    """All of it, in the order in which nothing is installed twice."""
    pip = Pip(make_venv(venv))
    (venv / STAMP).unlink(missing_ok=True)
    any_torch = TORCH_CUDA in additions
    if variant != "gpu" and not any_torch:
        install_cpu_torch(pip)
    lists = [word for name in [variant, *additions] for word in ("-r", str(REQUIREMENTS / f"{name}.txt"))]
    say(f"the pinned packages: {', '.join([variant, *additions])} (some minutes the first time)")
    if not pip.install(*lists):
        raise InstallError("pip failed; its reason stands above")
    if project and not pip.install("--no-build-isolation", "-e", str(ROOT)):
        raise InstallError("the project itself could not be installed; pip's reason stands above")
    verify(pip, variant, any_torch=any_torch)


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 when everything is there, 1 with a message when it cannot be."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--variant", choices=("auto", *VARIANTS), default="auto")
    parser.add_argument(
        "--with", dest="additions", choices=ADDITIONS, nargs="*", default=[], help="on top of the variant"
    )
    parser.add_argument("--no-project", dest="project", action="store_false", help="only what it depends on")
    options = parser.parse_args(argv)
    try:
        if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
            raise InstallError(f"Python 3.11 to 3.14 is needed; this is {platform.python_version()}")
        machine = look_around()
        if not machine.libnuma and machine.system == "Linux" and not machine.gpus and apt_install("libnuma1"):
            machine = look_around()
        variant, reason = choose(machine, options.variant)
        stamp = options.venv / STAMP
        have = json.loads(stamp.read_text(encoding="utf-8")) if stamp.is_file() else {}
        if have.get("variant") == variant:  # what was added once stays up to date
            options.additions = sorted({*options.additions, *have.get("additions", [])})
        wanted = digest(variant, options.additions, options.project)
        if have.get("digest") == wanted:
            return 0
        say(f"variant {variant} ({reason}), Python {platform.python_version()}, into {options.venv}")
        began_s = time.monotonic()
        install(options.venv, variant, options.additions, options.project)
        record = {"variant": variant, "additions": options.additions, "digest": wanted}
        stamp.write_text(json.dumps(record), encoding="utf-8")
        say(f"done in {time.monotonic() - began_s:.0f} s")
    except InstallError as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
