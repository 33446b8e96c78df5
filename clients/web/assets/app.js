// The page: microphone → socket → loudspeaker, and what the user sees of it.

import { Connection } from "./connection.js";
import { ALREADY_ANSWERING, Conversation } from "./conversation.js";
import { Microphone, MicrophoneError, listDevices, unavailable } from "./microphone.js";
import * as panel from "./panel.js";
import { $ } from "./panel.js";
import { WIRE_RATE_HZ, fromBase64, toBase64 } from "./pcm.js";
import { realtimeAddress, refusal, servedModel } from "./server.js";
import { loadSettings, saveSetting } from "./settings.js";
import { Speaker } from "./speaker.js";
import { TurnList } from "./view.js";
import { stayAwake } from "./wake.js";

const FORMAT = { type: "audio/pcm", rate: WIRE_RATE_HZ };
const SILENT_FRAMES = 250; // 5 s of digital silence: a switch on the device, or the wrong device
const MODEL_RETRY_MS = 3_000;
const ECHO = "This microphone has no echo cancellation. Wear headphones, or the answer will interrupt itself.";
const UNUSED_MS = 120_000; // without a microphone, a connection is given back after this; the next question reopens it

const settings = loadSettings();
const conversation = new Conversation();
const turnList = new TurnList($("turns"), $("turn"), document.querySelector("main"));
const microphone = new Microphone();
const speaker = new Speaker();
const connection = new Connection((offer) => realtimeAddress(model, settings.key, offer));

let model = null;
let session = null; // as the server describes it, while connected
let live = false; // the microphone is on
let starting = false; // it is being asked for
let wanted = false; // it shall be on, once it is there
let muted = false;
let hearing = false; // the server hears the user speak
let responding = null; // the response under way: its id, before it has one that of the event which asked for it
let questionWaits = false; // a question waits for the running response to end
let sentSamples = 0;
let sentAt = 0;
let silentFrames = 0;
let unusedTimer = 0;
const playable = new Set(); // answers of this connection, less those that were interrupted

// ---- Server ----

async function findModel() {
  const found = await servedModel(settings.key);
  if (!found) return false;
  model = found.id;
  $("model").textContent = model;
  $("recorded").hidden = !found.recorded;
  const voices = found.voices ?? [];
  if (!voices.includes(settings.voice)) settings.voice = ""; // chosen of another model: this one has its own
  panel.offerVoices(voices, settings.voice);
  return true;
}

/** Before the first connection; a server that is still loading is asked again. */
async function prepare() {
  const problem = (await findModel()) ? null : await refusal(model, settings.key);
  if (connection.state !== "idle") return;
  if (problem) panel.notify(problem.text, { ...whatToDo(problem), about: "server" });
  else if (unavailable()) panel.notify(unavailable());
  else panel.hideNotice("server");
  if (problem?.passing) setTimeout(prepare, MODEL_RETRY_MS);
}

const ENTER_KEY = { label: "Enter the key", act: () => openSettings("key") };
const TRY_NOW = { label: "Try now", act: () => connection.open() };

const whatToDo = (problem) => (problem.key ? ENTER_KEY : {});

function configure() {
  const input = { format: FORMAT, turn_detection: { type: "server_vad", create_response: true, interrupt_response: true } };
  const output = settings.voice ? { format: FORMAT, voice: settings.voice } : { format: FORMAT };
  const session = { type: "realtime", audio: { input, output }, reply_language: settings.replyLanguage };
  if (!Speaker.possible) session.output_modalities = ["text"];
  connection.send({ type: "session.update", session });
}

connection.addEventListener("state", async ({ detail: { state, close, retryMs, pending, resumed, lost: lostAfterAll } }) => {
  panel.showConnection(state, retryMs);
  if (lostAfterAll) lost(true);
  if (resumed) wentOn();
  else if (state === "open") opened();
  if (state === "idle" || (state === "waiting" && !pending)) lost(state === "waiting");
  show();
  if (close) await explain(close);
});

/** Why the connection is gone. What will not pass by itself ends the attempts. */
async function explain({ code, reason, opened }) {
  if (code === 0) return panel.notify(reason, ENTER_KEY);
  const problem = await refusal(model, settings.key);
  if (connection.state !== "waiting" && connection.state !== "connecting") return;
  if (problem && !problem.passing) {
    connection.close();
    microphoneOff();
    panel.notify(problem.text, { ...whatToDo(problem), about: "server" });
    return;
  }
  const unexplained = reason ? `The connection was closed: ${reason}.` : "The connection was lost.";
  const refused = "The server is there, but something on the way does not let WebSockets through.";
  panel.notify(`${problem?.text ?? (opened ? unexplained : refused)} Trying again…`, { ...TRY_NOW, about: "server" });
}

