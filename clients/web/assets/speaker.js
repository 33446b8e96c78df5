// Plays answers and knows, to the sample, how much of each was heard.

import { WIRE_RATE_HZ } from "./pcm.js";

/**
 * Events: `started` ({id}), `progress` ({id, played, rms}), `finished` ({id, played}), `underrun` ({id}), samples at 24 kHz;
 * `paused` when the system took the audio output away, until `open` is called again.
 */
export class Speaker extends EventTarget {
  constructor() {
    super();
    this.context = null;
    this.ready = null;
    this.deviceId = "";
    this.played = new Map();
    this.underruns = 0;
    this.flushed = [];
  }

  /** Whether there can be sound: pages that are not secure have no audio worklets. */
  static get possible() {
    return "audioWorklet" in AudioContext.prototype;
  }

  /** Opens the audio output. Call it from a click or key press: browsers forbid sound before that. */
  async open() {
    if (!Speaker.possible) return;
    this.ready ??= this.prepare();
    try {
      await this.ready;
    } catch (error) {
      this.ready = null; // the next attempt begins anew
      throw error;
    }
    await this.use(this.deviceId);
    await this.context.resume();
  }

  async prepare() {
    const context = createContext();
    try {
      await context.audioWorklet.addModule(new URL("playback-worklet.js", import.meta.url));
    } catch (error) {
      context.close();
      throw error;
    }
    this.node = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => this.report(data);
    this.node.connect(context.destination);
    context.addEventListener("statechange", () => {
      if (context.state !== "running") this.dispatchEvent(new Event("paused"));
    });
    this.context = context;
  }

  /** Chooses the output device ("": the system's), also before `open`. A device that is gone falls back to the system's. */
  async use(deviceId) {
    this.deviceId = deviceId;
    if (!Speaker.choosable || !this.context || this.context.sinkId === deviceId) return;
    try {
      await this.context.setSinkId(deviceId);
    } catch {
      if (this.context.sinkId !== "") await this.context.setSinkId("");
    }
  }

  /** Whether this browser lets a page choose where it plays. */
  static get choosable() {
    return "setSinkId" in AudioContext.prototype;
  }

  push(id, pcm) {
    if (!this.node) return;
    this.current = id;
    this.node.port.postMessage({ type: "push", id, pcm }, [pcm.buffer]);
  }

  end(id) {
    this.node?.port.postMessage({ type: "end", id });
  }

  /** Silence, at once. Resolves to {id, heardMs} of the answer that was cut off; id is null if none was. */
  async flush() {
    this.current = null;
    if (!this.node) return { id: null, heardMs: 0 };
    const answer = new Promise((resolve) => this.flushed.push(resolve));
    this.node.port.postMessage({ type: "flush" });
    const { id, played } = await answer;
    // What the worklet has handed over is still on its way through the device for `outputLatency`.
    const unheardMs = 1000 * (this.context.outputLatency || 0);
    return { id, heardMs: Math.max(0, Math.round((1000 * played) / WIRE_RATE_HZ - unheardMs)) };
  }

  get busy() {
    return this.current != null;
  }

  get playedSamples() {
    return [...this.played.values()].reduce((sum, samples) => sum + samples, 0);
  }

  report(data) {
    if (data.played !== undefined && data.id) this.played.set(data.id, data.played);
    if (data.type === "flushed") this.flushed.shift()(data);
    if (data.type === "underrun") this.underruns += 1;
    if (data.type === "finished" && this.current === data.id) this.current = null;
    this.dispatchEvent(new CustomEvent(data.type, { detail: data }));
  }
}

function createContext() {
  try {
    return new AudioContext({ sampleRate: WIRE_RATE_HZ, latencyHint: "interactive" });
  } catch {
    return new AudioContext({ latencyHint: "interactive" });
  }
}
