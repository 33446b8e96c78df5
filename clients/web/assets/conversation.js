// Turns, as the server's events tell them. No DOM, no audio, no clock: every event comes with its time in ms.

/** Stages of a turn, in order: each ends at its mark. The first audio is heard at the end of `play`. */
export const STAGES = [
  { name: "pause", to: "stopped", label: "Making sure you finished" },
  { name: "commit", to: "committed", label: "Taking the question" },
  { name: "hear", to: "transcript", label: "Hearing" },
  { name: "think", to: "text", label: "First words" },
  { name: "voice", to: "audio", label: "First sound" },
  { name: "play", to: "heard", label: "Playing it" },
  { name: "rest", to: "done", label: "Rest of the answer" },
];

/** The server answers one question at a time; this one can be asked once more when that is over. */
export const ALREADY_ANSWERING = "conversation_already_has_active_response";

/** Why an answer is not a whole one, by the server's codes (docs/errors.md). */
const SHORTFALLS = {
  empty_answer: "The model has no answer to this.",
  nothing_to_answer: "The question has no words that the model knows.",
  no_speech: "The answer has no speech.",
  speech_limit: "The model went on speaking without words, and was stopped.",
  repetition: "The answer went round in a circle, and was stopped.",
  max_output_tokens: "The answer is as long as it may be, and was cut.",
};

const REPLAYED_TURNS = 8;
const BYTES_PER_MS = 48; // 24 kHz, 16 bit

class Turn {
  constructor(key, { typed = false, itemId = null, question = "" } = {}) {
    this.key = key;
    this.typed = typed;
    this.itemId = itemId;
    this.question = question;
    this.questionDone = typed;
    this.pieces = []; // of the answer's text, {text, fromMs}: spoken by the audio that comes behind it
    this.requestId = null; // of the event that asked for the answer
    this.responseId = null;
    this.answerItemId = null;
    this.status = typed ? "asked" : "listening"; // → asked → answering → done | interrupted | failed
    this.failure = "";
    this.shortfall = ""; // why an answer that is done is not a whole one
    this.audioMs = 0; // received
    this.audioOver = false; // no more of it will come
    this.heardMs = 0; // played
    this.marks = {};
  }

  get answer() {
    return this.pieces.map(({ text }) => text).join("");
  }

  say(text) {
    const last = this.pieces.at(-1);
    if (last?.fromMs === this.audioMs) last.text += text;
    else this.pieces.push({ text, fromMs: this.audioMs });
  }

  mark(name, atMs) {
    this.marks[name] ??= atMs;
  }

  /** The end of the question; stages and latency count from here. */
  get beganMs() {
    return this.marks.voiceEnded ?? this.marks.stopped ?? this.marks.committed;
  }

  /** End of speech (or sending of a typed question) to the first sound, or null. */
  get latencyMs() {
    const { heard } = this.marks;
    return heard === undefined || this.beganMs === undefined ? null : Math.max(0, heard - this.beganMs);
  }

  /** Stages that took place, as {name, label, startMs, durationMs} from the end of speech. */
  get stages() {
    const began = this.beganMs;
    const stages = [];
    let end = began;
    for (const { name, to, label } of STAGES) {
      const at = this.marks[to];
      if (at === undefined || at < end) continue;
      if (at > end) stages.push({ name, label, startMs: end - began, durationMs: at - end });
      end = at;
    }
    return stages;
  }

  /**
   * The words that were heard so far. Within a piece they are taken to come at an even pace; a piece whose audio is not
   * complete has no pace yet, and waits for its end. An answer without audio is there to be read.
   */
  get heardAnswer() {
    if (!this.audioMs) return this.over && this.status !== "interrupted" ? this.answer : "";
    const closed = this.audioOver || this.over;
    let heard = "";
    this.pieces.forEach(({ text, fromMs }, n) => {
      const toMs = this.pieces[n + 1]?.fromMs ?? (closed ? this.audioMs : Infinity);
      if (toMs <= this.heardMs + 1) heard += text;
      else if (fromMs < this.heardMs) heard += wholeWords(text, (this.heardMs - fromMs) / (toMs - fromMs));
    });
    return heard;
  }

