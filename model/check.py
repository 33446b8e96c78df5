"""`cslm check`: verifies that a bundle is complete and that its parts fit together.

`cslm serve` runs the quick part of it before it loads anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from model.bundle import Bundle
from model.kinds import prompt_format
from model.sources import LOCK, Lock, load_sources
from streaming.errors import BundleError, SpeechServerError
from streaming.stages import TurnOptions


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing checked; `code` as in docs/errors.md if it is wrong."""

    ok: bool
    what: str
    detail: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All that was checked, in order."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Nothing was wrong."""
        return all(finding.ok for finding in self.findings)


def check(directory: Path) -> CheckReport:
    """Verify a bundle: that its parts load and agree with each other. Never raises for what is wrong with the bundle."""
    bundle = Bundle(directory)
    profile = _finding("profile", partial(_check_profile, bundle))
    if not profile.ok:
        return CheckReport((profile,))
    return CheckReport((profile, *(_finding(what, verify) for what, verify in _checks(bundle))))


def preflight(bundle: Bundle) -> None:
    """What can be known in a second or two, before anything is loaded. Raises BundleError for the first thing wrong."""
    _check_profile(bundle)
    if (lock := Lock.load(bundle.directory)) is not None:
        _check_pull(bundle, lock)
        lock.verify(bundle.directory, contents=False)
    _check_tokens(bundle)
    _check_templates(bundle)
    _check_lm(bundle)
    for kind, part in ((bundle.encoder_kind, bundle.encoder), (bundle.vocoder_kind, bundle.vocoder)):
        if kind.preflight is not None:
            kind.preflight(part, bundle.profile)


def _checks(bundle: Bundle) -> Iterator[tuple[str, Callable[[], str]]]:
    if (bundle.directory / LOCK).is_file():
        yield "files", partial(_check_files, bundle)
    yield "control tokens", partial(_check_tokens, bundle)
    yield "templates", partial(_check_templates, bundle)
    yield "chat template", partial(_check_chat_template, bundle)
    yield "units", partial(_check_units, bundle)
    yield "language model", partial(_check_lm, bundle)
    for directory, kind in ((bundle.encoder, bundle.encoder_kind), (bundle.vocoder, bundle.vocoder_kind)):
        for what, verify in kind.checks.items():
            yield what, partial(verify, directory, bundle.profile)
    yield "voice activity", partial(_check_voice_activity, bundle)
    yield "end of turn", partial(_check_end_of_turn, bundle)
    yield "size", partial(_check_size, bundle)


def _finding(what: str, verify: Callable[[], str]) -> Finding:
    try:
        return Finding(True, what, verify())
    except SpeechServerError as error:
        return Finding(False, what, error.message, error.code)
    except Exception as error:  # a check says what it met, whatever it was
        return Finding(False, what, f"{type(error).__name__}: {error}", BundleError.code)


def _check_profile(bundle: Bundle) -> str:
    p = bundle.profile
    _ = bundle.encoder_kind, bundle.vocoder_kind, prompt_format(p.kinds.prompts)  # refused where there is no such kind
    return (
        f"{p.name}: hears {p.input_sample_rate_hz} Hz, speaks {p.output_sample_rate_hz} Hz, {p.n_units} units, "
        f"{' and '.join(p.languages)}, context {p.max_model_len} tokens"
    )


def _check_tokens(bundle: Bundle) -> str:
    p, prompts = bundle.profile, bundle.prompts
    ids = prompts.unit_ids(range(p.n_units))
    if len(set(ids)) != p.n_units:
        raise BundleError("two units share a token id")
    contiguous = ids == list(range(ids[0], ids[0] + p.n_units))
    return f"units are ids {ids[0]} to {ids[-1]}{'' if contiguous else ', not contiguous'}"


def _check_templates(bundle: Bundle) -> str:
    for reply in bundle.profile.templates:
        options = TurnOptions(reply_language=cast(Any, reply))
        bundle.prompts.speech_prompt(options, ())
    for task, wordings in bundle.profile.tasks.items():
        for language in wordings:
            reply = "auto" if language == "default" else language
            options = TurnOptions(task=cast(Any, task), reply_language=cast(Any, reply))
            bundle.prompts.text_prompt("", options, ())
    tasks = "".join(f"; {task}: {', '.join(wordings)}" for task, wordings in bundle.profile.tasks.items())
    return f"replies in {', '.join(bundle.profile.templates)}{tasks}"


