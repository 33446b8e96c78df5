// What it takes to go on with a session whose connection broke (docs/realtime.md#resume-a-session). No socket, no clock.

/** The subprotocol of clients that know this server's own events. */
export const OFFER = "cslm";
const MAX_KEPT = 2 * 1024 * 1024; // characters that were sent: half a minute of speech

export class Resumption {
  constructor() {
    this.forget();
  }

  /** The session is over. */
  forget() {
    this.token = null;
    this.withinMs = 0; // how long the server waits
    this.received = 0; // events of the server
    this.first = 0; // number of the oldest message that is kept
    this.kept = [];
    this.size = 0;
  }

  /** The subprotocol to offer: it names the session, if there is one to go on with. */
  get offer() {
    return this.token ? `${OFFER}.${this.token}.${this.received}` : OFFER;
  }

  /** Takes a server event. */
  take({ type, token, within_s }) {
    if (type === "session.created") this.forget();
    if (type !== "session.resumed") this.received += 1;
    if (token === undefined) return;
    this.token = token;
    this.withinMs = 1000 * within_s;
  }

  /** A message was sent, or shall be when the session goes on. */
  keep(message) {
    this.kept.push(message);
    this.size += message.length;
    while (this.size > MAX_KEPT && this.kept.length > 1) {
      this.size -= this.kept.shift().length;
      this.first += 1;
    }
  }

  /** There is room for more that cannot be sent now. */
  get room() {
    return this.size < MAX_KEPT / 2;
  }

  /** The messages behind the first `taken`, or null where they are not kept any more. */
  after(taken) {
    return taken < this.first ? null : this.kept.slice(taken - this.first);
  }
}
