// Everything on the page but the turns: state, level, notices, settings. Shows what it is told.

import { WIRE_RATE_HZ } from "./pcm.js";
import { Scope, height } from "./scope.js";
import { seconds } from "./view.js";

export const $ = (id) => document.getElementById(id);

const CONNECTION = { idle: "Not connected", connecting: "Connecting…", open: "Connected", waiting: "Reconnecting…" };

const scope = new Scope($("scope"));
let countdown;

/** `retryMs`: until the next attempt, of the state `waiting`. */
export function showConnection(state, retryMs) {
  clearInterval(countdown);
  $("connection").dataset.state = state;
  const text = $("connection").querySelector(".text");
  text.textContent = CONNECTION[state];
  if (!retryMs) return;
  const due = performance.now() + retryMs;
  const tick = () => (text.textContent = `Reconnecting in ${Math.max(1, Math.ceil((due - performance.now()) / 1000))} s`);
  tick();
  countdown = setInterval(tick, 250);
}

export function showPhase(text) {
  $("phase").textContent = text;
}

export function showMicrophone({ live, muted, sounding }) {
  document.body.classList.toggle("sounding", sounding);
  document.body.classList.toggle("live", live);
  document.body.classList.toggle("muted", live && muted);
  $("talk").querySelector(".label").textContent = live ? "End" : "Start talking";
  $("mute").hidden = !live;
  $("mute").setAttribute("aria-pressed", String(muted));
}

/** `rms` of the last frame of the microphone, in [0, 1]; shown in decibels. */
export function showLevel(rms) {
  scope.show("heard", rms);
  $("level").setAttribute("aria-valuenow", String(Math.round(height(rms) * 10) * 10));
}

/** `rms` of what the loudspeaker plays. */
export function showOutputLevel(rms) {
  scope.show("said", rms);
}

export function showDetails({ sentSamples, playedSamples, underruns, outputHz, sessionId, cancelsEcho }) {
  detail("sent-ms", Math.round((1000 * sentSamples) / WIRE_RATE_HZ), seconds);
  detail("played-samples", playedSamples, (samples) => seconds((1000 * samples) / WIRE_RATE_HZ));
  detail("underruns", underruns, String);
  detail("output-rate", outputHz ?? 0, (hz) => (hz ? `${hz} Hz` : "not open"));
  detail("echo", cancelsEcho ?? "", (on) => ({ true: "on", false: "off" })[on] ?? "unknown");
  $("session-id").textContent = sessionId ?? "none";
}

function detail(id, value, format) {
  $(id).dataset.value = value;
  $(id).textContent = format(value);
}

/** Tells the user what is wrong. `label`, `act`: one thing to do about it; `about`: what `hideNotice` knows it by. */
export function notify(text, { label = "", act, about = "" } = {}) {
  $("notice").hidden = false; // before the text: an alert is announced when it changes while it is there
  $("notice").dataset.about = about;
  $("notice").querySelector("p").textContent = text;
  const button = $("notice").querySelector(".action");
  button.hidden = !act;
  button.textContent = label;
  button.onclick = () => (hideNotice(), act());
}

/** Hides the notice, whatever it is about or only one that is about that. */
export function hideNotice(about) {
  if (about !== undefined && $("notice").dataset.about !== about) return;
  keepFocus(() => ($("notice").hidden = true));
  $("notice").querySelector("p").textContent = "";
}

/** Runs `change`, which may hide what has the focus: it then goes to the button that everything starts with. */
export function keepFocus(change) {
  const focused = document.activeElement;
  change();
  if (focused !== document.body && focused.checkVisibility?.() === false) $("talk").focus();
}

/** Says `text` to screen readers. */
export function announce(text) {
  $("announce").textContent = text;
}

/** Fills a choice of devices; the system's own is always one. */
export function offerDevices(id, devices, chosen) {
  const options = devices.map(({ deviceId, label }, n) => new Option(label || `Device ${n + 1}`, deviceId));
  $(id).replaceChildren(new Option("System default", ""), ...options);
  $(id).value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}

export function offerVoices(voices, chosen) {
  $("voice").replaceChildren(...voices.map((name) => new Option(name, name, false, name === chosen)));
  $("voice-row").hidden = voices.length < 2;
}
