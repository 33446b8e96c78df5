"use strict";

const result = JSON.parse(document.getElementById("data").textContent);
const report = document.getElementById("report");
const COLOURS = ["#2f6fb0", "#b45309", "#0f766e", "#7a3e9d"];
const WIDTH = Math.max(320, Math.min(960, report.clientWidth));

/** An element with text, or with elements in it. */
function make(name, content = "", className = "") {
  const element = document.createElement(name);
  element.className = className;
  if (Array.isArray(content)) element.append(...content);
  else element.textContent = content;
  return element;
}

function table(heads, rows) {
  const head = make("thead", [make("tr", heads.map((text) => make("th", text)))]);
  const body = make("tbody", rows.map((row) => make("tr", row.map((text) => make("td", text)))));
  return make("div", [make("table", [head, body])], "scroll");
}

const ms = (seconds) => (seconds === null ? "never" : (1000 * seconds).toFixed(0));

function shown(term) {
  if (term.value === null) return "not reached";
  return term.term.endsWith("%") ? `${(100 * term.value).toFixed(1)} %` : `${ms(term.value)} ms`;
}

function plot(place, title, options, data) {
  const figure = make("div", "", "plot");
  place.append(make("h2", title), figure);
  new uPlot({ width: WIDTH - 2, height: 320, ...options }, data, figure);
}

/** Counts, percentiles and errors of one run. */
function numbers(run) {
  const { sessions, turns, gaps } = run;
  const lines = [
    `${sessions.started} sessions in ${run.elapsed_s.toFixed(0)} s, at most ${sessions.most_at_once} at once: ` +
      `${sessions.completed} completed, ${sessions.failed} failed (${sessions.refused} of them refused), ` +
      `${sessions.unfinished} unfinished, ${sessions.skipped} skipped`,
    `${turns.asked} turns asked: ${turns.answered} answered, ${turns.barged_in} interrupted by the caller, ` +
      `${turns.wrong} wrong; ${gaps.gaps} gaps in ${gaps.turns_with_gaps} answers`,
  ];
  const names = ["p50", "p90", "p95", "p99", "p99.9", "max"];
  const rows = Object.entries(result.names).map(([key, name]) => {
    const values = run[key];
    const none = values.n + values.missing === 0;
    return [name, values.n, values.missing || "", ...names.map((each) => (none ? "–" : ms(values[each])))];
  });
  const errors = Object.entries(run.errors).map(([code, count]) => make("p", `${code}: ${count}`, "bad"));
  if (run.generator.saturated) {
    errors.push(make("p", "The generator itself was late: the numbers describe its machine.", "bad"));
  }
  return [...lines.map((line) => make("p", line)), table(["ms", "n", "missing", ...names], rows), ...errors];
}

/** First audio of every answer over the time of the test, and how many sessions there were. */
function overTime(place, run) {
  const rows = run.answers.filter((row) => row[0] !== null).sort((a, b) => a[0] - b[0]);
  const answers = [
    rows.map((row) => row[0]),
    rows.map((row) => (row[1] === null ? null : 1000 * row[1])),
    rows.map((row) => (row[2] === null ? null : 1000 * row[2])),
    rows.map((row) => (row[1] === null ? 0 : null)),
  ];
  const load = [run.at_once.map((row) => row[0]), run.at_once.map((row) => row[1])];
  const points = (label, colour) => ({
    label,
    stroke: colour,
    paths: () => null,
    points: { show: true, size: 5, fill: colour },
  });
  const options = {
    scales: { x: { time: false }, at_once: { range: (u, low, high) => [0, Math.max(1, high)] } },
    axes: [
      { label: "seconds since the start" },
      { label: "ms" },
      { label: "sessions at once", scale: "at_once", side: 1, grid: { show: false } },
    ],
    series: [
      { label: "s" },
      points("first audio, ms", COLOURS[0]),
      points("longest gap, ms", COLOURS[1]),
      points("no audio", "#b3261e"),
      { label: "sessions at once", scale: "at_once", stroke: "#8d9a95", paths: uPlot.paths.stepped({ align: 1 }), spanGaps: true },
    ],
  };
  plot(place, "Every answer", options, uPlot.join([answers, load]));
}