def _check_units(bundle: Bundle) -> str:
    path = bundle.directory / "units.json"
    if not path.is_file():
        return f"{bundle.profile.n_units} units without names"
    names: list[str] = json.loads(path.read_text(encoding="utf-8"))
    if len(names) != bundle.profile.n_units:
        raise BundleError(f"units.json names {len(names)} units, the profile says {bundle.profile.n_units}")
    return f"{len(names)} named units"


def _check_files(bundle: Bundle) -> str:
    lock = Lock.load(bundle.directory)
    assert lock is not None
    _check_pull(bundle, lock)
    commits = ", ".join(f"{repo} at {(commit or 'a directory')[:12]}" for repo, commit in lock.commits.items())
    return f"{lock.verify(bundle.directory, contents=True)}: {commits}"


def _check_pull(bundle: Bundle, lock: Lock) -> None:
    sources = load_sources(bundle.directory)
    missing = [each.repo for each in sources.repositories if each.repo not in lock.commits] if sources else []
    if missing:
        raise BundleError(
            f"{bundle.directory} is incomplete without {' and '.join(missing)}: run `cslm pull` again to resume",
            code="bundle_not_pulled",
            param="bundle",
        )


def _check_chat_template(bundle: Bundle) -> str:
    """The checkpoint's own rendering of a question, as its authors' scripts do it, against the profile's."""
    from transformers import AutoTokenizer

    profile = bundle.profile
    if profile.kinds.prompts != "interleaved":
        return "not compared: the checkpoint's own rendering is code, which is not run"
    tokenizer = AutoTokenizer.from_pretrained(bundle.lm)
    if not tokenizer.chat_template:
        return "the checkpoint has none; the profile's is used"
    options = TurnOptions()
    before, after = bundle.prompts.speech_prompt(options, ())
    ours = [*before, *bundle.prompts.unit_ids([1, 2]), *after]
    units = "".join(profile.tokens.unit.format(index=unit) for unit in (1, 2))
    wording = profile.templates[options.reply_language]["default"]
    content = wording.replace("{input}", profile.speech_input.replace("{units}", units))
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    theirs = list(tokenizer(text)["input_ids"])
    if ours == theirs:
        return (
            f"renders the same {len(ours)} ids as the profile, {profile.prompt.bos_count} of them {profile.tokens.bos}"
        )
    first = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    raise BundleError(
        f"the checkpoint's own template renders {len(theirs)} ids, the profile {len(ours)}; they differ from number {first} on: "
        f"{tokenizer.decode(theirs[first : first + 5])!r} against {tokenizer.decode(ours[first : first + 5])!r}. If the "
        "checkpoint is right, change `prompt` in profile.json",
        code="wrong_chat_template",
    )


def _check_lm(bundle: Bundle) -> str:
    from model.lm.layout import describe

    profile, layout = bundle.profile, describe(bundle.lm)
    top = max(bundle.prompts.unit_ids(range(profile.n_units)))
    if top >= layout.vocabulary:
        raise BundleError(
            f"the tokenizer's highest unit is id {top}, the weights have {layout.vocabulary} rows: they do not belong together",
            code="wrong_text_tokenizer",
        )
    if layout.positions and profile.max_model_len > layout.positions:
        raise BundleError(
            f"max_model_len is {profile.max_model_len}, but the weights support {layout.positions}",
            code="context_too_long",
        )
    needs = layout.bytes + layout.kv_bytes_per_token * profile.max_model_len
    return (
        f"{layout.architecture}, {layout.parameters / 1e6:.1f} M parameters, vocabulary {layout.vocabulary}; "
        f"{needs / 1e9:.2g} GB with one full context"
    )


def _check_voice_activity(bundle: Bundle) -> str:
    import numpy as np

    from model.turn_detection.vad import load_voice_activity

    detector = load_voice_activity(bundle.voice_activity)()
    chance = detector.probability(np.zeros(detector.window_samples, np.float32))
    return f"silence is speech with probability {chance:.3f}"


def _check_end_of_turn(bundle: Bundle) -> str:
    import numpy as np

    from model.turn_detection.smart_turn import SmartTurn

    if not bundle.end_of_turn.is_file():
        return "no model; turns end by silence alone"
    chance = SmartTurn.load(bundle.end_of_turn).judge(np.zeros(SmartTurn.window_samples, np.float32))
    return f"silence is the end of a turn with probability {chance:.3f}"


def _check_size(bundle: Bundle) -> str:
    sizes = [path.stat().st_size for path in bundle.directory.rglob("*") if path.is_file()]
    return f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"
