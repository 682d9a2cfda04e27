#!/usr/bin/env python3
"""Makes events.json: security events that must be refused, each wrong in one way only, those that must be taken, and
events and tokens that are shown in each other's place.

Keys are new at each run, so the file changes as a whole; it is made as forge.py makes tokens.json. `error` is the code
of the answer (RFC 8935, 2.4). What a good one `ends`: `nothing`, the `caller`, or what was issued until a `second`.
"""

import json
import pathlib

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from signing import b64, dump, ec, ed, public, raw, rsa

NOW = 1_800_000_000
A, B, T, EVIL = "https://a.example", "https://b.example", "https://signals.example/tenant/1", "https://evil.example"
GATE, HOUR, DAY = "https://gate.example/ssf", 3600, 86400
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"

rsa_a, p256_a, ed_a, p256_b, p256_t, stranger = rsa(), ec(), ed(), ec(), ec(), ec()

# T's own keys serve its events only; A and B are trusted for tokens too. B is no transmitter.
KEYS = {
    A: [public(rsa_a, "r", use="sig"), public(p256_a, "k"), public(ed_a, "e")],
    B: [public(p256_b, "k")],
    T: [public(p256_t, "t")],
}

count = 0


def iss_sub(sub="ann", iss=A):
    return {"format": "iss_sub", "iss": iss, "sub": sub}


def claims(drop=(), event=CAEP + "session-revoked", details=None, **change):
    global count
    count += 1
    whole = {
        "iss": A,
        "jti": f"event-{count}",
        "iat": NOW - 60,
        "aud": GATE,
        "txn": "8675309",
        "sub_id": iss_sub(),
        "events": {event: details if details is not None else {"event_timestamp": NOW - 120}},
    }
    whole.update(change)
    return {name: value for name, value in whole.items() if name not in drop}


def event(payload=None, header=None, key=None, algorithm="ES256", kid="k"):
    whole = {"alg": algorithm, "kid": kid, "typ": "secevent+jwt"}
    whole.update(header or {})
    whole = {name: value for name, value in whole.items() if value is not ...}
    return raw(whole, claims() if payload is None else payload, key or p256_a, algorithm)


good, bad = [], []


def ok(name, ends, text, subject="ann", issuer=A):
    good.append({"name": name, "ends": ends, "issuer": issuer, "subject": subject, "event": text})


def no(line, error, name, text):
    bad.append({"line": line, "error": error, "name": name, "event": text})


# ------------------------------------------------------------------------------------------------ what must be taken
for algorithm, key, kid in (("RS256", rsa_a, "r"), ("PS256", rsa_a, "r"), ("ES256", p256_a, "k"), ("EdDSA", ed_a, "e")):
    ok(algorithm, NOW - 120, event(key=key, algorithm=algorithm, kid=kid))
for kind in ("secevent+jwt", "SECEVENT+JWT", "application/secevent+jwt"):
    ok(f"typ {kind}", NOW - 120, event(header={"typ": kind}))
ok("audience in a list", NOW - 120, event(claims(aud=["x", GATE])))
ok("no event_timestamp: toe", NOW - 300, event(claims(details={}, toe=NOW - 300)))
ok("neither: when it was told", NOW - 60, event(claims(details={})))
ok("event_timestamp in milliseconds, as drafts had it", NOW - 60, event(claims(details={"event_timestamp": (NOW - 120) * 1000})))
ok("event_timestamp ahead", NOW - 60, event(claims(details={"event_timestamp": NOW + HOUR})))
ok("event_timestamp as a string", NOW - 60, event(claims(details={"event_timestamp": str(NOW - 120)})))
ok("with reasons and more", NOW - 120, event(claims(details={
    "event_timestamp": NOW - 120, "initiating_entity": "policy", "reason_admin": {"en": "Landspeed: C076E82F"}, "x": [1]})))
ok("told a week ago", NOW - 6 * DAY, event(claims(iat=NOW - 6 * DAY, details={})))
ok("told at the end of the leeway", NOW + 30, event(claims(iat=NOW + 30, details={})))
for name in ("sessions-revoked", "credential-compromise"):
    ok(name, NOW - 120, event(claims(event=RISC + name)))
