"""Writes the texts that the policy's tests measure: sample.json, a small part of what `run` measures, in which every
recogniser has some values.

Values are written backwards and apart from their texts, so that no scanner takes the file for a leak: an array of
{"text": with {{0}}, {{1}}, … where the values are, "values": [[kind, value backwards], …]}.
"""

import collections
import itertools
import json
import pathlib

from generate import ORDER, texts

SEED, COUNT, LEAST = 20260102, 500, 4


def chosen():
    """The first texts, and of those that follow the ones with kinds of which there are too few."""
    endless, seen = texts(SEED, 100 * COUNT), collections.Counter()
    for text in itertools.islice(endless, COUNT):
        seen.update(kind for *_, kind in text["spans"])
        yield text
    while any(seen[kind] < LEAST for kind in ORDER):
        text = next(endless)
        kinds = [kind for *_, kind in text["spans"]]
        if any(seen[kind] < LEAST for kind in kinds):
            seen.update(kinds)
            yield text


def apart(text):
    out, values, at = [], [], 0
    for start, end, kind in text["spans"]:
        out += [text["text"][at:start], "{{" + str(len(values)) + "}}"]
        values.append([kind, text["text"][start:end][::-1]])
        at = end
    return {"text": "".join(out) + text["text"][at:], "values": values}


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(apart(text), ensure_ascii=False) for text in chosen())
    target = pathlib.Path(__file__).with_name("sample.json")
    target.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
