// The microphone: permission, device, frames of PCM16 and their level.

const CONSTRAINTS = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

/** Events: `frame` (detail: {buffer, rms}), `lost` when the device goes away. */
export class Microphone extends EventTarget {
  /** Asks for the device and starts frames. Throws MicrophoneError, in words for the user. */
  async start(context, deviceId) {
    this.stop();
    this.stream = await capture(deviceId);
    const [track] = this.stream.getAudioTracks();
    track.addEventListener("ended", () => this.dispatchEvent(new Event("lost")));
    this.context = context;
    try {
      this.source = context.createMediaStreamSource(this.stream);
    } catch {
      // Firefox wants the context at the device's own rate; the worklet then resamples.
      this.context = this.own = new AudioContext();
      this.source = this.own.createMediaStreamSource(this.stream);
    }
    await this.context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
    this.node = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0 });
    this.node.port.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("frame", { detail: data }));
    this.source.connect(this.node);
  }

  /** A muted microphone sends silence: the server's clock and its end-of-turn detection go on. */
  mute(muted) {
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  stop() {
    this.source?.disconnect();
    if (this.node) this.node.port.onmessage = null;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.own?.close();
    this.stream = this.source = this.node = this.own = null;
  }

  /** Whether its device has gone away. */
  get ended() {
    return this.stream?.getAudioTracks()[0]?.readyState === "ended";
  }

  /** Whether the browser takes the answer out of what the microphone hears; undefined where it does not say. */
  get cancelsEcho() {
    return this.stream?.getAudioTracks()[0]?.getSettings().echoCancellation;
  }
}

/** Why there can be no microphone, in words for the user; null when there may be one. */
export function unavailable() {
  if (navigator.mediaDevices?.getUserMedia) return null;
  return globalThis.isSecureContext
    ? "This browser gives pages no access to a microphone. You can still type."
    : "This page is not secure, so the browser gives it neither microphone nor sound. Open it over https, or on the server itself as http://localhost. Here you can type and read.";
}

/** Devices of a kind ("audioinput", "audiooutput"); none until permission was given, because they have no names before. */
export async function listDevices(kind) {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.filter((device) => device.kind === kind && !["", "default"].includes(device.deviceId));
}

export class MicrophoneError extends Error {}

async function capture(deviceId) {
  const why = unavailable();
  if (why) throw new MicrophoneError(why);
  try {
    return await request(deviceId);
  } catch (error) {
    const gone = deviceId && (error.name === "OverconstrainedError" || error.name === "NotFoundError");
    if (gone) return capture(null);
    throw new MicrophoneError(await explained(error));
  }
}

function request(deviceId) {
  const device = deviceId ? { deviceId: { exact: deviceId } } : {};
  return navigator.mediaDevices.getUserMedia({ audio: { ...CONSTRAINTS, ...device } });
}

async function explained({ name, message }) {
  switch (name) {
    case "NotAllowedError":
      return (await permission()) === "denied"
        ? "The microphone is blocked for this page. Allow it in the site settings (the icon left of the address), then start again."
        : "The microphone was not allowed. Start again and choose “Allow”, or type your question.";
    case "NotFoundError":
      return "No microphone was found. Connect one, or type your question.";
    case "NotReadableError":
    case "AbortError":
      return "The microphone is in use by another program or was refused by the system. Close the other program, or check the system’s privacy settings.";
    default:
      return `The microphone could not be started (${name}: ${message}).`;
  }
}

async function permission() {
  try {
    return (await navigator.permissions.query({ name: "microphone" })).state;
  } catch {
    return "unknown";
  }
}
