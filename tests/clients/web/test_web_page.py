"""The page in a real Chromium, over a real socket, against scripted answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openai.types.realtime import (
    ConversationItemCreateEvent,
    ConversationItemTruncateEvent,
    ResponseCancelEvent,
    ResponseCreateEvent,
    SessionUpdateEvent,
)
from playwright.sync_api import Page, expect
from pydantic import BaseModel

from tests.chromium import open_page, recording
from tests.clients.web.scripted import RATE_HZ, Script

CLIENT_EVENTS: dict[str, type[BaseModel]] = {
    "session.update": SessionUpdateEvent,
    "conversation.item.create": ConversationItemCreateEvent,
    "conversation.item.truncate": ConversationItemTruncateEvent,
    "response.create": ResponseCreateEvent,
    "response.cancel": ResponseCancelEvent,
}


def until(condition: Callable[[], Any], page: Page, timeout_s: float = 30) -> Any:
    """The first true value of `condition`; the page goes on meanwhile."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen"
        page.wait_for_timeout(30)
    return value


def number(page: Page, element_id: str) -> int:
    """A value of the connection details."""
    return int(page.locator(f"#{element_id}").get_attribute("data-value") or 0)


def latency_ms(page: Page, turn: int = 0) -> int:
    latency = page.locator(".turn").nth(turn).locator(".latency[data-ms]")
    latency.wait_for(state="attached")
    return int(latency.get_attribute("data-ms") or -1)


def ask(page: Page, text: str) -> None:
    page.get_by_label("Type a question").fill(text)
    page.keyboard.press("Enter")


def test_a_spoken_turn(url: str, script: Script, tmp_path: Path) -> None:
    microphone = recording(tmp_path / "mic.wav", 0.4, "ask_sum_en")
    with open_page(url, microphone=microphone) as page:
        expect(page.locator("#model")).to_have_text("cslm-mini")
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#phase")).to_have_text("Hearing you…")
        expect(page.locator(".question .words")).to_have_text(script.transcript)
        expect(page.locator(".answer .words")).to_have_text(script.answer)
        expect(page.locator("#phase")).to_have_text("Listening")
        assert number(page, "played-samples") == round(script.answer_s * RATE_HZ)
        # half a second of silence ends the turn; the stand-in takes three and a half stages to the first sound
        assert latency_ms(page) >= 500 + 3.5 * 1000 * script.stage_s
        page.locator(".timing summary").click()
        stages = page.locator(".stages li > span:first-child").all_inner_texts()
        assert [stage for stage in stages if stage != "Taking the question"] == [
            "Making sure you finished",
            "Hearing",
            "First words",
            "First sound",
            "Playing it",
            "Rest of the answer",
        ]
        assert number(page, "sent-ms") > 1500
        assert script.protocols == ["realtime", "cslm"]


def test_every_event_it_sends_is_of_the_protocol(url: str, script: Script) -> None:
    script.answer_s = 3
    with open_page(url) as page:
        ask(page, "one")
        until(lambda: number(page, "played-samples"), page)
        ask(page, "two")
        until(lambda: len(script.of("response.create")) == 2, page)
    assert {event["type"] for event in script.received} == set(CLIENT_EVENTS)
    for event in script.received:
        CLIENT_EVENTS[event["type"]].model_validate(event)


def test_speaking_interrupts_the_answer(url: str, script: Script, tmp_path: Path) -> None:
    script.answer_s = 10
    microphone = recording(tmp_path / "mic.wav", 0.3, "ask_sum_en", 4.0, "ask_sum_zh")
    with open_page(url, microphone=microphone) as page:
        page.get_by_role("button", name="Start talking").click()
        until(lambda: number(page, "played-samples"), page)
        [truncate] = until(lambda: script.of("conversation.item.truncate"), page)
        played = number(page, "played-samples")
        heard_ms = played * 1000 / RATE_HZ
        # counted in the audio thread, less what was still on its way through the device
        assert heard_ms - 200 < truncate["audio_end_ms"] <= heard_ms
        page.wait_for_timeout(200)
        assert number(page, "played-samples") == played
        first, second = page.locator(".turn").nth(0), page.locator(".turn").nth(1)
        expect(first.locator(".note")).to_contain_text("Interrupted after")
        heard, unheard = first.locator(".words").nth(1).text_content(), first.locator(".unheard").text_content()
        assert heard + unheard == script.answer
        assert unheard
        expect(second.locator(".answer .words")).to_have_text(script.answer)
        assert not script.of("response.cancel")


