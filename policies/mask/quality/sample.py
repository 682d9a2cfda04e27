"""Writes the texts that the policy's tests measure: sample.json, a small part of what `run` measures.

Values are written backwards and apart from their texts, so that no scanner takes the file for a leak: an array of
{"text": with {{0}}, {{1}}, … where the values are, "values": [[kind, value backwards], …]}.
"""

import json
import pathlib

from generate import texts

SEED, COUNT = 20260102, 500


def apart(text):
    out, values, at = [], [], 0
    for start, end, kind in text["spans"]:
        out += [text["text"][at:start], "{{" + str(len(values)) + "}}"]
        values.append([kind, text["text"][start:end][::-1]])
        at = end
    return {"text": "".join(out) + text["text"][at:], "values": values}


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(apart(text), ensure_ascii=False) for text in texts(SEED, COUNT))
    target = pathlib.Path(__file__).with_name("sample.json")
    target.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
