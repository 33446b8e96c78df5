"""The duration predictor: how long each merged unit lasts, in frames of the unit rate.

Two convolutions over the merged units and a linear layer that predicts log(1 + frames), as the duration predictors of unit
vocoders have it (arXiv 2107.05604 section 3.3; arXiv 2604.11096 figure 1 says two convolutions).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from streaming.errors import BundleError

FILE = "duration.safetensors"


class DurationPredictor(nn.Module):
    """Units [B, N] to log(1 + frames) [B, N]; looks `reach` units to either side."""

    def __init__(self, n_units: int, width: int = 256, kernel: int = 3) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_units, width)
        self.conv1 = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(width, 1)
        self.reach = 2 * (kernel // 2)

    def forward(self, units: Tensor, there: Tensor | None = None) -> Tensor:
        """`there` [B, N]: false behind the end of an utterance, where a convolution must find what is behind the last: nothing."""
        kept = torch.ones_like(units) if there is None else there
        x = self.embed(units) * kept[..., None]
        x = self.drop(self.norm1(F.relu(self.conv1(x.transpose(1, 2)).transpose(1, 2)))) * kept[..., None]
        x = self.drop(self.norm2(F.relu(self.conv2(x.transpose(1, 2)).transpose(1, 2))))
        return self.out(x).squeeze(-1)

    @torch.inference_mode()
    def frames(self, units: list[int], start: int, end: int, longest: int = 25) -> list[int]:
        """Frames of units[start:end], at least 1 each; the same whatever comes `reach` units after `end`."""
        low, high = max(0, start - self.reach), min(len(units), end + self.reach)
        logs = self(torch.tensor([units[low:high]]))[0, start - low : end - low]
        return [int(each) for each in torch.round(torch.exp(logs) - 1).clamp(1, longest)]


def load(directory: Path, n_units: int) -> DurationPredictor | None:
    """From `duration.safetensors`, whose metadata gives `kernel`; None without that file. Raises BundleError.

    float64, so that rounding does not depend on how many units are looked at in one go.
    """
    path = directory / FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
            kernel = int((file.metadata() or {}).get("kernel", "3"))
        known, width = state["embed.weight"].shape
        made = DurationPredictor(known, width, kernel)
        made.load_state_dict(state)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise BundleError(f"{path} is not a duration predictor: {str(error).splitlines()[0]}") from error
    if known != n_units:
        raise BundleError(f"{path} has {known} units, but the vocoder has {n_units}")
    return made.double().eval()


def save(predictor: DurationPredictor, directory: Path) -> None:
    """Write `duration.safetensors`."""
    kernel = str(predictor.conv1.kernel_size[0])
    state = {name: value.half().contiguous() for name, value in predictor.state_dict().items()}
    save_file(state, directory / FILE, metadata={"kernel": kernel})