/** [1 / (1 - share), ms] of a histogram: the axis of a high dynamic range plot. */
function curve(steps, missing) {
  const total = steps.reduce((sum, [, count]) => sum + count, missing);
  const x = [];
  const y = [];
  let below = 0;
  for (const [upper, count] of steps) {
    x.push(total / (total - below));
    y.push(1000 * upper);
    below += count;
  }
  return [x, y];
}

function percentiles(place, run) {
  const keys = ["first_audio_after_speech_end_s", "complete_after_speech_end_s", "longest_gap_s"];
  const used = keys.filter((key) => run[key].n);
  if (!used.length) return;
  const percent = (value) => `${+(100 - 100 / value).toFixed(6)}`;
  const options = {
    scales: { x: { time: false, distr: 3 } },
    axes: [{ label: "share of answers that came so soon, %", values: (u, ticks) => ticks.map((each) => (each === null ? "" : percent(each))) }, { label: "ms" }],
    series: [
      { label: "%", value: (u, value) => (value === null ? "" : percent(value)) },
      ...used.map((key, n) => ({ label: result.names[key], stroke: COLOURS[n], spanGaps: true, points: { show: false } })),
    ],
  };
  plot(place, "Percentiles", options, uPlot.join(used.map((key) => curve(run.histograms[key], run[key].missing))));
}

/** What was measured at each load of a search, as a share of what is allowed. */
function search(place) {
  const levels = [...result.levels].sort((a, b) => a.callers - b.callers);
  const heads = ["callers", "answers", ...levels[0].terms.map((term) => term.term), "met"];
  const verdict = (met) => (met === null ? "broken off" : met ? "yes" : "no");
  place.append(
    table(heads, levels.map((level) => [level.callers, level.first_audio_after_speech_end_s.n, ...level.terms.map(shown), verdict(level.met)])),
  );
  const data = [levels.map((level) => level.callers)];
  levels[0].terms.forEach((_, n) => {
    data.push(levels.map((level) => (level.terms[n].value === null || !level.terms[n].limit ? null : level.terms[n].value / level.terms[n].limit)));
  });
  data.push(levels.map(() => 1));
  const options = {
    scales: { x: { time: false } },
    axes: [{ label: "callers at once" }, { label: "measured ÷ allowed" }],
    series: [
      { label: "callers" },
      ...levels[0].terms.map((term, n) => ({ label: term.term, stroke: COLOURS[n % COLOURS.length], points: { show: true } })),
      { label: "allowed", stroke: "#b3261e", dash: [6, 4], points: { show: false } },
    ],
  };
  plot(place, "Measured ÷ allowed", options, data);
}

function details(place, run) {
  place.replaceChildren(...numbers(run));
  overTime(place, run);
  percentiles(place, run);
}

function main() {
  const where = result.configuration;
  report.append(
    make("h1", `Load test of ${where.url}`),
    make("p", `${result.date}, model ${where.model ?? "unknown"}, measured on ${result.machine.cpu}, ${result.machine.usable_cores} cores`, "soft"),
  );
  if (result.interrupted) report.append(make("p", "The test was broken off; this is what was measured until then.", "bad"));
  const run = make("section");
  if (result.levels) {
    const found = result.highest === null ? "no load that was tried meets it" : `${result.highest} callers at once`;
    report.append(make("p", `Objective: ${result.objective}. Highest load: ${found}.`, result.highest === null ? "bad" : "good"));
    if (result.levels.length) {
      search(report);
      const choice = make("select", result.levels.map((level, n) => Object.assign(make("option", `${level.callers} callers`), { value: n })));
      choice.addEventListener("change", () => details(run, result.levels[choice.value]));
      choice.value = Math.max(0, result.levels.findIndex((level) => level.callers === result.highest));
      report.append(make("h2", "One load"), make("label", [choice]), run);
      details(run, result.levels[choice.value]);
    }
  } else {
    for (const term of result.terms ?? []) {
      report.append(make("p", `Objective ${term.met ? "met" : "missed"}: ${term.term}: ${shown(term)}`, term.met ? "good" : "bad"));
    }
    report.append(run);
    details(run, result);
  }
  report.append(make("h2", "Configuration"), make("pre", JSON.stringify({ ...where, commit: result.commit }, null, 1)));
}

main();
