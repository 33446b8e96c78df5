// The page: microphone → socket → loudspeaker, and what the user sees of it.

import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Microphone, MicrophoneError, listMicrophones } from "./microphone.js";
import { WIRE_RATE_HZ, fromBase64, toBase64 } from "./pcm.js";
import { Speaker } from "./speaker.js";
import { TurnList, seconds } from "./view.js";

const $ = (id) => document.getElementById(id);
const FORMAT = { type: "audio/pcm", rate: WIRE_RATE_HZ };
const SILENCE_HINT_FRAMES = 250; // 5 s of digital silence: a switch on the device, or the wrong device

const conversation = new Conversation();
const turnList = new TurnList($("turns"), $("turn"), document.querySelector("main"));
const microphone = new Microphone();
const speaker = new Speaker();
const connection = new Connection(address);
const settings = loadSettings();

let model = null;
let session = null;
let live = false; // the microphone is on
let muted = false;
let hearing = false; // the server hears the user speak
let responding = null; // id of the response the server is producing
let waitingQuestion = false; // a typed question waits for the running response to end
let sentSamples = 0;
let sentAt = 0;
let silentFrames = 0;
const dropped = new Set(); // answers that were interrupted: what still comes of them is not played

// ---- Server ----

function address() {
  const url = new URL("v1/realtime", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  url.search = "";
  if (model) url.searchParams.set("model", model);
  const protocols = ["realtime"];
  if (settings.key) protocols.push(`openai-insecure-api-key.${settings.key}`);
  return { url, protocols };
}

/** Which model is served; says what is wrong if that cannot be found out. */
async function lookUpModel() {
  const headers = settings.key ? { Authorization: `Bearer ${settings.key}` } : {};
  let response;
  try {
    response = await fetch("v1/models", { headers });
  } catch {
    return "The server does not answer.";
  }
  if (response.status === 401 || response.status === 403) {
    return settings.key ? "The server does not accept this API key. Change it in the settings." : "The server asks for an API key. Enter it in the settings.";
  }
  const models = response.ok ? ((await response.json()).data ?? []) : [];
  if (!models.length) return "The server has no model ready yet.";
  model = models[0].id;
  $("model").textContent = model;
  offerVoices(models[0].voices ?? []);
  return null;
}

function offerVoices(voices) {
  $("voice").replaceChildren(...voices.map((name) => new Option(name, name, false, name === settings.voice)));
  $("voice-row").hidden = voices.length < 2;
}

function sessionUpdate() {
  const voice = settings.voice ? { voice: settings.voice } : {};
  return {
    type: "session.update",
    session: {
      type: "realtime",
      audio: {
        input: { format: FORMAT, turn_detection: { type: "server_vad", create_response: true, interrupt_response: true } },
        output: { format: FORMAT, ...voice },
      },
      reply_language: settings.replyLanguage,
    },
  };
}

connection.addEventListener("state", async ({ detail: { state, close, retryMs } }) => {
  const texts = { idle: "Not connected", connecting: "Connecting…", open: "Connected", waiting: "Reconnecting…" };
  $("connection").dataset.state = state;
  $("connection").querySelector(".text").textContent = texts[state];
  if (state === "open") opened();
  if (state === "idle" || state === "waiting") lost();
  if (close) notify(await explained(close), { retryMs });
  showPhase();
});

function opened() {
  hideNotice();
  sentSamples = 0;
  connection.send(sessionUpdate());
  conversation.replay().forEach((event) => connection.send(event));
}

function lost() {
  hearing = false;
  responding = null;
  waitingQuestion = false;
  session = null;
  conversation.disconnect();
  turnList.keep(conversation.turns);
}

async function explained({ code, reason }) {
  if (code === 0) return reason;
  if (code === 1013) return "The server is full at the moment.";
  const known = await lookUpModel();
  return known ?? (reason || "The connection was lost.");
}

connection.addEventListener("message", ({ detail: event }) => {
  const now = performance.now();
  const turn = conversation.apply(event, now, { voiceEndedMs: voiceEnded(event, now) });
  REACTIONS[event.type]?.(event, turn);
  if (turn) turnList.draw(turn);
  showPhase();
});

const REACTIONS = {
  "session.created": (event) => remember(event.session),
  "session.updated": (event) => remember(event.session),
  "input_audio_buffer.speech_started": () => {
    hearing = true;
    interrupt();
  },
  "input_audio_buffer.speech_stopped": () => {
    hearing = false;
  },
  "conversation.item.input_audio_transcription.completed": ({ transcript }) => announce(`You: ${transcript}`),
  "response.created": ({ response }) => {
    responding = response.id;
  },
  "response.output_audio.delta": ({ item_id, delta }) => {
    if (!dropped.has(item_id)) speaker.push(item_id, fromBase64(delta));
  },
  "response.output_audio.done": ({ item_id }) => speaker.end(item_id),
  "response.done": ({ response }, turn) => {
    if (responding === response.id) responding = null;
    if (turn?.answerItemId) speaker.end(turn.answerItemId);
    if (turn?.answer) announce(`Answer: ${turn.answer}`);
    if (waitingQuestion) answerTyped();
  },
  error: ({ error }) => {
    if (error?.code !== "response_cancel_not_active") notify(error?.message ?? "The server reported an error.");
  },
};

function remember(described) {
  session = described;
  $("session-id").textContent = described?.id ?? "unnamed";
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
  showLevel(rms);
  watchSilence(rms);
  if (!connection.send({ type: "input_audio_buffer.append", audio: toBase64(buffer) })) return;
  sentSamples += buffer.byteLength / 2;
  sentAt = performance.now();
});

