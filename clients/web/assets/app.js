// The page: microphone → socket → loudspeaker, and what the user sees of it.

import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Microphone, MicrophoneError, listMicrophones } from "./microphone.js";
import * as panel from "./panel.js";
import { $ } from "./panel.js";
import { WIRE_RATE_HZ, fromBase64, toBase64 } from "./pcm.js";
import { realtimeAddress, servedModel, whyClosed } from "./server.js";
import { loadSettings, saveSetting } from "./settings.js";
import { Speaker } from "./speaker.js";
import { TurnList } from "./view.js";

const FORMAT = { type: "audio/pcm", rate: WIRE_RATE_HZ };
const SILENT_FRAMES = 250; // 5 s of digital silence: a switch on the device, or the wrong device
const MODEL_RETRY_MS = 3_000;
const UNUSED_MS = 120_000; // without a microphone, a connection is given back after this; the next question reopens it

const settings = loadSettings();
const conversation = new Conversation();
const turnList = new TurnList($("turns"), $("turn"), document.querySelector("main"));
const microphone = new Microphone();
const speaker = new Speaker();
const connection = new Connection(() => realtimeAddress(model, settings.key));

let model = null;
let session = null; // as the server describes it, while connected
let live = false; // the microphone is on
let muted = false;
let hearing = false; // the server hears the user speak
let responding = null; // id of the response the server is producing
let questionWaits = false; // a typed question waits for the running response to end
let sentSamples = 0;
let sentAt = 0;
let silentFrames = 0;
let unusedTimer = 0;
const playable = new Set(); // answers of this connection, less those that were interrupted

// ---- Server ----

async function findModel() {
  const found = await servedModel(settings.key);
  if (found.model) {
    model = found.model.id;
    $("model").textContent = model;
    panel.offerVoices(found.model.voices ?? [], settings.voice);
  }
  return found;
}

/** Before the first connection; a server that is still loading is asked again. */
async function prepare() {
  const { problem, passing } = await findModel();
  if (connection.state !== "idle") return;
  if (problem) panel.notify(problem);
  else panel.hideNotice();
  if (passing) setTimeout(prepare, MODEL_RETRY_MS);
}

function configure() {
  const input = { format: FORMAT, turn_detection: { type: "server_vad", create_response: true, interrupt_response: true } };
  const output = settings.voice ? { format: FORMAT, voice: settings.voice } : { format: FORMAT };
  const { replyLanguage } = settings;
  connection.send({ type: "session.update", session: { type: "realtime", audio: { input, output }, reply_language: replyLanguage } });
}

connection.addEventListener("state", async ({ detail: { state, close } }) => {
  panel.showConnection(state);
  if (state === "open") opened();
  if (state === "idle" || state === "waiting") lost(state === "waiting");
  show();
  if (!close) return;
  const reason = whyClosed(close, await findModel());
  if (connection.state !== "open") panel.notify(state === "waiting" ? `${reason} Trying again…` : reason);
});

function opened() {
  panel.hideNotice();
  sentSamples = 0;
  configure();
  conversation.replay().forEach((event) => connection.send(event));
}

function lost(unexpectedly) {
  hearing = questionWaits = false;
  responding = session = null;
  playable.clear();
  conversation.disconnect(unexpectedly ? "The connection was lost." : null);
  turnList.keep(conversation.turns);
}

/** Gives the session back to the server when it has not been used for a while. */
function watchUse() {
  clearTimeout(unusedTimer);
  if (!live && connection.state === "open" && !responding) unusedTimer = setTimeout(() => connection.close(), UNUSED_MS);
}

connection.addEventListener("message", ({ detail: event }) => {
  const now = performance.now();
  const turn = conversation.apply(event, now, { voiceEndedMs: voiceEnded(event, now) });
  REACTIONS[event.type]?.(event, turn);
  if (turn) turnList.draw(turn);
  show();
});

const REACTIONS = {
  "session.created": (event) => (session = event.session),
  "session.updated": (event) => (session = event.session),
  "input_audio_buffer.speech_started": () => {
    hearing = true;
    interrupt();
  },
  "input_audio_buffer.speech_stopped": () => (hearing = false),
  "conversation.item.input_audio_transcription.completed": ({ transcript }) => panel.announce(`You: ${transcript}`),
  "response.created": ({ response }) => (responding = response.id),
  "response.output_item.added": ({ item }) => playable.add(item.id),
  "response.output_audio.delta": ({ item_id, delta }) => playable.has(item_id) && speaker.push(item_id, fromBase64(delta)),
  "response.output_audio.done": ({ item_id }) => speaker.end(item_id),
  "response.done": ({ response }, turn) => {
    if (responding === response.id) responding = null;
    if (turn?.answerItemId) speaker.end(turn.answerItemId);
    if (turn?.answer) panel.announce(`Answer: ${turn.answer}`);
    if (questionWaits) answerTyped();
    watchUse();
  },
  error: ({ error }, turn) => {
    if (!turn && error?.code !== "response_cancel_not_active") panel.notify(error?.message ?? "The server reported an error.");
  },
};

/** When the voice ended: the server names the sample, the silence it waited for is known, and we know when we sent it. */
function voiceEnded(event, now) {
  if (event.type !== "input_audio_buffer.speech_stopped" || !sentSamples) return undefined;
  const silenceMs = session?.audio?.input?.turn_detection?.silence_duration_ms ?? 0;
  const behindMs = (1000 * sentSamples) / WIRE_RATE_HZ - (event.audio_end_ms - silenceMs);
  return Math.min(now, sentAt - Math.max(0, behindMs));
}

// ---- Talking ----

