// The level of both sides as it runs by: the microphone and the answer, one bar for every 40 ms.

const BARS = 48;
const BAR_MS = 40;
const FLOOR_DB = 54;

/** Height of a bar in [0, 1] for an rms in [0, 1], in decibels. */
export function height(rms) {
  return rms > 0 ? Math.max(0, Math.min(1, 1 + (20 * Math.log10(rms)) / FLOOR_DB)) : 0;
}

export class Scope {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.bars = Array.from({ length: BARS }, () => ({ heard: 0, said: 0 }));
    this.next = { heard: 0, said: 0 };
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** `side`: "heard" for the microphone, "said" for the answer. */
  show(side, rms) {
    this.next[side] = Math.max(this.next[side], height(rms));
    this.timer ??= setTimeout(() => this.step(), BAR_MS);
  }

  step() {
    const { heard, said } = this.next;
    this.bars.push(this.next);
    this.bars.shift();
    this.next = { heard: 0, said: 0 };
    this.draw();
    const quiet = !heard && !said && this.bars.every((bar) => !bar.heard && !bar.said);
    this.timer = quiet ? undefined : setTimeout(() => this.step(), BAR_MS);
  }

  draw() {
    const { canvas, pen } = this;
    const scale = devicePixelRatio || 1;
    const [width, high] = [canvas.clientWidth * scale, canvas.clientHeight * scale];
    if (!width) return;
    if (canvas.width !== Math.round(width)) [canvas.width, canvas.height] = [Math.round(width), Math.round(high)];
    const style = getComputedStyle(canvas);
    const colours = { heard: style.getPropertyValue("--heard"), said: style.getPropertyValue("--said") };
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const pitch = canvas.width / BARS;
    // Without motion the bars do not run by: all show the moment.
    this.bars.forEach((bar, n) => {
      const { heard, said } = this.still.matches ? this.bars.at(-1) : bar;
      const side = said > heard ? "said" : "heard";
      const tall = Math.max(2 * scale, (canvas.height - scale) * Math.max(heard, said) ** 2); // squared: speech moves more
      pen.fillStyle = colours[side];
      pen.globalAlpha = heard || said ? 1 : 0.35;
      pen.beginPath();
      pen.roundRect(n * pitch + pitch * 0.2, (canvas.height - tall) / 2, pitch * 0.6, tall, pitch * 0.3);
      pen.fill();
    });
  }
}
