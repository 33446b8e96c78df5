"""Items as clients send them, made into items of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streaming.audio import MODEL_RATE_HZ, AudioFrame, resampled
from streaming.errors import InvalidRequest
from streaming.realtime import messages as msg
from streaming.realtime.conversation import Item
from streaming.realtime.limits import SessionLimits, SessionModel
from streaming.realtime.utterance import UtteranceEncoding
from streaming.stages import Pcm


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording in an item, 16 kHz, and its units to be."""

    pcm: Pcm
    encoding: UtteranceEncoding


def item_of(
    shape: msg.ClientItem,
    param: str,
    limits: SessionLimits,
    recordings: list[Recording],
) -> Item:
    """The item; a recording in it joins `recordings`, to be encoded. `param`: where `shape` came from.

    Raises InvalidRequest.
    """
    if isinstance(shape, msg.CallItem | msg.CallOutputItem):
        return _call_item(shape)
    item = Item(shape.role)
    if shape.id is not None:
        item.id = shape.id
    if not isinstance(shape, msg.UserItem):
        said = (part.transcript if isinstance(part, msg.OutputAudio) else part.text for part in shape.content)
        item.text = "\n".join(said)
        return item
    item.typed = tuple(None if isinstance(part, msg.InputAudio) else part.text for part in shape.content)
    for at, part in enumerate(shape.content):
        if isinstance(part, msg.InputAudio):
            pcm = _recording(part.audio, limits, f"{param}.content.{at}.audio")
            item.spoken, item.text = True, part.transcript or ""
            item.encoding = UtteranceEncoding()
            item.encoding.samples = pcm.size
            recordings.append(Recording(pcm, item.encoding))
    return item


def _call_item(shape: msg.CallItem | msg.CallOutputItem) -> Item:
    item = Item("result", call_id=shape.call_id)
    if isinstance(shape, msg.CallItem):
        item.role, item.name, item.text = "call", shape.name, shape.arguments
    else:
        item.text = shape.output
    if shape.id is not None:
        item.id = shape.id
    return item


def check_kind(model: SessionModel, shape: msg.ClientItem | msg.ItemReference, param: str) -> None:
    """Raises InvalidRequest where `shape` is of a call, and the model calls no tools."""
    if isinstance(shape, msg.CallItem | msg.CallOutputItem) and not model.calls_tools:
        raise InvalidRequest(f"{model.name} calls no tools; accepted: 'message'", param=f"{param}.type")


def check_characters(items: Sequence[Item], limits: SessionLimits, param: str) -> None:
    """Raises InvalidRequest where `items` have more text than a conversation may."""
    characters = sum(item.characters for item in items)
    if characters > limits.max_characters:
        raise InvalidRequest(
            f"{param} has {characters} characters of text; accepted: up to {limits.max_characters}",
            code="string_above_max_length",
            param=param,
        )


def _recording(audio: AudioFrame, limits: SessionLimits, param: str) -> Pcm:
    pcm = resampled(audio, MODEL_RATE_HZ)
    shortest, longest = (round(s * MODEL_RATE_HZ) for s in (limits.min_question_s, limits.max_question_s))
    if not shortest <= pcm.size <= longest:
        raise InvalidRequest(
            f"the recording has {pcm.size / MODEL_RATE_HZ:.2f} s; accepted: {limits.min_question_s:g} "
            f"to {limits.max_question_s:g} s",
            code="audio_too_short" if pcm.size < shortest else "audio_too_long",
            param=param,
        )
    return pcm
