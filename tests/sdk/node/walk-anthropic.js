// As walk.js, with Anthropic's SDK.

import Anthropic from "@anthropic-ai/sdk";

const say = (facts) => console.log(JSON.stringify(facts));

const TOOL = { name: "note", input_schema: { type: "object", properties: { note: { type: "string" } } } };

const asked = (text, more) => ({
  model: "claude-test",
  max_tokens: 100,
  messages: [{ role: "user", content: text }],
  ...more,
});

function told(message) {
  const content = message.content.filter((block) => block.type === "text").map((block) => block.text);
  const input = message.content.filter((block) => block.type === "tool_use").map((block) => block.input);
  say({ content: content.join(""), input, finish: message.stop_reason });
}

async function streamed(client, text, more) {
  const stream = client.messages.stream(asked(text, more));
  stream.on("text", (_, heard) => say({ heard }));
  told(await stream.finalMessage());
}

async function whole(client, text, more) {
  told(await client.messages.create(asked(text, more)));
}

const kinds = (error) => {
  const names = [];
  for (let of = error.constructor; of?.name; of = Object.getPrototypeOf(of)) names.push(of.name);
  return names;
};

const [baseURL, apiKey, mode, text] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey });
const more = mode.includes("tools") ? { tools: [TOOL] } : {};
try {
  await (mode.includes("stream") ? streamed : whole)(client, text, more);
} catch (error) {
  if (!(error instanceof Anthropic.APIError)) throw error;
  say({ raised: kinds(error), message: error.message, body: error.error ?? {}, status: error.status ?? null });
}
