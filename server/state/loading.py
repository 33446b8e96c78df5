"""Loads the model that the server serves, ready to answer."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model.bundle import Bundle, find_bundle
from model.lm import Backend
from model.workers.forking import preload
from model.workers.supervisor import WorkerState
from model.workers.worker import Limits
from server.settings import Settings
from streaming.errors import BundleError
from streaming.headroom import Headroom
from streaming.names import OPENAI_NAMES, Aliases
from streaming.outlook import Outlook
from streaming.stability import EarlyCounts, StabilityRule
from streaming.stages import EndOfTurn, LanguageModel, SpeechDecoder, SpeechEncoder, Stages, VoiceActivity

if TYPE_CHECKING:
    from model.encoders import EncoderStage
    from model.turn_detection.smart_turn import SmartTurn
    from model.vocoders.worker import VocoderWorker


_ENGINE_START_S, _VOCODER_START_S = 900.0, 120.0
"""Until their weights are loaded. Compiling layers for a GPU takes minutes."""


def no_fault() -> str | None:
    """The fault of a model whose stages cannot die apart from this process: none."""
    return None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A warm model. `name` is what clients ask for; `created`: Unix time of the bundle; `languages`: what it answers in.

    `reply_languages`: what it can be told to answer in (`reply_language`). `aliases`: other names of it and of its first voice.
    `max_question_s`: longest question it takes; `voices`: names accepted as `voice`, the first is the default;
    `history_turns`: how many earlier turns it receives. `backend`: what runs the language model. `recorded`: the server keeps
    what is said in sessions. `fault`: asked by `/readyz`, says which stage is dead while it is, else None.
    `early`: what was done with unfinished speech, None where nothing is. `workers`: how the stages' processes are.
    `headroom`: what turns take of the machine, and what is left.
    """

    name: str
    created: int
    languages: tuple[str, ...]
    voices: tuple[str, ...]
    max_question_s: float
    stages: Stages
    history_turns: int = 0
    backend: str = ""
    fault: Callable[[], str | None] = no_fault
    early: EarlyCounts | None = None
    recorded: bool = False
    reply_languages: tuple[str, ...] = ("auto", "en", "zh")
    calls_tools: bool = False
    aliases: Aliases = OPENAI_NAMES
    workers: Callable[[], Sequence[WorkerState]] = tuple
    headroom: Headroom = field(default_factory=Headroom)


@asynccontextmanager
async def open_model(settings: Settings) -> AsyncGenerator[ServedModel]:
    """Load the bundle of `settings` and keep it warm while the context lasts. Raises BundleError, EngineUnavailable.

    Stages whose processes may be lost are kept by supervisors (`model.workers`).
    """
    bundle = find_bundle(settings.bundle, settings.bundles)
    kind = backend_kind(settings)
    device = await asyncio.to_thread(_preflight, bundle, kind, settings)
    _preload(kind, bundle)
    async with (
        open_language_model(kind, bundle, settings) as lm,
        open_vocoder(bundle, device, settings) as decoder,
        open_encoder(bundle, device, settings.step_s) as encoder,
        open_listening(bundle) as listening,
    ):
        yield served_model(
            bundle,
            Parts(encoder, lm, decoder, *listening),
            backend=kind,
            fault=lambda: lm.fault() or decoder.fault() or encoder.state().fault,
            early=_commit_early(encoder, bundle, settings),
            workers=lambda: [s for s in (lm.state(), decoder.state(), encoder.state()) if s is not None],
            headroom=Headroom(settings.speculative_turns),
            playout_lead_s=settings.playout_lead_s,
        )


@asynccontextmanager
async def open_language_model(kind: str, bundle: Bundle, settings: Settings) -> AsyncGenerator[Backend]:
    """The language model, warm. Raises BundleError, EngineUnavailable."""
    lm = await asyncio.to_thread(_make_backend, kind, bundle, settings)
    try:
        await lm.start()
        yield lm
    finally:
        await lm.close()


