// What waiting is made of: the stages of the connection, and those of each turn against the budget.

import { find, make, milliseconds } from "./dom.js";

const SHOWN = 12;
const MARKS = {
  capture: "var(--one)",
  end_of_turn: "var(--two)",
  transcription: "var(--six)",
  text: "var(--four)",
  speech: "var(--three)",
  queue: "var(--seven)",
  network_down: "var(--five)",
};

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
    const stages = Object.entries(event.stages);
    this.turns.push({ id: event.item_id, stages, total: event.total_ms, budget: event.shares.total.budget_ms, overruns: event.overruns });
    if (this.turns.length > SHOWN) this.turns.shift();
    for (const [name] of stages) if (!this.names.includes(name)) this.names.push(name);
    this.legend.replaceChildren(...this.names.map((name) => make("li", { style: `--mark: ${MARKS[name]}` }, words(name))));
    const whole = Math.max(...this.turns.map((turn) => Math.max(turn.total, turn.budget))) * 1.02;
    this.list.replaceChildren(...this.turns.map((turn) => this.row(turn, whole)));
  }

  row(turn, whole) {
    const share = (value) => `${(value / whole) * 100}%`;
    const spoken = turn.stages.map(([name, ms]) => `${words(name)} ${milliseconds(ms)}`).join(", ");
    const bars = turn.stages.map(([name, ms]) =>
      make("i", { style: `width: ${share(ms)}; background: ${MARKS[name]}`, title: `${words(name)}: ${milliseconds(ms)}` }),
    );
    const limit = make("i", { class: "limit", style: `left: ${share(turn.budget)}` });
    const track = make("span", { class: "track", role: "img", "aria-label": spoken }, ...bars, limit);
    const blamed = turn.overruns.filter((name) => name !== "total").map(words).join(", ");
    const over = turn.total > turn.budget;
    return row(blamed ? `over: ${blamed}` : "within the budget", track, milliseconds(turn.total), { "data-turn": turn.id }, over);
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
