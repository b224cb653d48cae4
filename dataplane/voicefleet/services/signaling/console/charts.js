// Live figures of a call over the last minute: small charts of one or two lines, readable as text as well.

import { make, milliseconds } from "./dom.js";

const KEPT = 120;
const percent = (value) => (value === undefined ? "–" : `${(value * 100).toFixed(1)} %`);
const seconds = (value) => (value === undefined ? "–" : milliseconds(value * 1000));

const KINDS = [
  { title: "Round trip", show: seconds, least: 0, top: 0.1, lines: [["", "roundTrip"]] },
  { title: "Lost", show: percent, least: 0, top: 0.05, lines: [["to you", "lossDown"], ["from you", "lossUp"]] },
  { title: "Jitter", show: seconds, least: 0, top: 0.03, lines: [["to you", "jitterDown"], ["from you", "jitterUp"]] },
  { title: "Quality (MOS)", show: (value) => value?.toFixed(2) ?? "–", least: 1, top: 4.5, fixed: true, lines: [["", "mos"]] },
];
const MARKS = ["var(--one)", "var(--two)"];

export class Charts {
  constructor(place) {
    this.readings = [];
    this.charts = KINDS.map((kind) => new Chart(kind));
    place.replaceChildren(...this.charts.map((chart) => chart.figure));
  }

  clear() {
    this.readings = [];
    for (const chart of this.charts) chart.draw(this.readings);
  }

  add(reading) {
    this.readings.push(reading);
    if (this.readings.length > KEPT) this.readings.shift();
    for (const chart of this.charts) chart.draw(this.readings);
  }
}

class Chart {
  constructor(kind) {
    this.kind = kind;
    this.now = make("b", {}, "–");
    this.lines = kind.lines.map((_, index) => svg("polyline", { stroke: MARKS[index] }));
    this.picture = svg("svg", { viewBox: "0 0 100 50", preserveAspectRatio: "none", role: "img" });
    this.picture.append(svg("line", { class: "grid", x1: 0, x2: 100, y1: 49.5, y2: 49.5 }), svg("line", { class: "grid", x1: 0, x2: 100, y1: 0.5, y2: 0.5 }), ...this.lines);
    this.top = make("span");
    const legend = make("ul", { class: "legend" });
    if (kind.lines.length > 1) {
      kind.lines.forEach(([name], index) => legend.append(make("li", { style: `--mark: ${MARKS[index]}` }, name)));
    }
    this.figure = make(
      "figure",
      { class: "chart", "data-figure": kind.title },
      make("figcaption", {}, kind.title, this.now),
      this.picture,
      make("div", { class: "scale" }, this.top, make("span", {}, "last minute")),
      legend,
    );
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.draw(this.readings));
    this.draw([]);
  }

  draw(readings) {
    this.readings = readings;
    const { kind } = this;
    const values = kind.lines.map(([, name]) => readings.map((reading) => reading[name]));
    const known = values.flat().filter((value) => value !== undefined);
    const top = kind.fixed ? kind.top : Math.max(kind.top, ...known) * (Math.max(...known, 0) > kind.top ? 1.1 : 1);
    values.forEach((line, index) => {
      const points = line.map((value, at) => [100 - ((line.length - 1 - at) * 100) / (KEPT - 1), value]);
      const drawn = points.filter(([, value]) => value !== undefined);
      this.lines[index].setAttribute("points", drawn.map(([x, value]) => `${x.toFixed(2)},${(49 - ((value - kind.least) / (top - kind.least)) * 48).toFixed(2)}`).join(" "));
    });
    this.top.textContent = `up to ${kind.show(top)}`;
    this.tell(readings.length - 1);
  }

  point(event) {
    const share = event.offsetX / this.picture.clientWidth;
    this.tell(Math.max(0, this.readings.length - 1 - Math.round((1 - share) * (KEPT - 1))));
  }

  tell(at) {
    const words = this.kind.lines.map(([name, field]) => `${this.kind.show(this.readings[at]?.[field])}${name && ` ${name}`}`);
    this.now.textContent = this.kind.show(this.readings[at]?.[this.kind.lines[0][1]]);
    this.picture.setAttribute("aria-label", `${this.kind.title}: ${words.join(", ")}`);
  }
}

function svg(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** A level over the last seconds, newest at the right. */
export class Meter {
  constructor(canvas) {
    this.canvas = canvas;
    this.levels = [];
  }

  add(level) {
    const { width, height } = this.canvas;
    const bars = width / 6;
    this.levels.push(Math.min(1, Math.sqrt(level) * 1.6));
    if (this.levels.length > bars) this.levels.shift();
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.fillStyle = getComputedStyle(this.canvas).getPropertyValue("--live");
    this.levels.forEach((each, at) => {
      const tall = Math.max(2, each * (height - 6));
      context.fillRect(width - (this.levels.length - at) * 6, (height - tall) / 2, 4, tall);
    });
  }
}
