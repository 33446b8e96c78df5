"""The choice of a variant, and when an install is up to date."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_install", ROOT / "deploy" / "install.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["deploy_install"] = module
    spec.loader.exec_module(module)
    return module


install = _load()


def machine(**changes: object) -> object:
    usual = {"system": "Linux", "arch": "x86_64", "glibc": (2, 36), "avx2": True, "libnuma": True, "gpus": ()}
    return install.Machine(**{**usual, **changes})


@pytest.mark.parametrize(
    ("here", "variant", "says"),
    [
        (machine(), "cpu", "no NVIDIA GPU"),
        (machine(gpus=("GPU 0: NVIDIA H100",)), "gpu", "H100"),
        (machine(arch="aarch64", avx2=False), "cpu", "aarch64"),
        (machine(arch="aarch64", gpus=("GPU 0: GH200",)), "cpu", "aarch64"),
        (machine(system="Darwin", arch="arm64", glibc=()), "portable", "Darwin on arm64"),
        (machine(glibc=()), "portable", "glibc 2.31"),
        (machine(glibc=(2, 28)), "portable", "glibc 2.31"),
        (machine(avx2=False), "portable", "AVX2"),
        (machine(libnuma=False), "portable", "libnuma1"),
    ],
)
def test_auto_takes_the_best_that_fits_and_says_why(here: object, variant: str, says: str) -> None:
    chosen, reason = install.choose(here, "auto")
    assert chosen == variant
    assert says in reason


def test_a_wish_is_granted_with_its_objection_named() -> None:
    assert install.choose(machine(), "gpu") == (
        "gpu",
        "as asked, although no NVIDIA GPU found (`nvidia-smi -L` lists none)",
    )
    assert install.choose(machine(), "portable") == ("portable", "as asked")


def test_an_install_is_renewed_when_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(install, "look_around", machine)
    monkeypatch.setattr(
        install, "install", lambda venv, variant, additions, project: calls.append((variant, additions))
    )
    arguments = ["--venv", str(tmp_path)]
    assert install.main(arguments) == 0
    assert install.main(arguments) == 0
    assert calls == [("cpu", [])]
    assert install.main([*arguments, "--with", "dev"]) == 0
    assert install.main(arguments) == 0  # `make serve` after `make test` neither removes nor repeats anything
    assert calls[1:] == [("cpu", ["dev"])]
    stamp = tmp_path / install.STAMP
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "digest": "of an older list"}))
    assert install.main(arguments) == 0
    assert calls[2:] == [("cpu", ["dev"])]


def test_a_failed_install_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise install.InstallError("no room on the disk")

    monkeypatch.setattr(install, "look_around", machine)
    monkeypatch.setattr(install, "install", fail)
    assert install.main(["--venv", str(tmp_path)]) == 1
    assert "no room on the disk" in capsys.readouterr().err
    assert not (tmp_path / install.STAMP).exists()


class _Pip:
    """Records what is asked of pip; `fails` names the words with which it fails."""

    def __init__(self, fails: str = "", cuda: str = "None") -> None:
        self.fails, self.cuda, self.asked = fails, cuda, []

    def install(self, *what: str, quiet_failure: bool = False) -> bool:
        self.asked.append(" ".join(what))
        return not (self.fails and self.fails in self.asked[-1])

    def value(self, expression: str) -> str:
        return self.cuda if "cuda" in expression else ""


def test_the_cpu_build_of_torch_is_asked_for_first() -> None:
    pip = _Pip()
    install.install_cpu_torch(pip)
    (asked,) = pip.asked
    assert install.TORCH_CPU_INDEX in asked
    assert asked.endswith("+cpu")


def test_without_that_index_pip_decides_and_the_result_is_checked() -> None:
    pip = _Pip(fails=install.TORCH_CPU_INDEX, cuda="13.0")
    install.install_cpu_torch(pip)
    assert pip.asked[-1] == f"torch=={install.torch_version()}"
    with pytest.raises(install.InstallError, match="with CUDA"):
        install.verify(pip, "cpu")


@pytest.mark.parametrize(("variant", "cuda"), [("cpu", "None"), ("portable", "None"), ("gpu", "13.0")])
def test_the_right_torch_is_accepted(variant: str, cuda: str) -> None:
    install.verify(_Pip(cuda=cuda), variant)


def test_where_pypi_is_all_there_is_its_torch_serves_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = _Pip(cuda="13.0")
    pip.value = lambda expression: "2.13.0+cu130"  # type: ignore[method-assign]
    monkeypatch.setattr(install, "make_venv", lambda venv: venv)
    monkeypatch.setattr(install, "Pip", lambda python: pip)
    install.install(tmp_path, "cpu", ["torch-cuda"], False)
    (asked,) = pip.asked
    assert "cpu.txt" in asked and "torch-cuda.txt" in asked and install.TORCH_CPU_INDEX not in asked


def test_a_torch_that_does_not_start_is_refused() -> None:
    with pytest.raises(install.InstallError, match="does not start"):
        install.verify(_Pip(cuda=""), "cpu", any_torch=True)


def test_a_gpu_install_with_a_cpu_torch_is_refused() -> None:
    with pytest.raises(install.InstallError, match="without CUDA"):
        install.verify(_Pip(), "gpu")


def test_a_python_is_found_and_a_wrong_one_refused() -> None:
    script = ["sh", str(ROOT / "deploy" / "find-python.sh")]
    found = subprocess.run(
        script, env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}, capture_output=True, text=True
    )
    assert found.stdout.strip() == sys.executable
    refused = subprocess.run(
        script, env={"PATH": "/usr/bin:/bin", "PYTHON": "/bin/false"}, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "Python 3.11 to 3.14 is needed; /bin/false is not one." in refused.stderr