microphone.addEventListener("frame", ({ detail: { buffer, rms } }) => {
  panel.showLevel(rms);
  silentFrames = rms === 0 && !muted ? silentFrames + 1 : 0;
  if (silentFrames === SILENT_FRAMES) {
    panel.notify("The microphone delivers only silence. Is it switched off, or is another one chosen in the settings?");
  }
  if (!connection.send({ type: "input_audio_buffer.append", audio: toBase64(buffer) })) return;
  sentSamples += buffer.byteLength / 2;
  sentAt = performance.now();
});

microphone.addEventListener("lost", () => {
  stopTalking();
  panel.notify("The microphone was disconnected.");
});

async function startTalking() {
  $("talk").disabled = true;
  panel.hideNotice();
  panel.showPhase("Allow the microphone in your browser…");
  try {
    await speaker.open();
    await microphone.start(speaker.context, settings.device);
    live = true;
    mute(false);
    connection.open();
    await showDevices();
  } catch (error) {
    microphoneOff();
    panel.notify(error instanceof MicrophoneError ? error.message : `Sound could not be started (${error.message}).`);
  }
  $("talk").disabled = false;
}

function stopTalking() {
  microphoneOff();
  interrupt();
  connection.close();
}

function microphoneOff() {
  microphone.stop();
  live = false;
  panel.showLevel(0);
  show();
}

function mute(on) {
  muted = on;
  silentFrames = 0;
  microphone.mute(on);
  show();
}

/** Ends the answer under way or being heard at once, and tells the server how much of it was heard. */
async function interrupt() {
  const running = conversation.active?.answerItemId;
  const known = new Set(playable);
  playable.delete(running);
  if (!speaker.busy) return;
  const { id, heardMs } = await speaker.flush();
  if (!id) return;
  playable.delete(id);
  if (known.has(id)) connection.send({ type: "conversation.item.truncate", item_id: id, content_index: 0, audio_end_ms: heardMs });
  const turn = conversation.interrupt(id, heardMs);
  if (turn) turnList.draw(turn);
  show();
}

/** By key or button, unlike by voice, the server has to be told to stop. */
function stopAnswer() {
  if (responding) connection.send({ type: "response.cancel" });
  return interrupt();
}

async function ask(text) {
  await speaker.open();
  if (!(await connected())) return;
  await stopAnswer();
  const id = `item_${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
  const content = [{ type: "input_text", text }];
  connection.send({ type: "conversation.item.create", item: { id, type: "message", role: "user", content } });
  turnList.draw(conversation.ask(id, text, performance.now()));
  questionWaits = true;
  if (!responding) answerTyped();
  show();
}

function answerTyped() {
  questionWaits = false;
  connection.send({ type: "response.create" });
}

/** Opens the connection if need be; false if that failed, and the user has been told. */
function connected() {
  if (connection.state === "open") return true;
  return new Promise((resolve) => {
    const settle = ({ detail: { state } }) => {
      if (state === "connecting") return;
      connection.removeEventListener("state", settle);
      resolve(state === "open");
    };
    connection.addEventListener("state", settle);
    connection.open();
  });
}

speaker.addEventListener("started", ({ detail: { id } }) => {
  const turn = conversation.heard(id, performance.now());
  if (turn) turnList.draw(turn);
});

for (const type of ["started", "progress", "finished", "flushed", "underrun"]) speaker.addEventListener(type, show);

// ---- What the user sees and does ----

function show() {
  $("stop").hidden = !responding && !speaker.busy;
  $("welcome").hidden = conversation.turns.length > 0;
  panel.showMicrophone({ live, muted });
  panel.showPhase(phase());
  const { playedSamples, underruns, context } = speaker;
  panel.showDetails({ sentSamples, playedSamples, underruns, outputHz: context?.sampleRate, sessionId: session?.id });
}

function phase() {
  if (connection.state === "waiting" || connection.state === "connecting") return "Waiting for the server…";
  if (hearing) return "Hearing you…";
  if (speaker.busy) return "Answering";
  if (responding || conversation.turns.at(-1)?.status === "asked") return "Thinking…";
  if (!live) return "Microphone off";
  return muted ? "Muted" : "Listening";
}

async function showDevices() {
  panel.offerMicrophones(await listMicrophones(), settings.device);
}

$("talk").addEventListener("click", () => (live ? stopTalking() : startTalking()));
$("mute").addEventListener("click", () => mute(!muted));
$("stop").addEventListener("click", stopAnswer);
$("notice").querySelector("button").addEventListener("click", panel.hideNotice);
$("open-settings").addEventListener("click", () => {
  showDevices();
  $("settings").showModal();
});

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  ask(text);
});

$("examples").addEventListener("click", ({ target }) => target.matches("button") && ask(target.textContent));

$("reply-language").addEventListener("change", ({ target }) => {
  saveSetting(settings, "replyLanguage", target.value);
  connection.send({ type: "session.update", session: { type: "realtime", reply_language: target.value } });
});

$("device").addEventListener("change", async ({ target }) => {
  saveSetting(settings, "device", target.value);
  if (live) await startTalking();
});

$("voice").addEventListener("change", ({ target }) => {
  saveSetting(settings, "voice", target.value);
  configure();
});

$("key").addEventListener("change", ({ target }) => {
  saveSetting(settings, "key", target.value.trim());
  if (connection.state === "waiting") connection.open();
  else prepare();
});

document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !$("settings").open && !$("stop").hidden) stopAnswer();
});

navigator.mediaDevices?.addEventListener("devicechange", showDevices);

$("key").value = settings.key;
for (const radio of $("reply-language").querySelectorAll("input")) radio.checked = radio.value === settings.replyLanguage;
show();
prepare();