function opened() {
  panel.hideNotice("server");
  if (!model) findModel();
  if (conversation.turns.length) panel.announce("Connected again.");
  sentSamples = 0;
  configure();
  conversation.replay().forEach((event) => connection.send(event));
  watchUse();
}

/** The same session, with all that was under way. */
function wentOn() {
  panel.hideNotice("server");
  panel.announce("Connected again.");
}

function lost(unexpectedly) {
  hearing = questionWaits = false;
  responding = session = null;
  speaker.end(conversation.active?.answerItemId); // what has arrived is still played
  playable.clear();
  conversation.disconnect(unexpectedly ? "The connection was lost." : null);
  turnList.keep(conversation.turns);
}

/** Gives the session back to the server when it has not been used for a while. */
function watchUse() {
  clearTimeout(unusedTimer);
  if (!live && !responding && !questionWaits && connection.state === "open") unusedTimer = setTimeout(() => connection.close(), UNUSED_MS);
}

connection.addEventListener("message", ({ detail: event }) => {
  const now = performance.now();
  const turn = conversation.apply(event, now, { voiceEndedMs: voiceEnded(event, now) });
  REACTIONS[event.type]?.(event, turn);
  if (turn) turnList.draw(turn);
  show();
});

const REACTIONS = {
  "session.queued": ({ position }) => panel.notify(`The server is full. Your place in the queue: ${position}.`, { about: "server" }),
  "session.created": (event) => (session = event.session),
  "session.updated": (event) => (session = event.session),
  "session.ending": () => panel.notify("The server is being restarted. The conversation goes on in a moment.", { about: "server" }),
  "input_audio_buffer.speech_started": () => {
    hearing = true;
    interrupt();
  },
  "input_audio_buffer.speech_stopped": () => (hearing = false),
  "input_audio_buffer.committed": () => (questionWaits ||= Boolean(responding)), // the server answers one at a time
  "conversation.item.input_audio_transcription.completed": ({ transcript }) => read(`You: ${transcript}`),
  "response.created": ({ response }) => {
    responding = response.id;
    drawAll(); // questions that waited before the one it answers are over
  },
  "response.output_item.added": ({ item }) => playable.add(item.id),
  "response.output_audio.delta": ({ item_id, delta }) => playable.has(item_id) && speaker.push(item_id, fromBase64(delta)),
  "response.output_audio.done": ({ item_id }) => speaker.end(item_id),
  "response.done": ({ response }, turn) => {
    if (turn?.answerItemId) speaker.end(turn.answerItemId);
    if (turn?.answer) read(`Answer: ${turn.answer}`);
    over(response.id);
  },
  error: ({ error }, turn) => {
    over(error?.event_id);
    drawAll();
    if (error?.code === ALREADY_ANSWERING) questionWaits = true;
    if (!turn && !HARMLESS.has(error?.code)) panel.notify(error?.message ?? "The server reported an error.");
  },
};

function drawAll() {
  for (const turn of conversation.turns) turnList.draw(turn);
}

// A race that the page lost, and the last words of a session: the next one opens by itself.
const HARMLESS = new Set(["response_cancel_not_active", "session_expired", "session_not_resumable", "server_stopping", ALREADY_ANSWERING]);

/** What was said, for screen readers, if the user wants that beside the voice. */
function read(text) {
  if (settings.read === "on") panel.announce(text);
}

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

/** A device that was unplugged is replaced by another, if there is one. */
microphone.addEventListener("lost", replaceMicrophone);

function replaceMicrophone() {
  startTalking("The microphone was disconnected; another one is used now.");
}

async function startTalking(remark) {
  wanted = true;
  if (starting) return;
  starting = true;
  panel.hideNotice();
  panel.showPhase("Allow the microphone in your browser…");
  try {
    if (unavailable()) throw new MicrophoneError(unavailable());
    await speaker.open();
    await microphone.start(speaker.context, settings.device);
    if (wanted) await goLive(remark);
    else microphoneOff();
  } catch (error) {
    microphoneOff();
    panel.notify(error instanceof MicrophoneError ? error.message : `Sound could not be started (${error.message}).`);
  }
  starting = false;
  if (live && microphone.ended) replaceMicrophone(); // lost meanwhile
}

async function goLive(remark) {
  mute(live && muted); // another device in the place of a muted one is muted too
  live = true;
  connection.open();
  watchUse();
  stayAwake(true);
  panel.announce("Microphone on.");
  if (remark) panel.notify(remark);
  else if (microphone.cancelsEcho === false) panel.notify(ECHO);
  await showDevices();
}

function stopTalking() {
  microphoneOff();
  interrupt();
  connection.close();
}