def test_a_typed_question_needs_no_microphone(url: str, script: Script) -> None:
    with open_page(url) as page:
        page.get_by_role("button", name="What is the capital of France?").click()
        expect(page.locator(".question .words")).to_have_text("What is the capital of France?")
        expect(page.locator(".answer .words")).to_have_text(script.answer)
        until(lambda: number(page, "played-samples") == round(script.answer_s * RATE_HZ), page)
        assert latency_ms(page) >= 2.5 * 1000 * script.stage_s
        assert not script.appended_samples


def test_escape_stops_the_answer_and_a_new_question_replaces_it(url: str, script: Script) -> None:
    script.answer_s = 20
    with open_page(url, width=390) as page:
        ask(page, "one")
        until(lambda: number(page, "played-samples"), page)
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Stop answer")).to_be_hidden()
        assert len(script.of("response.cancel")) == 1
        ask(page, "two")
        until(lambda: script.of("conversation.item.truncate"), page)
        until(lambda: len(script.of("response.create")) == 2, page)
        ask(page, "three")
        until(lambda: len(script.of("response.create")) == 3, page)
        # the second was stopped by the third: cancelled if it was still being made, and never answered side by side
        assert len(script.of("response.cancel")) == 2
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_question_before_the_last_one_was_taken_up_waits_for_it(url: str, script: Script) -> None:
    script.lag_s = 0.5
    with open_page(url) as page:
        ask(page, "one")
        until(lambda: script.of("response.create"), page)
        ask(page, "two")
        expect(page.locator(".turn").nth(1).locator(".answer .words")).to_have_text(script.answer)
        assert [one["type"] for one in script.received if one["type"].startswith("response.")] == [
            "response.create",
            "response.cancel",
            "response.create",
        ]


def test_of_questions_that_wait_the_last_is_shown_with_the_answer(url: str, script: Script) -> None:
    script.lag_s = 0.5
    with open_page(url) as page:
        ask(page, "one")
        until(lambda: script.of("response.create"), page)
        ask(page, "two")
        ask(page, "three")
        third = page.locator(".turn").nth(2)
        expect(third.locator(".answer .words")).to_have_text(script.answer)
        expect(page.locator(".turn").nth(1).locator(".note")).to_contain_text("Interrupted")
        ask(page, "four")
        expect(page.locator(".turn").nth(3).locator(".answer .words")).to_have_text(script.answer)
        assert len(script.of("response.create")) == 3


def test_speech_that_ends_while_a_typed_question_is_answered_is_answered_next(
    url: str, script: Script, tmp_path: Path
) -> None:
    script.answer_s = 10
    microphone = recording(tmp_path / "mic.wav", 0.3, "ask_sum_en")
    with open_page(url, microphone=microphone) as page:
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#phase")).to_have_text("Hearing you…")
        ask(page, "typed")
        until(lambda: len(script.of("response.create")) == 2, page)
        for turn in range(2):
            expect(page.locator(".turn").nth(turn).locator(".answer .words")).to_have_text(script.answer)


def test_reply_language_is_sent_at_once_and_remembered(url: str, script: Script) -> None:
    with open_page(url) as page:
        ask(page, "one")
        expect(page.locator("#connection")).to_contain_text("Connected")
        page.get_by_role("radio", name="中文").check()
        until(lambda: len(script.of("session.update")) == 2, page)
        assert script.of("session.update")[-1]["session"] == {"type": "realtime", "reply_language": "zh"}
        page.reload()
        expect(page.get_by_role("radio", name="中文")).to_be_checked()


def test_it_reconnects_and_tells_the_new_session_what_was_said(url: str, script: Script, tmp_path: Path) -> None:
    with open_page(url, microphone=recording(tmp_path / "mic.wav", 0.3, "ask_sum_en")) as page:
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator(".answer .words")).to_have_text(script.answer)
        expect(page.locator("#phase")).to_have_text("Listening")
        script.received.clear()
        script.hang_up()
        expect(page.locator("#connection")).to_contain_text("Reconnecting")
        expect(page.locator("#connection")).to_contain_text("Connected")
        replayed = until(
            lambda: script.of("conversation.item.create")[1:] and script.of("conversation.item.create"), page
        )
        assert [(e["item"]["role"], e["item"]["content"][0]["text"]) for e in replayed] == [
            ("user", script.transcript),
            ("assistant", script.answer),
        ]
        assert script.connections == 2
        expect(page.locator("#notice")).to_be_hidden()


