"""Whether noise reduction in front of the encoder helps the model hear: word errors of its transcripts with and without it.

    pip install webrtc-noise-gain
    python -m tests.bench.noise_reduction [--gtcrn gtcrn_simple.onnx] [--rnnoise librnnoise.so]

`webrtc`: the noise suppression of WebRTC, at its levels 1 and 3 (of 4), in frames of 10 ms. `gtcrn`: the streaming network of Rong
et al. (ICASSP 2024, arXiv 2402.01808), 48 k weights, frames of 16 ms. `rnnoise`: RNNoise (arXiv 1709.08243) at 48 kHz, frames of 10 ms.
`noise`: from white to brown; `babble`: another speaker all the time. The recordings are those of tests/data/recordings.
"""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from model.lm.process import process_setup

process_setup()

from model.evaluation.asking import ask
from model.evaluation.scores import written_errors
from model.evaluation.speech import noisy
from model.training.augment import mix
from model.turn_detection.network import open_network
from server.settings import Settings
from server.state.loading import open_model
from streaming.audio import AudioFrame, resampled
from streaming.stages import Pcm, TurnOptions
from tests.bench.questions import Asked, manifest
from tests.bench.results import arguments, origin, table, write

RATE_HZ = 16_000
Reducer = Callable[[Pcm], Pcm]
Condition = Callable[[Pcm, Pcm, str], Pcm]

CONDITIONS: dict[str, Condition] = {
    "clean": lambda pcm, other, seed: pcm,
    "noise, 10 dB": lambda pcm, other, seed: noisy(pcm, 10.0, seed),
    "noise, 5 dB": lambda pcm, other, seed: noisy(pcm, 5.0, seed),
    "noise, 0 dB": lambda pcm, other, seed: noisy(pcm, 0.0, seed),
    "babble, 10 dB": lambda pcm, other, seed: mix(pcm, np.resize(other, pcm.size), 10.0),
    "babble, 5 dB": lambda pcm, other, seed: mix(pcm, np.resize(other, pcm.size), 5.0),
}


def webrtc(level: int) -> Reducer:
    """WebRTC's suppression, without its gain control."""
    from webrtc_noise_gain import AudioProcessor

    def reduced(pcm: Pcm) -> Pcm:
        processor, size = AudioProcessor(0, level), RATE_HZ // 100
        whole = np.pad(pcm, (0, -pcm.size % size))
        pcm16 = (np.clip(whole, -1, 1) * 32_767).astype("<i2")
        frames = [processor.Process10ms(frame.tobytes()).audio for frame in pcm16.reshape(-1, size)]
        return np.frombuffer(b"".join(frames), "<i2").astype(np.float32)[: pcm.size] / 32_768

    return reduced


def gtcrn(path: Path) -> Reducer:
    """The network frame by frame; its window is the square root of Hann's."""
    network, size, hop = open_network(path, "a noise-reduction network"), 512, 256
    window = np.sqrt(np.hanning(size + 1)[:-1]).astype(np.float32)
    shapes = {"conv_cache": (2, 1, 16, 16, 33), "tra_cache": (2, 3, 1, 1, 16), "inter_cache": (2, 1, 33, 16)}

    def reduced(pcm: Pcm) -> Pcm:
        caches: dict[str, Any] = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        padded = np.pad(pcm, (hop, size + -pcm.size % hop))
        out = np.zeros_like(padded)
        for at in range(0, padded.size - size + 1, hop):
            spectrum = np.fft.rfft(window * padded[at : at + size])
            frame = np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)[None, :, None]
            enhanced, *fresh = network.run(None, {"mix": frame, **caches})
            caches = dict(zip(shapes, fresh, strict=True))
            out[at : at + size] += window * np.fft.irfft(enhanced[0, :, 0, 0] + 1j * enhanced[0, :, 0, 1])
        return out[hop : hop + pcm.size]

    return reduced


