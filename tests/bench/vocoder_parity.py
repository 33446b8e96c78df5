"""Does our CosyVoice vocoder compute what the released code computes?

    pip install --no-deps token2wav-cosyvoice==0.1.0 "diffusers<0.36" conformer omegaconf "antlr4-python3-runtime==4.9.3" einops scipy
    python -m tests.bench.vocoder_parity

The package holds the released modules (Apache-2.0). Both sides get the same random weights, of the released sizes, and the same inputs;
what the released code draws at random is taken from our tables. Units are 60, so that its regulator stretches head, middle and
tail apart. One more row says how far block by block is from seeing all at once: what streaming costs, on random weights.

`--small DIRECTORY` writes what the released code gives for `model.vocoders.flow_hift.small`: the reference of the unit tests.
"""

from __future__ import annotations

import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import numpy as np
import torch
from torch import Tensor

from model.vocoders.flow_hift.config import VocoderConfig
from model.vocoders.flow_hift.decoder import FlowHiftVocoder
from model.vocoders.flow_hift.flow import stretch
from model.vocoders.flow_hift.small import SMALL, write_small
from tests.bench.results import arguments, origin, table, write

UNITS = 60
LIMIT = 1e-4


def main() -> None:
    """Compare and write."""
    parser = arguments(__doc__)
    parser.add_argument("--small", type=Path, help="write the unit tests' reference there and stop")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.small:
        made = compared(SMALL)[1]
        np.savez_compressed(options.small / "cosyvoice_small.npz", **made)
        return
    record: dict[str, Any] = {
        "origin": origin(Path(__file__).parent),
        "units": UNITS,
        "modules": compared(VocoderConfig())[0],
    }
    write(options.out, "vocoder_parity", record, report(record))


def compared(config: VocoderConfig) -> tuple[dict[str, dict[str, float]], dict[str, np.ndarray]]:
    """Differences by module, and what the released code gave."""
    config = replace(config, flow=replace(config.flow, steps=10))  # the released code knows no other number
    with tempfile.TemporaryDirectory() as directory:
        write_small(Path(directory), config, predictor=False)
        ours = FlowHiftVocoder.load(Path(directory))
        theirs_flow, theirs_hift = released(config)
        theirs_flow.load_state_dict(torch.load(Path(directory) / "flow.pt", weights_only=True))
        theirs_hift.load_state_dict(torch.load(Path(directory) / "hift.pt", weights_only=True))
    given, mine = inputs(ours), ours_of(ours)
    differences, references = {}, {}
    with torch.inference_mode():
        for name, reference in released_of(theirs_flow.eval(), theirs_hift.eval(), given).items():
            made = mine[name](given)
            differences[name] = {
                "largest": float((made - reference).abs().max()),
                "level": float(reference.float().square().mean().sqrt()),
            }
            references[name] = reference.float().numpy()
        differences |= block_by_block(ours, given)
    return differences, references


def inputs(vocoder: FlowHiftVocoder) -> dict[str, Tensor]:
    """What both sides get: reproducible, batch of one."""
    draw, flow = np.random.RandomState(5), vocoder.config.flow
    frames = UNITS * vocoder.config.frames_per_unit.numerator // vocoder.config.frames_per_unit.denominator

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(draw.standard_normal(shape).astype(np.float32))

    return {
        "units": torch.from_numpy(draw.randint(0, flow.n_units, (1, UNITS))),
        "hidden": normal(1, UNITS, flow.unit_width),
        "mels": normal(1, UNITS, flow.n_mels),
        "x": normal(1, flow.n_mels, frames),
        "mu": normal(1, flow.n_mels, frames),
        "speaker": normal(1, flow.n_mels),
        "prompt": normal(1, flow.n_mels, frames),
        "embedding": normal(1, flow.speaker_width),
        "mel": normal(1, flow.n_mels, 40),
        "source": torch.tanh(normal(1, 40 * vocoder.config.mel_hop)) * 0.1,
        "noise": vocoder._noise[None, :, :frames],
        "source_noise": vocoder.hift.noise,
        "phases": vocoder.hift.phases,
    }


