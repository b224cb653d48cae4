// The console page: it wires one call, the fleet's table and the pictures of both together.
//
// The key stands in the address behind '#', so it never leaves the browser but as the bearer of a request.

import { Call } from "./call.js";
import { Charts, Meter } from "./charts.js";
import { Conversation } from "./conversation.js";
import { find, make, milliseconds } from "./dom.js";
import { Fleet } from "./fleet.js";
import { Stages, Turns, drawPath } from "./waterfalls.js";

const BROKEN = { kill: "was killed", drain: "drains", flush: "was flushed" };

let key = new URLSearchParams(location.hash.slice(1)).get("key") ?? "";
let call = null;
let owner; // the transceiver of the call, as signaling knows it
let broken; // what was broken last, whose gap is being watched

const charts = new Charts(find("charts"));
const stages = new Stages(find("stages"));
const turns = new Turns(find("waterfalls"), find("legend"));
const conversation = new Conversation();
const meters = { up: new Meter(find("up")), down: new Meter(find("down")) };
const bearer = () => (key ? { Authorization: `Bearer ${key}` } : {});
const fleet = new Fleet(bearer, breakPart);

const say = (text) => {
  find("state").textContent = text;
};

function turnDetection() {
  const type = find("turns").value;
  if (type === "none") return null;
  return type === "server_vad" ? { type, silence_duration_ms: Number(find("threshold").value) } : { type };
}

function session() {
  const [model, instructions] = [find("model").value.trim(), find("instructions").value.trim()];
  return { type: "realtime", ...(model && { model }), ...(instructions && { instructions }), audio: { input: { turn_detection: turnDetection() } } };
}

async function begin() {
  stages.clear();
  turns.clear();
  charts.clear();
  conversation.clear();
  pressed(true);
  say("Calling.");
  const mine = (call = new Call(key, {
    state: (state) => call === mine && stateChanged(state),
    stage: (name, at) => stages.add(name, at),
    voice: (stream) => (find("voice").srcObject = stream),
    level: (name, level) => meters[name].add(level),
    event: heard,
    measured,
  }));
  try {
    await mine.start(session());
    owner = await ownerOf(mine.id);
  } catch (error) {
    if (call === mine) end(error.message);
  }
}

async function ownerOf(id) {
  const answer = await fetch(`/v1/fleet/calls/${id}`, { headers: bearer() });
  return answer.ok ? (await answer.json()).transceiver : undefined;
}

function stateChanged(state) {
  if (state === "connected") {
    say("You are in a call. Speak; the agent answers when your turn is over.");
    for (const id of ["interrupt", "mute"]) find(id).disabled = false;
    showCommit();
  } else if (state === "busy") say("Every transceiver is busy; trying again.");
  else if (state === "disconnected") say("No word from the relay; looking for another way.");
  else if (state === "failed") end("The call was lost.");
}

function heard(direction, event) {
  conversation.add(direction, event);
  if (direction === "in" && event.type === "voicefleet.turn") turns.add(event);
}

function measured(reading, gap) {
  charts.add(reading);
  find("received").textContent = reading.totals.received;
  const relay = reading.relay && { ...reading.relay, id: fleet.relayAt(reading.relay.address, reading.relay.port)?.id };
  drawPath({ relay, transceiver: owner, reading });
  if (broken) find("gap").textContent = `${broken}; longest silence since: ${milliseconds(gap)}.`;
}

function end(text) {
  call?.stop();
  call = null;
  owner = undefined;
  broken = undefined;
  pressed(false);
  for (const id of ["interrupt", "mute"]) find(id).disabled = true;
  find("mute").setAttribute("aria-pressed", "false");
  find("commit").hidden = true;
  drawPath();
  say(text);
}

function pressed(live) {
  find("talk").textContent = live ? "Hang up" : "Talk";
  find("talk").setAttribute("aria-pressed", String(live));
  find("model").disabled = live;
}

function update() {
  find("threshold-value").textContent = `${find("threshold").value} ms`;
  find("threshold").disabled = find("turns").value !== "server_vad";
}

function showCommit() {
  find("commit").hidden = !call || find("turns").value !== "none";
}

function tellSession() {
  update();
  showCommit();
  const { model: _, ...changed } = session();
  call?.send({ type: "session.update", session: changed });
}

// What can be broken here: parts by buttons of their own in the table, and the rest below it.

function showBreakers() {
  const buttons = find("failure-buttons");
  const offer = (text, act) => make("button", { type: "button", class: "quiet", onclick: act }, text);
  buttons.append(
    offer("Kill this call's relay", () => {
      const relay = call?.reading?.relay;
      const part = relay && fleet.relayAt(relay.address, relay.port);
      if (part) breakPart("kill", part.id);
      else find("gap").textContent = "Start a call first.";
    }),
    offer("Flush the session map", () => breakPart("flush", "session-map")),
    offer("Change my address", changeAddress),
  );
}

async function breakPart(action, target) {
  watch(`${target} ${BROKEN[action]}`);
  const answer = await fetch("/console/break", {
    method: "POST",
    headers: { ...bearer(), "Content-Type": "application/json" },
    body: JSON.stringify({ action, target }),
  });
  if (!answer.ok) {
    broken = undefined;
    find("gap").textContent = (await answer.json()).error.message;
  }
}

async function changeAddress() {
  if (!call) {
    find("gap").textContent = "Start a call first.";
    return;
  }
  watch("Your address changed");
  try {
    await call.changeAddress();
  } catch (error) {
    find("gap").textContent = error.message;
  }
}

function watch(what) {
  broken = call ? what : undefined;
  call?.watchGap();
  find("gap").textContent = `${what}.`;
}

find("talk").addEventListener("click", () => (call ? end("The call has ended.") : begin()));
find("interrupt").addEventListener("click", () => {
  call?.send({ type: "response.cancel" });
  call?.send({ type: "output_audio_buffer.clear" });
});
find("mute").addEventListener("click", ({ currentTarget }) => {
  const muted = currentTarget.getAttribute("aria-pressed") !== "true";
  currentTarget.setAttribute("aria-pressed", String(muted));
  call?.mute(muted);
});
find("commit").addEventListener("click", () => {
  if (call?.send({ type: "input_audio_buffer.commit" })) call.send({ type: "response.create" });
});
find("threshold").addEventListener("input", update);
for (const id of ["turns", "threshold", "instructions"]) find(id).addEventListener("change", tellSession);
find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = find("key").value.trim();
  find("key-form").hidden = true;
  fleet.follow();
});

find("key-form").hidden = Boolean(key) || Boolean(document.querySelector(".notice"));
update();
showBreakers();
drawPath();
fleet.follow();
