"""As walk.py, with Anthropic's SDK."""

import json
import sys

import anthropic


def say(**facts):
    print(json.dumps(facts), flush=True)


TOOL = {"name": "note", "input_schema": {"type": "object", "properties": {"note": {"type": "string"}}}}


def asked(text, more):
    return {"model": "claude-test", "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}


def told(message):
    content = "".join(block.text for block in message.content if block.type == "text")
    inputs = [block.input for block in message.content if block.type == "tool_use"]
    say(content=content, input=inputs, finish=message.stop_reason)


def streamed(client, text, more):
    heard = ""
    with client.messages.stream(**asked(text, more)) as stream:
        for piece in stream.text_stream:
            heard += piece
            say(heard=heard)
        told(stream.get_final_message())


def whole(client, text, more):
    told(client.messages.create(**asked(text, more)))


def main(base_url, key, mode, text):
    client = anthropic.Anthropic(base_url=base_url, api_key=key)
    more = {"tools": [TOOL]} if "tools" in mode else {}
    walk = streamed if "stream" in mode else whole
    try:
        walk(client, text, more)
    except anthropic.APIError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        body = error.body if isinstance(error.body, dict) else {}
        say(raised=kinds, message=str(error), body=body, status=getattr(error, "status_code", None))


if __name__ == "__main__":
    main(*sys.argv[1:])
