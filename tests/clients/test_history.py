"""What a session has to be told to go on where another one ended, from events alone."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.history import REPLAYED_ITEMS, History
from clients.realtime import RATE_HZ, ServerVad, SessionOptions, parse_event

PLACE = {"response_id": "r", "output_index": 0, "content_index": 0}
USAGE = {"type": "duration", "seconds": 1.0}


def event(kind: str, **fields: Any) -> Any:
    return parse_event(json.dumps({"type": kind, "event_id": "e", **fields}))


def added(item_id: str, role: str, *content: dict[str, Any], after: str | None = None) -> Any:
    item = {"id": item_id, "type": "message", "role": role, "content": list(content)}
    return event("conversation.item.added", item=item, previous_item_id=after)


def asked(item_id: str, text: str, after: str | None = None) -> Any:
    return added(item_id, "user", {"type": "input_text", "text": text}, after=after)


def text(item_id: str, delta: str) -> Any:
    return event("response.output_audio_transcript.delta", **PLACE, item_id=item_id, delta=delta)


def audio(item_id: str, ms: int) -> Any:
    delta = base64.b64encode(bytes(2 * RATE_HZ * ms // 1000)).decode()
    return event("response.output_audio.delta", **PLACE, item_id=item_id, delta=delta)


def truncated(item_id: str, ms: int) -> Any:
    return event("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=ms)


def told(history: History) -> list[tuple[str, str, str]]:
    """Id, role and text of the messages that are replayed."""
    items = [one["item"] for one in history.replay() if one["type"] == "conversation.item.create"]
    return [(item["id"], item["role"], item["content"][0]["text"]) for item in items]


def of(*events: Any) -> History:
    history = History()
    for one in events:
        history.take(one)
    return history


def test_a_spoken_turn_is_told_in_words() -> None:
    heard = "conversation.item.input_audio_transcription"
    history = of(
        added("q", "user", {"type": "input_audio", "transcript": None}),
        added("a", "assistant", after="q"),
        event(f"{heard}.delta", item_id="q", content_index=0, delta="two plus"),
        event(f"{heard}.completed", item_id="q", content_index=0, transcript="Two plus three?", usage=USAGE),
        text("a", "It is "),
        audio("a", 400),
        text("a", "five."),
        audio("a", 400),
    )
    assert told(history) == [("q", "user", "Two plus three?"), ("a", "assistant", "It is five.")]


def test_what_has_no_words_yet_is_not_told() -> None:
    assert told(of(added("q", "user", {"type": "input_audio", "transcript": None}), added("a", "assistant"))) == []


def begun(conversation_id: str | None = "c") -> Any:
    response = {"id": "r", "object": "realtime.response", "conversation_id": conversation_id}
    return event("response.created", response=response)


@pytest.mark.parametrize(
    "part", [{"type": "input_text", "text": "And?"}, {"type": "input_audio", "transcript": "And?"}]
)
def test_a_question_without_a_word_of_its_answer_is_forgotten(part: dict[str, Any]) -> None:
    history = of(asked("1", "Hello?"), begun(), added("2", "assistant", after="1"), text("2", "Hi."))
    history.take(added("3", "user", part, after="2"))
    history.take(begun(None))  # apart from the conversation
    assert [item_id for item_id, _, _ in told(history)] == ["1", "2", "3"]  # nobody has asked for an answer to it
    for late in (begun(), added("4", "assistant", after="3"), text("2", " How are you?")):
        history.take(late)
    for _ in range(2):
        assert [item_id for item_id, _, _ in told(history)] == ["1", "2"]


def test_a_question_is_forgotten_from_when_it_is_asked_until_it_is_refused() -> None:
    history = of(asked("1", "Hello?"))
    history.sent({"type": "response.create", "event_id": "mine"})
    history.take(event("error", error={"type": "server_error", "message": "no", "event_id": "mine"}))
    assert [item_id for item_id, _, _ in told(history)] == ["1"]
    history.sent({"type": "response.create", "event_id": "mine"})
    assert told(history) == []


@pytest.mark.parametrize(
    ("heard_ms", "kept"),
    [
        (0, ""),
        (1, ""),
        (200, "One two"),
        (400, "One two three"),
        (500, "One two three"),
        (799, "One two three four"),
        (800, "One two three four five."),
        (99_000, "One two three four five."),
    ],
)
def test_an_interrupted_answer_is_told_as_far_as_it_was_heard(heard_ms: int, kept: str) -> None:
    """Text comes before its audio, so it is known which words the audio so far spoke."""
    pieces = [text("a", "One two three "), audio("a", 300), audio("a", 100), text("a", "four five."), audio("a", 400)]
    history = of(added("a", "assistant"), *pieces, truncated("a", heard_ms))
    assert [words for _, _, words in told(history)] == ([kept] if kept else [])


def test_no_word_is_cut_in_two() -> None:
    history = of(added("a", "assistant"), text("a", "Seventeen."), audio("a", 400), truncated("a", 250))
    assert told(history) == []


def test_chinese_is_cut_between_characters() -> None:
    history = of(added("a", "assistant"), text("a", "我叫迷你"), audio("a", 400), truncated("a", 250))
    assert told(history) == [("a", "assistant", "我叫")]


@given(st.lists(st.tuples(st.text("ab ", max_size=8), st.integers(0, 300)), max_size=8), st.integers(0, 2500))
def test_what_is_kept_is_a_beginning_and_grows_with_what_was_heard(
    pieces: list[tuple[str, int]], heard_ms: int
) -> None:
    def kept(ms: int) -> str:
        spoken = [one for words, length in pieces for one in (text("a", words), audio("a", length))]
        return "".join(words for _, _, words in told(of(added("a", "assistant"), *spoken, truncated("a", ms))))

    whole = "".join(words for words, _ in pieces).strip()
    assert whole.startswith(kept(heard_ms))
    assert len(kept(heard_ms)) <= len(kept(heard_ms + 100))
    assert kept(10_000) == whole


def test_items_keep_the_place_they_were_given_and_can_be_deleted() -> None:
    history = of(asked("1", "one"), asked("3", "three", after="1"), asked("2", "two", after="1"))
    assert [item_id for item_id, _, _ in told(history)] == ["1", "2", "3"]
    history.take(event("conversation.item.deleted", item_id="2"))
    assert [item_id for item_id, _, _ in told(history)] == ["1", "3"]


def test_only_the_last_messages_are_told_again() -> None:
    history = of(*(asked(str(number), "hello") for number in range(2 * REPLAYED_ITEMS)))
    assert len(told(history)) == REPLAYED_ITEMS
    assert told(history)[-1][0] == str(2 * REPLAYED_ITEMS - 1)
    assert history.replay(most=0) == []


def test_the_configuration_is_what_was_accepted_and_what_was_not_answered_yet() -> None:
    history = History()
    first = SessionOptions(ServerVad(silence_duration_ms=300), reply_language="zh", instructions="Be brief.")
    history.sent({**first.event(), "event_id": "1"})
    history.sent({"type": "session.update", "event_id": "2", "session": {"audio": {"output": {"voice": "nobody"}}}})
    history.sent({"type": "session.update", "event_id": "3", "session": {"reply_language": "en"}})
    history.take(event("session.updated", session={"type": "realtime"}))
    history.take(event("error", error={"type": "invalid_request_error", "message": "no", "event_id": "2"}))
    [update] = history.replay()
    wanted = first.event()["session"] | {"reply_language": "en"}
    assert update == {"type": "session.update", "session": wanted}


def test_another_kind_of_turn_detection_keeps_nothing_of_the_old_one() -> None:
    history = History()
    for number, detection in enumerate(({"type": "server_vad", "threshold": 0.7}, {"type": "semantic_vad"}, None)):
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        history.sent({"type": "session.update", "event_id": str(number), "session": session})
        [update] = history.replay()
        assert update["session"]["audio"]["input"] == {"turn_detection": detection}


def test_events_that_say_nothing_change_nothing() -> None:
    history = of(event("response.dance"), text("nobody", "x"), audio("nobody", 5), truncated("nobody", 5))
    history.sent({"type": "response.create", "event_id": "1"})
    assert history.replay() == []