def rnnoise(path: Path) -> Reducer:
    """The library, frame by frame; it takes samples of 16 bits as floats."""
    library, size = ctypes.CDLL(str(path)), 480
    library.rnnoise_create.restype = ctypes.c_void_p
    library.rnnoise_create.argtypes = library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
    floats = ctypes.POINTER(ctypes.c_float)
    library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, floats, floats]

    def reduced(pcm: Pcm) -> Pcm:
        state = library.rnnoise_create(None)
        wide = resampled(AudioFrame(pcm, RATE_HZ), 3 * RATE_HZ)
        frames = np.pad(wide, (0, size + -wide.size % size)).astype(np.float32) * 32_767
        for at in range(0, frames.size, size):
            place = frames[at:].ctypes.data_as(floats)
            library.rnnoise_process_frame(state, place, place)
        library.rnnoise_destroy(state)
        return resampled(AudioFrame(frames[size:] / 32_767, 3 * RATE_HZ), RATE_HZ)[: pcm.size]  # it is a frame late

    return reduced


async def measure(recordings: list[Asked], reducers: dict[str, Reducer], repeats: int) -> dict[str, Any]:
    """Errors and words of each reducer in each condition, and its time. Each repeat has other noise."""
    counts = {name: dict.fromkeys(CONDITIONS, (0, 0)) for name in reducers}
    spent = dict.fromkeys(reducers, 0.0)
    heard_s = 0.0
    pcms = [resampled(AudioFrame(*soundfile.read(asked.path, dtype="float32")), RATE_HZ) for asked in recordings]
    async with open_model(Settings()) as model:
        for (number, asked), repeat in product(enumerate(recordings), range(repeats)):
            pcm, other = pcms[number], pcms[number - 1 - repeat]
            heard_s += len(CONDITIONS) * pcm.size / RATE_HZ
            for condition, noised in CONDITIONS.items():
                sound = np.clip(noised(pcm, other, f"{asked.file}:{condition}:{repeat}"), -1, 1).astype(np.float32)
                for name, reduce in reducers.items():
                    began_s = time.perf_counter()
                    quiet = reduce(sound)
                    spent[name] += time.perf_counter() - began_s
                    reply = await ask(model.stages, quiet, TurnOptions(task="transcribe", speak=False))
                    heard = (reply.report.transcript or reply.report.text).strip()
                    wrong, of = written_errors(heard, asked.said)
                    before = counts[name][condition]
                    counts[name][condition] = (before[0] + wrong, before[1] + of)
    return {"counts": counts, "real_time_factor": {name: s / heard_s for name, s in spent.items()}, "heard_s": heard_s}


def main() -> None:
    """Measure and write."""
    parser = arguments(__doc__)
    parser.add_argument("--every", type=int, default=1, help="use each nth recording only")
    parser.add_argument("--repeats", type=int, default=1, help="with so many different noises")
    parser.add_argument("--gtcrn", type=Path)
    parser.add_argument("--rnnoise", type=Path)
    options = parser.parse_args()
    reducers: dict[str, Reducer] = {"none": lambda pcm: pcm, "webrtc, 1": webrtc(1), "webrtc, 3": webrtc(3)}
    if options.gtcrn:
        reducers["gtcrn"] = gtcrn(options.gtcrn)
    if options.rnnoise:
        reducers["rnnoise"] = rnnoise(options.rnnoise)
    recordings = manifest()[:: options.every]
    record = {"origin": origin(), "recordings": len(recordings), "repeats": options.repeats}
    record |= asyncio.run(measure(recordings, reducers, options.repeats))
    lines = [
        [
            name,
            *(f"{100 * wrong / of:.1f}" for wrong, of in row.values()),
            f"{100 * record['real_time_factor'][name]:.2f} %",
        ]
        for name, row in record["counts"].items()
    ]
    text = table(["reduced by", *CONDITIONS, "time ÷ duration"], lines)
    write(
        options.out,
        "noise_reduction",
        record,
        text + f"\n\nWord or character errors in %; {len(recordings)} recordings, noises for each: {options.repeats}.",
    )


if __name__ == "__main__":
    main()
