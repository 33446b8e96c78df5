"""`cslm talk`: ask recordings, typed questions or the microphone, and hear the answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from clients.conversation import Conversation
from clients.errors import ClientError, Disconnected, ServerUnreachable
from clients.live import LiveConversation
from clients.realtime import DEFAULT_URL, RealtimeSession, ReplyLanguage, ServerVad, SessionOptions, audio_of
from clients.reconnect import Backoff, stay_connected
from clients.recordings import Recording, check_format, check_writable, read_recording, write_recording
from clients.soundcard import open_sound_card
from clients.turns import TurnRecord

FAILED_EXIT = 4
INTERRUPTED_EXIT = 130


@dataclass(frozen=True, slots=True)
class Talk:
    """What to ask where. `questions`: recordings and typed questions, the turns of one conversation.

    `realtime`: speak recordings as a user would, and let the server notice the end. `output`: where answers are
    written, numbered if there are several.
    """

    url: str
    questions: tuple[Recording | str, ...]
    options: SessionOptions
    output: Path | None = None
    realtime: bool = False
    api_key: str | None = None
    model: str | None = None
    timeout_s: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)


class Screen:
    """Prints what is said as it is said: one line a speaker, continued while the same one goes on."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._open: str | None = None
        self._marked_s: float | None = None
        self._heard_item: str | None = None
        self._shown_error: tuple[str | None, str] | None = None

    def say(self, who: str, text: str) -> None:
        """Continue the line of `who`, or begin one."""
        if self._open != who:
            self.end()
            self._out.write(f"{who:<9}")
            self._open = who
        self._out.write(text)
        self._out.flush()

    def line(self, who: str, text: str) -> None:
        """A line of its own."""
        self.end()
        self.say(who, text)
        self.end()

    def say_if_recorded(self, session: RealtimeSession) -> None:
        """Whether the server keeps what is said."""
        if getattr(session.created.session, "recorded", False):
            self.line("recorded", "the server keeps what is said here")

    def end(self) -> None:
        """End the line that is open."""
        if self._open is not None:
            self._out.write("\n")
        self._open = None

    def show(self, event: Any, turn: TurnRecord) -> None:
        """Print what an event adds; `turn` has taken it already."""
        match event.type:
            case "conversation.item.input_audio_transcription.delta":
                self._heard_item = event.item_id
                self.say("you", event.delta or "")
            case "conversation.item.input_audio_transcription.completed" if event.item_id != self._heard_item:
                self.line("you", event.transcript)
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self.say("answer", event.delta)
            case "response.output_audio.delta" if turn.first_audio_s != self._marked_s:
                self._mark_first_audio(turn)
            case "connection.lost":
                self.line("lost", f"{event.reason}; trying to come back")
            case "connection.restored":
                known = "the session goes on" if event.resumed else f"the new session knows {event.messages} messages"
                self.line("back", f"after {event.away_s:.1f} s; {known}")
            case "session.ending":
                self.line("server", "it stops; the session ends after this turn, and another one goes on")
            case "error" if (event.error.code, event.error.message) != self._shown_error:
                self._shown_error = event.error.code, event.error.message
                self.line("error", f"{event.error.code or event.error.type}: {event.error.message}")

    def timings(self, turn: TurnRecord) -> None:
        """When things came, counted from the end of the question, and how it ended if not well."""
        self._shown_error = None
        if turn.status not in (None, "completed"):
            how = {"failed": "failed", "cancelled": "was cancelled"}.get(turn.status, f"is {turn.status}")
            said = next((f": {error.message}" for error in reversed(turn.errors) if error.code == turn.reason), "")
            self.line("status", f"the answer {how} ({turn.reason or 'no reason given'}){said}")
        self.line("timings", describe_timings(turn))

    def _mark_first_audio(self, turn: TurnRecord) -> None:
        self._marked_s = turn.first_audio_s
        if turn.first_audio_s is not None and turn.asked_s is not None:
            space = " " if self._open == "answer" else ""
            self.say("answer", f"{space}[audio after {turn.first_audio_s - turn.asked_s:.2f} s]")


def describe_timings(turn: TurnRecord) -> str:
    """Time to first audio, total time, length of the audio, and gaps where a listener would have heard some."""
    if turn.asked_s is None or turn.done_s is None:
        return "no answer"
    parts = []
    if turn.first_audio_s is not None:
        parts.append(f"first audio after {turn.first_audio_s - turn.asked_s:.2f} s")
    parts.append(f"complete after {turn.done_s - turn.asked_s:.2f} s")
    parts.append(f"{turn.playback.received_s:.2f} s of audio")
    if turn.playback.gaps:
        gaps = "1 gap" if turn.playback.gaps == 1 else f"{turn.playback.gaps} gaps"
        parts.append(f"{gaps}, the longest {turn.playback.longest_gap_s * 1000:.0f} ms")
    return " · ".join(parts)


