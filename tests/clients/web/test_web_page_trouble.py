"""What can go wrong on the page, and what it says and does about it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect

from tests.chromium import open_page, recording
from tests.clients.web.scripted import RATE_HZ, Script
from tests.clients.web.test_web_page import ask, number, until

MICROPHONES = """
  globalThis.tracks = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    tracks.push(...stream.getAudioTracks());
    globalThis.wanted = wanted.audio;
    await globalThis.permission;
    return stream;
  };"""
"""Keeps the tracks that the page was given and what it asked for last; gives none before `permission`, where that is set."""


def test_a_page_that_is_not_secure_has_no_microphone_and_says_why(url: str, script: Script) -> None:
    address = f"http://talk.example:{urlsplit(url).port}"
    with open_page(address, more_flags=["--host-resolver-rules=MAP talk.example 127.0.0.1"]) as page:
        expect(page.get_by_role("alert")).to_contain_text("over https")
        page.get_by_role("button", name="Start talking").click()
        expect(page.get_by_role("alert")).to_contain_text("over https")
        expect(page.locator("#connection")).to_contain_text("Not connected")
        ask(page, "one")
        expect(page.locator(".answer .words")).to_have_text(script.answer)
        expect(page.locator("#phase")).to_have_text("Microphone off")
        assert script.of("session.update")[0]["session"]["output_modalities"] == ["text"]


def test_a_full_server_says_so_and_is_tried_again(url: str, script: Script, tmp_path: Path) -> None:
    script.full = True
    with open_page(url, errors=True, microphone=recording(tmp_path / "mic.wav", 60.0)) as page:
        page.get_by_role("button", name="Start talking").click()
        expect(page.get_by_role("alert")).to_have_text("All places of this server are taken. Trying again…")
        until(lambda: script.connections >= 3, page)
        expect(page.locator("#connection")).to_contain_text("Reconnecting in")
        script.full = False
        page.get_by_role("button", name="Try now").click()
        expect(page.locator("#connection")).to_contain_text("Connected")
        expect(page.locator("#notice")).to_be_hidden()
        assert page.evaluate("document.activeElement.id") == "talk"


def test_a_wrong_key_is_not_tried_again(url: str, script: Script, tmp_path: Path) -> None:
    with open_page(url, errors=True, microphone=recording(tmp_path / "mic.wav", 60.0)) as page:
        expect(page.locator("#model")).to_have_text("cslm-mini")
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#connection")).to_contain_text("Connected")
        script.key = "sesame"
        script.hang_up()
        expect(page.get_by_role("alert")).to_have_text("The server asks for an API key.")
        expect(page.locator("#connection")).to_contain_text("Not connected")
        expect(page.get_by_role("button", name="Start talking")).to_be_visible()
        attempts = script.connections
        page.get_by_role("button", name="Enter the key").click()
        expect(page.get_by_label("API key")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        ask(page, "one")
        expect(page.get_by_role("alert")).to_have_text("The server does not accept this API key.")
        expect(page.get_by_label("Type a question")).to_have_value("one")
        assert script.connections == attempts + 1
        page.get_by_role("button", name="Enter the key").click()
        page.keyboard.type("sesame")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Send question").click()
        expect(page.locator(".answer .words")).to_have_text(script.answer)


def test_a_connection_that_breaks_in_an_answer(url: str, script: Script) -> None:
    script.answer_s = 8
    with open_page(url) as page:
        ask(page, "What is seven plus five?")
        until(lambda: number(page, "played-samples"), page)
        script.hang_up()
        turn = page.locator(".turn").first
        expect(turn.locator(".note")).to_contain_text("The connection was lost.")
        expect(page.locator("#connection")).to_contain_text("Connected")
        expect(page.locator("#notice")).to_be_hidden()
        script.answer_s = 1
        turn.get_by_role("button", name="Ask again").click()
        expect(page.locator(".turn").nth(1).locator(".answer .words")).to_have_text(script.answer)
        told = [event["item"]["content"][0]["text"] for event in script.of("conversation.item.create")]
        assert told[0] == told[-1] == "What is seven plus five?"
        assert script.answer.startswith(told[2].strip())


def test_a_refused_question_holds_up_none_after_it(url: str, script: Script) -> None:
    script.refusal = "The model is not ready."
    with open_page(url) as page:
        ask(page, "one")
        expect(page.locator(".turn .note")).to_contain_text("The model is not ready.")
        expect(page.get_by_role("button", name="Stop answer")).to_be_hidden()
        script.refusal = None
        ask(page, "two")
        expect(page.locator(".turn").nth(1).locator(".answer .words")).to_have_text(script.answer)
        assert not script.of("response.cancel")


def test_words_are_shown_as_heard_when_they_are(url: str, script: Script) -> None:
    script.answer_s = 5
    with open_page(url) as page:
        ask(page, "one")
        until(lambda: number(page, "played-samples") > RATE_HZ, page)
        shown = "[...document.querySelectorAll('.answer .words, .answer .unheard')].map((e) => e.textContent)"
        heard, unheard = page.evaluate(shown)
        assert heard and unheard, "in the middle of the answer"
        assert heard + unheard == script.answer
        until(lambda: page.locator(".answer .words").inner_text() == script.answer, page)


def test_the_loudspeaker_can_be_chosen_and_is_remembered(url: str, script: Script, tmp_path: Path) -> None:
    watch = """
      globalThis.contexts = [];
      const Native = AudioContext;
      globalThis.AudioContext = class extends Native {
        constructor(options) { super(options); contexts.push(this); }
      };"""
    with open_page(url, before=watch, microphone=recording(tmp_path / "mic.wav", 60.0)) as page:
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#connection")).to_contain_text("Connected")
        page.get_by_role("button", name="Settings").click()
        loudspeakers = page.get_by_label("Loudspeaker")
        names = loudspeakers.locator("option").all_inner_texts()
        assert names[0] == "System default" and len(names) > 1, names
        loudspeakers.select_option(index=1)
        chosen = loudspeakers.input_value()
        until(lambda: page.evaluate("contexts[0].sinkId") == chosen, page)
        page.reload()
        ask(page, "one")
        until(lambda: page.evaluate("contexts[0]?.sinkId") == chosen, page)
        until(lambda: number(page, "played-samples") == round(script.answer_s * RATE_HZ), page)


def test_a_microphone_that_is_unplugged_is_replaced(url: str, script: Script, tmp_path: Path) -> None:
    with open_page(url, before=MICROPHONES, microphone=recording(tmp_path / "mic.wav", 60.0)) as page:
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#connection")).to_contain_text("Connected")
        assert page.evaluate("wanted.echoCancellation && wanted.noiseSuppression && wanted.autoGainControl")
        page.evaluate("tracks[0].stop(); tracks[0].dispatchEvent(new Event('ended'))")
        expect(page.get_by_role("alert")).to_contain_text("another one is used now")
        sent = script.appended_samples
        until(lambda: script.appended_samples > sent + RATE_HZ, page)
        assert page.evaluate("tracks.length") == 2


def test_a_microphone_that_is_lost_while_the_page_still_lists_devices_is_replaced(
    url: str, script: Script, tmp_path: Path
) -> None:
    listing = """
      const list = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
      const held = new Promise((resolve) => (globalThis.goOn = resolve));
      navigator.mediaDevices.enumerateDevices = async () => {
        globalThis.listing = globalThis.tracks.length > 0;
        await held;
        return list();
      };"""
    with open_page(url, before=MICROPHONES + listing, microphone=recording(tmp_path / "mic.wav", 60.0)) as page:
        page.get_by_role("button", name="Start talking").click()
        until(lambda: page.evaluate("globalThis.listing"), page)
        page.evaluate("tracks[0].stop(); tracks[0].dispatchEvent(new Event('ended')); goOn()")
        until(lambda: page.evaluate("tracks.length") == 2, page)
        expect(page.get_by_role("alert")).to_contain_text("another one is used now")


def test_a_muted_microphone_stays_muted_when_another_replaces_it(url: str, script: Script, tmp_path: Path) -> None:
    with open_page(url, before=MICROPHONES, microphone=recording(tmp_path / "mic.wav", 60.0)) as page:
        page.get_by_role("button", name="Start talking").click()
        expect(page.locator("#connection")).to_contain_text("Connected")
        page.locator("#mute").click()
        page.evaluate("tracks[0].stop(); tracks[0].dispatchEvent(new Event('ended'))")
        expect(page.get_by_role("alert")).to_contain_text("another one is used now")
        expect(page.locator("#phase")).to_have_text("Muted")
        assert page.evaluate("tracks[1].enabled") is False
        # and one that comes only after the user has ended the talk stays off
        page.evaluate("void (globalThis.permission = new Promise((resolve) => (globalThis.grant = resolve)))")
        page.evaluate("tracks[1].stop(); tracks[1].dispatchEvent(new Event('ended'))")
        until(lambda: page.evaluate("tracks.length") == 3, page)
        page.locator("#talk").click()
        page.evaluate("grant()")
        until(lambda: page.evaluate("tracks[2].readyState") == "ended", page)
        expect(page.locator("#phase")).to_have_text("Microphone off")
        expect(page.locator("#connection")).to_contain_text("Not connected")


def test_a_question_is_kept_while_the_sound_cannot_be_started(url: str, script: Script) -> None:
    once = """
      const load = AudioWorklet.prototype.addModule;
      AudioWorklet.prototype.addModule = async () => {
        AudioWorklet.prototype.addModule = load;
        throw new Error("no network");
      };"""
    with open_page(url, before=once) as page:
        ask(page, "one")
        expect(page.get_by_role("alert")).to_contain_text("Sound could not be started")
        expect(page.get_by_label("Type a question")).to_have_value("one")
        page.keyboard.press("Enter")
        until(lambda: number(page, "played-samples") == round(script.answer_s * RATE_HZ), page)


def test_a_question_without_an_answer_is_not_told_again(url: str, script: Script) -> None:
    script.stage_s = 30
    with open_page(url) as page:
        ask(page, "one")
        until(lambda: script.of("response.create"), page)
        script.hang_up()
        again = page.locator(".turn").first.get_by_role("button", name="Ask again")
        expect(page.locator("#connection")).to_contain_text("Connected")
        script.stage_s = 0.06
        again.click()
        expect(page.locator(".turn").nth(1).locator(".answer .words")).to_have_text(script.answer)
        assert len(script.of("conversation.item.create")) == 2


def test_a_voice_that_this_model_has_not_is_not_asked_for(url: str, script: Script) -> None:
    with open_page(url, before="localStorage.setItem('voice', 'robot')") as page:
        expect(page.locator("#model")).to_have_text("cslm-mini")
        ask(page, "one")
        until(lambda: script.of("session.update"), page)
        assert "voice" not in script.of("session.update")[0]["session"]["audio"]["output"]


def test_an_answer_that_falls_short_says_why(url: str, script: Script) -> None:
    with open_page(url) as page:
        for shortfall, said in (
            ("empty_answer", "The model has no answer to this."),
            ("nothing_to_answer", "The question has no words that the model knows."),
            ("unheard_of", "It fell short."),
        ):
            script.shortfall = shortfall
            ask(page, shortfall)
            expect(page.locator("article").last.locator(".note span")).to_have_text(said)
            expect(page.get_by_role("button", name="Ask again")).to_have_count(0)
        script.shortfall = None
        ask(page, "one more")
        expect(page.locator("article").last.locator(".answer .words")).to_have_text(script.answer)
        expect(page.locator("article").last.locator(".note")).to_be_hidden()