microphone.addEventListener("lost", () => {
  stopTalking();
  notify("The microphone was disconnected.");
});

async function startTalking() {
  $("talk").disabled = true;
  hideNotice();
  phase("Allow the microphone in your browser…");
  try {
    await speaker.open();
    await microphone.start(speaker.context, settings.device);
    live = true;
    silentFrames = 0;
    mute(false);
    connection.open();
    listDevices();
  } catch (error) {
    stopTalking();
    notify(error instanceof MicrophoneError ? error.message : `Sound could not be started (${error.message}).`);
  }
  $("talk").disabled = false;
  showTalk();
}

function stopTalking() {
  microphone.stop();
  live = false;
  showLevel(0);
  interrupt();
  connection.close();
  showTalk();
}

function mute(on) {
  muted = on;
  microphone.mute(on);
  silentFrames = 0;
  showTalk();
}

/** Ends the answer that is being heard, and tells the server how much of it was. */
async function interrupt() {
  const turn = conversation.active;
  if (!speaker.busy) return;
  if (turn?.answerItemId) dropped.add(turn.answerItemId);
  const { id, heardMs } = await speaker.flush();
  if (!id) return;
  dropped.add(id);
  connection.send({ type: "conversation.item.truncate", item_id: id, content_index: 0, audio_end_ms: heardMs });
  const cut = conversation.interrupt(id, heardMs);
  if (cut) turnList.draw(cut);
  showPhase();
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
  const id = `item_${crypto.getRandomValues(new Uint32Array(3)).join("")}`.slice(0, 32);
  connection.send({
    type: "conversation.item.create",
    item: { id, type: "message", role: "user", content: [{ type: "input_text", text }] },
  });
  turnList.draw(conversation.ask(id, text, performance.now()));
  waitingQuestion = true;
  if (!responding) answerTyped();
}

