"""The speech tokenizer against the package `s3tokenizer` and against onnxruntime, on the same random weights."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from model.encoders.s3.network import S3Config, S3Network
from model.encoders.s3.weights import ONNX, SAFETENSORS, convert, load_network
from model.encoders.s3.windows import joined, merged, windows
from model.mel import LogMel, mel_filters
from streaming.errors import BundleError
from tests.released.speech_tokenizer import SMALL, random_network, write_onnx


@pytest.fixture(scope="session")
def upstream() -> Any:
    """The package. It needs torchaudio only to read files, which is not asked of it here."""
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    return pytest.importorskip("s3tokenizer")


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("encoder")
    write_onnx(directory / ONNX, random_network())
    return directory


@pytest.fixture(scope="session")
def reference(upstream: Any, released: Path) -> Any:
    """The upstream module with the weights it reads itself from the same file."""
    from s3tokenizer.model import ModelConfig, S3Tokenizer

    config = ModelConfig(n_audio_state=SMALL.width, n_audio_head=SMALL.heads, n_audio_layer=SMALL.layers)
    model = S3Tokenizer("speech_tokenizer_v1_25hz", config)
    model.init_from_onnx(str(released / ONNX))
    return model.eval()


def sound(seconds: float, seed: int = 0) -> Tensor:
    """Noise that swells and moves: [T] at 16 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16_000)) / 16_000
    noise = rng.standard_normal(time.size) * (0.2 + 0.2 * np.sin(3 * time)) + 0.3 * np.sin(900 * time * (1 + time % 2))
    return torch.from_numpy(0.5 * noise.astype(np.float32))


def spectrogram(pcm: Tensor) -> Tensor:
    return LogMel(128)(pcm[None])[0]


def padded(mels: list[Tensor]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([mel.shape[1] for mel in mels])
    longest = int(lengths.max())
    return torch.stack([torch.nn.functional.pad(mel, (0, longest - mel.shape[1]), value=9.0) for mel in mels]), lengths


def test_the_state_dict_is_the_packages(upstream: Any) -> None:
    from s3tokenizer.model import ModelConfig, S3Tokenizer

    with torch.device("meta"):
        theirs, ours = S3Tokenizer("speech_tokenizer_v1_25hz", ModelConfig()), S3Network(S3Config())
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    assert sum(weight.numel() for weight in ours.parameters()) == pytest.approx(123.5e6, rel=0.01)


def test_weights_read_from_onnx_are_those_that_were_written_and_that_the_package_reads(
    released: Path, reference: Any
) -> None:
    ours, written, theirs = load_network(released).state_dict(), random_network().state_dict(), reference.state_dict()
    assert ours.keys() == written.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, written[name]), name
        assert torch.equal(tensor, theirs[name]), name


def test_the_spectrogram_is_the_packages(upstream: Any) -> None:
    from s3tokenizer.utils import _mel_filters, log_mel_spectrogram

    assert (mel_filters(128, 400, 16_000) - _mel_filters(torch.device("cpu"), 128)).abs().max() < 1e-6
    pcm = sound(3.7)
    assert (spectrogram(pcm) - log_mel_spectrogram(pcm)).abs().max() < 1e-4


def test_hidden_states_and_codes_are_the_packages(released: Path, reference: Any) -> None:
    ours = load_network(released)
    mel, lengths = padded([spectrogram(sound(seconds, seed)) for seed, seconds in enumerate((2.0, 7.31, 0.4, 5.005))])
    hidden, frames = ours.encoder(mel, lengths)
    their_hidden, their_frames = reference.encoder(mel, lengths)
    codes, _ = ours(mel, lengths)
    their_codes, _ = reference.quantize(mel, lengths)
    assert frames.tolist() == their_frames.tolist()
    for row, count in enumerate(frames.tolist()):
        assert (hidden[row, :count] - their_hidden[row, :count]).abs().max() <= 1e-4
        assert codes[row, :count].tolist() == their_codes[row, :count].tolist()
        assert len(set(codes[row, :count].tolist())) > 3, "a test that could not fail"


