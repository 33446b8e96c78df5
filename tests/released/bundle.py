"""All of cslm-8b in small: the three repositories as they are released, and the bundle that `cslm pull` makes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from model.bundle import BUNDLES
from model.pull import PullOptions, pull
from model.vocoders.flow_hift.config import save_config
from model.vocoders.flow_hift.small import SMALL, write_small
from tests.released.language_model import ANSWER, EOSP, EOT, FIRST_UNIT, QUESTION, SOSP, write_language_model
from tests.released.speech_tokenizer import random_network, write_onnx

TRANSCRIPT, TEXT = "What is two plus one?", "To neatly wrap a present, start by wrapping."
SPOKEN = [(37 * place + 5) % 4096 for place in range(60)]
CHAIN = [
    271,
    *[QUESTION, 25, 3639, 374, 1403, 5636, 832, 30, 26, 220],
    *[ANSWER, 2057, 63_266, 15_411, 264, 3118, 11],
    *[SOSP, *(FIRST_UNIT + unit for unit in SPOKEN), EOSP],
    *[1212, 555, 42_295, 13, EOT],
]
VOICES = ("中文女", "中文男", "日语男", "粤语女", "英文女", "英文男", "韩语女")


def write_repositories(directory: Path) -> None:
    """`CSLM-SFT`, `CosyVoice-300M-25Hz` and `CosyVoice-300M-SFT`, each a folder."""
    write_language_model(directory / "CSLM-SFT", CHAIN)
    speech, voices = directory / "CosyVoice-300M-25Hz", directory / "CosyVoice-300M-SFT"
    write_small(speech, predictor=False, voices=VOICES)
    voices.mkdir()
    (speech / "spk2info.pt").rename(voices / "spk2info.pt")
    (speech / "config.json").unlink()
    write_onnx(speech / "speech_tokenizer_v1.onnx", random_network())


def embedded_bundles(directory: Path) -> Path:
    """The bundles that come with the server, but that cslm-8b does not insist on the checksum of the true tokenizer."""
    shutil.copytree(BUNDLES / "cslm-8b", directory / "cslm-8b")
    (directory / "cslm-mini").symlink_to(BUNDLES / "cslm-mini")
    path = directory / "cslm-8b" / "sources.json"
    sources = json.loads(path.read_text(encoding="utf-8"))
    for file in sources["repositories"][1]["files"]:
        file.pop("sha256", None)
    path.write_text(json.dumps(sources), encoding="utf-8")
    return directory


def pulled(root: Path) -> Path:
    """A complete bundle, pulled from repositories that are written for it. The sizes of its vocoder are told."""
    write_repositories(root / "files")
    bundles = embedded_bundles(root / "embedded")
    target = pull("cslm-8b", root / "cslm-8b", PullOptions(origin=root / "files"), print, bundles=bundles)
    save_config(SMALL, target / "vocoder")
    return target
