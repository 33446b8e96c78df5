"""Cuts a long recording into utterances, by the same voice activity detection as a live session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streaming.audio import MODEL_RATE_HZ
from streaming.endpointing import EndpointerConfig, SpeechStarted, SpeechStopped
from streaming.realtime.listening import Listener, Speech
from streaming.stages import Pcm, VoiceActivity


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was said between two silences. `pcm`: 16 kHz; times in seconds of the recording, the silence behind it left out."""

    pcm: Pcm
    start_s: float
    end_s: float


def utterances(pcm: Pcm, activity: VoiceActivity, config: EndpointerConfig) -> list[Utterance]:
    """The utterances of a recording at 16 kHz, in order; none where nobody speaks. Slow: call it in a thread."""
    listener = Listener(activity, config)
    found: list[Utterance] = []
    pieces: list[Pcm] = []
    start = 0
    for event in listener.feed(np.pad(pcm, (0, -pcm.size % activity.window_samples)), 0):
        match event:
            case SpeechStarted():
                start = event.at_sample
            case Speech():
                pieces.append(event.pcm)
            case SpeechStopped():
                found.append(_utterance(pieces, start, config))
                pieces = []
    if pieces:
        spoken = np.concatenate(pieces)
        found.append(Utterance(spoken, start / MODEL_RATE_HZ, min(start + spoken.size, pcm.size) / MODEL_RATE_HZ))
    return found


def _utterance(pieces: list[Pcm], start: int, config: EndpointerConfig) -> Utterance:
    spoken = np.concatenate(pieces)
    by_length = spoken.size >= (config.max_turn_ms - 100) * MODEL_RATE_HZ // 1000
    silence = 0 if by_length else config.silence_duration_ms * MODEL_RATE_HZ // 1000
    return Utterance(spoken, start / MODEL_RATE_HZ, (start + max(spoken.size - silence, 0)) / MODEL_RATE_HZ)
