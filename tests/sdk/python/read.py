"""Reads answers of a model with the vendors' own SDKs, unmodified, and tells all text that a program gets from them.

On standard input a JSON object on each line: `dialect`, `stream`, `status`, `type` (the content type) and `body` (base64).
On standard output a JSON object for each, in the same order: `texts`, each string by itself and what the SDK, or its user,
puts together; `raised`, what the SDK raised instead.
"""

import base64
import json
import sys
import warnings

import anthropic
import httpx2
import openai

# A content of parts, as some services send it, is none that their models know; they read it all the same.
warnings.filterwarnings("ignore", module="pydantic")

MESSAGES = [{"role": "user", "content": "hello"}]


class Heard:
    """Texts by the place where they stand, those of one place joined, and each by itself."""

    def __init__(self):
        self.joined = {}
        self.single = []

    def take(self, place, value):
        if isinstance(value, dict):
            for name, inner in value.items():
                self.single.append(name)
                self.take(f"{place}/{name}", inner)
        elif isinstance(value, (list, tuple)):
            for at, inner in enumerate(value):
                index = inner.get("index", at) if isinstance(inner, dict) else at
                self.take(f"{place}/{index}", inner)
        elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
            self.joined[place] = self.joined.get(place, "") + str(value)
            self.single.append(str(value))

    def event(self, event):
        """An object of a stream: what it numbers itself by is part of its place."""
        said = event.model_dump(mode="json", warnings=False)
        numbered = ("type", "item_id", "output_index", "content_index", "summary_index", "index")
        self.take(",".join(str(said[name]) for name in numbered if name in said), said)

    def texts(self):
        return [*self.joined.values(), *self.single]


def http(answer):
    body = base64.b64decode(answer["body"])
    headers = {"content-type": answer["type"], "request-id": "r", "x-request-id": "r"}
    reply = lambda _: httpx2.Response(answer["status"], headers=headers, content=body)
    return httpx2.Client(transport=httpx2.MockTransport(reply))


def ask(answer, stream):
    """The call that a program would have made."""
    dialect = answer["dialect"]
    if dialect == "anthropic-messages":
        client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=http(answer))
        return client.messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=stream)
    client = openai.OpenAI(api_key="k", max_retries=0, http_client=http(answer))
    if dialect == "openai-responses":
        return client.responses.create(model="m", input="hello", stream=stream)
    if dialect == "openai-completions":
        return client.completions.create(model="m", prompt="hello", stream=stream)
    return client.chat.completions.create(model="m", messages=MESSAGES, stream=stream)


def gathered(answer):
    """What the SDK itself makes of a stream, where it does that."""
    dialect = answer["dialect"]
    if dialect == "anthropic-messages":
        client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=http(answer))
        with client.messages.stream(model="m", max_tokens=9, messages=MESSAGES) as stream:
            yield "".join(stream.text_stream)
            yield stream.get_final_message().model_dump(mode="json", warnings=False)
    elif dialect == "openai-chat":
        client = openai.OpenAI(api_key="k", max_retries=0, http_client=http(answer))
        with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            yield stream.get_final_completion().model_dump(mode="json", warnings=False)
    elif dialect == "openai-responses":
        client = openai.OpenAI(api_key="k", max_retries=0, http_client=http(answer))
        with client.responses.stream(model="m", input="hello") as stream:
            final = stream.get_final_response()
            yield final.output_text
            yield final.model_dump(mode="json", warnings=False)


def attempt(heard, read):
    """Runs a reading; what the SDK raises is heard too. An SDK may fail on what no service would send."""
    try:
        read()
        return None
    except Exception as error:
        heard.single += [str(error), json.dumps(getattr(error, "body", None), default=str)]
        return type(error).__name__


def look(answer):
    heard = Heard()

    def one_by_one():
        for event in ask(answer, True):
            heard.event(event)

    def together():
        for at, what in enumerate(gathered(answer)):
            heard.take(f"gathered {at}", what)

    def whole():
        said = ask(answer, False)
        heard.take("whole", said.model_dump(mode="json", warnings=False))
        heard.take("text", getattr(said, "output_text", ""))

    if answer["stream"]:
        raised = attempt(heard, one_by_one)
        attempt(heard, together)
    else:
        raised = attempt(heard, whole)
    return {"texts": heard.texts(), "raised": raised}


for line in sys.stdin:
    print(json.dumps(look(json.loads(line))), flush=True)
