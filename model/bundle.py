"""A bundle: one directory with everything a model needs: profile, units, encoder, language model, vocoder, voice activity."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from model.profile import Profile, load_profile
from model.prompts import Prompts
from streaming.errors import BundleError, SpeechServerError
from streaming.turn import TurnOptions

BUNDLES = Path(__file__).parent / "bundles"


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk. Nothing is read before it is asked for."""

    directory: Path

    @cached_property
    def profile(self) -> Profile:
        """What the bundle says of itself. Raises BundleError."""
        return load_profile(self.directory)

    @cached_property
    def prompts(self) -> Prompts:
        """The bundle's prompt format. Raises BundleError."""
        return Prompts(self.profile, self.lm)

    @property
    def lm(self) -> Path:
        """The language model, a Hugging Face directory."""
        return self.directory / "lm"

    @property
    def encoder(self) -> Path:
        """The unit encoder."""
        return self.directory / "encoder"

    @property
    def vocoder(self) -> Path:
        """Duration predictor, mel decoder and waveform generator."""
        return self.directory / "vocoder"

    @property
    def voice_activity(self) -> Path:
        """Silero's network."""
        return self.directory / "vad" / "silero_vad.onnx"


def find_bundle(name_or_directory: str) -> Bundle:
    """An embedded bundle by name, or any by its directory. Raises BundleError naming those there are."""
    for directory in (BUNDLES / name_or_directory, Path(name_or_directory)):
        if (directory / "profile.json").is_file():
            return Bundle(directory)
    known = ", ".join(sorted(path.parent.name for path in BUNDLES.glob("*/profile.json"))) or "none"
    raise BundleError(
        f"there is no bundle {name_or_directory!r}; embedded: {known}; or give a directory that holds a profile.json",
        code="bundle_missing",
        param="bundle",
    )


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
    looks: list[tuple[str, Callable[[Bundle], str]]] = [
        ("profile", _look_at_profile),
        ("control tokens", _look_at_tokens),
        ("templates", _look_at_templates),
        ("units", _look_at_units),
        ("language model", _look_at_lm),
        ("encoder", _look_at_encoder),
        ("vocoder", _look_at_vocoder),
        ("voice activity", _look_at_voice_activity),
        ("size", _look_at_size),
    ]
    return CheckReport(tuple(_findings(bundle, looks)))


def _findings(bundle: Bundle, looks: list[tuple[str, Callable[[Bundle], str]]]) -> Iterator[Finding]:
    for what, look in looks:
        try:
            yield Finding(True, what, look(bundle))
        except SpeechServerError as error:
            yield Finding(False, what, error.message)
            if what == "profile":
                return
        except Exception as error:  # a check says what it met, whatever it was
            yield Finding(False, what, f"{type(error).__name__}: {error}")


def _look_at_profile(bundle: Bundle) -> str:
    p = bundle.profile
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
    return f"replies in {', '.join(bundle.profile.templates)}"


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


def _look_at_encoder(bundle: Bundle) -> str:
    import numpy as np

    from model.encoder import UnitEncoder

    encoder = UnitEncoder.load(bundle.encoder)
    units = encoder.encode(np.zeros(bundle.profile.input_sample_rate_hz, np.float32))
    if any(unit >= bundle.profile.n_units for unit in units):
        raise BundleError("the encoder gives units that the profile does not have")
    return f"one second of silence gives {len(units)} units"


def _look_at_vocoder(bundle: Bundle) -> str:
    from model.vocoder import Vocoder

    vocoder = Vocoder.load(bundle.vocoder)
    if vocoder.sample_rate != bundle.profile.output_sample_rate_hz:
        raise BundleError(
            f"the vocoder speaks {vocoder.sample_rate} Hz, the profile says {bundle.profile.output_sample_rate_hz}"
        )
    pcm = vocoder.decode(list(range(min(8, bundle.profile.n_units))))
    return f"eight units give {pcm.size / vocoder.sample_rate:.2f} s at {vocoder.sample_rate} Hz"


def _look_at_voice_activity(bundle: Bundle) -> str:
    import numpy as np

    from model.activity import load_voice_activity

    detector = load_voice_activity(bundle.voice_activity)()
    chance = detector.probability(np.zeros(detector.window_samples, np.float32))
    return f"silence is speech with probability {chance:.3f}"


def _look_at_size(bundle: Bundle) -> str:
    sizes = [path.stat().st_size for path in bundle.directory.rglob("*") if path.is_file()]
    return f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB"


def _product(shape: list[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