for name in ("account-disabled", "account-purged"):
    ok(name, "caller", event(claims(event=RISC + name, details={"reason": "hijacking"})))
for change in ("revoke", "update", "delete"):
    ok(f"credential-change, {change}", NOW - 120, event(claims(
        event=CAEP + "credential-change",
        details={"credential_type": "password", "change_type": change, "event_timestamp": NOW - 120})))
ok("credential-change, create", "nothing", event(claims(
    event=CAEP + "credential-change", details={"credential_type": "fido2-roaming", "change_type": "create"})))
ok("two names of one event", "caller", event(claims(
    events={CAEP + "session-revoked": {"event_timestamp": NOW - 120}, RISC + "account-disabled": {}})))
for name in (CAEP + "device-compliance-change", RISC + "account-enabled", RISC + "session-revoked", CAEP + "session-revoked#",
             "urn:x", CAEP, "session-revoked"):
    ok(f"an event that ends nothing: {name}", "nothing", event(claims(event=name)))
ok("an event that ends nothing, of an unknown subject", "nothing", event(claims(event="urn:x", sub_id={"format": "x"})))
ok("verification", "nothing", event(claims(
    event=SSF + "verification", details={"state": "VGhpcyBpcw"}, sub_id={"format": "opaque", "id": "stream-1"})))
ok("stream-updated", "nothing", event(claims(
    event=SSF + "stream-updated", details={"status": "paused"}, sub_id={"format": "opaque", "id": "stream-1"})))
ok("complex: user and session", NOW - 120, event(claims(sub_id={
    "format": "complex", "user": iss_sub(), "session": {"format": "opaque", "id": "s"}, "tenant": {"format": "opaque", "id": "t"}})))
ok("aliases", NOW - 120, event(claims(sub_id={
    "format": "aliases", "identifiers": [{"format": "email", "email": "ann@x"}, iss_sub()]})))
ok("of a transmitter with keys of its own, opaque", NOW - 120, event(
    claims(iss=T, sub_id={"format": "opaque", "id": "bob"}), key=p256_t, kid="t"), "bob", B)
ok("of a transmitter with keys of its own, email", NOW - 120, event(
    claims(iss=T, sub_id={"format": "email", "email": "bob@b.example"}), key=p256_t, kid="t"), "bob@b.example", B)
ok("no kid, one key fits", NOW - 120, event(claims(iss=T, sub_id=iss_sub(iss=B)), key=p256_t, kid=...), "ann", B)

# ------------------------------------------------------------------------------------------------------ what must not
for spelling in ("none", "None", "NONE", "nOnE"):
    for signature in (b"", b"x"):
        whole = {"alg": spelling, "kid": "k", "typ": "secevent+jwt"}
        code = "invalid_request" if signature == b"" else "invalid_key"
        no("alg none", code, f"{spelling}, {len(signature)}", raw(whole, claims(), signature=signature))
pem = rsa_a.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
for name in ("HS256", "HS512"):
    no("HMAC with a public key", "invalid_key", name, raw({"alg": name, "kid": "r", "typ": "secevent+jwt"}, claims(), pem, name))
no("ECDSA zero", "invalid_key", "r=s=0", raw({"alg": "ES256", "kid": "k", "typ": "secevent+jwt"}, claims(), signature=bytes(64)))

for kind in ("JWT", "at+jwt", "logout+jwt", "secevent", "secevent+jwt;x=1", "text/secevent+jwt", "secevent+jwt ", "", ...):
    no("typ", "invalid_request", f"typ {kind!r}", event(header={"typ": kind}))
for kind in (None, 1, ["secevent+jwt"]):
    no("typ", "invalid_request", f"typ {kind!r}", event(header={"typ": kind}))

for audience in ("https://gate.example", GATE + "/", GATE.upper(), "gate", "", "*", ["x"], []):
    no("aud", "invalid_audience", f"aud {audience!r}", event(claims(aud=audience)))