function microphoneOff() {
  microphone.stop();
  stayAwake(false);
  if (live) panel.announce("Microphone off.");
  live = wanted = false;
  watchUse();
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

/** Asks in writing; false where there is no connection to ask over, and the user has been told. */
async function ask(text) {
  try {
    await speaker.open();
  } catch (error) {
    panel.notify(`Sound could not be started (${error.message}).`);
    return false;
  }
  if (!(await connected())) return false;
  await stopAnswer();
  const id = newId("item");
  const content = [{ type: "input_text", text }];
  const sent = connection.send({ type: "conversation.item.create", event_id: id, item: { id, type: "message", role: "user", content } });
  if (!sent) {
    panel.notify("The connection is too slow at the moment; the question was not sent.");
    return false;
  }
  turnList.draw(conversation.ask(id, text, performance.now()));
  questionWaits = true;
  if (!responding) requestAnswer();
  show();
  return true;
}

function requestAnswer() {
  const id = newId("event");
  questionWaits = !connection.send({ type: "response.create", event_id: id, response: { metadata: { request: id } } });
  if (questionWaits) return;
  responding = id;
  conversation.request(id);
  watchUse();
}

/** A response has ended, or will not begin: what waits for it comes next. */
function over(id) {
  if (responding === id) responding = null;
  if (questionWaits && !responding) requestAnswer();
  watchUse();
}

function newId(kind) {
  return `${kind}_${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
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

for (const type of ["started", "progress", "finished"]) {
  speaker.addEventListener(type, ({ detail: { id, played = 0, rms } }) => {
    const turn = conversation.heard(id, (1000 * played) / WIRE_RATE_HZ, performance.now());
    if (turn) turnList.draw(turn);
    if (rms !== undefined) panel.showOutputLevel(rms);
  });
}

for (const type of ["started", "progress", "finished", "flushed", "underrun"]) speaker.addEventListener(type, show);

speaker.addEventListener("paused", () => {
  panel.notify("The system has paused the sound of this page.", { label: "Go on", act: () => speaker.open() });
});

// ---- What the user sees and does ----

function show() {
  panel.keepFocus(() => ($("stop").hidden = !responding && !speaker.busy));
  $("welcome").hidden = conversation.turns.length > 0;
  panel.showMicrophone({ live, muted, sounding: speaker.busy });
  panel.showPhase(phase());
  const { playedSamples, underruns, context } = speaker;
  const { cancelsEcho } = microphone;
  panel.showDetails({ sentSamples, playedSamples, underruns, outputHz: context?.sampleRate, sessionId: session?.id, cancelsEcho });
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
  panel.offerDevices("device", await listDevices("audioinput"), settings.device);
  panel.offerDevices("loudspeaker", await listDevices("audiooutput"), settings.loudspeaker);
}

function openSettings(focus) {
  show();
  showDevices();
  $("settings").showModal();
  if (focus) $(focus).select();
}

$("talk").addEventListener("click", () => (live ? stopTalking() : startTalking()));
$("mute").addEventListener("click", () => mute(!muted));
$("stop").addEventListener("click", stopAnswer);
$("notice").querySelector(".dismiss").addEventListener("click", () => panel.hideNotice());
$("open-settings").addEventListener("click", () => openSettings());

$("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  if (!(await ask(text))) $("text").value ||= text;
});

// Timings that unfold below the edge come into view.
$("turns").addEventListener("toggle", ({ target }) => target.open && target.scrollIntoView({ block: "nearest" }), true);

$("examples").addEventListener("click", ({ target }) => target.matches("button") && ask(target.textContent));

$("turns").addEventListener("click", ({ target }) => {
  if (target.matches(".again")) ask(target.closest(".turn").querySelector(".question .words").textContent);
});

$("reply-language").addEventListener("change", ({ target }) => {
  saveSetting(settings, "replyLanguage", target.value);
  connection.send({ type: "session.update", session: { type: "realtime", reply_language: target.value } });
});

$("device").addEventListener("change", async ({ target }) => {
  saveSetting(settings, "device", target.value);
  if (live) await startTalking();
});

$("loudspeaker").addEventListener("change", ({ target }) => {
  saveSetting(settings, "loudspeaker", target.value);
  speaker.use(target.value);
});

$("announce-on").addEventListener("change", ({ target }) => saveSetting(settings, "read", target.checked ? "on" : "off"));

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
$("announce-on").checked = settings.read === "on";
$("loudspeaker-row").hidden = !Speaker.choosable;
speaker.use(settings.loudspeaker);
for (const radio of $("reply-language").querySelectorAll("input")) radio.checked = radio.value === settings.replyLanguage;
show();
prepare();
