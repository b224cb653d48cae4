// One call: plain WebRTC and fetch, no library. It tells what happens by callbacks and draws nothing.

import { reading } from "./quality.js";

const MEASURED_EVERY = 500;
const LISTENED_EVERY = 20;
const GIVEN_BACK = 3000; // ms without a path until new ICE credentials are asked for
const TRIES = 5;
const FRAGMENT = "application/trickle-ice-sdpfrag";

export class Call {
  /** `on` has state, stage, event, measured, level; each is called with what its name says. */
  constructor(key, on) {
    this.key = key;
    this.on = on;
    this.began = performance.now();
    this.peer = new RTCPeerConnection();
    this.audio = new AudioContext();
    this.listeners = [];
    this.timers = [];
    this.heard = { last: undefined, gap: 0 };
  }

  async start(session) {
    this.microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    this.stage("microphone");
    for (const track of this.microphone.getTracks()) this.peer.addTrack(track, this.microphone);
    this.listen("up", this.microphone);
    this.peer.ontrack = ({ streams: [stream], receiver }) => {
      this.receiver = receiver;
      this.voice = stream;
      this.listen("down", stream);
      this.on.voice(stream);
    };
    this.channel = this.peer.createDataChannel("oai-events");
    this.channel.onopen = () => this.stage("data channel open");
    this.channel.onmessage = ({ data }) => this.on.event("in", read(data));
    this.peer.onconnectionstatechange = () => this.changed();
    await this.peer.setLocalDescription();
    const body = new FormData();
    body.set("sdp", this.peer.localDescription.sdp);
    body.set("session", JSON.stringify(session));
    const answer = await this.ask("/v1/realtime/calls", { method: "POST", headers: this.bearer(), body });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    this.id = answer.headers.get("Location").split("/").pop();
    this.stage("answer");
    await this.peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    this.timers.push(setInterval(() => this.measure(), MEASURED_EVERY), setInterval(() => this.follow(), LISTENED_EVERY));
  }

  /** As fetch, but a fleet that is full for the moment is asked again when it says. */
  async ask(url, request) {
    for (let tries = 1; ; tries += 1) {
      const answer = await fetch(url, request);
      const wait = Number(answer.headers.get("Retry-After"));
      if (answer.status !== 503 || !wait || tries === TRIES) return answer;
      this.on.state("busy");
      await new Promise((done) => setTimeout(done, wait * 1000));
    }
  }

  bearer() {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  stage(name) {
    this.on.stage(name, performance.now() - this.began);
  }

  changed() {
    const state = this.peer.connectionState;
    if (state === "connected" && !this.connected) {
      this.connected = true;
      this.stage("connected");
    }
    clearTimeout(this.waiting);
    if (state === "disconnected") this.waiting = setTimeout(() => this.changeAddress().catch(() => {}), GIVEN_BACK);
    this.on.state(state);
  }

  /** New ICE credentials and new ports on the same call: what a phone does that leaves the house's network. */
  async changeAddress() {
    this.peer.restartIce();
    await this.peer.setLocalDescription();
    const lines = this.peer.localDescription.sdp.split("\r\n");
    const wanted = lines.filter((line) => /^a=(ice-ufrag|ice-pwd|mid):/.test(line));
    const section = wanted.findIndex((line) => line.startsWith("a=mid:"));
    const credentials = wanted.filter((line) => line.startsWith("a=ice-")).slice(0, 2);
    const fragment = [...credentials, "m=audio 9 UDP/TLS/RTP/SAVPF 0", wanted[section], ""].join("\r\n");
    const answer = await fetch(`/whip/${this.id}`, {
      method: "PATCH",
      headers: { ...this.bearer(), "Content-Type": FRAGMENT, "If-Match": "*" },
      body: fragment,
    });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    await this.peer.setRemoteDescription({ type: "answer", sdp: renewed(this.peer.remoteDescription.sdp, await answer.text()) });
  }

  send(event) {
    if (this.channel?.readyState !== "open") return false;
    this.channel.send(JSON.stringify(event));
    this.on.event("out", event);
    return true;
  }

  mute(muted) {
    for (const track of this.microphone.getAudioTracks()) track.enabled = !muted;
  }

  /** Forget earlier silences; `gap` of the next readings is the longest from here on. */
  watchGap() {
    this.heard = { last: this.heard.last, gap: 0 };
  }

  listen(name, stream) {
    const analyser = this.audio.createAnalyser();
    analyser.fftSize = 1024;
    this.audio.createMediaStreamSource(stream).connect(analyser);
    this.listeners.push({ name, analyser, samples: new Float32Array(analyser.fftSize) });
  }

  /** Levels for the meters, and how long the ear has had nothing new to play. */
  follow() {
    const now = performance.now();
    if (now - (this.drawn ?? 0) > 60) {
      this.drawn = now;
      for (const { name, analyser, samples } of this.listeners) {
        analyser.getFloatTimeDomainData(samples);
        const level = Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
        this.on.level(name, level);
        if (name === "down" && level > 0.01 && !this.answered) {
          this.answered = true;
          this.stage("first word back");
        }
      }
    }
    const source = this.receiver?.getSynchronizationSources()[0];
    if (source && source.rtpTimestamp !== this.heard.mark) {
      this.heard.mark = source.rtpTimestamp;
      this.heard.last = now;
    } else if (this.heard.last !== undefined) this.heard.gap = Math.max(this.heard.gap, now - this.heard.last);
  }

  async measure() {
    this.reading = reading(await this.peer.getStats(), this.reading);
    this.on.measured(this.reading, this.heard.gap);
  }

  async stop() {
    for (const timer of this.timers) clearInterval(timer);
    clearTimeout(this.waiting);
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.audio.close();
    const live = this.id && this.peer.connectionState === "connected";
    if (live) await fetch(`/v1/realtime/calls/${this.id}/hangup`, { method: "POST", headers: this.bearer() }).catch(() => {});
    this.peer.close();
  }
}

function read(data) {
  try {
    return JSON.parse(data);
  } catch {
    return { type: "text", text: String(data) };
  }
}

/** The description of before with the credentials and candidates of a fragment. */
function renewed(sdp, fragment) {
  const value = (name) => fragment.match(new RegExp(`^a=${name}:(.*)$`, "m"))?.[1].trim();
  const candidates = [...new Set(fragment.match(/^a=candidate:.*$/gm) ?? [])].map((line) => line.trim());
  const placed = [];
  for (const line of sdp.split("\r\n")) {
    if (line.startsWith("a=candidate:") || line === "a=end-of-candidates") continue;
    if (line.startsWith("a=ice-ufrag:")) placed.push(`a=ice-ufrag:${value("ice-ufrag")}`);
    else if (line.startsWith("a=ice-pwd:")) placed.push(`a=ice-pwd:${value("ice-pwd")}`, ...candidates);
    else placed.push(line);
  }
  return placed.join("\r\n");
}