def test_codes_are_onnxruntimes(released: Path) -> None:
    session = onnxruntime.InferenceSession(str(released / ONNX), providers=["CPUExecutionProvider"])
    mel = spectrogram(sound(4.2))[None]
    (theirs,) = session.run(["indices"], {"feats": mel.numpy()})
    ours, _ = load_network(released)(mel, torch.tensor([mel.shape[-1]]))
    assert ours.tolist() == theirs.tolist()


def test_a_row_does_not_depend_on_its_neighbours(released: Path) -> None:
    network = load_network(released)
    mels = [spectrogram(sound(seconds, seed)) for seed, seconds in enumerate((1.1, 6.0, 3.3))]
    together, frames = network(*padded(mels))
    for mel, row, count in zip(mels, together, frames.tolist(), strict=True):
        alone, _ = network(*padded([mel]))
        assert row[:count].tolist() == alone[0].tolist()


@pytest.mark.parametrize("mel_frames", [1, 2, 3, 4, 5, 7, 8, 99, 100, 101, 3000])
def test_frames_are_counted_as_the_network_counts_them(mel_frames: int) -> None:
    network = random_network(S3Config(width=64, heads=1, layers=1))
    _, frames = network(torch.zeros(1, 128, mel_frames), torch.tensor([mel_frames]))
    assert network.config.frames(mel_frames) == frames.item()


@pytest.mark.parametrize("mel_frames", [3001, 4500, 5200, 5601, 7800])
def test_long_recordings_are_windowed_as_in_the_package(released: Path, reference: Any, mel_frames: int) -> None:
    mel = spectrogram(sound(mel_frames / 100 + 0.02))[:, :mel_frames]
    network, parts = load_network(released), []
    for start, end in windows(mel_frames):
        codes, _ = network(mel[None, :, start:end], torch.tensor([end - start]))
        parts.append(codes[0].tolist())
    theirs, count = reference.quantize(mel[None], torch.tensor([mel_frames]))
    assert joined(parts, 4) == theirs[0, : int(count)].tolist()


@pytest.mark.parametrize("mel_frames", [1, 2999, 3000, 3001, 5400, 5600, 5601, 9999])
def test_every_frame_of_a_long_recording_is_kept(mel_frames: int) -> None:
    """The package loses frames where its last window lies inside the one before, as at 5,400."""
    parts = [list(range(start // 4, SMALL.frames(end))) for start, end in windows(mel_frames)]
    assert joined(parts, 4) == list(range(SMALL.frames(mel_frames)))


def test_merging() -> None:
    assert merged([]) == []
    assert merged([3, 3, 4, 4, 4, 3]) == [3, 4, 3]


def test_converted_weights_load_the_same(released: Path, tmp_path: Path) -> None:
    convert(released / ONNX, tmp_path / SAFETENSORS)
    ours, converted = load_network(released).state_dict(), load_network(tmp_path).state_dict()
    assert all(torch.equal(ours[name], converted[name]) for name in ours | converted)


@pytest.mark.parametrize("as_safetensors", [False, True])
def test_the_tokenizer_of_50_hz_is_refused(tmp_path: Path, as_safetensors: bool) -> None:
    write_onnx(tmp_path / ONNX, random_network(S3Config(width=128, heads=2, layers=2, stride=1)))
    if as_safetensors:
        convert(tmp_path / ONNX, tmp_path / SAFETENSORS)
    with pytest.raises(BundleError) as caught:
        load_network(tmp_path)
    assert caught.value.code == "wrong_tokenizer"
    assert "CosyVoice-300M-25Hz" in caught.value.message


def test_what_is_missing_or_damaged_is_named(released: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        load_network(tmp_path)
    assert caught.value.code == "bundle_file_missing"
    for name, text in ((ONNX, (released / ONNX).read_bytes()[:5000]), (SAFETENSORS, b"nonsense")):
        (tmp_path / name).write_bytes(text)
        with pytest.raises(BundleError, match=name):
            load_network(tmp_path)


def test_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    network = random_network()
    network.encoder.blocks[1].mlp[0] = torch.nn.Linear(SMALL.width, 3 * SMALL.width)
    write_onnx(tmp_path / ONNX, network)
    with pytest.raises(BundleError, match=r"encoder\.blocks\.1\.mlp\.0"):
        load_network(tmp_path)
