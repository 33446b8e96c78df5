"""`cslm check`: is a bundle complete, and do its parts fit together?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from model.bundle import Bundle
from model.kinds import ENCODERS, PROMPTS, VOCODERS, kind_of
from streaming.errors import BundleError, SpeechServerError
from streaming.turn import TurnOptions


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    ok: bool
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All that was looked at, in order."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Nothing was wrong."""
        return all(finding.ok for finding in self.findings)


def check(directory: Path) -> CheckReport:
    """Verify a bundle: that its parts load and agree with each other. Never raises for what is wrong with the bundle."""
    bundle = Bundle(directory)
    profile = _finding("profile", partial(_look_at_profile, bundle))
    if not profile.ok:
        return CheckReport((profile,))
    return CheckReport((profile, *(_finding(what, look) for what, look in _looks(bundle))))


def _looks(bundle: Bundle) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "control tokens", partial(_look_at_tokens, bundle)
    yield "templates", partial(_look_at_templates, bundle)
    yield "units", partial(_look_at_units, bundle)
    yield "language model", partial(_look_at_lm, bundle)
    for directory, kind in ((bundle.encoder, bundle.encoder_kind), (bundle.vocoder, bundle.vocoder_kind)):
        for what, look in kind.looks.items():
            yield what, partial(look, directory, bundle.profile)
    yield "voice activity", partial(_look_at_voice_activity, bundle)
    yield "end of turn", partial(_look_at_end_of_turn, bundle)
    yield "size", partial(_look_at_size, bundle)


def _finding(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(True, what, look())
    except SpeechServerError as error:
        return Finding(False, what, error.message)
    except Exception as error:  # a check says what it met, whatever it was
        return Finding(False, what, f"{type(error).__name__}: {error}")


def _look_at_profile(bundle: Bundle) -> str:
    p = bundle.profile
    kind_of(ENCODERS, p.kinds.encoder, "encoder")
    kind_of(VOCODERS, p.kinds.vocoder, "vocoder")
    kind_of(PROMPTS, p.kinds.prompts, "prompts")
    return (
        f"{p.name}: hears {p.input_sample_rate_hz} Hz, speaks {p.output_sample_rate_hz} Hz, {p.n_units} units, "
        f"{' and '.join(p.languages)}, context {p.max_model_len} tokens"
    )


def _look_at_tokens(bundle: Bundle) -> str:
    p, prompts = bundle.profile, bundle.prompts
    ids = prompts.unit_ids(range(p.n_units))
    if len(set(ids)) != p.n_units:
        raise BundleError("two units share a token id")
    contiguous = ids == list(range(ids[0], ids[0] + p.n_units))
    return f"units are ids {ids[0]} to {ids[-1]}{'' if contiguous else ', not contiguous'}"


def _look_at_templates(bundle: Bundle) -> str:
    for reply in bundle.profile.templates:
        options = TurnOptions(reply_language=reply)  # pyright: ignore[reportArgumentType]
        bundle.prompts.speech_prompt(options, ())
    for task, wordings in bundle.profile.tasks.items():
        for language in wordings:
            reply = "auto" if language == "default" else language
            bundle.prompts.text_prompt("", TurnOptions(task=task, reply_language=reply), ())  # pyright: ignore[reportArgumentType]
    tasks = "".join(f"; {task}: {', '.join(wordings)}" for task, wordings in bundle.profile.tasks.items())
    return f"replies in {', '.join(bundle.profile.templates)}{tasks}"


def _look_at_units(bundle: Bundle) -> str:
    path = bundle.directory / "units.json"
    if not path.is_file():
        return f"{bundle.profile.n_units} units without names"
    names: list[str] = json.loads(path.read_text(encoding="utf-8"))
    if len(names) != bundle.profile.n_units:
        raise BundleError(f"units.json names {len(names)} units, the profile says {bundle.profile.n_units}")
    return f"{len(names)} named units"


def _look_at_lm(bundle: Bundle) -> str:
    from safetensors import safe_open

    config: dict[str, Any] = json.loads((bundle.lm / "config.json").read_text(encoding="utf-8"))
    parameters, vocabulary = 0, 0
    for path in sorted(bundle.lm.glob("*.safetensors")):
        with safe_open(path, framework="np") as weights:
            for name in weights.keys():  # noqa: SIM118 - not a dict
                shape = weights.get_slice(name).get_shape()
                parameters += _product(shape)
                if name.endswith("embed_tokens.weight"):
                    vocabulary = shape[0]
    top = max(bundle.prompts.unit_ids(range(bundle.profile.n_units)))
    if vocabulary != config["vocab_size"] or top >= vocabulary:
        raise BundleError(f"{vocabulary} embeddings, config says {config['vocab_size']}, highest unit id is {top}")
    return f"{config['architectures'][0]}, {parameters / 1e6:.1f} M parameters, vocabulary {vocabulary}"


def _look_at_voice_activity(bundle: Bundle) -> str:
    import numpy as np

    from model.activity import load_voice_activity

    detector = load_voice_activity(bundle.voice_activity)()
    chance = detector.probability(np.zeros(detector.window_samples, np.float32))
    return f"silence is speech with probability {chance:.3f}"


def _look_at_end_of_turn(bundle: Bundle) -> str:
    import numpy as np

    from model.end_of_turn import SmartTurn

    if not bundle.end_of_turn.is_file():
        return "no model; turns end by silence alone"
    chance = SmartTurn.load(bundle.end_of_turn).judge(np.zeros(SmartTurn.window_samples, np.float32))
    return f"silence is the end of a turn with probability {chance:.3f}"


def _look_at_size(bundle: Bundle) -> str:
    sizes = [path.stat().st_size for path in bundle.directory.rglob("*") if path.is_file()]
    return f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"


def _product(shape: list[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
