"""The supervised semantic tokenizer of CosyVoice at 25 Hz (arXiv 2407.05407 section 2.1): speech to units of cslm-8b."""

from __future__ import annotations

from pathlib import Path

from model.encoders import EncoderKind, EncoderStage, check_units
from model.encoders.s3.stage import S3Stage
from model.encoders.s3.weights import describe, load_network
from model.profile import Profile
from model.weights import loading


def _load(directory: Path, profile: Profile, device: str) -> EncoderStage:
    with loading(directory):
        stage = S3Stage(load_network(directory), device=device)
        stage.warm()
    return stage


def _check(directory: Path, profile: Profile) -> str:
    with loading(directory):
        config = describe(directory)
    check_units(config.n_units, profile)
    return (
        f"{config.n_units} units of {config.n_mels} mel bands at {100 // (2 * config.stride)} frames a second, "
        f"{config.layers} layers of {config.width}"
    )


KIND = EncoderKind(_load, checks={"encoder": _check}, preflight=_check, early=True)
