// 24 kHz mono PCM16 on the wire, float32 in [-1, 1] in Web Audio.

export const WIRE_RATE_HZ = 24_000;

/** Little-endian 16-bit samples (an ArrayBuffer) as base64. */
export function toBase64(buffer) {
  const bytes = new Uint8Array(buffer);
  let binary = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(binary);
}

/** Base64 PCM16 as float32 samples. Half a sample at the end is dropped. */
export function fromBase64(text) {
  const binary = atob(text);
  const samples = new Float32Array(binary.length >> 1);
  for (let i = 0; i < samples.length; i++) {
    const value = binary.charCodeAt(2 * i) | (binary.charCodeAt(2 * i + 1) << 8);
    samples[i] = ((value << 16) >> 16) / 32768;
  }
  return samples;
}

export function toInt16(sample) {
  return Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
}
