"""Runs this policy, presidio-analyzer and detect-secrets over the same texts and says what each found.

    compare.py CORPUS --find PROGRAM [--only mask] [--misses]

A value counts as found when all of it is covered by what a tool found, under whatever name; with detect-secrets, which says
that there is a secret and of some names only the beginning, when any of it is. What a tool found counts as right when it
overlaps a value. Recall is therefore counted by the value's kind, precision by the name that the tool gave.
"""

import argparse
import collections
import json
import subprocess

# What presidio-analyzer calls the kinds that it has, and the score from which on an answer counts: what its patterns
# without any context (0.05 for nine digits in a row) say would find every number.
PRESIDIO_SCORE = 0.4
PRESIDIO = {
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "ssn",
    "US_ITIN": "itin",
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IP_ADDRESS": "ip",
    "MAC_ADDRESS": "mac",
    "US_PASSPORT": "passport",
}

# The same for detect-secrets, with its detectors for high entropy left out: they flag hashes and identifiers by design.
DETECT_SECRETS = {
    "ArtifactoryDetector": "artifactory",
    "AWSKeyDetector": "aws",
    "AzureStorageKeyDetector": "azure-storage-key",
    "BasicAuthDetector": "url-password",
    "CloudantDetector": "cloudant",
    "DiscordBotTokenDetector": "discord-token",
    "GitHubTokenDetector": "github-token",
    "GitLabTokenDetector": "gitlab-token",
    "IbmCloudIamDetector": "ibm",
    "IbmCosHmacDetector": "ibm",
    "IPPublicDetector": "ip",
    "JwtTokenDetector": "jwt",
    "KeywordDetector": "named-secret",
    "MailchimpDetector": "mailchimp-key",
    "NpmDetector": "npm-token",
    "OpenAIDetector": "openai-key",
    "PrivateKeyDetector": "private-key",
    "PypiTokenDetector": "pypi-token",
    "SendGridDetector": "sendgrid-key",
    "SlackDetector": "slack-token",
    "SoftlayerDetector": "softlayer",
    "SquareOAuthDetector": "square-token",
    "StripeDetector": "stripe-key",
    "TelegramBotTokenDetector": "telegram-token",
    "TwilioKeyDetector": "twilio-key",
}

# Kinds whose form says for certain what they are.
PEOPLE = ["card", "iban", "ssn", "ssn-bare", "itin", "email", "phone", "phone-nanp", "phone-named", "passport", "ipv4", "ipv6", "mac"]
TOLD = ["authorization", "url-password", "connection-password", "leading-password", "argument-password", "named-secret", "line-secret", "env-secret"]


def mask(texts, program):
    lines = "\n".join(json.dumps(text) for text in texts) + "\n"
    answer = subprocess.run(program, input=lines, capture_output=True, text=True, check=True)
    for text, line in zip(texts, answer.stdout.splitlines(), strict=True):
        # Bytes to characters.
        at = [0] * (len(text.encode()) + 1)
        place = 0
        for index, character in enumerate(text):
            for _ in range(len(character.encode())):
                at[place] = index
                place += 1
        at[place] = len(text)
        yield [(at[start], at[end], name) for start, end, name in json.loads(line)]


def presidio(texts):
    import spacy
    import tldextract

    # The public suffixes that come with it: nothing is fetched.
    tldextract.extract = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())

    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpArtifacts, SpacyNlpEngine

    class Blank(SpacyNlpEngine):
        """Words without a model: its patterns, checks and context words need no more. Names are not looked for."""

        def __init__(self):
            super().__init__()
            self.nlp = {"en": spacy.blank("en")}

        def load(self):
            pass

        def process_text(self, text, language):
            doc = self.nlp[language](text)
            lemmas = [token.text.lower() for token in doc]
            return NlpArtifacts([], doc, [token.idx for token in doc], lemmas, self, language)

    engine = AnalyzerEngine(nlp_engine=Blank(), supported_languages=["en"])
    wanted = [name for name in PRESIDIO if name in engine.get_supported_entities("en")]
    for text in texts:
        found = engine.analyze(text, language="en", entities=wanted, score_threshold=PRESIDIO_SCORE)
        yield [(each.start, each.end, PRESIDIO[each.entity_type]) for each in found]