  get over() {
    return ["done", "interrupted", "failed"].includes(this.status);
  }
}

export class Conversation {
  constructor() {
    this.turns = [];
    this.nextKey = 1;
  }

  /** The turn that is being answered, or undefined. */
  get active() {
    return this.turns.find((turn) => turn.status === "answering");
  }

  ask(itemId, text, atMs) {
    const turn = this.add({ typed: true, itemId, question: text });
    turn.mark("committed", atMs);
    return turn;
  }

  /** An answer to what waits for one was asked for, by an event of this id. */
  request(eventId) {
    for (const turn of this.turns.filter(({ status }) => status === "asked")) turn.requestId = eventId;
  }

  /** The connection is gone, for a reason or because the user ended it. Turns in which nothing was said yet are dropped. */
  disconnect(reason) {
    this.turns = this.turns.filter((turn) => turn.over || turn.question || turn.answer);
    for (const turn of this.turns.filter((one) => !one.over)) {
      turn.status = reason ? "failed" : "interrupted";
      turn.failure = reason ?? "";
    }
  }

  /**
   * What was said so far, as events that tell it to a new session. A question without any answer is left out: the server
   * would take it for a part of the next one.
   */
  replay() {
    const told = this.turns.slice(-REPLAYED_TURNS).map((turn) => ({
      question: turn.question.trim(),
      answer: (turn.status === "interrupted" ? turn.heardAnswer : turn.answer).trim(),
    }));
    const messages = told.flatMap(({ question, answer }) => [
      question && answer && { role: "user", content: [{ type: "input_text", text: question }] },
      answer && { role: "assistant", content: [{ type: "output_text", text: answer }] },
    ]);
    return messages.filter(Boolean).map((message) => ({ type: "conversation.item.create", item: { type: "message", ...message } }));
  }

  /** The user cut the answer off after `heardMs` of it. */
  interrupt(answerItemId, heardMs) {
    const turn = this.ofAnswer(answerItemId);
    if (!turn) return null;
    turn.status = "interrupted";
    turn.heardMs = heardMs;
    return turn;
  }

  /** `heardMs` of an answer have left the loudspeaker; 0 with the first sound, at `atMs`. */
  heard(answerItemId, heardMs, atMs) {
    const turn = this.ofAnswer(answerItemId);
    if (!turn) return null;
    turn.mark("heard", atMs);
    if (turn.status !== "interrupted") turn.heardMs = heardMs;
    return turn;
  }

  /** Takes a server event and returns the turn it changed, or null. `voiceEndedMs`: of `speech_stopped`, on the same clock. */
  apply(event, atMs, { voiceEndedMs } = {}) {
    const handle = HANDLERS[event.type];
    return handle ? (handle(this, event, atMs, voiceEndedMs) ?? null) : null;
  }

  add(fields) {
    const turn = new Turn(this.nextKey++, fields);
    this.turns.push(turn);
    return turn;
  }

  ofItem(id) {
    return this.turns.find((turn) => turn.itemId === id);
  }

  ofAnswer(itemId) {
    return this.turns.find((turn) => turn.answerItemId === itemId);
  }

  ofResponse(id) {
    return this.turns.find((turn) => turn.responseId === id);
  }
}