for audience in (None, 1, {"x": GATE}, [GATE, 1]):
    no("aud", "invalid_request", f"aud {audience!r}", event(claims(aud=audience)))
no("aud", "invalid_request", "no aud", event(claims(drop=["aud"])))

for issuer in (EVIL, A + "/", A.upper(), "", B):
    no("iss", "invalid_issuer", f"iss {issuer!r}", event(claims(iss=issuer), key=p256_b if issuer == B else None))
for issuer in (None, 1, [A], {"url": A}):
    no("iss", "invalid_issuer", f"iss {issuer!r}", event(claims(iss=issuer)))
no("iss", "invalid_issuer", "no iss", event(claims(drop=["iss"])))

no("keys", "invalid_key", "a stranger's key", event(key=stranger))
no("keys", "invalid_key", "an unknown kid", event(claims(iat=NOW - HOUR), kid="other"))
no("keys", "invalid_key", "another issuer's key", event(key=p256_b))
no("keys", "invalid_key", "A's key for T", event(claims(iss=T), key=p256_a, kid="t"))
no("keys", "invalid_key", "T's key for A", event(claims(iss=A), key=p256_t))
for name in ("jwk", "jku", "x5u", "x5c", "crit", "b64"):
    no("keys", "invalid_request", f"{name} in the header", event(header={name: public(stranger) if name == "jwk" else ["x"]}))
one, two, three = event().split(".")
no("changed", "invalid_key", "another payload", f"{one}.{b64(dump(claims(sub_id=iss_sub('bob'))))}.{three}")
no("changed", "invalid_request", "four parts", f"{one}.{two}.{three}.")
no("changed", "invalid_request", "no signature", f"{one}.{two}.")
no("changed", "invalid_request", "JSON serialisation", json.dumps({"protected": one, "payload": two, "signature": three}))
no("changed", "invalid_request", "empty", "")

for name in ("exp", "sub"):
    no("claims of tokens", "invalid_request", f"with {name}", event(claims(**{name: NOW + 60 if name == "exp" else "ann"})))
for value in (NOW + 31, NOW + DAY, NOW - 7 * DAY - 31, 0):
    no("iat", "invalid_request", f"iat {value - NOW:+}", event(claims(iat=value)))
for value in (None, str(NOW), NOW + 0.5, -1, [NOW], True):
    no("iat", "invalid_request", f"iat {value!r}", event(claims(iat=value)))
no("iat", "invalid_request", "no iat", event(claims(drop=["iat"])))
for value in (None, 1, "", "a\u0000b", ["x"], "x" * 1025):
    no("jti", "invalid_request", f"jti {str(value)[:5]!r}", event(claims(jti=value)))
no("jti", "invalid_request", "no jti", event(claims(drop=["jti"])))
for value in ({}, [], None, "x", [CAEP + "session-revoked"], {CAEP + "session-revoked": None}, {f"urn:{at}": {} for at in range(17)}):
    no("events", "invalid_request", f"events {str(value)[:30]}", event(claims(events=value)))
no("events", "invalid_request", "no events", event(claims(drop=["events"])))

