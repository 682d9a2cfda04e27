// ssn-guard in JavaScript: the rule of ../README.md, once as a pattern that the host looks for (e-mail) and once by
// hand (SSN). Offsets are what JavaScript counts, UTF-16 code units; the host converts.

const SSN = /(?<!\w)\d{3}-\d{2}-\d{4}(?!\w)/g;

// A beginning of an SSN, or all of one, at the end of a text. The longest comes first.
const BEGINNING = /(?<!\w)(?:\d{1,3}|\d{3}-\d{0,2}|\d{3}-\d{2}-\d{0,4})$/g;

function edit(start, end, label, reason) {
  return { start, end, by: { tag: "literal", val: label }, reason };
}

export const policy = {
  describe() {
    return {
      name: "ssn-guard",
      version: "1.0.0",
      summary: "masks US social security numbers and e-mail addresses",
      settingsSchema: "",
      extra: [],
    };
  },

  configure(_settings) {
    return {
      offsets: "utf16",
      directions: [],
      channels: [],
      speakers: [],
      patterns: [
        { id: "email", regex: "[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}", check: "", maxLength: 254 },
      ],
      onlyOnHit: false,
      lookBehind: 1,
      skip: { open: true },
      extra: [],
    };
  },

  open(_exchange) {
    return { tag: "allow" };
  },
};

export const text = {
  onText(window) {
    // Released text stands in front, so that the look-behinds see it; matches begin behind it.
    const whole = window.before + window.pending;
    const from = window.before.length;
    SSN.lastIndex = from;
    BEGINNING.lastIndex = from;

    const edits = window.hits.map((hit) => edit(hit.start, hit.end, "[EMAIL]", "pii.email"));
    for (const found of whole.matchAll(SSN)) {
      const start = found.index - from;
      const end = start + found[0].length;
      const follows = end < window.pending.length || window.last;
      const inside = window.hits.some((hit) => start < hit.end && end > hit.start);
      if (follows && !inside) edits.push(edit(start, end, "[SSN]", "pii.ssn"));
    }
    edits.sort((one, other) => one.start - other.start);

    const undecided = window.last ? null : BEGINNING.exec(whole);
    const holdBack = undecided === null ? 0 : undecided[0].length;
    return { verdict: { tag: "allow" }, edits, holdBack, notes: [] };
  },
};