def ours_of(vocoder: FlowHiftVocoder) -> dict[str, Callable[[dict[str, Tensor]], Tensor]]:
    """Our side of each comparison."""
    flow, hift = vocoder.flow, vocoder.hift

    def regulator(given: dict[str, Tensor]) -> Tensor:
        where = released_places(UNITS, given["x"].shape[-1])
        return flow.length_regulator.model(stretch(given["mels"], where).transpose(1, 2)).transpose(1, 2)

    def whole(given: dict[str, Tensor]) -> Tensor:
        where = released_places(UNITS, given["x"].shape[-1])
        nothing = torch.zeros_like(given["noise"])
        return flow(given["units"], where, given["noise"], flow.speaker(given["embedding"]), nothing)

    def source(given: dict[str, Tensor]) -> Tensor:
        start = torch.zeros(1, dtype=torch.float64)
        return hift.source(hift.pitch(given["mel"]), start, torch.zeros(1, dtype=torch.long))[0]

    return {
        "encoder": lambda given: flow.encoder(given["hidden"]),
        "regulator": regulator,
        "estimator": lambda given: flow.decoder.estimator(
            given["x"], given["mu"], torch.tensor(0.3), given["speaker"], given["prompt"]
        ),
        "Euler loop": lambda given: flow.solve(given["mu"], given["noise"], given["speaker"], given["prompt"]),
        "flow, whole": whole,
        "pitch": lambda given: hift.pitch(given["mel"]),
        "source": source,
        "HiFT": lambda given: hift(given["mel"], given["source"]),
        "HiFT, whole": lambda given: hift(given["mel"], source(given)),
    }


def released_places(units: int, frames: int, head: int = 20, rate: float = 25.0) -> Tensor:
    """Where the released regulator puts frames: head and tail of 20 units are stretched apart from the middle if over 40."""
    parts = [(0, units, frames)]
    if units > 2 * head:
        edge = int(head / rate * 22050 / 256)
        parts = [(0, head, edge), (head, units - head, frames - 2 * edge), (units - head, units, edge)]
    where = []
    for first, last, count in parts:
        places = (np.arange(count) + 0.5) * (last - first) / count - 0.5
        where.append(first + places.clip(0, last - first - 1))
    return torch.from_numpy(np.concatenate(where))[None]


