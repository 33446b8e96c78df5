// One realtime socket that comes back by itself.

import { Resumption } from "./resumption.js";

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 15_000;
const STABLE_MS = 5_000;
const MAX_BUFFERED_BYTES = 512 * 1024; // about 8 s of speech: the network has stalled
const BROKEN = 1006; // the connection ended without a goodbye

/**
 * Events: `state` (detail: {state, close?: {code, reason, opened}, retryMs?, pending?, resumed?, lost?}), `message` (detail: a server
 * event). States: idle → connecting → open → (waiting → connecting …) → idle. `open` means that the server has opened a session;
 * `waiting` lasts `retryMs`, or until `open()` is called or the device is online again. `pending`: the server may still have the
 * session. It goes on if `resumed`, and is `lost` if it was pending in vain; what is sent meanwhile waits for it.
 */
export class Connection extends EventTarget {
  constructor(address) {
    super();
    this.address = address; // (offer) => ({url, protocols})
    this.state = "idle";
    this.failures = 0;
    this.pending = false;
    this.resumption = new Resumption();
    globalThis.addEventListener("online", () => this.state === "waiting" && this.connect());
    globalThis.addEventListener("offline", () => this.state === "open" && this.abandon());
  }

  open() {
    if (this.state === "idle" || this.state === "waiting") this.connect();
  }

  close() {
    clearTimeout(this.timer);
    this.failures = 0;
    this.pending = false;
    this.resumption.forget();
    this.drop();
    this.enter("idle");
  }

  /** Sends an event; false when there is no session or the network has stalled. */
  send(event) {
    const message = JSON.stringify(event);
    if (this.pending) {
      if (!this.resumption.room) return false;
      this.resumption.keep(message);
      return true;
    }
    const usable = this.state === "open" && this.socket.readyState === WebSocket.OPEN;
    if (!usable || this.socket.bufferedAmount > MAX_BUFFERED_BYTES) return false;
    this.resumption.keep(message);
    this.socket.send(message);
    return true;
  }

  connect() {
    clearTimeout(this.timer);
    this.drop();
    this.enter("connecting");
    const { url, protocols } = this.address(this.resumption.offer);
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
    this.resumption.take(event);
    if (event.type === "session.created") this.opened({ lost: this.pending });
    if (event.type === "session.resumed") this.resumed(event);
    this.dispatchEvent(new CustomEvent("message", { detail: event }));
  }

  opened(detail) {
    this.pending = false;
    this.openedAt = performance.now();
    this.enter("open", detail);
  }

  resumed({ received }) {
    const unheard = this.resumption.after(received);
    if (!unheard) {
      this.socket.close(); // it lacks more than is kept here: a new session is told what was said
      return;
    }
    unheard.forEach((message) => this.socket.send(message));
    this.opened({ resumed: true });
  }

  /** The device is offline: the socket does not notice for long. It is left as it is, since its goodbye might still arrive. */
  abandon() {
    this.socket = null;
    this.lost({ code: BROKEN, reason: "" });
  }

  lost(close) {
    const opened = this.state === "open";
    const now = performance.now();
    const wasStable = opened && now - this.openedAt > STABLE_MS;
    this.failures = wasStable ? 0 : this.failures + 1;
    if (opened) this.lostAt = now;
    const inTime = now - this.lostAt < this.resumption.withinMs;
    this.pending = Boolean(this.resumption.token) && close.code === BROKEN && inTime;
    if (!this.pending) this.resumption.forget();
    const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.max(0, this.failures - 1));
    const retryMs = delay * (0.5 + Math.random() / 2); // so that not all pages come back in the same moment
    this.timer = setTimeout(() => this.connect(), retryMs);
    this.enter("waiting", { close: { ...close, opened }, retryMs, pending: this.pending });
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
