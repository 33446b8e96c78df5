// Turns as elements. Nothing here knows about sockets or audio.

const CHINESE = /[\u3400-\u9fff]/;

/** Draws turns into `container`, following the end unless the reader has scrolled away. */
export class TurnList {
  constructor(container, template, scroller) {
    this.container = container;
    this.template = template;
    this.scroller = scroller;
    this.articles = new Map();
  }

  draw(turn) {
    const follow = this.atEnd();
    const article = this.articles.get(turn.key) ?? this.add(turn);
    article.dataset.status = turn.status;
    write(article.querySelector(".question .words"), turn.question || placeholder(turn));
    article.querySelector(".question").classList.toggle("pending", !turn.question);
    const { answer, heardAnswer } = turn;
    write(article.querySelector(".answer .words"), heardAnswer);
    write(article.querySelector(".answer .unheard"), answer.slice(heardAnswer.length));
    article.querySelector(".cut").hidden = turn.status !== "interrupted" || heardAnswer === answer;
    note(article.querySelector(".note"), turn);
    timing(article.querySelector(".timing"), turn);
    if (follow) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** Drops the elements of turns that are no longer told. */
  keep(turns) {
    const kept = new Set(turns.map(({ key }) => key));
    for (const [key, article] of this.articles) {
      if (kept.has(key)) continue;
      article.remove();
      this.articles.delete(key);
    }
    turns.forEach((turn) => this.draw(turn));
  }

  add(turn) {
    const article = this.template.content.firstElementChild.cloneNode(true);
    this.articles.set(turn.key, article);
    this.container.append(article);
    return article;
  }

  atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return scrollHeight - clientHeight - scrollTop < 80;
  }
}

function placeholder({ status, questionDone }) {
  if (status === "listening") return "Listening…";
  return questionDone || status === "interrupted" ? "(not understood)" : "…";
}

function write(element, text) {
  if (element.textContent === text) return;
  element.textContent = text;
  element.lang = CHINESE.test(text) ? "zh" : "en";
}

function note(element, { status, failure, shortfall, heardMs, question }) {
  const text =
    status === "failed" ? failure || "The answer failed."
    : status === "interrupted" && heardMs ? `Interrupted after ${seconds(heardMs)}`
    : status === "interrupted" ? "Interrupted"
    : shortfall;
  element.querySelector("span").textContent = text;
  element.querySelector(".again").hidden = status !== "failed" || !question;
  element.hidden = !text;
}

function timing(details, turn) {
  const { latencyMs, stages } = turn;
  details.hidden = latencyMs === null;
  if (latencyMs === null) return;
  const latency = details.querySelector(".latency");
  latency.textContent = seconds(latencyMs);
  latency.dataset.ms = Math.round(latencyMs);
  const toFirstSound = stages.filter(({ name }) => name !== "rest");
  details.querySelector(".strip").replaceChildren(...toFirstSound.map((stage) => bar(stage, latencyMs)));
  details.querySelector(".stages").replaceChildren(...stages.map((stage) => row(stage, latencyMs)));
  details.querySelector(".axis .end").textContent = seconds(latencyMs);
}

function bar({ name, durationMs }, wholeMs) {
  const element = document.createElement("span");
  element.dataset.stage = name;
  element.style.setProperty("--share", durationMs / wholeMs);
  return element;
}

/** A stage on a scale that ends with the first sound; what comes after it is only said. */
function row(stage, latencyMs) {
  const item = document.createElement("li");
  item.className = stage.name;
  const track = bar(stage, latencyMs);
  track.style.setProperty("--start", stage.startMs / latencyMs);
  item.append(span("", stage.label), span("track", track), span("value", duration(stage.durationMs)));
  return item;
}

function duration(ms) {
  return ms < 10_000 ? `${Math.round(ms)} ms` : seconds(ms);
}

function span(className, content) {
  const element = document.createElement("span");
  element.className = className;
  element.append(content);
  return element;
}

export function seconds(ms) {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}
