"""Finds and loads a bundle: the directory with the profile, the units and the weights of all parts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from model.encoders import EncoderKind
from model.kinds import encoder_kind, prompt_format, vocoder_kind
from model.profile import Profile, load_profile
from model.sources import SOURCES
from model.vocoders import VocoderKind
from streaming.errors import BundleError
from streaming.stages import PromptWriter

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
    def prompts(self) -> PromptWriter:
        """The bundle's prompt format. Raises BundleError."""
        return prompt_format(self.profile.kinds.prompts)(self.profile, self.lm)

    @property
    def encoder_kind(self) -> EncoderKind:
        """What runs the encoder. Raises BundleError."""
        return encoder_kind(self.profile.kinds.encoder)

    @property
    def vocoder_kind(self) -> VocoderKind:
        """What runs the vocoder. Raises BundleError."""
        return vocoder_kind(self.profile.kinds.vocoder)

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

    @property
    def end_of_turn(self) -> Path:
        """Smart Turn's network; a bundle may be without it."""
        return self.directory / "turn" / "smart_turn.onnx"


def bundles_directory(configured: Path | None) -> Path:
    """Where pulled bundles are: as configured, or `cslm/bundles` in the user's cache."""
    return configured or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cslm" / "bundles"


def find_bundle(name_or_directory: str, bundles: Path | None = None) -> Bundle:
    """A bundle by name, pulled or embedded, or any by its directory. `bundles`: where pulled ones are.

    Raises BundleError (`bundle_missing`) naming those there are, (`bundle_not_pulled`) where only the weights are missing.
    """
    pulled = bundles_directory(bundles)
    for directory in (pulled / name_or_directory, BUNDLES / name_or_directory, Path(name_or_directory)):
        if (directory / "profile.json").is_file():
            if (directory / SOURCES).is_file() and not (directory / "lm").is_dir():
                raise BundleError(
                    f"the weights of {directory.name} are missing: run `cslm pull {directory.name}` "
                    f"(into {pulled / directory.name}), or with --from DIRECTORY for local files",
                    code="bundle_not_pulled",
                    param="bundle",
                )
            return Bundle(directory)
    known = ", ".join(sorted({path.parent.name for root in (BUNDLES, pulled) for path in root.glob("*/profile.json")}))
    raise BundleError(
        f"there is no bundle {name_or_directory!r}; accepted: {known or 'none'}, or a directory with a profile.json",
        code="bundle_missing",
        param="bundle",
    )