def detect_secrets(texts):
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import transient_settings

    classes = get_mapping_from_secret_type_to_class()
    with transient_settings({"plugins_used": [{"name": name} for name in DETECT_SECRETS]}):
        for text in texts:
            found, start = [], 0
            for line in text.split("\n"):
                for secret in scan_line(line):
                    name = DETECT_SECRETS[classes[secret.type].__name__]
                    at = line.find(secret.secret_value)
                    if at >= 0:
                        found.append((start + at, start + at + len(secret.secret_value), name))
                start += len(line) + 1
            yield found


def counted(corpus, answers, enough, misses):
    """For each kind [values, found], for each name [answers, right]."""
    values, names = collections.defaultdict(lambda: [0, 0]), collections.defaultdict(lambda: [0, 0])
    for text, found in zip(corpus, answers, strict=True):
        covered = bytearray(len(text["text"]))
        for start, end, _ in found:
            covered[start:end] = b"\1" * (end - start)
        for start, end, kind in text["spans"]:
            values[kind][0] += 1
            hit = enough(covered[start:end])
            values[kind][1] += hit
            if misses and not hit:
                print("missed", kind, repr(text["text"][max(0, start - 30) : end + 20]))
        for start, end, name in found:
            names[name][0] += 1
            right = any(start < there and here < end for here, there, _ in text["spans"])
            names[name][1] += right
            if misses and not right:
                print("wrong ", name, repr(text["text"][max(0, start - 30) : end + 20]))
    return values, names


def rate(counts):
    return f"{100 * counts[1] / counts[0]:.1f}" if counts[0] else "–"


def added(table, kinds):
    return [sum(table[kind][place] for kind in kinds if kind in table) for place in (0, 1)]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("corpus")
    arguments.add_argument("--find", required=True)
    arguments.add_argument("--only")
    arguments.add_argument("--misses", action="store_true", help="print what was missed and what was wrong")
    given = arguments.parse_args()
    with open(given.corpus, encoding="utf-8") as file:
        corpus = [json.loads(line) for line in file]
    texts = [text["text"] for text in corpus]
    tools = {
        "mask": lambda: mask(texts, given.find),
        "presidio": lambda: presidio(texts),
        "detect-secrets": lambda: detect_secrets(texts),
    }
    enough = {"detect-secrets": any}
    results = {name: counted(corpus, run(), enough.get(name, all), given.misses) for name, run in tools.items() if given.only in (None, name)}
    kinds = sorted(next(iter(results.values()))[0])
    keys = [kind for kind in kinds if kind not in PEOPLE + TOLD]
    print("| recogniser | values | " + " | ".join(f"{name} precision | recall" for name in results) + " |")
    print("|---|--:|" + "--:|--:|" * len(results))
    # Presidio has one name for both sorts of addresses and for all telephones, detect-secrets one for addresses.
    alias = {"ipv4": "ip", "ipv6": "ip", "phone-nanp": "phone", "phone-named": "phone", "ssn-bare": "ssn"}
    for kind in [*PEOPLE, *TOLD, *keys]:
        if kind in kinds:
            cells = []
            for values, names in results.values():
                name = kind if kind in names else alias.get(kind, kind)
                found = values[kind][1]
                cells.append(f"{rate(names.get(name, [0, 0]))} | {rate(values[kind]) if found else '–'}")
            print(f"| {kind} | {next(iter(results.values()))[0][kind][0]} | " + " | ".join(cells) + " |")
    rows = {"all people's": PEOPLE, "all secrets told by context": TOLD, "all keys": keys, "everything": kinds}
    for title, members in rows.items():
        cells = []
        for values, names in results.values():
            claimed = list(names) if title == "everything" else {alias.get(kind, kind) for kind in members}.union(members)
            precision, recall = added(names, claimed), added(values, members)
            cells.append(f"{rate(precision)} | {rate(recall) if precision[0] else '–'}")
        total = added(next(iter(results.values()))[0], members)[0]
        print(f"| **{title}** | {total} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
