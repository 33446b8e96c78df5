// Microphone → frames of 24 kHz PCM16, each with its level.

import { WIRE_RATE_HZ, toInt16 } from "./pcm.js";
import { Resampler } from "./resample.js";

const FRAME_SAMPLES = WIRE_RATE_HZ / 50; // 20 ms

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, WIRE_RATE_HZ);
    this.restart();
  }

  restart() {
    this.frame = new Int16Array(FRAME_SAMPLES);
    this.filled = 0;
    this.energy = 0;
  }

  process([channels]) {
    if (channels.length === 0) return true;
    for (const sample of this.resampler.push(mono(channels))) {
      this.frame[this.filled++] = toInt16(sample);
      this.energy += sample * sample;
      if (this.filled === FRAME_SAMPLES) this.emit();
    }
    return true;
  }

  emit() {
    const { buffer } = this.frame;
    this.port.postMessage({ buffer, rms: Math.sqrt(this.energy / FRAME_SAMPLES) }, [buffer]);
    this.restart();
  }
}

function mono(channels) {
  if (channels.length === 1) return channels[0];
  const mixed = new Float32Array(channels[0].length);
  for (const channel of channels) {
    for (let i = 0; i < mixed.length; i++) mixed[i] += channel[i] / channels.length;
  }
  return mixed;
}

registerProcessor("capture", Capture);