@asynccontextmanager
async def open_vocoder(bundle: Bundle, device: str, settings: Settings) -> AsyncGenerator[VocoderWorker]:
    """The vocoder, warm, in its process. Raises BundleError, EngineUnavailable."""
    from model.vocoders.process import VocoderProcess
    from model.vocoders.worker import VocoderWorker

    process = VocoderProcess(
        bundle.vocoder_kind,
        bundle.vocoder,
        device=device,
        limits=Limits(_VOCODER_START_S, settings.hang_s, settings.step_s),
        standby=device == "cpu" if settings.vocoder_standby is None else settings.vocoder_standby,
    )
    decoder = VocoderWorker(process, bundle.profile.output_sample_rate_hz)
    try:
        await decoder.start()
        yield decoder
    finally:
        await decoder.close()


@asynccontextmanager
async def open_encoder(bundle: Bundle, device: str, step_s: float) -> AsyncGenerator[EncoderStage]:
    """The encoder, on a thread of this process. Raises BundleError."""
    encoder = await asyncio.to_thread(_make_encoder, bundle, device)
    encoder.limit_steps(step_s)
    try:
        yield encoder
    finally:
        encoder.close()


@asynccontextmanager
async def open_listening(bundle: Bundle) -> AsyncGenerator[tuple[Callable[[], VoiceActivity], SmartTurn | None]]:
    """What hears that somebody speaks, and has ended: small networks that run where the sessions are. Raises BundleError."""
    from model.turn_detection.vad import load_voice_activity

    activity = load_voice_activity(bundle.voice_activity)
    end_of_turn = await asyncio.to_thread(_load_end_of_turn, bundle)
    try:
        yield activity, end_of_turn
    finally:
        if end_of_turn is not None:
            end_of_turn.close()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a bundle's profile does not say of its stages: the stages."""

    encoder: SpeechEncoder
    lm: LanguageModel
    decoder: SpeechDecoder
    voice_activity: Callable[[], VoiceActivity]
    end_of_turn: EndOfTurn | None


def served_model(
    bundle: Bundle, parts: Parts, *, backend: str, playout_lead_s: float = 0.0, **state: Any
) -> ServedModel:
    """The model of a bundle, on these parts. `state`: fields of ServedModel that change while it runs."""
    profile = bundle.profile
    return ServedModel(
        name=profile.name,
        created=int((bundle.directory / "profile.json").stat().st_mtime),
        languages=profile.languages,
        voices=profile.voices,
        max_question_s=profile.max_question_s,
        history_turns=profile.history_turns,
        stages=Stages(
            parts.encoder,
            parts.lm,
            parts.decoder,
            bundle.prompts,
            parts.voice_activity,
            profile.vocoder_latency_s,
            parts.end_of_turn,
            profile.cut_schedule(),
            profile.speech_pace(),
            Outlook(profile.cuts.unit_s, profile.vocoder_latency_s),
            playout_lead_s,
            profile.sure,
        ),
        backend=backend,
        reply_languages=tuple(profile.templates),
        calls_tools=profile.supports_tools,
        **state,
    )


def _preload(kind: str, bundle: Bundle) -> None:
    """Have what workers import imported once, in the process that they are forked from."""
    vocoder = bundle.vocoder_kind.load.__module__
    if kind == "vllm":
        from model.lm.engine_process import PRELOAD

        preload(vocoder, *PRELOAD)
    else:
        preload(vocoder)


def _load_end_of_turn(bundle: Bundle) -> SmartTurn | None:
    from model.turn_detection.smart_turn import SmartTurn

    return SmartTurn.load(bundle.end_of_turn) if bundle.end_of_turn.is_file() else None


def backend_kind(settings: Settings) -> str:
    """What runs the language model on this machine."""
    if settings.backend != "auto":
        return settings.backend
    return "vllm" if importlib.util.find_spec("vllm") else "transformers"


