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


def ended(response):
    return response.incomplete_details.reason if response.incomplete_details else response.status


def responses(client, text, stream):
    answer = client.responses.create(model="gpt-test", input=text, stream=stream)
    if not stream:
        yield answer.output_text, ended(answer)
        return
    for event in answer:
        if event.type == "response.output_text.delta":
            yield event.delta, None
        elif event.type in ("response.completed", "response.incomplete"):
            yield "", ended(event.response)


def completions(client, text, stream):
    answer = client.completions.create(model="gpt-test", prompt=text, stream=stream)
    for chunk in answer if stream else [answer]:
        for choice in chunk.choices:
            yield choice.text, choice.finish_reason


def followed(pieces):
    content, finish = "", None
    for piece, why in pieces:
        content, finish = content + piece, why or finish
        say(heard=content)
    say(content=content, finish=finish)


def walk(client, mode, text):
    stream = "stream" in mode
    for other in (responses, completions):
        if other.__name__ in mode:
            return followed(other(client, text, stream))
    more = {"tools": [TOOL]} if "tools" in mode else {}
    return (streamed if stream else whole)(client, text, **more)


def main(base_url, key, mode, text):
    if "azure" in mode:
        endpoint = base_url.removesuffix("/v1")
        client = openai.AzureOpenAI(azure_endpoint=endpoint, api_key=key, api_version="2024-10-21")
    else:
        client = openai.OpenAI(base_url=base_url, api_key=key)
    try:
        walk(client, mode, text)
    except openai.APIError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        say(raised=kinds, message=str(error), code=error.code, status=getattr(error, "status_code", None))


if __name__ == "__main__":
    main(*sys.argv[1:])
