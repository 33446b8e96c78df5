// Streaming rate conversion with a Kaiser-windowed sinc. Any split of the input gives the same output.

const ZERO_CROSSINGS = 16;
const KAISER_BETA = 8; // about -80 dB in the stop band

export class Resampler {
  constructor(fromHz, toHz) {
    const divisor = gcd(fromHz, toHz);
    this.up = toHz / divisor;
    this.down = fromHz / divisor;
    const cutoff = Math.min(1, toHz / fromHz);
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.kernels = polyphase(this.up, this.half, cutoff);
    this.held = new Float32Array(this.half); // as if silence came before
    this.phase = 0;
  }

  /** Input samples that must follow a sample before it is completely out. */
  get lookahead() {
    return this.half;
  }

  push(input) {
    if (this.up === this.down) return input;
    const buffer = new Float32Array(this.held.length + input.length);
    buffer.set(this.held);
    buffer.set(input, this.held.length);
    const output = [];
    let at = 0;
    while (at + 2 * this.half < buffer.length) {
      const kernel = this.kernels[this.phase];
      let sum = 0;
      for (let k = 0; k < kernel.length; k++) sum += kernel[k] * buffer[at + k];
      output.push(sum);
      this.phase += this.down;
      at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    this.held = buffer.slice(at);
    return Float32Array.from(output);
  }
}

function polyphase(phases, half, cutoff) {
  const kernels = [];
  for (let phase = 0; phase < phases; phase++) {
    const kernel = new Float32Array(2 * half + 1);
    for (let k = 0; k < kernel.length; k++) {
      const x = k - half - phase / phases;
      kernel[k] = cutoff * sinc(cutoff * x) * kaiser(x / (half + 1));
    }
    kernels.push(kernel);
  }
  return kernels;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x) {
  return bessel0(KAISER_BETA * Math.sqrt(Math.max(0, 1 - x * x))) / bessel0(KAISER_BETA);
}

function bessel0(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; k < 32; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}
