// The fleet as signaling's directory knows it, and in local mode buttons that break parts of it.

import { find, make } from "./dom.js";

const MARKS = { serving: "var(--good)", draining: "var(--three)", silent: "var(--bad)" };
const EVERY = 1000;

export class Fleet {
  /** `act(name, target)` is called when somebody presses a button that breaks. */
  constructor(bearer, act) {
    this.bearer = bearer;
    this.act = act;
    this.view = { relays: [], transceivers: [] };
    this.breakable = "breakable" in document.body.dataset;
  }

  async follow() {
    for (;;) {
      try {
        const answer = await fetch("/v1/fleet", { headers: this.bearer() });
        if (answer.status === 401 || answer.status === 403) return this.hide();
        if (answer.ok) this.show(await answer.json());
      } catch {
        find("summary").textContent = "Signaling does not answer.";
      }
      await new Promise((done) => setTimeout(done, EVERY));
    }
  }

  hide() {
    find("fleet").hidden = true;
    find("summary").textContent = "";
  }

  show(view) {
    this.view = view;
    find("fleet").hidden = false;
    const calls = view.transceivers.reduce((sum, each) => sum + (each.calls ?? 0), 0);
    const capacity = view.transceivers.reduce((sum, each) => sum + each.capacity, 0);
    find("summary").textContent = `${count(view.relays.length, "relay")} · ${count(view.transceivers.length, "transceiver")} · ${calls} of ${capacity} calls`;
    this.keepFocus(() => find("parts").replaceChildren(...view.relays.map((relay) => this.relay(relay)), ...view.transceivers.map((each) => this.transceiver(each))));
    find("failures").hidden = !this.breakable;
  }

  relay(relay) {
    const addresses = relay.addresses.map((each) => `${each.address}:${each.udp}`).join(" ");
    return this.part(relay, `pool ${relay.pool}`, addresses, relay.load, `${Math.round(relay.load * 100)} % · ${relay.tier}`);
  }

  transceiver(each) {
    const calls = each.calls ?? 0;
    return this.part(each, `shard ${each.shard}`, "", each.capacity ? calls / each.capacity : 0, `${calls} of ${each.capacity} calls`);
  }

  part(part, of, address, load, loaded) {
    const state = part.stale ? "silent" : part.draining ? "draining" : "serving";
    const bar = make("span", { class: "track", "aria-hidden": "true" }, make("i", { style: `width: ${load * 100}%` }));
    const buttons = this.breakable
      ? ["kill", ...(part.shard && !part.draining ? ["drain"] : [])].map((action) =>
          make("button", { type: "button", "data-act": `${action} ${part.id}`, "aria-label": `${capital(action)} ${part.id}`, onclick: () => this.act(action, part.id) }, capital(action)),
        )
      : [];
    return make(
      "tr",
      { "data-part": part.id },
      make("th", { scope: "row" }, part.id),
      make("td", {}, of),
      make("td", {}, part.region || "–"),
      make("td", {}, address || "–"),
      make("td", {}, bar, loaded),
      make("td", {}, make("span", { class: "state", style: `--mark: ${MARKS[state]}` }, state)),
      make("td", {}, make("div", { class: "actions" }, ...buttons)),
    );
  }

  /** The table is drawn anew each second; a keyboard stays on its button. */
  keepFocus(draw) {
    const held = document.activeElement?.dataset.act;
    draw();
    if (held) document.querySelector(`[data-act="${CSS.escape(held)}"]`)?.focus();
  }

  /** The relay that has an address. */
  relayAt(address, port) {
    return this.view.relays.find((relay) => relay.addresses.some((each) => each.address === address && [each.udp, each.tcp].includes(port)));
  }
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
