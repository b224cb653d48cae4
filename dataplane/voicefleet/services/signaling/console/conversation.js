// What is said, as far as events tell, and every event as it came.

import { append, find, make } from "./dom.js";

const EVENTS_KEPT = 300;
const LINES_KEPT = 100;
const NOTES = {
  "input_audio_buffer.speech_started": "you speak",
  "input_audio_buffer.speech_stopped": "you paused",
  "output_audio_buffer.started": "the agent speaks",
  "output_audio_buffer.cleared": "the agent was interrupted",
};

export class Conversation {
  constructor() {
    this.clear();
  }

  clear() {
    this.lines = new Map();
    this.count = 0;
    find("transcript").replaceChildren();
    find("events").replaceChildren();
    find("event-count").textContent = "";
  }

  add(direction, event) {
    this.log(direction, event);
    if (direction === "out") return;
    const { type } = event;
    if (type === "conversation.item.input_audio_transcription.delta") this.say("you", event.item_id, event.delta);
    else if (type === "conversation.item.input_audio_transcription.completed") this.say("you", event.item_id, event.transcript, true);
    else if (type === "response.output_audio_transcript.delta" || type === "response.output_text.delta") this.say("agent", event.item_id, event.delta);
    else if (type === "response.output_audio_transcript.done") this.say("agent", event.item_id, event.transcript, true);
    else if (type === "response.output_text.done") this.say("agent", event.item_id, event.text, true);
    else if (type === "error") this.note(event.error?.message ?? "an error");
    else if (NOTES[type]) this.note(NOTES[type]);
  }

  say(who, item, text, whole = false) {
    if (!text) return;
    const id = `${who}-${item}`;
    let line = this.lines.get(id);
    if (!line) {
      line = make("p", { class: who }, make("span", { class: "unseen" }, `${who === "you" ? "You" : "Agent"}: `), make("span"));
      this.lines.set(id, line);
      append(find("transcript"), line, LINES_KEPT);
    }
    const words = line.lastElementChild;
    words.textContent = whole ? text : words.textContent + text;
  }

  note(text) {
    append(find("transcript"), make("p", { class: "note" }, text), LINES_KEPT);
  }

  log(direction, event) {
    this.count += 1;
    find("event-count").textContent = `(${this.count})`;
    const time = new Date().toISOString().slice(11, 23);
    const head = make("summary", {}, make("time", {}, time), make("span", {}, direction === "in" ? "←" : "→"), make("span", {}, event.type ?? "?"));
    append(find("events"), make("li", { "data-event": event.type }, make("details", {}, head, make("pre", {}, JSON.stringify(event, null, 2)))), EVENTS_KEPT);
  }
}
