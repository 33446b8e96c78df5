// `@openai/agents` holds the conversations of the suite. See `tests/conformance/conversations.py`.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { RealtimeAgent, RealtimeSession, tool } from "@openai/agents/realtime";

async function connected(address, config, tools = []) {
  const agent = new RealtimeAgent({ name: "Assistant", tools });
  const session = new RealtimeSession(agent, { transport: "websocket", model: "cslm-mini", config });
  await session.connect({ apiKey: "none", url: `ws://${address}/v1/realtime?model=cslm-mini` });
  return session;
}

const SERVER_VAD = { audio: { input: { turnDetection: { type: "server_vad", silenceDurationMs: 400 } } } };
const MANUAL = { audio: { input: { turnDetection: null } } };
const FRAME_MS = 20;
const BYTES_PER_MS = 48;

const file = process.argv[2];
const told = JSON.parse(readFileSync(file, "utf8"));
const recording = (name) => readFileSync(join(dirname(file), told[name]));
const task = { ...told, sum: recording("sum"), capital: recording("capital"), pause: Buffer.alloc(1000 * BYTES_PER_MS) };

/** A session, and what it showed: events by type, the audio of the answers, errors, interruptions. */
class Observed {
  constructor(session) {
    this.session = session;
    this.events = [];
    this.audio = [];
    this.errors = [];
    this.interruptions = 0;
    this.waiting = [];
    session.on("transport_event", (event) => {
      this.events.push(event);
      this.waiting = this.waiting.filter((look) => !look());
    });
    session.on("audio", (event) => this.audio.push(Buffer.from(event.data)));
    session.on("audio_interrupted", () => (this.interruptions += 1));
    session.on("error", (error) => this.errors.push(error));
  }

  all(type) {
    return this.events.filter((event) => event.type === type);
  }

  /** The `nth` event of a type, as soon as there are that many. */
  until(type, nth = 1) {
    return new Promise((resolve) => {
      const look = () => {
        const found = this.all(type)[nth - 1];
        if (found) resolve(found);
        return Boolean(found);
      };
      if (!look()) this.waiting.push(look);
    });
  }

  /** What the `nth` turn of the conversation was, once its response is done; audio counts from `audioFrom`. */
  async turn(nth = 1, audioFrom = 0) {
    const done = await this.until("response.done", nth);
    const heard = this.all("conversation.item.input_audio_transcription.completed").at(-1);
    const pcm = Buffer.concat(this.audio.slice(audioFrom));
    const samples = new Int16Array(pcm.buffer, pcm.byteOffset, pcm.length / 2);
    return {
      heard: heard?.transcript ?? "",
      answer: words(done.response.output[0]),
      status: done.response.status,
      audio_ms: Math.floor(pcm.length / BYTES_PER_MS),
      peak: samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0),
    };
  }
}

function words(item) {
  const part = item?.content[0];
  return part?.transcript ?? part?.text ?? "";
}

function bytes(buffer) {
  return buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.length);
}

/** As a microphone does: 20 ms at a time, in real time, until it is stopped. */
async function speak(session, pcm, stop) {
  const began = performance.now();
  for (let at = 0; at * FRAME_MS * BYTES_PER_MS < pcm.length && !stop?.aborted; at += 1) {
    await sleep(Math.max(0, began + at * FRAME_MS - performance.now()));
    session.sendAudio(bytes(pcm.subarray(at * FRAME_MS * BYTES_PER_MS, (at + 1) * FRAME_MS * BYTES_PER_MS)));
  }
}

async function defaults(observed) {
  const stop = new AbortController();
  const aloud = Buffer.concat([task.sum, ...Array(8).fill(task.pause)]);
  const speaking = speak(observed.session, aloud, stop.signal);
  const saw = await observed.turn();
  stop.abort();
  await speaking;
  return saw;
}

async function serverVad(observed) {
  const speaking = speak(observed.session, Buffer.concat([task.sum, task.pause]));
  const saw = await observed.turn();
  await speaking;
  return saw;
}

async function manual(observed) {
  observed.session.sendAudio(bytes(task.capital), { commit: true });
  observed.session.transport.requestResponse();
  return observed.turn();
}

async function text(observed) {
  observed.session.sendMessage(task.typed);
  return observed.turn();
}

async function bargeIn(observed) {
  observed.session.sendMessage(task.long);
  await observed.until("response.output_audio.delta");
  await sleep(100); // listened so long
  const speaking = speak(observed.session, Buffer.concat([task.sum.subarray(200 * BYTES_PER_MS), task.pause])); // without the silence before it
  await observed.until("response.done");
  await observed.until("conversation.item.truncated");
  const saw = await observed.turn(2, observed.audio.length);
  await speaking;
  return { ...saw, interruptions: observed.interruptions };
}

async function error(observed) {
  observed.session.transport.sendEvent({ type: "input_audio_buffer.commit", event_id: "too-early" });
  await observed.until("error");
  const refused = observed.errors[0].error.error;
  observed.session.sendAudio(bytes(task.sum), { commit: true });
  observed.session.transport.requestResponse();
  return { ...(await observed.turn()), code: refused.code, about: refused.event_id };
}

async function memory(observed) {
  let saw;
  for (const [index, question] of [task.capital, task.sum].entries()) {
    observed.session.sendAudio(bytes(question), { commit: true });
    observed.session.transport.requestResponse();
    saw = await observed.turn(index + 1);
    await observed.until("conversation.item.retrieved", index + 1); // of the transcript, which agents asks for itself
  }
  return { ...saw, history: observed.session.history.map((item) => [item.role, words(item)]) };
}

const called = [];
const weather = tool({
  name: "get_weather",
  description: "The weather in a city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: true },
  strict: false,
  execute: async (input) => {
    called.push(["get_weather", input]);
    return '{"temperature": 21}'; // as the scripted model knows it, with its space
  },
});

async function tools(observed) {
  observed.session.sendMessage(task.typed);
  return { ...(await observed.turn(2)), called };
}

const scenarios = {
  defaults: [undefined, defaults],
  server_vad: [SERVER_VAD, serverVad],
  manual: [MANUAL, manual],
  text: [{ ...MANUAL, outputModalities: ["text"] }, text],
  barge_in: [SERVER_VAD, bargeIn],
  error: [MANUAL, error],
  memory: [MANUAL, memory],
  queued: [MANUAL, manual],
  tools: [MANUAL, tools, [weather]],
};

for (const [scenario, [config, hold, ...tools]] of Object.entries(scenarios)) {
  if (!task.addresses[scenario]) continue;
  const session = await connected(task.addresses[scenario], config, ...tools);
  const saw = await hold(new Observed(session));
  session.close();
  console.log(JSON.stringify({ scenario, ...saw }));
}
