"""`make audit`: what it makes of a service's answers, and that no silence passes for a good answer."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLEAN = {
    "dependencies": [{"name": "numpy", "version": "2.3.0", "vulns": []}, {"name": "ours", "skip_reason": "not on PyPI"}]
}
FOUND = {
    "dependencies": [
        {"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-2019-217"}, {"id": "PYSEC-2021-66"}]}
    ]
}


@pytest.fixture
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script with one list, no accepted advisories, and `answers`: what its pip-audit prints, by service and list."""
    monkeypatch.syspath_prepend(str(ROOT / "deploy"))
    module = importlib.import_module("audit")
    tool, lists = tmp_path / "venv" / "bin" / "pip-audit", tmp_path / "requirements"
    tool.parent.mkdir(parents=True)
    lists.mkdir()
    (lists / "base.txt").write_text("numpy==2.3.0\n")
    tool.write_text(
        f"#!{sys.executable}\nimport json, sys\nfrom pathlib import Path\n"
        "at = sys.argv\nservice, name = at[at.index('--vulnerability-service') + 1], Path(at[at.index('-r') + 1]).name\n"
        f"print(json.loads(Path({str(tmp_path / 'answers')!r}).read_text()).get(f'{{service}} {{name}}', ''))\n"
        "print('cannot connect', file=sys.stderr)\n"
    )
    tool.chmod(0o755)
    for name, value in (("VENV", tmp_path / "venv"), ("REQUIREMENTS", lists), ("ACCEPTED", tmp_path / "accepted")):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "installed", lambda: True)
    (tmp_path / "accepted").write_text("# none\n")

    def answers(**by_list: object) -> None:
        written = {name.replace("_", " ", 1) + ".txt": json.dumps(answer) for name, answer in by_list.items()}
        (tmp_path / "answers").write_text(json.dumps(written))

    module.answers = answers
    return module


def test_nothing_open(audit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    audit.answers(osv_canary=FOUND, osv_base=CLEAN)
    assert audit.main([]) == 0
    assert "no open advisories, by osv" in (told := capsys.readouterr().out)
    assert "not known to the service: ours" in told


def test_an_open_advisory_fails_until_it_is_accepted_for_a_reason(
    audit: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.answers(pypi_canary=FOUND, pypi_base=FOUND)
    assert audit.main([]) == 1
    assert "base.txt: jinja2==2.10: PYSEC-2019-217" in capsys.readouterr().out
    (tmp_path / "accepted").write_text("PYSEC-2019-217 no templates of others\n")
    assert audit.main([]) == 1
    (tmp_path / "accepted").write_text("PYSEC-2019-217 no templates of others\nPYSEC-2021-66 no urlize\n")
    assert audit.main([]) == 0
    assert "(accepted: no urlize)" in capsys.readouterr().out


@pytest.mark.parametrize("canary", [CLEAN, {"dependencies": []}, "nonsense", None])
def test_a_service_that_does_not_know_the_known_is_none(
    canary: object, audit: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.answers(pypi_canary=canary, pypi_base=CLEAN)
    assert audit.main([]) == 0
    assert "SKIPPED, because no advisory service can be reached" in capsys.readouterr().err
    assert audit.main(["--required"]) == 1


def test_a_service_that_goes_silent_is_no_good_news(audit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    audit.answers(pypi_canary=FOUND)
    assert audit.main([]) == 1
    assert "pypi does not answer: cannot connect" in capsys.readouterr().err