def released_of(flow: Any, hift: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The released side of each comparison."""
    frames, length = given["x"].shape[-1], torch.tensor([UNITS])
    mask, none = torch.ones(1, 1, frames), torch.zeros(1, 0, dtype=torch.long)
    estimator, time = flow.decoder.estimator, torch.tensor([0.3])
    pitch = hift.f0_predictor(given["mel"])
    with drawing(given):
        euler, _ = flow.decoder(given["mu"].clone(), mask, 10, 1.0,
                                given["speaker"], given["prompt"], cache=torch.zeros(1, 80, 0, 2))  # fmt: skip
        whole, _ = flow.inference(given["units"], length, none, torch.tensor([0]), torch.zeros(1, 0, 80), torch.tensor([0]),
                                  given["embedding"], torch.zeros(1, 80, 0, 2))  # fmt: skip
        speech, _ = hift.inference(given["mel"])
        torch.set_default_dtype(torch.float64)
        source = hift.double().m_source(hift.f0_upsamp(pitch.double()[:, None]).transpose(1, 2))[0]
        torch.set_default_dtype(torch.float32)
        hift.float()
    return {
        "encoder": flow.encoder(given["hidden"], length)[0],
        "regulator": flow.length_regulator.inference(given["mels"][:, :0], given["mels"], 0, frames, 25)[0],
        "estimator": estimator(given["x"], mask, given["mu"], time, given["speaker"], given["prompt"]),
        "Euler loop": euler,
        "flow, whole": whole,
        "pitch": pitch,
        "source": source[..., 0],
        "HiFT": hift.decode(given["mel"], given["source"][:, None]),
        "HiFT, whole": speech,
    }


@contextmanager
def drawing(given: dict[str, Tensor]) -> Iterator[None]:
    """What the released code draws comes from our tables."""

    def randn_like(like: Tensor) -> Tensor:
        if like.dim() == 3 and like.shape[1] == len(given["phases"]):
            return given["source_noise"][: like.shape[-1]].T[None].to(like.dtype)
        if like.shape[1:] == given["noise"].shape[1:]:
            return given["noise"].clone()
        return torch.zeros_like(like)

    def sample(self: Any, sample_shape: Any) -> Tensor:
        return 2 * np.pi * given["phases"][None, :, None].to(torch.get_default_dtype())

    with patch("torch.randn_like", randn_like), patch("torch.distributions.uniform.Uniform.sample", sample):
        yield


def released(config: VocoderConfig) -> tuple[Any, Any]:
    """The released modules in the sizes of `config`; what they import for training or audio files is left out."""
    import diffusers.models.attention
    import diffusers.models.attention_processor
    import diffusers.models.lora  # noqa: F401 - they look for torchaudio, so they come before its stand-in

    for name in ("torchaudio", "cosyvoice.llm.llm", "cosyvoice.cli.model", "cosyvoice.utils.file_utils"):
        sys.modules[name] = MagicMock()
    for name in ("matcha.utils", "matcha.utils.pylogger"):
        sys.modules[name] = module = types.ModuleType(name)
        module.__dict__.update(__path__=[], get_pylogger=lambda *_: None)
    from cosyvoice.flow.decoder import ConditionalDecoder
    from cosyvoice.flow.flow import MaskedDiffWithXvec
    from cosyvoice.flow.flow_matching import ConditionalCFM
    from cosyvoice.flow.length_regulator import InterpolateRegulator
    from cosyvoice.hifigan.f0_predictor import ConvRNNF0Predictor
    from cosyvoice.hifigan.generator import HiFTGenerator
    from cosyvoice.transformer.encoder import ConformerEncoder
    from omegaconf import DictConfig

    f, h = config.flow, config.hift
    encoder = ConformerEncoder(
        f.unit_width, f.width, f.heads, f.feed, f.layers, input_layer="linear", pos_enc_layer_type="rel_pos_espnet",
        use_cnn_module=False, macaron_style=False,
    )  # fmt: skip
    estimator = ConditionalDecoder(
        4 * f.n_mels, f.n_mels, f.channels, 0.0, f.head_width, f.transformers, f.mid_blocks, f.unet_heads, "gelu"
    )
    settings = DictConfig({"sigma_min": 1e-6, "solver": "euler", "t_scheduler": "cosine", "training_cfg_rate": 0.2,
                           "inference_cfg_rate": f.guidance, "reg_loss_type": "l1"})  # fmt: skip
    flow = MaskedDiffWithXvec(
        f.unit_width, f.n_mels, f.speaker_width, "mel", f.n_units, 25, encoder=encoder,
        length_regulator=InterpolateRegulator(f.n_mels, [1] * f.regulator_layers),
        decoder=ConditionalCFM(240, settings, 1, f.n_mels, estimator),
    )  # fmt: skip
    pitch = ConvRNNF0Predictor(1, h.n_mels, h.pitch_width)
    return flow, HiFTGenerator(h.n_mels, h.width, h.harmonics, config.sample_rate, f0_predictor=pitch)


def block_by_block(vocoder: FlowHiftVocoder, given: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Our offline decoding, in blocks, against our networks seeing 8 seconds at once as the released code would."""
    units = np.random.RandomState(6).randint(0, vocoder.config.flow.n_units, 200).tolist()
    rate = vocoder.config.frames_per_unit
    frames = len(units) * rate.numerator // rate.denominator
    stream, kept = vocoder.open(), list[Tensor]()
    append = vocoder._append

    def noted(*args: Any) -> None:
        before = stream.mel.shape[1]
        append(*args)
        kept.append(stream.mel[:, before:])

    with patch.object(vocoder, "_append", noted):
        vocoder.push(stream, units, final=True)
    blocks = torch.cat(kept, dim=1)
    noise = vocoder._noise[None, :, :frames]
    nothing, found = torch.zeros_like(noise), {}
    for name, where in {
        "in blocks instead of all at once": torch.arange(frames)[None].double() * (1 / float(rate))
        + (0.5 / float(rate) - 0.5),
        "in blocks instead of all at once, stretched as released": released_places(len(units), frames),
    }.items():
        whole = vocoder.flow(torch.tensor([units]), where, noise, stream.voice[None], nothing)[0]
        distance = (blocks - whole).square().mean().sqrt()
        found[name] = {"rms": float(distance), "level": float(whole.square().mean().sqrt())}
    return found


def report(record: dict[str, Any]) -> str:
    """One row for each module."""
    modules = record["modules"]
    rows = [
        [name, f"{found['largest']:.1e}", f"{found['level']:.2g}"]
        for name, found in modules.items()
        if "largest" in found
    ]
    said = [
        f"{name}: RMS difference {found['rms']:.2g} where the mel's RMS is {found['level']:.2g}."
        for name, found in modules.items()
        if "rms" in found
    ]
    return f"{table(('module', 'largest difference', 'RMS of the reference'), rows)}\n\n" + "\n".join(said)


if __name__ == "__main__":
    main()