for subject, error in (
    (None, "invalid_request"), ("ann", "invalid_request"), ({}, "invalid_request"), ([iss_sub()], "invalid_request"),
    ({"format": "iss_sub", "iss": A}, "invalid_request"), ({"format": "iss_sub", "iss": A, "sub": ""}, "invalid_request"),
    ({"subject_type": "iss_sub", "iss": A, "sub": "ann"}, "invalid_request"), ({"format": "email", "email": "ann@x"}, "invalid_request"),
    ({"format": "opaque", "id": "ann"}, "invalid_request"), ({"format": "phone_number", "phone_number": "+1"}, "invalid_request"),
    ({"format": "jwt_id", "iss": A, "jti": "x"}, "invalid_request"), ({"format": "complex", "tenant": iss_sub()}, "invalid_request"),
    ({"format": "complex", "user": {"format": "complex", "user": iss_sub()}}, "invalid_request"),
    ({"format": "aliases", "identifiers": []}, "invalid_request"),
    ({"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [iss_sub()]}]}, "invalid_request"),
    (iss_sub(iss=B), "access_denied"), (iss_sub(iss=EVIL), "access_denied"), (iss_sub(iss="token"), "access_denied"),
    ({"format": "complex", "user": iss_sub(iss=B)}, "access_denied"),
):
    no("subjects", error, f"sub_id {dump(subject)[:60]}", event(claims(sub_id=subject)))
no("subjects", "invalid_request", "no sub_id", event(claims(drop=["sub_id"])))
no("subjects", "invalid_request", "in the event, as drafts had it", event(claims(
    drop=["sub_id"], details={"subject": {"subject_type": "iss_sub", "iss": A, "sub": "ann"}})))
no("subjects", "access_denied", "of another issuer than T speaks for", event(
    claims(iss=T, sub_id=iss_sub()), key=p256_t, kid="t"))

base = dump(claims())[1:-1]
for name, members in {
    "iss": f'{base},"iss":"{A}"', "jti, escaped": f'{base},"\\u006ati":"x"', "events": f'{base},"events":{{}}',
    "sub_id": f'{base},"sub_id":{dump(iss_sub("bob"))}', "in an event": f'{base},"x":{{"a":1,"a":2}}',
    "in the subject": base.replace('"sub":"ann"', '"sub":"ann","sub":"bob"'),
    "of events": base.replace('"events":{', '"events":{"' + CAEP + 'session-revoked":{},'),
}.items():
    no("names twice", "invalid_request", name, event(f"{{{members}}}"))
header = '{"alg":"ES256","kid":"k","typ":"JWT","typ":"secevent+jwt"}'
no("names twice", "invalid_request", "typ", raw(header, claims(), p256_a, "ES256"))
for name, text in {"BOM": b"\xef\xbb\xbf" + dump(claims()).encode(), "a list": f"[{{{base}}}]", "NaN": f'{{{base},"x":NaN}}',
                   "two values": f"{{{base}}}{{{base}}}", "lone surrogate": f'{{{base},"x":"\\ud800"}}'}.items():
    no("not JSON", "invalid_request", name, event(text))
no("not JSON", "invalid_request", "too long", event(claims(x="x" * 20000)))

# ------------------------------------------------------------------------------------------- one in the other's place
token = {"iss": A, "sub": "ann", "aud": [GATE, "gate"], "iat": NOW - 60, "exp": NOW + 300}
told = {"jti": "t", "sub_id": iss_sub(), "events": {CAEP + "session-revoked": {}}}
tokens = [
    {"name": "an access token", "taken": True, "token": event(token, header={"typ": "at+jwt"})},
    {"name": "an ID token", "taken": True, "token": event({**token, "nonce": "n"}, header={"typ": "JWT"})},
    {"name": "a token with no type", "taken": True, "token": event(token, header={"typ": ...})},
    {"name": "an access token that tells an event", "taken": False, "token": event({**token, **told}, header={"typ": "at+jwt"})},
    {"name": "a logout token", "taken": False, "token": event({**token, "events": {
        "http://schemas.openid.net/event/backchannel-logout": {}}}, header={"typ": "logout+jwt"})},
    {"name": "an event", "taken": False, "token": event(claims(aud=[GATE, "gate"]))},
    {"name": "an event that says all that a token says", "taken": False, "token": event({**token, **told})},
    {"name": "an event with the type of a token", "taken": False, "token": event(claims(aud=[GATE, "gate"]), header={"typ": "at+jwt"})},
]
for shown in tokens[:5]:
    no("a token as an event", "invalid_request", shown["name"], shown["token"])

names = [vector["name"] + vector.get("line", "") for vector in good + bad]
assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
out = pathlib.Path(__file__).with_name("events.json")
whole = {"now": NOW, "audience": GATE, "keys": KEYS, "good": good, "bad": bad, "tokens": tokens}
out.write_text(json.dumps(whole, indent=1, ensure_ascii=True) + "\n")
print(f"{len(bad)} forged, {len(good)} good, {len(tokens)} tokens, {out.stat().st_size} bytes")
