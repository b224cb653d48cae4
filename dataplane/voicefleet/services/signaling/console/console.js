// The console page: one call, started and ended by one button, and what it cost. Plain WebRTC, no library.
//
// The key stands in the address behind '#', so it never leaves the browser but as the bearer of a call.

const find = (id) => document.getElementById(id);
const key = new URLSearchParams(location.hash.slice(1)).get("key");
let call = null;

class Call {
  constructor() {
    this.began = performance.now();
    this.peer = new RTCPeerConnection();
    this.audio = new AudioContext();
    this.meters = [];
  }

  async start() {
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    this.stage("microphone");
    this.microphone = microphone;
    for (const track of microphone.getTracks()) this.peer.addTrack(track, microphone);
    this.meter("up", microphone);
    this.peer.ontrack = ({ streams: [stream] }) => {
      find("voice").srcObject = stream;
      this.meter("down", stream);
    };
    this.channel = this.peer.createDataChannel("oai-events");
    this.channel.onopen = () => this.stage("data channel open");
    this.peer.onconnectionstatechange = () => this.changed();
    await this.peer.setLocalDescription();
    const answer = await fetch("/v1/realtime/calls", {
      method: "POST",
      headers: { "Content-Type": "application/sdp", ...(key && { Authorization: `Bearer ${key}` }) },
      body: this.peer.localDescription.sdp,
    });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    this.location = answer.headers.get("Location");
    this.stage("answer");
    await this.peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    this.clock = setInterval(() => this.measure(), 250);
  }

  changed() {
    const state = this.peer.connectionState;
    if (state === "connected") {
      this.stage("connected");
      say("You are in a call. What you say comes back.");
    } else if (state === "disconnected") say("No word from the relay; waiting.");
    else if (state === "failed") end("The call was lost.");
  }

  stage(name) {
    const item = document.createElement("li");
    item.dataset.stage = name;
    for (const text of [name, `${Math.round(performance.now() - this.began)} ms`]) {
      item.append(Object.assign(document.createElement("span"), { textContent: text }));
    }
    find("stages").append(item);
  }

  meter(id, stream) {
    const analyser = this.audio.createAnalyser();
    this.audio.createMediaStreamSource(stream).connect(analyser);
    this.meters.push([find(id), analyser, new Float32Array(analyser.fftSize)]);
  }

  async measure() {
    for (const [element, analyser, samples] of this.meters) {
      analyser.getFloatTimeDomainData(samples);
      const loudness = Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
      element.value = Math.min(1, loudness * 4);
      if (element.id === "down" && loudness > 0.01 && !this.heard) {
        this.heard = true;
        this.stage("first word back");
      }
    }
    const stats = [...(await this.peer.getStats()).values()];
    const of = (kind) => stats.find((one) => one.type === kind) ?? {};
    const transport = of("transport");
    const pair = stats.find((one) => one.id === transport.selectedCandidatePairId) ?? {};
    const relay = stats.find((one) => one.id === pair.remoteCandidateId) ?? {};
    const inbound = of("inbound-rtp");
    show({
      Relay: relay.address ? `${relay.address}:${relay.port}/${relay.protocol}` : "–",
      "Round trip": pair.currentRoundTripTime === undefined ? "–" : `${(pair.currentRoundTripTime * 1000).toFixed(1)} ms`,
      "Packets back": inbound.packetsReceived ?? 0,
      Lost: inbound.packetsLost ?? 0,
      Jitter: inbound.jitter === undefined ? "–" : `${(inbound.jitter * 1000).toFixed(1)} ms`,
    });
  }

  async stop() {
    clearInterval(this.clock);
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.audio.close();
    if (this.location && this.peer.connectionState === "connected") {
      await fetch(`${this.location}/hangup`, { method: "POST", headers: key ? { Authorization: `Bearer ${key}` } : {} });
    }
    this.peer.close();
  }
}

function say(text) {
  find("state").textContent = text;
}

function show(figures) {
  find("figures").replaceChildren(
    ...Object.entries(figures).map(([name, value]) => {
      const row = document.createElement("div");
      row.append(
        Object.assign(document.createElement("dt"), { textContent: name }),
        Object.assign(document.createElement("dd"), { textContent: value }),
      );
      row.dataset.figure = name;
      return row;
    }),
  );
}

function end(text) {
  call?.stop();
  call = null;
  find("talk").textContent = "Talk";
  find("talk").setAttribute("aria-pressed", "false");
  say(text);
}

find("talk").addEventListener("click", async () => {
  if (call) return end("The call has ended.");
  find("stages").replaceChildren();
  find("talk").textContent = "Hang up";
  find("talk").setAttribute("aria-pressed", "true");
  say("Calling.");
  call = new Call();
  try {
    await call.start();
  } catch (error) {
    end(error.message);
  }
});