async def ask_all(talk: Talk, screen: Screen) -> list[TurnRecord]:
    """Ask the questions in turn, print and write the answers. Raises ClientError where the talk cannot go on."""
    turns: list[TurnRecord] = []
    answer = bytearray()
    talking = False

    def observe(event: Any, turn: TurnRecord) -> None:
        if event.type == "response.created":
            answer.clear()
        elif event.type == "response.output_audio.delta":
            answer.extend(audio_of(event))
        if talking:
            screen.show(event, turn)

    async def script(conversation: Conversation) -> None:
        nonlocal talking
        await conversation.configure(talk.options)
        talking = True
        screen.say_if_recorded(lasting)
        for number, question in enumerate(talk.questions, start=1):
            answer.clear()
            screen.line("question", _describe(question))
            turns.append(await _ask(conversation, question, realtime=talk.realtime))
            screen.timings(turns[-1])
            _write_answer(talk, number, bytes(answer), screen)
            if talk.realtime and number < len(talk.questions):
                await conversation.listen_to_answer(open_microphone=isinstance(question, Recording))

    session = stay_connected(talk.url, api_key=talk.api_key, model=talk.model, backoff=talk.backoff)
    async with session as lasting:
        await Conversation(lasting, timeout_s=talk.timeout_s, observe=observe).hold(script)
    return turns


def _describe(question: Recording | str) -> str:
    return question if isinstance(question, str) else f"{question.name} ({question.duration_s:.1f} s)"


async def _ask(conversation: Conversation, question: Recording | str, *, realtime: bool) -> TurnRecord:
    """Ask; and once more, in a session that has come back, where the connection broke before the answer was complete."""
    try:
        return await _ask_once(conversation, question, realtime=realtime)
    except Disconnected:
        return await _ask_once(conversation, question, realtime=realtime)


def _ask_once(conversation: Conversation, question: Recording | str, *, realtime: bool) -> Awaitable[TurnRecord]:
    if isinstance(question, str):
        return conversation.ask_text(question)
    return conversation.ask_aloud(question) if realtime else conversation.ask_at_once(question)


def _write_answer(talk: Talk, number: int, pcm: bytes, screen: Screen) -> None:
    if talk.output is None:
        return
    if not pcm:
        screen.line("written", "nothing: the answer has no audio")
        return
    path = talk.output
    if len(talk.questions) > 1:
        path = path.with_stem(f"{path.stem}-{number}")
    write_recording(path, pcm)
    screen.line("written", str(path))


async def _talk_live(talk: Talk, screen: Screen) -> None:
    lasting = stay_connected(talk.url, api_key=talk.api_key, model=talk.model, backoff=talk.backoff)
    async with lasting as session:
        with open_sound_card() as card:
            await session.update(talk.options)
            screen.say_if_recorded(session)
            screen.line("ready", "speak, and interrupt by speaking; headphones keep the answer out of the microphone")
            await LiveConversation(session, card, screen).run()


def talk(
    files: Annotated[list[Path] | None, typer.Argument(help="Recordings, any format and rate, one turn each.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the spoken answer.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="A typed question; after the recordings.")] = None,
    mic: Annotated[bool, typer.Option("--mic", help="Talk with microphone and loudspeaker.")] = False,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Speak recordings in real time; the server notices when they end.")
    ] = False,
    url: Annotated[str, typer.Option("--url", "--server", help="The server.")] = DEFAULT_URL,
    reply_language: Annotated[ReplyLanguage | None, typer.Option(help="Language of the answer.")] = None,
    instructions: Annotated[str | None, typer.Option(help="How to answer.")] = None,
    voice: Annotated[str | None, typer.Option(help="Voice of the answer.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to ask.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="CSLM_API_KEY", help="Key of the server.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for a complete answer.")] = 60.0,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to go on trying to restore a lost connection.")
    ] = 60.0,
) -> None:
    """Ask recordings, typed questions or the microphone; hear and read the answer.

    Exit status: 0 every question answered, 2 bad input, 3 no session, 4 not answered.
    """
    detection = ServerVad() if realtime or mic else None
    options = SessionOptions(detection, reply_language, instructions, voice)
    plan = Talk(url, (), options, output, realtime, api_key, model, timeout, Backoff(patience_s=patience))
    screen = Screen()
    try:
        if mic:
            asyncio.run(_talk_live(plan, screen))
            return
        if output is not None:
            check_writable(output)
            check_format(output)
        if not files and not text:
            raise typer.BadParameter("nothing to ask: name a recording, or use --text or --mic")
        questions = (*(read_recording(file) for file in files or ()), *(text or ()))
        turns = asyncio.run(ask_all(replace(plan, questions=questions), screen))
    except ClientError as error:
        screen.end()
        raise typer.Exit(report_error(error)) from error
    except KeyboardInterrupt:
        screen.end()
        raise typer.Exit(INTERRUPTED_EXIT) from None
    if not all(turn.answered for turn in turns):
        raise typer.Exit(FAILED_EXIT)


def report_error(error: ClientError) -> int:
    """Print an error for people; returns the exit status."""
    typer.echo(f"error    {error.code}: {error.message}", err=True)
    if isinstance(error, ServerUnreachable):
        typer.echo("Is the server running? Start it with `make serve`.", err=True)
    if error.code in ("missing_api_key", "invalid_api_key"):
        typer.echo("Give the server's key with --api-key or CSLM_API_KEY.", err=True)
    return error.exit_code
