"""The usage of a turn, with the members that OpenAI's responses have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streaming.report import TurnReport


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more turns. `*_audio`: speech units among them, which OpenAI's API calls audio tokens."""

    input: int
    input_audio: int
    output: int
    output_audio: int

    @classmethod
    def of(cls, *reports: TurnReport) -> Usage:
        """The sum over `reports`. The transcript of a spoken question is among the tokens that came out."""
        return cls(
            sum(report.input_tokens for report in reports),
            sum(report.input_units for report in reports),
            sum(report.output_tokens for report in reports),
            sum(report.output_units for report in reports),
        )

    def speech(self) -> dict[str, Any]:
        """`usage` of /v1/audio/speech."""
        return {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "total_tokens": self.input + self.output,
        }

    def transcription(self) -> dict[str, Any]:
        """`usage` of /v1/audio/transcriptions."""
        details = {"audio_tokens": self.input_audio, "text_tokens": self.input - self.input_audio}
        return {"type": "tokens", **self.speech(), "input_token_details": details}

    def chat(self) -> dict[str, Any]:
        """`usage` of /v1/chat/completions."""
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
            "prompt_tokens_details": {
                "audio_tokens": self.input_audio,
                "text_tokens": self.input - self.input_audio,
                "cached_tokens": 0,
            },
            "completion_tokens_details": {
                "audio_tokens": self.output_audio,
                "text_tokens": self.output - self.output_audio,
                "reasoning_tokens": 0,
            },
        }
