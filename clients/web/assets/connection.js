// One realtime socket that comes back by itself.

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 15_000;
const STABLE_MS = 5_000;
const MAX_BUFFERED_BYTES = 512 * 1024; // about 8 s of speech: the network has stalled

/**
 * Events: `state` (detail: {state, close?: {code, reason, opened}, retryMs?}), `message` (detail: a server event).
 * States: idle → connecting → open → (waiting → connecting …) → idle. `open` means `session.created` has come; `waiting`
 * lasts `retryMs`, or until `open()` is called or the device is online again.
 */
export class Connection extends EventTarget {
  constructor(address) {
    super();
    this.address = address; // () => ({url, protocols})
    this.state = "idle";
    this.failures = 0;
    globalThis.addEventListener("online", () => this.state === "waiting" && this.connect());
  }

  open() {
    if (this.state === "idle" || this.state === "waiting") this.connect();
  }

  close() {
    clearTimeout(this.timer);
    this.failures = 0;
    this.drop();
    this.enter("idle");
  }

  /** Sends an event; false when there is no open session or the network has stalled. */
  send(event) {
    const usable = this.state === "open" && this.socket.readyState === WebSocket.OPEN;
    if (!usable || this.socket.bufferedAmount > MAX_BUFFERED_BYTES) return false;
    this.socket.send(JSON.stringify(event));
    return true;
  }

  connect() {
    clearTimeout(this.timer);
    this.drop();
    this.enter("connecting");
    const { url, protocols } = this.address();
    let socket;
    try {
      socket = new WebSocket(url, protocols);
    } catch {
      this.enter("idle", { close: { code: 0, reason: "The API key contains characters that a browser cannot send." } });
      return;
    }
    this.socket = socket;
    socket.onmessage = ({ data }) => socket === this.socket && this.receive(data);
    socket.onclose = ({ code, reason }) => socket === this.socket && this.lost({ code, reason });
  }

  receive(data) {
    const event = parsed(data);
    if (!event) return;
    if (event.type === "session.created") {
      this.openedAt = performance.now();
      this.enter("open");
    }
    this.dispatchEvent(new CustomEvent("message", { detail: event }));
  }

  lost(close) {
    const opened = this.state === "open";
    const wasStable = opened && performance.now() - this.openedAt > STABLE_MS;
    this.failures = wasStable ? 0 : this.failures + 1;
    const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, this.failures - 1));
    const retryMs = delay * (0.5 + Math.random() / 2); // so that not all pages come back in the same moment
    this.timer = setTimeout(() => this.connect(), retryMs);
    this.enter("waiting", { close: { ...close, opened }, retryMs });
  }

  drop() {
    const { socket } = this;
    this.socket = null;
    socket?.close();
  }

  enter(state, detail = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...detail } }));
  }
}

function parsed(data) {
  try {
    const event = JSON.parse(data);
    return typeof event?.type === "string" ? event : null;
  } catch {
    return null;
  }
}
