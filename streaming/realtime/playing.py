"""What a client plays, as far as the session knows: for the guard against its echo."""

from __future__ import annotations

from collections.abc import Iterable

from streaming.echo import EchoGuard
from streaming.realtime import events as out
from streaming.realtime.effects import Output


def follow_playing(echo: EchoGuard, outputs: Iterable[Output], *, interrupts: bool) -> None:
    """Tell `echo` of the audio in `outputs`, and where the client stops to play. `interrupts`: it does when speech starts."""
    for output in outputs:
        match output:
            case out.OutputAudioDelta():
                echo.sent(output.audio)
            case out.InputSpeechStarted() if interrupts:
                echo.stopped()
            case out.ItemTruncated():
                echo.stopped()
