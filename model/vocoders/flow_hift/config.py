"""Sizes and settings of the vocoder: `config.json` beside its weights. The defaults are those of CosyVoice-300M-25Hz."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from streaming.errors import BundleError

DTYPES = ("float32", "bfloat16", "float16")
STRETCHES = ("linear", "nearest")


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """Sizes of units → mel. `block_units`: units that see each other and all before them; None: all see all.

    `stretch`: how units become frames, between the nearest two or each as its own unit; `norm_eps`: of the layers over units.
    """

    n_units: int = 4096
    unit_width: int = 512
    speaker_width: int = 192
    width: int = 512
    heads: int = 8
    feed: int = 2048
    layers: int = 6
    block_units: int | None = None
    norm_eps: float = 1e-12
    stretch: str = "linear"
    n_mels: int = 80
    regulator_layers: int = 4
    channels: tuple[int, int] = (256, 256)
    transformers: int = 4
    mid_blocks: int = 12
    unet_heads: int = 8
    head_width: int = 64
    steps: int = 10
    guidance: float = 0.7

    def __post_init__(self) -> None:
        if self.stretch not in STRETCHES:
            raise ValueError(f"flow.stretch is {self.stretch!r}; accepted: {', '.join(STRETCHES)}")


@dataclass(frozen=True, slots=True)
class HiftConfig:
    """Sizes of mel → samples."""

    n_mels: int = 80
    width: int = 512
    harmonics: int = 8
    sine_level: float = 0.1
    noise_level: float = 0.003
    voiced_hz: float = 10.0
    rates: tuple[int, ...] = (8, 8)
    kernels: tuple[int, ...] = (16, 16)
    n_fft: int = 16
    hop: int = 4
    res_kernels: tuple[int, ...] = (3, 7, 11)
    source_kernels: tuple[int, ...] = (7, 11)
    dilations: tuple[int, ...] = (1, 3, 5)
    slope: float = 0.1
    limit: float = 0.99
    pitch_width: int = 512
    pitch_layers: int = 5


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the mel is cut into blocks, in frames since the stream began; see `model.vocoders.flow_hift.windows`.

    `ramp`: the first blocks, small so that audio starts early; `block`: all others. A block is computed with `back` frames
    before it and `ahead` after it; the first `fade` of those after it are blended with the next block. `prompt`: the mel before
    the block is given to the flow as its prompt, as GLM-4-Voice does.
    """

    ramp: tuple[int, ...] = (48, 48, 86)
    block: int = 172
    back: int = 172
    ahead: int = 24
    fade: int = 12
    prompt: bool = False

    def __post_init__(self) -> None:
        if min((*self.ramp, self.block)) < 1 or min(self.back, self.fade) < 0 or not self.fade <= self.ahead:
            raise ValueError("grid: blocks are at least 1 frame, back and fade at least 0, ahead at least fade")


@dataclass(frozen=True, slots=True)
class VocoderConfig:
    """`unit_rate_hz`: rate of units before repeats are merged; `merged`: repeats are one unit, their number is predicted.

    `durations`: "predicted" if there is a `duration.safetensors`, else every unit lasts `fixed_frames` of the unit rate; "fixed":
    always the latter. `speakers`: file of the voices; None: one voice, the weights' own. `dtype`: of the flow's networks;
    HiFT computes in float32. `graphs`: on a GPU, record CUDA graphs of all windows but the last ones. `batch`: sessions decoded at
    once.
    """

    sample_rate: int = 22_050
    mel_hop: int = 256
    unit_rate_hz: float = 25.0
    merged: bool = True
    durations: str = "predicted"
    fixed_frames: int = 1
    speakers: str | None = "spk2info.pt"
    dtype: str = "float32"
    graphs: bool = False
    batch: int = 8
    flow: FlowConfig = field(default_factory=FlowConfig)
    hift: HiftConfig = field(default_factory=HiftConfig)
    grid: Grid = field(default_factory=Grid)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}; accepted: {', '.join(DTYPES)}")
        if self.durations not in ("predicted", "fixed"):
            raise ValueError(f"durations is {self.durations!r}; accepted: predicted, fixed")
        product = self.hift.hop
        for rate in self.hift.rates:
            product *= rate
        if product != self.mel_hop:
            raise ValueError(f"HiFT makes {product} samples of a frame, mel_hop is {self.mel_hop}")

    @property
    def frames_per_unit(self) -> Fraction:
        """Mel frames of one unit: 441/128 at 25 Hz."""
        return Fraction(self.sample_rate, self.mel_hop) / Fraction(self.unit_rate_hz)


_T = TypeVar("_T")


def load_config(directory: Path) -> VocoderConfig:
    """From `config.json`; without that file, the released layout. Raises BundleError naming the key."""
    path = directory / "config.json"
    if not path.is_file():
        return VocoderConfig()
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        parts = {"flow": FlowConfig, "hift": HiftConfig, "grid": Grid}
        made: dict[str, Any] = {name: _made(kind, raw.pop(name, {}), f"{name}.") for name, kind in parts.items()}
        return _made(VocoderConfig, {**raw, **made}, "")
    except (ValueError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: {error}", param="vocoder") from error


def save_config(config: VocoderConfig, directory: Path) -> None:
    """Write `config.json`."""
    (directory / "config.json").write_text(json.dumps(asdict(config), indent=1) + "\n", encoding="utf-8")


def _made(kind: type[_T], raw: dict[str, Any], where: str) -> _T:
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    for name in raw:
        if name not in known:
            raise ValueError(f"{where}{name} is unknown; accepted: {', '.join(sorted(known))}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()})
