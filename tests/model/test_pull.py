"""`cslm pull`: from a hub that answers as Hugging Face does, from a directory, and everything that can go wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock

from model import hub
from model import pull as pulling
from model.bundle import find_bundle
from model.check import check, preflight
from model.pull import PullOptions, pull
from model.sources import Lock, sha256_of
from streaming.errors import BundleError
from tests.model.fake_hub import Hub, running
from tests.released.bundle import embedded_bundles
from tests.released.speech_tokenizer import SMALL, random_network, write_onnx

BIG = bytes(range(256)) * 8192  # 2 MB
LM, SPEECH, VOICES = "ICTNLP/CSLM-SFT", "FunAudioLLM/CosyVoice-300M-25Hz", "FunAudioLLM/CosyVoice-300M-SFT"


class Place(NamedTuple):
    hub: Hub
    bundles: Path
    target: Path

    def pull(self, *, origin: Path | None = None, update: bool = False, offline: bool = False) -> list[str]:
        said: list[str] = []
        options = PullOptions(origin, update, offline, endpoint=self.hub.url)
        pull("cslm-8b", self.target, options, said.append, bundles=self.bundles)
        return said

    def refused(self, code: str, **options: object) -> str:
        with pytest.raises(BundleError) as caught:
            self.pull(**options)  # type: ignore[arg-type]
        assert caught.value.code == code, caught.value.message
        return caught.value.message


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("onnx") / "speech_tokenizer_v1.onnx"
    write_onnx(path, random_network(SMALL))
    return path.read_bytes()


@pytest.fixture
def place(tmp_path: Path, tokenizer: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    lm = {
        "config.json": b"{}",
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b"{}",
        "model-00001-of-00002.safetensors": BIG,
        "model-00002-of-00002.safetensors": BIG[::-1],
        "README.md": b"not wanted",
    }
    speech = {"speech_tokenizer_v1.onnx": tokenizer, "flow.pt": b"flow", "hift.pt": b"hift", "llm.pt": b"not wanted"}
    hub = Hub({LM: lm, SPEECH: speech, VOICES: {"spk2info.pt": b"voices"}})
    with running(hub):
        yield Place(hub, embedded_bundles(tmp_path / "embedded"), tmp_path / "cslm-8b")


def test_a_hub_is_pulled_whole_and_locked(place: Place) -> None:
    place.pull()
    files = {path.relative_to(place.target).as_posix() for path in place.target.rglob("*") if path.is_file()}
    assert files >= {"lm/model-00001-of-00002.safetensors", "vocoder/flow.pt", "vocoder/spk2info.pt", "profile.json"}
    assert not [name for name in files if "README" in name or "llm.pt" in name or ".parts" in name]
    assert "encoder/s3.safetensors" in files and "vad/silero_vad.onnx" in files
    lock = Lock.load(place.target)
    assert lock is not None
    assert lock.commits == dict.fromkeys((LM, SPEECH, VOICES), "a" * 40)
    assert lock.files["lm/model-00001-of-00002.safetensors"] == (
        sha256_of(place.target / "lm" / "model-00001-of-00002.safetensors"),
        len(BIG),
    )
    assert find_bundle("cslm-8b", place.target.parent).directory == place.target


def test_once_it_is_complete_nobody_is_asked(place: Place) -> None:
    place.pull()
    place.hub.asked.clear()
    assert "nothing is fetched" in " ".join(place.pull())
    place.pull(offline=True)
    assert place.hub.asked == []


@pytest.mark.parametrize("lost", ["lm/model-00002-of-00002.safetensors", "vocoder/flow.pt"])
def test_what_was_lost_is_fetched_again_and_nothing_else(place: Place, lost: str) -> None:
    place.pull()
    (place.target / lost).write_bytes(b"half of it")
    place.hub.asked.clear()
    place.pull()
    assert {path.split("/")[-1] for path in place.hub.asked if "/resolve/" in path} == {lost.split("/")[-1]}


def test_a_file_that_a_newer_version_asks_for_is_fetched(place: Place) -> None:
    place.pull()
    path = place.bundles / "cslm-8b" / "sources.json"
    sources = json.loads(path.read_text(encoding="utf-8"))
    sources["repositories"][1]["files"].append({"path": "llm.pt", "to": "vocoder"})
    path.write_text(json.dumps(sources), encoding="utf-8")
    place.pull()
    assert (place.target / "vocoder" / "llm.pt").is_file()


def test_two_pulls_into_one_directory_take_turns(place: Place) -> None:
    place.target.mkdir()
    busy, said = FileLock(place.target / ".pull.lock"), threading.Event()

    def say(line: str) -> None:
        if "waiting" in line:
            said.set()

    def second() -> None:
        pull("cslm-8b", place.target, PullOptions(endpoint=place.hub.url), say, bundles=place.bundles)

    thread = threading.Thread(target=second)
    with busy:
        thread.start()
        assert said.wait(60)
        assert place.hub.asked == []
    thread.join()
    assert find_bundle(str(place.target)).directory == place.target


def test_a_pull_that_is_killed_makes_way_for_the_one_that_waits(place: Place) -> None:
    """Each a process of its own, as on two hosts that share a volume."""
    place.hub.breaks, place.hub.breaks_after, place.hub.holds = 1, 1 << 20, threading.Event()
    program = (
        "import sys; from pathlib import Path; from model.pull import PullOptions, pull; "
        "pull('cslm-8b', Path(sys.argv[1]), PullOptions(endpoint=sys.argv[2]), print, bundles=Path(sys.argv[3]))"
    )
    command = [sys.executable, "-u", "-c", program, str(place.target), place.hub.url, str(place.bundles)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert any("model-00001" in line for line in first.stdout)  # the hub holds it there
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None
            assert "another pull is filling" in second.stdout.readline()
            first.kill()
            place.hub.holds.set()
            second.communicate()
    assert second.returncode == 0
    assert (place.target / "lm" / "model-00001-of-00002.safetensors").read_bytes() == BIG
    assert "nothing is fetched" in " ".join(place.pull())


def test_a_place_that_cannot_be_written(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "--to" in place._replace(target=tmp_path / "file" / "cslm-8b").refused("bundle_unwritable")


def test_progress_is_told_in_lines_where_there_is_no_terminal(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_LINE_EVERY_S", 0.0)
    assert "    2.1 of 2.1 MB" in "\n".join(place.pull())


def test_what_is_half_pulled_is_not_served(place: Place) -> None:
    place.hub.files[VOICES].clear()
    place.refused("bundle_file_missing")
    with pytest.raises(BundleError) as caught:
        preflight(find_bundle(str(place.target)))
    assert caught.value.code == "bundle_not_pulled"
    assert VOICES in caught.value.message and LM not in caught.value.message
    files = next(finding for finding in check(place.target).findings if finding.what == "files")
    assert (files.ok, files.code) == (False, "bundle_not_pulled")


def test_the_commit_that_was_got_is_asked_for_ever_after(place: Place) -> None:
    place.pull()
    place.hub.commit = "b" * 40  # the branch has moved, and the old commit is gone
    (place.target / "vocoder" / "flow.pt").unlink()
    assert "--update" in place.refused("hub_not_found")
    place.hub.files[VOICES]["spk2info.pt"] = b"other voices"
    place.pull(update=True)
    assert (place.target / "vocoder" / "spk2info.pt").read_bytes() == b"other voices"


def test_a_file_that_is_other_than_it_was_is_refused(place: Place) -> None:
    place.pull()
    (place.target / "vocoder" / "flow.pt").unlink()
    place.hub.files[SPEECH]["flow.pt"] = b"flaw"
    message = place.refused("checksum_mismatch")
    assert "flow.pt" in message
    assert "--update" in message


def test_a_transfer_that_breaks_is_continued_where_it_broke(place: Place) -> None:
    big = BIG * 12  # the hub's client keeps whole pieces of 10 MiB
    place.hub.files[LM]["model-00001-of-00002.safetensors"] = big
    place.hub.breaks, place.hub.breaks_after = 1, 11 << 20
    place.pull()
    assert place.hub.ranges == [f"bytes={10 << 20}-"]
    assert (place.target / "lm" / "model-00001-of-00002.safetensors").read_bytes() == big


def test_what_was_complete_when_a_pull_failed_is_not_fetched_again(place: Place) -> None:
    place.hub.breaks, place.hub.breaks_after = 1000, 1 << 20
    place.refused("hub_unreachable")
    place.hub.breaks = 0
    place.hub.asked.clear()
    place.pull()
    assert not [path for path in place.hub.asked if path.endswith("/config.json")]
    assert (place.target / "lm" / "model-00001-of-00002.safetensors").read_bytes() == BIG


def test_a_file_that_was_begun_is_continued_by_the_next_pull(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_LINE_EVERY_S", 0.0)
    big = BIG * 12  # arrives in pieces of 10 MiB
    place.hub.files[LM]["model-00001-of-00002.safetensors"] = big

    def stop_in_the_second_piece(line: str) -> None:
        if "21.0 of 25.2 MB" in line:
            raise KeyboardInterrupt

    options = PullOptions(endpoint=place.hub.url)
    with pytest.raises(KeyboardInterrupt):
        pull("cslm-8b", place.target, options, stop_in_the_second_piece, bundles=place.bundles)
    place.pull()
    (start,) = (int(asked.removeprefix("bytes=").removesuffix("-")) for asked in place.hub.ranges)
    assert start >= 10 << 20
    assert (place.target / "lm" / "model-00001-of-00002.safetensors").read_bytes() == big


def test_what_was_begun_at_one_commit_does_not_go_on_at_another(place: Place) -> None:
    place.hub.breaks, place.hub.breaks_after = 1000, 1 << 20
    place.refused("hub_unreachable")
    place.hub.breaks, place.hub.commit = 0, "b" * 40  # the branch has moved, and the old commit is gone
    assert "--update" in place.refused("hub_not_found")
    place.pull(update=True)
    lock = Lock.load(place.target)
    assert lock is not None and set(lock.commits.values()) == {"b" * 40} and not lock.begun


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * (len(BIG) + 1), BIG[:-1] + b"x"])
def test_a_beginning_that_is_damaged_is_found_by_the_checksum_of_the_hub(place: Place, left: bytes) -> None:
    name = "model-00001-of-00002.safetensors"
    part = place.target / ".parts" / place.hub.commit / name
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    if len(left) <= len(BIG):
        assert "according to the hub" in place.refused("checksum_mismatch")
    place.pull()
    assert (place.target / "lm" / name).read_bytes() == BIG


def test_what_the_hub_refuses_says_what_to_do(place: Place) -> None:
    place.hub.gated = True
    assert "licence" in place.refused("hub_gated")
    place.hub.gated = False
    del place.hub.files[VOICES]
    assert "--from" in place.refused("hub_not_found")
    del place.hub.files[SPEECH]["flow.pt"]
    assert "flow.pt" in place.refused("bundle_file_missing")


def test_no_hub_at_all(place: Place) -> None:
    place.hub.url = "http://127.0.0.1:9"
    assert "HF_ENDPOINT" in place.refused("hub_unreachable")
    assert "has not been pulled" in place.refused("bundle_file_missing", offline=True)


def test_no_room(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10, 9, 1)  # type: ignore[attr-defined]
    monkeypatch.setattr(pulling.shutil, "disk_usage", lambda _: usage)
    assert "--to" in place.refused("no_space")


def lay_out(place: Place, folder: Path, *, flat: bool) -> Path:
    for repo, files in place.hub.files.items():
        own = folder if flat else folder / repo.split("/")[-1]
        own.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (own / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("flat", [False, True])
def test_a_directory_is_as_good_as_the_hub(place: Place, tmp_path: Path, flat: bool) -> None:
    origin = lay_out(place, tmp_path / "files", flat=flat)
    place.pull(origin=origin)
    assert place.hub.asked == []
    assert (place.target / "lm" / "model-00002-of-00002.safetensors").read_bytes() == BIG[::-1]
    lock = Lock.load(place.target)
    assert lock is not None and lock.commits[LM] is None
    place.pull(origin=origin)


def test_what_is_half_taken_from_a_directory_is_not_served(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, accept = lay_out(place, tmp_path / "files", flat=False), pulling._accept

    def killed_at_the_weights(part: Path, to: Path, *rest: Any, **options: Any) -> None:
        if to.suffix == ".safetensors":
            raise KeyboardInterrupt
        accept(part, to, *rest, **options)

    monkeypatch.setattr(pulling, "_accept", killed_at_the_weights)
    with pytest.raises(KeyboardInterrupt):
        place.pull(origin=origin)
    with pytest.raises(BundleError) as caught:
        preflight(find_bundle(str(place.target)))
    assert caught.value.code == "bundle_not_pulled"


def test_a_directory_without_a_file(place: Place, tmp_path: Path) -> None:
    origin = lay_out(place, tmp_path / "files", flat=False)
    (origin / "CosyVoice-300M-25Hz" / "hift.pt").unlink()
    assert "hift.pt" in place.refused("bundle_file_missing", origin=origin)
    assert "nowhere" in place.refused("bundle_file_missing", origin=tmp_path / "nowhere")


def test_the_tokenizer_of_50_hz_is_recognized(place: Place, tmp_path: Path) -> None:
    write_onnx(tmp_path / "slow.onnx", random_network(SMALL.__class__(width=128, heads=2, layers=2, stride=1)))
    place.hub.files[SPEECH]["speech_tokenizer_v1.onnx"] = (tmp_path / "slow.onnx").read_bytes()
    assert "CosyVoice-300M-25Hz" in place.refused("wrong_tokenizer")


def test_the_released_tokenizer_has_a_known_checksum(place: Place, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        pull("cslm-8b", tmp_path / "strict", PullOptions(endpoint=place.hub.url), print)
    assert caught.value.code == "checksum_mismatch"
    assert "56285ddd" in caught.value.message
    assert "--update" not in caught.value.message  # it is sources.json that says so, and that stays


def test_damage_after_the_pull_is_found(place: Place) -> None:
    place.pull()
    lock, weights = Lock.load(place.target), place.target / "lm" / "model-00001-of-00002.safetensors"
    assert lock is not None
    for damage, code in ((BIG[:-1], "bundle_file_truncated"), (BIG[::-1], "bundle_file_changed")):
        weights.write_bytes(damage)
        with pytest.raises(BundleError) as caught:
            lock.verify(place.target, contents=True)
        assert caught.value.code == code
    weights.unlink()
    with pytest.raises(BundleError) as caught:
        lock.verify(place.target, contents=False)
    assert caught.value.code == "bundle_file_missing"
    (place.target / "bundle.lock.json").write_text("{")
    with pytest.raises(BundleError, match=r"bundle\.lock"):
        Lock.load(place.target)


def test_a_profile_that_was_changed_is_kept(place: Place) -> None:
    place.pull()
    profile = place.target / "profile.json"
    profile.write_text(
        json.dumps(json.loads(profile.read_text(encoding="utf-8")) | {"history_turns": 1}), encoding="utf-8"
    )
    assert any("left as it is" in line for line in place.pull())
    assert find_bundle(str(place.target)).profile.history_turns == 1


def test_what_is_not_pulled(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cslm-8b"):
        pull("cslm-mini", tmp_path, PullOptions(), print)
    with pytest.raises(BundleError) as caught:
        find_bundle("cslm-8b", tmp_path)
    assert caught.value.code == "bundle_not_pulled"
    assert "cslm pull cslm-8b" in caught.value.message