def test_an_api_key_is_asked_for_and_never_left_in_the_address(url: str, script: Script) -> None:
    script.key = "sesame-123"
    with open_page(url, errors=True) as page:
        expect(page.get_by_role("alert")).to_contain_text("asks for an API key")
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("API key").fill("sesame-123")
        page.get_by_role("button", name="Done").click()
        expect(page.locator("#model")).to_have_text("cslm-mini")
        expect(page.locator("#notice")).to_be_hidden()
        ask(page, "one")
        expect(page.locator("#connection")).to_contain_text("Connected")
        assert script.protocols == ["realtime", "cslm", "openai-insecure-api-key.sesame-123"]
        page.goto("about:blank")
        page.goto(f"{url}/#key=sesame-123")
        expect(page.locator("#model")).to_have_text("cslm-mini")
        assert "sesame" not in page.url


def test_a_refused_microphone_is_explained(url: str) -> None:
    with open_page(url, allow_microphone=False) as page:
        page.get_by_role("button", name="Start talking").click()
        expect(page.get_by_role("alert")).to_contain_text("microphone")
        expect(page.get_by_role("button", name="Start talking")).to_be_enabled()
        expect(page.locator("#connection")).to_contain_text("Not connected")


def test_a_muted_microphone_sends_silence(url: str, script: Script, tmp_path: Path) -> None:
    with open_page(url, microphone=recording(tmp_path / "mic.wav", 3.0, "ask_sum_en")) as page:
        page.get_by_role("button", name="Start talking").click()
        page.get_by_role("button", name="Mute microphone").click()
        expect(page.locator("#phase")).to_have_text("Muted")
        until(lambda: script.appended_samples > 5 * RATE_HZ, page)
        expect(page.locator(".turn")).to_have_count(0)


def test_browsers_that_insist_on_the_device_rate(url: str, script: Script, tmp_path: Path) -> None:
    insist = """
      const Native = AudioContext;
      globalThis.AudioContext = class extends Native {
        constructor(options) {
          if (options?.sampleRate) throw new DOMException("no", "NotSupportedError");
          super({ ...options, sampleRate: 44100 });
        }
      };"""
    with open_page(url, microphone=recording(tmp_path / "mic.wav", 0.3, "ask_sum_en"), before=insist) as page:
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator(".answer .words")).to_have_text(script.answer)
        expect(page.locator("#phase")).to_have_text("Listening")
        assert number(page, "output-rate") == 44100
        # the filter's tail is played too: 16 samples at most
        assert 0 <= number(page, "played-samples") - script.answer_s * RATE_HZ <= 16


def test_everything_has_a_name(url: str) -> None:
    with open_page(url) as page:
        tree = page.locator("body").aria_snapshot()
        for line in (
            'link "Skip to the question box"',
            'button "Start talking"',
            "paragraph: Microphone off",
            'group "Answer in"',
            'radio "Auto" [checked]',
            'textbox "Type a question"',
            'button "Send question"',
            'button "Settings"',
            'log "Conversation"',
        ):
            assert line in tree, tree
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "text"


def test_samples_survive_resampling_and_the_wire(url: str) -> None:
    """Any split gives the same samples, and a tone comes out as the tone; PCM16 comes back as it went."""
    measure = """async ([fromHz, toHz]) => {
      const { Resampler } = await import("/assets/resample.js");
      const tone = (hz, n) => Float32Array.from({ length: n }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 1000 * i) / hz));
      const input = tone(fromHz, fromHz / 5);
      const whole = new Resampler(fromHz, toHz).push(input);
      const split = [];
      const resampler = new Resampler(fromHz, toHz);
      for (let at = 0, size = 1; at < input.length; at += size, size = (size * 7 + 3) % 131) {
        split.push(...resampler.push(input.subarray(at, at + size)));
      }
      const wanted = tone(toHz, whole.length);
      let error = 0;
      for (let i = 400; i < whole.length; i++) error = Math.max(error, Math.abs(whole[i] - wanted[i]));
      return { whole: whole.length, same: whole.every((x, i) => x === split[i]) && whole.length === split.length, error };
    }"""
    wire = """async () => {
      const { toBase64, fromBase64, toInt16 } = await import("/assets/pcm.js");
      const samples = Int16Array.from({ length: 65536 }, (_, i) => i - 32768);
      const back = fromBase64(toBase64(samples.buffer));
      return back.every((x, i) => toInt16(x) === samples[i]) && toInt16(2) === 32767 && toInt16(-2) === -32768;
    }"""
    with open_page(url) as page:
        for from_hz, to_hz in [(48_000, 24_000), (44_100, 24_000), (24_000, 44_100), (16_000, 24_000)]:
            got = page.evaluate(measure, [from_hz, to_hz])
            assert got["same"]
            assert abs(got["whole"] - to_hz / 5) < 40
            assert got["error"] < 1e-3
        assert page.evaluate(wire)
