// Everything on the page but the turns: state, level, notices, settings. Shows what it is told.

import { WIRE_RATE_HZ } from "./pcm.js";
import { seconds } from "./view.js";

export const $ = (id) => document.getElementById(id);

const CONNECTION = { idle: "Not connected", connecting: "Connecting…", open: "Connected", waiting: "Reconnecting…" };
const FLOOR_DB = 60;

export function showConnection(state) {
  $("connection").dataset.state = state;
  $("connection").querySelector(".text").textContent = CONNECTION[state];
}

export function showPhase(text) {
  if ($("phase").textContent !== text) $("phase").textContent = text; // a live region: said only when it changes
}

export function showMicrophone({ live, muted }) {
  document.body.classList.toggle("live", live);
  document.body.classList.toggle("muted", live && muted);
  $("talk").setAttribute("aria-pressed", String(live));
  $("talk").querySelector(".label").textContent = live ? "End" : "Start talking";
  $("mute").hidden = !live;
  $("mute").setAttribute("aria-pressed", String(muted));
}

/** `rms` of the last frame, in [0, 1]; shown in decibels. */
export function showLevel(rms) {
  const level = rms > 0 ? Math.max(0, Math.min(1, 1 + (20 * Math.log10(rms)) / FLOOR_DB)) : 0;
  $("level").style.setProperty("--level", level.toFixed(3));
  $("level").setAttribute("aria-valuenow", String(Math.round(level * 10) * 10));
}

export function showDetails({ sentSamples, playedSamples, underruns, outputHz, sessionId }) {
  detail("sent-ms", Math.round((1000 * sentSamples) / WIRE_RATE_HZ), seconds);
  detail("played-samples", playedSamples, (samples) => seconds((1000 * samples) / WIRE_RATE_HZ));
  detail("underruns", underruns, String);
  detail("output-rate", outputHz ?? 0, (hz) => (hz ? `${hz} Hz` : "not open"));
  $("session-id").textContent = sessionId ?? "none";
}

function detail(id, value, format) {
  $(id).dataset.value = value;
  $(id).textContent = format(value);
}

export function notify(text) {
  $("notice").querySelector("p").textContent = text;
  $("notice").hidden = false;
}

export function hideNotice() {
  $("notice").hidden = true;
}

/** Says `text` to screen readers, if the user wants that. */
export function announce(text) {
  if ($("announce-on").checked) $("announce").textContent = text;
}

export function offerMicrophones(devices, chosen) {
  const options = devices.map(({ deviceId, label }, n) => new Option(label || `Microphone ${n + 1}`, deviceId));
  $("device").replaceChildren(new Option("System default", ""), ...options);
  $("device").value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}

export function offerVoices(voices, chosen) {
  $("voice").replaceChildren(...voices.map((name) => new Option(name, name, false, name === chosen)));
  $("voice-row").hidden = voices.length < 2;
}
