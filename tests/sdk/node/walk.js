// Walks one scenario with OpenAI's own SDK, only its base URL and key changed, and prints what it met, a JSON object on
// each line. The test beside `tests/sdk.rs` decides whether that is right.

import OpenAI from "openai";

const say = (facts) => console.log(JSON.stringify(facts));

const TOOL = {
  type: "function",
  function: { name: "note", parameters: { type: "object", properties: { note: { type: "string" } } } },
};

const ask = (client, text, more) =>
  client.chat.completions.create({ model: "gpt-test", messages: [{ role: "user", content: text }], ...more });

async function streamed(client, text, more) {
  let [content, args, finish] = ["", "", null];
  for await (const chunk of await ask(client, text, { ...more, stream: true })) {
    for (const choice of chunk.choices) {
      if (choice.delta.content) {
        content += choice.delta.content;
        say({ heard: content });
      }
      for (const call of choice.delta.tool_calls ?? []) args += call.function.arguments ?? "";
      finish = choice.finish_reason ?? finish;
    }
  }
  say({ content, arguments: args, finish });
}

async function whole(client, text, more) {
  const choice = (await ask(client, text, more)).choices[0];
  const args = (choice.message.tool_calls ?? []).map((call) => call.function.arguments).join("");
  say({ content: choice.message.content ?? "", arguments: args, finish: choice.finish_reason });
}

const kinds = (error) => {
  const names = [];
  for (let of = error.constructor; of?.name; of = Object.getPrototypeOf(of)) names.push(of.name);
  return names;
};

const [baseURL, apiKey, mode, text] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const more = mode.includes("tools") ? { tools: [TOOL] } : {};
try {
  await (mode.includes("stream") ? streamed : whole)(client, text, more);
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  say({ raised: kinds(error), message: error.message, code: error.code ?? null, status: error.status ?? null });
}
