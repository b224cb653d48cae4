// An application's server: the official npm client with only the base URL changed. One line of JSON comes out.
import OpenAI from "openai";

const [baseURL, apiKey, call] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const report = {};
const secret = await client.realtime.clientSecrets.create({
  expires_after: { anchor: "created_at", seconds: 60 },
  session: { type: "realtime", model: "ours", instructions: "Be brief." },
});
report.secret = secret;
await client.realtime.calls.hangup(call);
try {
  await client.realtime.calls.hangup(call);
} catch (error) {
  report.again = { kind: error.constructor.name, status: error.status, code: error.code };
}
try {
  await new OpenAI({ baseURL, apiKey: "vf-not-a-key-of-anybody", maxRetries: 0 }).realtime.clientSecrets.create({});
} catch (error) {
  report.stranger = { kind: error.constructor.name, status: error.status, code: error.code };
}
console.log(JSON.stringify(report));
