// Answers → loudspeaker, with an exact count of the samples of each answer that were played.

import { WIRE_RATE_HZ } from "./pcm.js";
import { Resampler } from "./resample.js";

const REFILL_S = 0.12; // after running dry, wait for this much before going on
const REPORT_S = 0.04;
const FADE_IN_SAMPLES = 96;
const DECAY = 0.93; // per sample: a stop in mid-wave dies away instead of clicking

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.items = []; // {id, chunks, offset, queued, out, ended, resampler}
    this.last = 0;
    this.fade = 1;
    this.starved = false;
    this.unreported = 0;
    this.energy = 0;
    this.port.onmessage = ({ data }) => this[data.type](data);
  }

  push({ id, pcm }) {
    const item = this.items.find((one) => one.id === id) ?? this.open(id);
    const samples = item.resampler.push(pcm);
    item.chunks.push(samples);
    item.queued += samples.length;
  }

  open(id) {
    const item = { id, chunks: [], offset: 0, queued: 0, out: 0, ended: false };
    item.resampler = new Resampler(WIRE_RATE_HZ, sampleRate);
    this.items.push(item);
    return item;
  }

  end({ id }) {
    const item = this.items.find((one) => one.id === id);
    if (!item || item.ended) return;
    this.push({ id, pcm: new Float32Array(sampleRate === WIRE_RATE_HZ ? 0 : item.resampler.lookahead) });
    item.ended = true;
  }

  flush() {
    const [current] = this.items;
    this.items = [];
    this.starved = false;
    this.port.postMessage({ type: "flushed", id: current?.id ?? null, played: current ? played(current) : 0 });
  }

  process(_inputs, [[output]]) {
    let filled = 0;
    while (filled < output.length) {
      const item = this.next();
      if (!item) break;
      filled += this.copy(item, output, filled);
    }
    for (let i = filled; i < output.length; i++) output[i] = this.last *= DECAY;
    this.report(output.length);
    return true;
  }

  /** The item to take samples from now, or undefined for silence. */
  next() {
    const [item] = this.items;
    if (!item) return undefined;
    if (item.queued === 0) {
      if (item.ended) {
        this.items.shift();
        this.port.postMessage({ type: "finished", id: item.id, played: played(item) });
        return this.next();
      }
      if (item.out && !this.starved) {
        this.starved = true;
        this.port.postMessage({ type: "underrun", id: item.id });
      }
      return undefined;
    }
    if (this.starved) {
      if (item.queued < REFILL_S * sampleRate && !item.ended) return undefined;
      this.starved = false;
      this.fade = 0;
    }
    return item;
  }

  copy(item, output, at) {
    const [chunk] = item.chunks;
    const count = Math.min(output.length - at, chunk.length - item.offset);
    if (item.out === 0 && count) this.port.postMessage({ type: "started", id: item.id });
    for (let i = 0; i < count; i++) {
      this.fade = Math.min(1, this.fade + 1 / FADE_IN_SAMPLES);
      output[at + i] = chunk[item.offset + i] * this.fade;
      this.energy += output[at + i] * output[at + i];
    }
    if (count) this.last = output[at + count - 1];
    item.offset += count;
    item.queued -= count;
    item.out += count;
    if (item.offset === chunk.length) {
      item.chunks.shift();
      item.offset = 0;
    }
    return count;
  }

  report(samples) {
    this.unreported += samples;
    const [item] = this.items;
    if (!item || this.unreported < REPORT_S * sampleRate) return;
    const rms = Math.sqrt(this.energy / this.unreported);
    this.unreported = this.energy = 0;
    this.port.postMessage({ type: "progress", id: item.id, played: played(item), rms });
  }
}

/** Samples of the item heard, on the wire's clock. */
function played(item) {
  return Math.round((item.out * WIRE_RATE_HZ) / sampleRate);
}

registerProcessor("playback", Playback);
