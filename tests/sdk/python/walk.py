"""Walks one scenario with OpenAI's own SDK, only its base URL and key changed, and prints what it met, a JSON object
on each line. The test beside `tests/sdk.rs` decides whether that is right."""

import json
import sys

import openai


def say(**facts):
    print(json.dumps(facts), flush=True)


TOOL = {
    "type": "function",
    "function": {"name": "note", "parameters": {"type": "object", "properties": {"note": {"type": "string"}}}},
}


def ask(client, text, **more):
    return client.chat.completions.create(model="gpt-test", messages=[{"role": "user", "content": text}], **more)


def streamed(client, text, **more):
    content, arguments, finish = "", "", None
    for chunk in ask(client, text, stream=True, **more):
        for choice in chunk.choices:
            if choice.delta.content:
                content += choice.delta.content
                say(heard=content)
            for call in choice.delta.tool_calls or []:
                arguments += call.function.arguments or ""
            finish = choice.finish_reason or finish
    say(content=content, arguments=arguments, finish=finish)


def whole(client, text, **more):
    choice = ask(client, text, **more).choices[0]
    calls = choice.message.tool_calls or []
    say(
        content=choice.message.content or "",
        arguments="".join(call.function.arguments for call in calls),
        finish=choice.finish_reason,
    )


def main(base_url, key, mode, text):
    client = openai.OpenAI(base_url=base_url, api_key=key)
    more = {"tools": [TOOL]} if "tools" in mode else {}
    walk = streamed if "stream" in mode else whole
    try:
        walk(client, text, **more)
    except openai.APIError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        say(raised=kinds, message=str(error), code=error.code, status=getattr(error, "status_code", None))


if __name__ == "__main__":
    main(*sys.argv[1:])
