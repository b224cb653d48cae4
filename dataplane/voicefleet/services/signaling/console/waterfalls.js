// What waiting is made of: the stages of the connection, and those of each turn against the budget.

import { find, make, milliseconds } from "./dom.js";

const SHOWN = 12;
const MARKS = ["var(--one)", "var(--two)", "var(--three)", "var(--four)", "var(--five)"];

/** Set-up: each stage is a bar from the one before it to when it was reached. */
export class Stages {
  constructor(list) {
    this.list = list;
    this.stages = [];
  }

  clear() {
    this.stages = [];
    this.list.replaceChildren();
  }

  add(name, at) {
    this.stages.push({ name, at });
    const whole = Math.max(...this.stages.map((stage) => stage.at), 1);
    this.list.replaceChildren(
      ...this.stages.map((stage, index) => {
        const from = index ? this.stages[index - 1].at : 0;
        const bar = make("i", { style: `margin-left: ${(from / whole) * 100}%; width: ${((stage.at - from) / whole) * 100}%` });
        return row(stage.name, make("span", { class: "track", "aria-hidden": "true" }, bar), milliseconds(stage.at), { "data-stage": stage.name });
      }),
    );
  }
}

/** Turns: the newest last; a line in each bar is the budget. */
export class Turns {
  constructor(list, legend) {
    this.list = list;
    this.legend = legend;
    this.clear();
  }

  clear() {
    this.turns = [];
    this.names = [];
    this.legend.replaceChildren();
  }

  /** A `voicefleet.turn` event. */
  add(event) {
    this.turns.push(event);
    if (this.turns.length > SHOWN) this.turns.shift();
    for (const stage of event.stages) if (!this.names.includes(stage.name)) this.names.push(stage.name);
    this.legend.replaceChildren(...this.names.map((name) => make("li", { style: `--mark: ${this.mark(name)}` }, words(name))));
    const whole = Math.max(...this.turns.map((turn) => Math.max(turn.total_ms, turn.budget_ms)));
    this.list.replaceChildren(...this.turns.map((turn) => this.row(turn, whole)));
  }

  mark(name) {
    return MARKS[this.names.indexOf(name) % MARKS.length];
  }

  row(turn, whole) {
    const share = (value) => `${(value / whole) * 100}%`;
    const bars = turn.stages.map((stage) =>
      make("i", { style: `width: ${share(stage.ms)}; background: ${this.mark(stage.name)}`, title: `${words(stage.name)}: ${milliseconds(stage.ms)}` }),
    );
    const limit = make("i", { class: "limit", style: `left: ${share(turn.budget_ms)}` });
    const over = turn.total_ms > turn.budget_ms;
    const blamed = (turn.overruns ?? []).map(words).join(", ");
    const spoken = turn.stages.map((stage) => `${words(stage.name)} ${milliseconds(stage.ms)}`).join(", ");
    const track = make("span", { class: "track", role: "img", "aria-label": spoken }, ...bars, limit);
    return row(blamed ? `over: ${blamed}` : "within the budget", track, milliseconds(turn.total_ms), { "data-turn": turn.turn_id ?? "" }, over);
  }
}

const words = (name) => name.replaceAll("_", " ");

function row(name, track, figure, attributes, over = false) {
  return make("li", attributes, make("span", {}, name), track, make("span", { class: over ? "figure over" : "figure" }, figure));
}

/** Where the call goes: four stops, and what is known of the way between them. */
export function drawPath({ relay, transceiver, reading } = {}) {
  const trip = reading?.roundTrip;
  const list = find("path");
  list.className = relay ? "path" : "path idle";
  list.replaceChildren(
    stop("You", "this browser"),
    stop("Relay", relay ? `${relay.address}:${relay.port}/${relay.protocol}` : "not chosen yet", relay?.id, trip === undefined ? "" : `${milliseconds(trip * 1000)} there and back`),
    stop("Transceiver", transceiver?.id ?? "not chosen yet", transceiver?.shard && `shard ${transceiver.shard}`, relay ? "sealed all the way" : ""),
    stop("Agent", transceiver ? "in the call" : "waits"),
  );
}

function stop(name, detail, more, leg) {
  return make(
    "li",
    { "data-stop": name },
    leg !== undefined && leg !== "" ? make("span", { class: "leg" }, leg) : null,
    make("b", {}, name),
    make("span", { class: "detail" }, detail),
    more ? make("span", { class: "detail" }, more) : null,
  );
}