def _make_backend(kind: str, bundle: Bundle, settings: Settings) -> Backend:
    if kind == "vllm":
        from model.lm.engine_options import EngineConfig
        from model.lm.vllm_engine import VllmLanguageModel

        config = EngineConfig(
            bundle.profile.max_model_len,
            max_sequences=settings.max_sequences,
            gpu_memory_share=settings.gpu_memory_share,
            dtype=settings.dtype,
            quantization=settings.quantization,
            tensor_parallel=settings.tensor_parallel,
            eager=settings.eager,
            batched_tokens=settings.batched_tokens,
            constrains=bundle.profile.supports_tools,
        )
        return VllmLanguageModel(bundle.lm, config, Limits(_ENGINE_START_S, settings.hang_s, settings.step_s))
    if kind == "vllm_http":
        from model.lm.vllm_http import VllmHttpLanguageModel

        return VllmHttpLanguageModel(settings.lm_url or "", bundle.profile.name)
    from model.lm.transformers_model import TransformersLanguageModel

    return TransformersLanguageModel(bundle.lm, step_s=settings.step_s)


def _make_encoder(bundle: Bundle, device: str) -> EncoderStage:
    import torch

    torch.set_num_threads(1)  # one thread serves many sessions better, and the engine has its own
    return bundle.encoder_kind.load(bundle.encoder, bundle.profile, device)


def _commit_early(encoder: EncoderStage, bundle: Bundle, settings: Settings) -> EarlyCounts | None:
    """Do with unfinished speech as the settings say, which `_preflight` allowed. Returns where it is counted."""
    from model.encoders import EarlyEncoder, EarlyUnits

    stability = bundle.profile.early_units
    if settings.early_units == "off" or stability is None or not isinstance(encoder, EarlyEncoder):
        return None
    rule = StabilityRule(**stability.model_dump())
    encoder.commit_early(EarlyUnits(settings.early_units == "commit", settings.early_units_share, rule))
    return encoder.early_counts


def _gpu_bytes() -> int:
    """Memory of the first NVIDIA GPU, 0 without one. Asks the driver: torch must not touch CUDA before the engine has."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", "--id=0"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(said) << 20 if said.isdigit() else 0


def _preflight(bundle: Bundle, kind: str, settings: Settings) -> str:
    """The device for encoder and vocoder. Raises BundleError for what would fail later and less clearly."""
    from model.check import preflight
    from model.lm.layout import check_gpu_memory, check_memory_beside, describe

    if settings.early_units != "off" and not (bundle.encoder_kind.early and bundle.profile.early_units):
        why = "its profile has no `early_units`"
        if not bundle.encoder_kind.early:
            why = "its encoder gives each unit as soon as it is final anyway"
        raise BundleError(
            f"early_units is {settings.early_units!r}, but {bundle.profile.name} does not support it: {why}; accepted: off",
            code="unsupported_setting",
            param="early_units",
        )
    gpu_bytes = _gpu_bytes()
    preflight(bundle)
    if kind == "vllm" and gpu_bytes:
        check_gpu_memory(
            describe(bundle.lm),
            gpu_bytes=gpu_bytes,
            share=settings.gpu_memory_share,
            gpus=settings.tensor_parallel,
            context=bundle.profile.max_model_len,
            quantization=settings.quantization,
        )
    device = choose_device(settings.device, gpu=gpu_bytes > 0)
    if kind == "vllm" and device in ("cuda", "cuda:0"):
        check_memory_beside([bundle.encoder, bundle.vocoder], gpu_bytes=gpu_bytes, share=settings.gpu_memory_share)
    return device


def choose_device(wanted: str, *, gpu: bool) -> str:
    """Where encoder and vocoder compute. Raises BundleError for CUDA without a GPU or with a torch that was built without it."""
    import torch

    possible = gpu and torch.version.cuda is not None
    if wanted == "auto":
        return "cuda" if possible else "cpu"
    if wanted.startswith("cuda") and not possible:
        why = "the installed torch was built without CUDA" if gpu else "the driver shows no GPU (nvidia-smi)"
        raise BundleError(
            f"device is {wanted!r}, but {why}; accepted: auto, cpu", code="device_unavailable", param="device"
        )
    return wanted
