// A page of an application that talks to its agent with the official @openai/agents package, and measures what it hears.
// The microphone is a file's sound that is heard only while `speaks`; the loudspeaker's samples are counted on the
// audio clock, so that "what was played" is the client's own word.

const BLOCK = 128;

async function microphone(context, file) {
  const bytes = await (await fetch(file)).arrayBuffer();
  const source = new AudioBufferSourceNode(context, {buffer: await context.decodeAudioData(bytes), loop: true});
  const mouth = new GainNode(context, {gain: 0});
  const out = new MediaStreamAudioDestinationNode(context);
  source.connect(mouth).connect(out);
  source.start();
  return {stream: out.stream, speaks: (does) => { mouth.gain.value = does ? 1 : 0; }};
}

async function ear(context, stream) {
  const code = `registerProcessor("ear", class extends AudioWorkletProcessor {
    process([[samples]]) {
      let peak = 0;
      for (const sample of samples ?? []) peak = Math.max(peak, Math.abs(sample));
      this.port.postMessage(peak);
      return true;
    }
  });`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
  const node = new AudioWorkletNode(context, "ear");
  const peaks = [];
  node.port.onmessage = ({data}) => peaks.push(data);
  new MediaStreamAudioSourceNode(context, {mediaStream: stream}).connect(node);
  return peaks;
}

// What the browser's own jitter buffer added to what it heard, in seconds of the audio clock: a frame that came late or
// not at all is made longer or concealed, and what waits is played faster. Asked for with the ear's clock beside it.
function stretches(connection, peaks) {
  const found = [];
  let known = 0;
  const look = async () => {
    for (const each of (await connection.getStats()).values()) {
      if (each.type === "inbound-rtp" && each.kind === "audio" && each.timestamp !== known) {  // it keeps them for 50 ms
        known = each.timestamp;
        const added = each.concealedSamples + each.insertedSamplesForDeceleration - each.removedSamplesForAcceleration;
        found.push([peaks.length, added, performance.now()]);
      }
    }
    setTimeout(look, 20);
  };
  look();
  return found;
}

async function call({url, secret}) {
  const {RealtimeAgent, RealtimeSession, OpenAIRealtimeWebRTC, tool} = window.OpenAIAgentsRealtime;
  const context = new AudioContext({sampleRate: 48000});
  await context.resume();
  const mouth = await microphone(context, "/speech.wav");
  const audio = document.createElement("audio");
  audio.autoplay = true;
  const transport = new OpenAIRealtimeWebRTC({baseUrl: url, audioElement: audio, mediaStream: mouth.stream});
  const calls = [];
  const book = tool({
    name: "book",
    description: "Books a table.",
    strict: false,
    parameters: {type: "object", properties: {where: {type: "string"}}, required: ["where"], additionalProperties: true},
    execute: async (asked) => { calls.push(asked); return JSON.stringify({booked: asked.where}); },
  });
  const agent = new RealtimeAgent({name: "helper", instructions: "Be brief.", tools: [book]});
  const session = new RealtimeSession(agent, {transport});
  const events = [];
  session.on("transport_event", (event) => events.push(event));
  const problems = [];
  session.on("error", (error) => problems.push(JSON.stringify(error)));
  await session.connect({apiKey: secret, url});
  const peaks = await ear(context, audio.srcObject);
  const stretched = stretches(transport.connectionState.peerConnection, peaks);
  window.page = {session, mouth, peaks, stretched, calls, events, problems, block: BLOCK / context.sampleRate};
  return transport.callId;
}
