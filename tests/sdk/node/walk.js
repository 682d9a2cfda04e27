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

const ended = (response) => response.incomplete_details?.reason ?? response.status;

async function* responses(client, text, stream) {
  const answer = await client.responses.create({ model: "gpt-test", input: text, stream });
  if (!stream) {
    yield [answer.output_text, ended(answer)];
    return;
  }
  for await (const event of answer) {
    if (event.type === "response.output_text.delta") yield [event.delta, null];
    if (["response.completed", "response.incomplete"].includes(event.type)) yield ["", ended(event.response)];
  }
}

async function* completions(client, text, stream) {
  const answer = await client.completions.create({ model: "gpt-test", prompt: text, stream });
  for await (const chunk of stream ? answer : [answer]) {
    for (const choice of chunk.choices) yield [choice.text, choice.finish_reason];
  }
}

async function followed(pieces) {
  let [content, finish] = ["", null];
  for await (const [piece, why] of pieces) {
    [content, finish] = [content + piece, why ?? finish];
    say({ heard: content });
  }
  say({ content, finish });
}

async function walk(client, mode, text) {
  const stream = mode.includes("stream");
  for (const other of [responses, completions]) {
    if (mode.includes(other.name)) return followed(other(client, text, stream));
  }
  return (stream ? streamed : whole)(client, text, mode.includes("tools") ? { tools: [TOOL] } : {});
}

const kinds = (error) => {
  const names = [];
  for (let of = error.constructor; of?.name; of = Object.getPrototypeOf(of)) names.push(of.name);
  return names;
};

const [baseURL, apiKey, mode, text] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
try {
  await walk(client, mode, text);
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  say({ raised: kinds(error), message: error.message, code: error.code ?? null, status: error.status ?? null });
}