const HANDLERS = {
  "input_audio_buffer.speech_started": (talk, { item_id }) => talk.ofItem(item_id) ?? talk.add({ itemId: item_id }),

  "input_audio_buffer.speech_stopped": (talk, { item_id }, atMs, voiceEndedMs) => {
    const turn = talk.ofItem(item_id);
    if (!turn) return null;
    if (voiceEndedMs !== undefined) turn.mark("voiceEnded", Math.min(voiceEndedMs, atMs));
    turn.mark("stopped", atMs);
    return turn;
  },

  "input_audio_buffer.committed": (talk, { item_id }, atMs) => {
    const turn = talk.ofItem(item_id) ?? talk.add({ itemId: item_id });
    turn.mark("committed", atMs);
    if (turn.status === "listening") turn.status = "asked";
    return turn;
  },

  "conversation.item.input_audio_transcription.delta": (talk, { item_id, delta }, atMs) => {
    const turn = talk.ofItem(item_id);
    if (!turn || turn.questionDone) return null;
    turn.mark("transcript", atMs);
    turn.question += delta ?? "";
    return turn;
  },

  "conversation.item.input_audio_transcription.completed": (talk, { item_id, transcript }, atMs) => {
    const turn = talk.ofItem(item_id);
    if (!turn) return null;
    turn.mark("transcript", atMs);
    turn.question = transcript ?? turn.question;
    turn.questionDone = true;
    return turn;
  },

  "conversation.item.input_audio_transcription.failed": (talk, { item_id }) => {
    const turn = talk.ofItem(item_id);
    if (turn) turn.questionDone = true;
    return turn;
  },

  "response.created": (talk, { response }) => {
    // What we asked for bears the id we gave it; by itself the server answers what was spoken. Typed questions that wait
    // are answered together: the last is shown with the answer.
    const request = response.metadata?.request ?? null;
    const asked = talk.turns.filter((one) => one.status === "asked" && one.requestId === request && (request || !one.typed));
    const turn = asked.pop();
    if (!turn) return null;
    for (const earlier of asked) earlier.status = "interrupted";
    turn.responseId = response.id;
    turn.status = "answering";
    return turn;
  },

  "response.output_item.added": (talk, { response_id, item }) => {
    const turn = talk.ofResponse(response_id);
    if (turn) turn.answerItemId = item.id;
    return turn;
  },

  "response.output_audio_transcript.delta": answerText,
  "response.output_text.delta": answerText,

  "response.output_audio.delta": (talk, { response_id, delta }, atMs) => {
    const turn = talk.ofResponse(response_id);
    if (!turn) return null;
    turn.mark("audio", atMs);
    turn.audioMs += (delta.length * 0.75) / BYTES_PER_MS;
    return turn;
  },

  "response.output_audio.done": (talk, { response_id }) => {
    const turn = talk.ofResponse(response_id);
    if (turn) turn.audioOver = true;
    return turn;
  },

  error: (talk, { error }) => {
    const about = error?.event_id;
    if (!about || error.code === ALREADY_ANSWERING) return null;
    const refused = talk.turns.filter((one) => one.status === "asked" && [one.itemId, one.requestId].includes(about));
    for (const turn of refused) {
      turn.status = "failed";
      turn.failure = error.message ?? "The server refused the question.";
    }
    return refused.at(-1);
  },

  "response.done": (talk, { response }, atMs) => {
    const turn = talk.ofResponse(response.id);
    if (!turn) return null;
    if (turn.status === "answering") {
      turn.mark("done", atMs);
      turn.status = { cancelled: "interrupted", failed: "failed" }[response.status] ?? "done";
      const { reason, error } = response.status_details ?? {};
      turn.failure = error?.message ?? "";
      if (response.status === "incomplete") turn.shortfall = SHORTFALLS[error?.code ?? reason] ?? turn.failure;
    }
    return turn;
  },
};

function answerText(talk, { response_id, delta }, atMs) {
  const turn = talk.ofResponse(response_id);
  if (!turn || turn.status !== "answering") return null;
  turn.mark("text", atMs);
  turn.say(delta);
  return turn;
}

/** The first `share` of a text, back to the end of a word (Chinese: a character). */
function wholeWords(text, share) {
  let end = Math.floor(text.length * share);
  while (end > 0 && end < text.length && IN_WORD.test(text[end - 1]) && IN_WORD.test(text[end])) end -= 1;
  return text.slice(0, end);
}

const IN_WORD = /[^\s\u2e80-\uffff]/; // neighbours of this kind belong together: all but space and scripts without it