function answerTyped() {
  waitingQuestion = false;
  connection.send({ type: "response.create" });
  showPhase();
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

for (const type of ["started", "progress", "finished", "flushed", "underrun"]) {
  speaker.addEventListener(type, ({ detail: { id } }) => {
    if (type === "started") {
      const turn = conversation.heard(id, performance.now());
      if (turn) turnList.draw(turn);
    }
    showPhase();
    showDetails();
  });
}

// ---- What the user sees ----

function showPhase() {
  $("stop").hidden = !responding && !speaker.busy;
  $("welcome").hidden = conversation.turns.length > 0;
  phase(phaseText());
  showDetails();
}

function phaseText() {
  if (connection.state === "waiting" || connection.state === "connecting") return "Waiting for the server…";
  if (hearing) return "Hearing you…";
  if (speaker.busy) return live && !muted ? "Speaking. Talk to interrupt." : "Speaking";
  if (responding || conversation.turns.at(-1)?.status === "asked") return "Thinking…";
  if (!live) return "Your microphone is off";
  return muted ? "Muted" : "Listening";
}

function phase(text) {
  if ($("phase").textContent !== text) $("phase").textContent = text;
}

function showTalk() {
  document.body.classList.toggle("live", live);
  document.body.classList.toggle("muted", live && muted);
  $("talk").setAttribute("aria-pressed", String(live));
  $("talk").querySelector(".label").textContent = live ? "End" : "Start talking";
  $("mute").hidden = !live;
  $("mute").setAttribute("aria-pressed", String(muted));
  showPhase();
}

function showLevel(rms) {
  const level = rms > 0 ? Math.max(0, Math.min(1, 1 + (20 * Math.log10(rms)) / 60)) : 0;
  $("level").style.setProperty("--level", level.toFixed(3));
  $("level").setAttribute("aria-valuenow", String(Math.round(level * 10) * 10));
}

function watchSilence(rms) {
  silentFrames = rms === 0 && !muted ? silentFrames + 1 : 0;
  if (silentFrames === SILENCE_HINT_FRAMES) {
    notify("The microphone delivers only silence. Is it switched off, or is another one chosen in the settings?");
  }
}

function showDetails() {
  detail("sent-ms", Math.round((1000 * sentSamples) / WIRE_RATE_HZ), (ms) => seconds(ms));
  detail("played-samples", speaker.playedSamples, (samples) => seconds((1000 * samples) / WIRE_RATE_HZ));
  detail("underruns", speaker.underruns, String);
  if (speaker.context) $("output-rate").textContent = `${speaker.context.sampleRate} Hz`;
}

function detail(id, value, format) {
  $(id).dataset.value = value;
  $(id).textContent = format(value);
}

function notify(text, { retryMs } = {}) {
  $("notice").querySelector("p").textContent = retryMs ? `${text} Trying again…` : text;
  $("notice").hidden = false;
}

function hideNotice() {
  $("notice").hidden = true;
}

function announce(text) {
  if ($("announce-on").checked) $("announce").textContent = text;
}

async function listDevices() {
  const devices = await listMicrophones();
  const chosen = settings.device ?? "";
  $("device").replaceChildren(
    new Option("System default", ""),
    ...devices.map(({ deviceId, label }, n) => new Option(label || `Microphone ${n + 1}`, deviceId)),
  );
  $("device").value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}

// ---- Settings ----

function loadSettings() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) {
    sessionStorage.setItem("key", key);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return {
    key: sessionStorage.getItem("key") ?? "",
    device: localStorage.getItem("device") || null,
    voice: localStorage.getItem("voice") || null,
    replyLanguage: localStorage.getItem("replyLanguage") ?? "auto",
  };
}

/** The key stays in this tab; the rest is kept for the next visit. */
function keep(name, value) {
  settings[name] = value;
  (name === "key" ? sessionStorage : localStorage).setItem(name, value ?? "");
}

$("talk").addEventListener("click", () => (live ? stopTalking() : startTalking()));
$("mute").addEventListener("click", () => mute(!muted));
$("stop").addEventListener("click", stopAnswer);
$("notice").querySelector("button").addEventListener("click", hideNotice);
$("open-settings").addEventListener("click", () => {
  listDevices();
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
  keep("replyLanguage", target.value);
  connection.send({ type: "session.update", session: { type: "realtime", reply_language: target.value } });
});

$("device").addEventListener("change", async ({ target }) => {
  keep("device", target.value);
  if (live) await startTalking();
});

$("voice").addEventListener("change", ({ target }) => {
  keep("voice", target.value);
  connection.send(sessionUpdate());
});

$("key").addEventListener("change", async ({ target }) => {
  keep("key", target.value.trim());
  hideNotice();
  const problem = await lookUpModel();
  if (problem) notify(problem);
  if (connection.state === "waiting") connection.open();
});

document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !$("settings").open && !$("stop").hidden) stopAnswer();
});

navigator.mediaDevices?.addEventListener("devicechange", listDevices);

$("key").value = settings.key;
for (const radio of $("reply-language").querySelectorAll("input")) radio.checked = radio.value === settings.replyLanguage;
showTalk();
lookUpModel().then((problem) => problem && notify(problem));
