#!/usr/bin/env python3
"""Makes tokens.json: tokens that must be refused, each wrong in one way only, and tokens that must be taken.

A second library (joserfc, on pyca/cryptography) signs them, so that no mistake of the gate's own library hides behind
the same mistake. Keys are new at each run, so the file changes as a whole:

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python forge.py

`fault` is the word of the reason for which the gate refuses. A forged token whose signature could be right has the
right one, made with the issuer's key: only then does the test show that the check it aims at refuses it.
"""

import base64
import json
import pathlib
import random

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import RSAKey
from signing import b64, dump, ec, ed, public, raw, rsa, sign

NOW = 1_800_000_000
A, B, C = "https://a.example", "https://b.example/realms/one", "https://c.example"
GATE = "gate"

P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P384_N = int(
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
)

rsa_a, rsa_only, rsa_weak, rsa_c, rsa_enc = rsa(), rsa(), rsa(1024), rsa(), rsa()
p256_a, p384_a, p256_b, p256_leaked, p256_twin, p256_twin2 = ec(), ec("P-384"), ec(), ec(), ec(), ec()
ed_a = ed()
stranger_rsa, stranger_ec = rsa(), ec()
shared = b"a secret that stands in the set " * 2

ISSUERS = [
    {
        "url": A,
        "audiences": [GATE, "https://gate.example"],
        "keys": [
            public(rsa_a, "r", use="sig"),
            public(p256_a, "k2", use="sig"),
            public(p384_a, "k3"),
            public(ed_a, "k4", key_ops=["verify"]),
            public(rsa_only, "only-rs256", alg="RS256"),
            public(rsa_enc, "enc", use="enc"),
            public(rsa_weak, "weak"),
            {**p256_leaked.as_dict(private=True), "kid": "leaked"},
            public(p256_twin, "twin"),
            public(p256_twin2, "twin"),
            {"kty": "oct", "k": base64.urlsafe_b64encode(shared).rstrip(b"=").decode(), "kid": "oct", "alg": "HS256"},
        ],
    },
    {"url": B, "audiences": [GATE], "keys": [public(p256_b, "k2")]},
    {"url": C, "audiences": [GATE], "keys": [public(rsa_c, "c")], "algorithms": ["RS256"], "parties": ["cli"]},
]


def claims(drop=(), **change):
    whole = {"iss": A, "sub": "ann", "aud": GATE, "iat": NOW - 60, "exp": NOW + 300, "groups": ["staff"]}
    whole.update(change)
    return {name: value for name, value in whole.items() if name not in drop}


def token(payload=None, header=None, key=None, algorithm="ES256", kid="k2"):
    whole = {"alg": algorithm, "kid": kid, "typ": "JWT"}
    whole.update(header or {})
    whole = {name: value for name, value in whole.items() if value is not ...}
    return raw(whole, claims() if payload is None else payload, key or p256_a, algorithm)


good, bad = [], []


def ok(name, text):
    good.append({"name": name, "token": text})


def no(line, fault, name, text):
    bad.append({"line": line, "fault": fault, "name": name, "token": text})


# ------------------------------------------------------------------------------------------------ what must be taken
SIGNERS = [
    *[(name, rsa_a, "r") for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")],
    ("ES256", p256_a, "k2"),
    ("ES384", p384_a, "k3"),
    ("EdDSA", ed_a, "k4"),
    ("Ed25519", ed_a, "k4"),
]
for algorithm, key, kid in SIGNERS:
    ok(f"{algorithm}", token(key=key, algorithm=algorithm, kid=kid))
    ok(f"{algorithm}, audience in a list", token(claims(aud=["x", GATE]), key=key, algorithm=algorithm, kid=kid))
ok("RS256 with a key for RS256 only", token(key=rsa_only, algorithm="RS256", kid="only-rs256"))
ok("no kid, one key fits: P-384", token(key=p384_a, algorithm="ES384", kid=...))
ok("no kid, one key fits: Ed25519", token(key=ed_a, algorithm="EdDSA", kid=...))
ok("another issuer with the same kid", token(claims(iss=B), key=p256_b))
ok("another issuer, no kid", token(claims(iss=B), key=p256_b, kid=...))
ok("an authorised party", token(claims(iss=C, azp="cli"), key=rsa_c, algorithm="RS256", kid="c"))
for kind in (..., "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"):
    ok(f"typ {kind}", token(header={"typ": kind}))
for audience in (GATE, "https://gate.example", [GATE], ["https://gate.example", "x"], ["x", "y", GATE]):
    ok(f"aud {audience}", token(claims(aud=audience)))
ok("at the last second of its leeway", token(claims(iat=NOW - 100, exp=NOW - 29)))
ok("iat at the end of the leeway", token(claims(iat=NOW + 30, exp=NOW + 60)))
ok("nbf at the end of the leeway", token(claims(nbf=NOW + 30)))
ok("nbf long ago", token(claims(nbf=0)))
ok("a day long", token(claims(iat=NOW, exp=NOW + 86400)))
ok("exp equals iat, in the leeway", token(claims(iat=NOW, exp=NOW)))
ok("x5t and x5t#S256 are looked at by nobody", token(header={"x5t": "AAAA", "x5t#S256": "AAAA"}))
ok("unknown header members", token(header={"nonce": "n", "ver": "2.0", "list": [1, {"a": 1}]}))
ok("no groups", token(claims(drop=["groups"])))
ok("one group as a text", token(claims(groups="staff")))
ok("many claims", token(claims(**{f"c{at}": {"a": [at, None, True, 1.5, -1, "é"]} for at in range(60)})))
ok("a long subject", token(claims(sub="repo:acme/app:" + "x" * 900)))
ok("a subject in another script", token(claims(sub="Åsa 漢字 👩‍💻")))
ok("a cluster's subject", token(claims(sub="system:serviceaccount:ns:name")))
ok("escapes in names and values", token('{"\\u0069ss":"https:\\/\\/a.example","sub":"\\u0061nn","aud":"gate",'
   f'"iat":{NOW},"exp":{NOW + 60}}}'))
ok("white space in JSON", token(f' {{ "iss" : "{A}",\n\t"sub":"ann","aud":"gate","iat":{NOW},"exp":{NOW + 60} }}\r\n'))
ok("the same name in two objects", token(claims(a={"x": 1}, b={"x": 2}, x=3)))
ok("iss of another inside", token(claims(inner={"iss": B, "exp": 1})))
ok("jti, nonce, azp, at_hash", token(claims(jti="j", nonce="n", azp="any", at_hash="h")))
ok("bound to a certificate", token(claims(cnf={"x5t#S256": b64(bytes(32))})))
ok("nearly a day long", token(claims(exp=NOW + 80000)))
ok("a nested list of groups elsewhere", token(claims(roles=[["x"]])))

# --------------------------------------------------------------------------------------------------------- alg: none
for name in ("none", "None", "NONE", "nOnE", "NoNe", "nonE", "none ", " none", "none\u0000", "n\u043ene", "NULL", ""):
    line = "alg none"
    header = {"alg": name, "kid": "k2"}
    signed = sign("ES256", p256_a, f"{b64(dump(header))}.{b64(dump(claims()))}")
    no(line, "algorithm", f"{name!r}, rightly signed", raw(header, claims(), signature=signed))
    no(line, "form", f"{name!r}, no signature", f"{b64(dump(header))}.{b64(dump(claims()))}.")
    no(line, "algorithm", f"{name!r}, some signature", raw(header, claims(), signature=b"x"))
no("alg none", "algorithm", "no alg", raw({"kid": "k2"}, claims(), p256_a, "ES256"))
for value in (None, True, 0, ["ES256"], {"ES256": 1}):
    no("alg none", "header", f"alg {value}", raw({"alg": value, "kid": "k2"}, claims(), p256_a, "ES256"))
for name in ("es256", "ES256 ", "ES256K", "ES512", "RS1", "dir", "A128KW", "RSA-OAEP", "Es256", "ECDSA", "HS1"):
    no("alg none", "algorithm", f"alg {name!r}", raw({"alg": name, "kid": "k2"}, claims(), p256_a, "ES256"))

# ------------------------------------------------------------------------------- HMAC with something public as secret
def forms(key):
    real = key.public_key if hasattr(key, "public_key") else key.get_op_key("verify")
    yield "PEM", real.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield "PEM, no line end", real.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip()
    yield "DER", real.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, RSAKey):
        yield "PKCS1 PEM", real.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        yield "n", base64.urlsafe_b64decode(key.as_dict(private=False)["n"] + "==")
    yield "JWK", json.dumps(key.as_dict(private=False)).encode()
    yield "JWK, compact", dump(key.as_dict(private=False)).encode()


for key, kid in ((rsa_a, "r"), (p256_a, "k2"), (rsa_c, "c")):
    for algorithm in ("HS256", "HS384", "HS512"):
        for form, secret in forms(key):
            payload = claims(iss=C, azp="cli") if key is rsa_c else claims()
            text = raw({"alg": algorithm, "kid": kid}, payload, secret, algorithm)
            no("HMAC with a public key", "algorithm", f"{algorithm} with {kid} as {form}", text)
for secret in (b"", b"secret", b"\x00" * 32):
    no("HMAC with a public key", "algorithm", f"HS256 with {secret!r}", raw({"alg": "HS256"}, claims(), secret, "HS256"))
no("HMAC with a public key", "algorithm", "HS256 with the set's own secret",
   raw({"alg": "HS256", "kid": "oct"}, claims(), shared, "HS256"))

# ------------------------------------------------------------------------------------------- ECDSA values out of range
def pair(r, s, size):
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


for algorithm, kid, size, order, key in (("ES256", "k2", 32, P256_N, p256_a), ("ES384", "k3", 48, P384_N, p384_a)):
    header = {"alg": algorithm, "kid": kid}
    right = sign(algorithm, key, f"{b64(dump(header))}.{b64(dump(claims()))}")
    r, s = int.from_bytes(right[:size], "big"), int.from_bytes(right[size:], "big")
    values = {
        "r=s=0": pair(0, 0, size), "r=0": pair(0, s, size), "s=0": pair(r, 0, size), "r=s=n": pair(order, order, size),
        "r=n": pair(order, s, size), "s=n": pair(r, order, size), "r=s=1": pair(1, 1, size),
        "r=n, s=0": pair(order, 0, size), "all ones": b"\xff" * (2 * size), "halves swapped": right[size:] + right[:size],
        "DER": encode_dss_signature(r, s), "one byte less": right[:-1], "one byte more": right + b"\x00",
        "a zero before": b"\x00" + right, "half of it": right[:size], "twice": right + right, "one zero": b"\x00",
        "one bit changed": bytes([right[0] ^ 1]) + right[1:],
    }
    for name, value in values.items():
        no("ECDSA zero", "signature", f"{algorithm} {name}", raw(header, claims(), signature=value))
for name, value in {"zeros": bytes(64), "63 bytes": bytes(63), "S not reduced": None}.items():
    header = {"alg": "EdDSA", "kid": "k4"}
    if value is None:
        right = sign("EdDSA", ed_a, f"{b64(dump(header))}.{b64(dump(claims()))}")
        order = 2**252 + 27742317777372353535851937790883648493
        value = right[:32] + (int.from_bytes(right[32:], "little") + order).to_bytes(32, "little")
    no("ECDSA zero", "signature", f"EdDSA {name}", raw(header, claims(), signature=value))

# ---------------------------------------------------------------------------------------------- keys in the header
own = public(stranger_ec)
for name, value in {
    "jwk": own, "jku": "https://evil.example/jwks", "x5u": "https://evil.example/cert", "x5c": ["MIIB"],
}.items():
    no("keys in the header", "header", f"{name}, signed with it", token(header={name: value, "kid": ...}, key=stranger_ec))
    no("keys in the header", "header", f"{name}, signed by the issuer", token(header={name: value}))
    no("keys in the header", "header", f"{name} null", token(header={name: None}))
    no("keys in the header", "header", f"{name} of the issuer", token(header={name: public(p256_a) if name == "jwk" else A}))
no("keys in the header", "header", "jku of this machine", token(header={"jku": "http://127.0.0.1/jwks"}))
no("keys in the header", "header", "jku of a metadata service", token(header={"jku": "http://169.254.169.254/"}))

# ------------------------------------------------------------------------------------------------------ hostile kid
for kid in ("", "\u0000", "k2\u0000", "k2\n", "\u202ek2", "é", "x" * 257, "k2\r\nx: y", "\u007f"):
    no("kid", "header", f"kid {kid[:20]!r}", token(kid=kid))
for kid in (None, 2, True, ["k2"], {"k2": 1}, 1.5):
    no("kid", "header", f"kid {kid!r}", token(kid=kid))
for kid in ("../../../../dev/null", "/dev/null", "' OR 1=1 --", "| sleep 10", "${jndi:ldap://x}", "%6b2", "K2", "k2 ", " k2",
            "k", "k22", "r", "k3", "enc", "oct", "https://evil.example/k2"):
    fault = "key"
    no("kid", fault, f"kid {kid!r}", token(kid=kid))
no("kid", "key", "no kid, several keys fit", token(kid=...))
no("kid", "key", "a kid that two keys have", token(key=p256_twin, kid="twin"))
no("kid", "key", "a kid that two keys have, the other", token(key=p256_twin2, kid="twin"))
no("kid", "form", "kid twice", raw('{"alg":"ES256","kid":"k2","kid":"k2"}', claims(), p256_a, "ES256"))
no("kid", "form", "kid twice, once escaped", raw('{"alg":"ES256","kid":"x","\\u006bid":"k2"}', claims(), p256_a, "ES256"))
no("kid", "form", "alg twice", raw('{"alg":"none","alg":"ES256","kid":"k2"}', claims(), p256_a, "ES256"))
no("kid", "form", "alg twice, none last", raw('{"alg":"ES256","kid":"k2","alg":"none"}', claims(), p256_a, "ES256"))

# ----------------------------------------------------------------------------------------------------- crit and b64
for value in (["exp"], ["b64"], ["unknown"], [], None, "exp", ["exp", "exp"], [""], {}, ["http://example.com/UNDEFINED"]):
    no("crit", "header", f"crit {value}", token(header={"crit": value, "http://example.com/UNDEFINED": True}))
for value in (False, True, None, "false", 0):
    no("b64", "header", f"b64 {value}", token(header={"b64": value}))
    no("b64", "header", f"b64 {value} and crit", token(header={"b64": value, "crit": ["b64"]}))
header = {"alg": "ES256", "kid": "k2", "b64": False, "crit": ["b64"]}
plain = "e30"
no("b64", "form", "an unencoded payload",
   f"{b64(dump(header))}.{plain}..{b64(sign('ES256', p256_a, f'{b64(dump(header))}.{plain}'))}")
for name, value in {"zip": "DEF", "enc": "A128GCM", "cty": "JWT", "epk": own}.items():
    no("crit", "header", f"{name}", token(header={name: value}))

# ------------------------------------------------------------------------------------------------------- other forms
right = token()
head, body, signature = right.split(".")
no("JSON serialisation", "form", "flattened", dump({"protected": head, "payload": body, "signature": signature}))
no("JSON serialisation", "form", "general", dump({"payload": body, "signatures": [{"protected": head, "signature": signature}]}))
no("JSON serialisation", "form", "flattened, unprotected header",
   dump({"protected": head, "header": {"kid": "k2"}, "payload": body, "signature": signature}))
no("JSON serialisation", "form", "five parts", f"{head}.{body}.{signature}.{body}.{signature}")
no("JSON serialisation", "form", "four parts", f"{right}.")
no("JSON serialisation", "form", "two parts", f"{head}.{body}")
no("JSON serialisation", "form", "detached", f"{head}..{signature}")
no("JSON serialisation", "form", "empty", "")
no("JSON serialisation", "form", "dots", "..")
no("JSON serialisation", "form", "twice", f"{right},{right}")
no("JSON serialisation", "form", "with a scheme", f"Bearer {right}")


def spare(part):
    """The same bytes with other spare bits behind them."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(part[-1])
    return part[:-1] + alphabet[at ^ 1]


def padded(text, size):
    """JSON of a length whose base64url has spare bits."""
    while len(text) % 3 != size:
        text += " "
    return text


for size in (1, 2):
    head2 = padded(dump({"alg": "ES256", "kid": "k2"}), size)
    body2 = padded(dump(claims()), size)
    first, second, third = raw(head2, body2, p256_a, "ES256").split(".")
    twisted = {
        "header": (spare(first), second), "payload": (first, spare(second)), "both": (spare(first), spare(second)),
    }
    for name, (one, two) in twisted.items():
        resigned = b64(sign("ES256", p256_a, f"{one}.{two}"))
        no("base64url", "form", f"spare bits in the {name}, {size}", f"{one}.{two}.{resigned}")
    for name, (one, two) in {"header": (first + "=" * (3 - size), second), "payload": (first, second + "=" * (3 - size))}.items():
        resigned = b64(sign("ES256", p256_a, f"{one}.{two}"))
        no("base64url", "form", f"padding in the {name}, {size}", f"{one}.{two}.{resigned}")
no("base64url", "form", "spare bits in the signature", f"{head}.{body}.{spare(signature)}")
no("base64url", "form", "padding in the signature", f"{right}==")
for name, text in {
    "white space before": f" {right}", "white space behind": f"{right} ", "a line end": f"{right}\n",
    "a line end inside": f"{head}.{body}.\n{signature}", "a tab": f"{head}\t.{body}.{signature}", "a NUL": f"{right}\u0000",
    "plus": f"{head}.{body}.+{signature[1:]}", "slash": f"{head}.{body}./{signature[1:]}", "percent": f"{head}.{body}.%41{signature[1:]}",
    "full width": f"{head}.{body}.\uff21{signature[1:]}", "one character": f"{head}.{body}.A", "comma": f"{head},{body},{signature}",
}.items():
    no("base64url", "form", name, text)

# ----------------------------------------------------------------------------------------------------- names twice
base = f'"iss":"{A}","sub":"ann","aud":"gate","iat":{NOW},"exp":{NOW + 60}'
for name, members in {
    "exp": f'{base},"exp":{NOW + 60}', "exp, the first expired": f'"exp":1,{base}', "iss": f'{base},"iss":"{A}"',
    "iss of another": f'"iss":"{B}",{base}', "aud": f'"aud":"other",{base}', "sub": f'{base},"sub":"root"',
    "sub, escaped": f'{base},"\\u0073ub":"root"', "groups": f'{base},"groups":["a"],"groups":["admin"]',
    "iat": f'{base},"iat":1', "nbf": f'{base},"nbf":1,"nbf":2', "any": f'{base},"x":1,"x":1', "inside": f'{base},"x":{{"a":1,"a":2}}',
    "inside a list": f'{base},"x":[{{"a":1,"a":2}}]', "empty name": f'{base},"":1,"":2',
}.items():
    no("names twice", "form", name, token(f"{{{members}}}"))

# ------------------------------------------------------------------------------------------------- what is not JSON
for name, text in {
    "BOM": b"\xef\xbb\xbf" + dump(claims()).encode(), "UTF-16": dump(claims()).encode("utf-16"), "Latin 1": b'{"sub":"\xe9"}',
    "lone surrogate": f'{{{base},"x":"\\ud800"}}', "NaN": f'{{{base},"x":NaN}}', "Infinity": f'{{{base},"x":Infinity}}',
    "1e400": f'{{{base},"x":1e400}}', "comma": f"{{{base},}}", "comment": f"{{{base}/**/}}", "two values": f"{{{base}}}{{{base}}}",
    "a list": f"[{{{base}}}]", "a text": '"x"', "null": "null", "empty": "", "deep": f'{{{base},"x":{"[" * 200}{"]" * 200}}}',
    "single quotes": "{'iss':1}", "leading zero": f'{{{base},"x":01}}', "NUL": f'{{{base},"x":"\u0000"}}', "cut": f"{{{base}",
}.items():
    no("not JSON", "form", name, token(text))
no("not JSON", "form", "too long", token(claims(x="x" * 20000)))

# ------------------------------------------------------------------------------------------------------------- typ
for kind in ("JWE", "JOSE", "JOSE+JSON", "logout+jwt", "secevent+jwt", "dpop+jwt", "rt+jwt", "id_token", "token-introspection+jwt",
             "oauth-authz-req+jwt", "statuslist+jwt", "application/logout+jwt", "text/jwt", "JWT ", "", "at+jwt;x=1", "vc+sd-jwt"):
    no("typ", "type", f"typ {kind!r}", token(header={"typ": kind}))
for kind in (None, 1, ["JWT"], {}):
    no("typ", "header", f"typ {kind!r}", token(header={"typ": kind}))

# -------------------------------------------------------------------------------------------------------------- aud
for audience in ("gate2", "gat", "Gate", "GATE", "gate ", " gate", "gate,other", "gate\u0000", "https://gate.example/", "https://gate.example.evil",
                 "http://gate.example", "*", "", "g", "xgate", "gate/", "gate#", "ｇate"):
    no("aud", "audience", f"aud {audience!r}", token(claims(aud=audience)))
    no("aud", "audience", f"aud [{audience!r}]", token(claims(aud=[audience, "other"])))
for audience in ([], ["ga", "te"]):
    no("aud", "audience", f"aud {audience!r}", token(claims(aud=audience)))
for audience in (None, 1, True, {"gate": True}, {"0": "gate"}, [["gate"]], ["gate", 1], ["gate", None], [{"gate": 1}]):
    no("aud", "claim", f"aud {audience!r}", token(claims(aud=audience)))
no("aud", "claim", "no aud", token(claims(drop=["aud"])))
for party in ("other", "CLI", "cli "):
    no("aud", "audience", f"azp {party!r}", token(claims(iss=C, azp=party), key=rsa_c, algorithm="RS256", kid="c"))
no("aud", "audience", "no azp", token(claims(iss=C), key=rsa_c, algorithm="RS256", kid="c"))
no("aud", "claim", "azp as a list", token(claims(iss=C, azp=["cli"]), key=rsa_c, algorithm="RS256", kid="c"))

# ------------------------------------------------------------------------------------- issuers, also with one kid
no("issuers", "signature", "A's kid, B's key", token(claims(iss=A), key=p256_b))
no("issuers", "signature", "B's kid, A's key", token(claims(iss=B), key=p256_a))
no("issuers", "key", "B, with a kid of A only", token(claims(iss=B), key=p384_a, algorithm="ES384", kid="k3"))
no("issuers", "signature", "B, A's key, no kid", token(claims(iss=B), key=p256_a, kid=...))
for issuer in (A + "/", A.upper(), "http://a.example", "https://a.example.evil", "https://A.example", "https://a.example ", "", "a.example",
               B + "/", "https://b.example", "https://evil.example", A + "#", A + "?x", "https://a.example:443"):
    no("issuers", "issuer", f"iss {issuer!r}", token(claims(iss=issuer)))
for issuer in (None, 1, [A], {"url": A}, [A, B]):
    no("issuers", "issuer", f"iss {issuer!r}", token(claims(iss=issuer)))
no("issuers", "issuer", "no iss", token(claims(drop=["iss"])))
for algorithm in ("RS384", "PS256"):
    no("issuers", "algorithm", f"{algorithm}, which its issuer does not use",
       token(claims(iss=C, azp="cli"), key=rsa_c, algorithm=algorithm, kid="c"))

# ------------------------------------------------------------------------------------------------- times as they are
for name in ("exp", "nbf", "iat"):
    for text in (f'"{NOW + 60}"', f"{NOW + 60}.0", f"{NOW + 60}.5", "-1", "-0", "1e9", "1.8e9", "1E+9", "null", "true", "[]", "{}", '""',
                 f"[{NOW}]", "18446744073709551615", "18446744073709551616", "9223372036854775808", "253402300800"):
        members = {"iss": f'"{A}"', "sub": '"ann"', "aud": '"gate"', "iat": str(NOW - 60), "exp": str(NOW + 60), name: text}
        payload = "{" + ",".join(f'"{member}":{value}' for member, value in members.items()) + "}"
        no("times", "claim", f"{name} {text}", token(payload))
    payload = f'{{{base},"x":1}}'.replace(f'"{name}":', f'"{name}":1e400,"y":') if name != "nbf" else f'{{{base},"nbf":1e400}}'
    no("times", "form", f"{name} 1e400", token(payload))
no("exp", "claim", "no exp", token(claims(drop=["exp"])))
no("exp", "claim", "no iat", token(claims(drop=["iat"])))
no("exp", "claim", "EXP instead", token(claims(drop=["exp"], EXP=NOW + 60)))
no("exp", "expired", "expired a day ago", token(claims(iat=NOW - 90000, exp=NOW - 86400)))
no("exp", "expired", "expired at the end of the leeway", token(claims(iat=NOW - 90, exp=NOW - 30)))
no("exp", "expired", "exp 0", token(claims(iat=0, exp=0)))
no("exp", "not_yet", "iat a day ahead", token(claims(iat=NOW + 86400, exp=NOW + 90000)))
no("exp", "not_yet", "iat a second behind the leeway", token(claims(iat=NOW + 31)))
no("exp", "not_yet", "nbf a second behind the leeway", token(claims(nbf=NOW + 31)))
no("exp", "not_yet", "iat in milliseconds", token(claims(iat=NOW * 1000 % 253402300799, exp=253402300799)))
no("exp", "claim", "exp before iat", token(claims(iat=NOW, exp=NOW - 1)))
no("exp", "too_long", "a day and a second", token(claims(iat=NOW, exp=NOW + 86401)))
no("exp", "too_long", "until the year 9999", token(claims(exp=253402300799)))

# ----------------------------------------------------------------------------------------------- subjects and others
for subject in ("", None, 1, ["ann"], "a\u0000", "a\nb", "x" * 1025, "\u0085"):
    no("claims", "claim", f"sub {str(subject)[:10]!r}", token(claims(sub=subject)))
no("claims", "claim", "no sub", token(claims(drop=["sub"])))
for groups in (1, None, {"admin": True}, ["a", 1], [["admin"]], "", "a\nb"):
    no("claims", "claim", f"groups {groups!r}", token(claims(groups=groups)))
for bound in ({"jkt": b64(bytes(32))}, {}, None, "x", {"x5t#S256": "AA"}, {"x5t#S256": b64(bytes(32)), "jkt": "x"}, {"jwk": own}):
    no("claims", "claim", f"cnf {str(bound)[:20]}", token(claims(cnf=bound)))

# ---------------------------------------------------------------------------------------------------- keys that do not
no("keys", "signature", "a stranger's key, the issuer's kid", token(key=stranger_ec))
no("keys", "signature", "a stranger's RSA key", token(key=stranger_rsa, algorithm="RS256", kid="r"))
no("keys", "key", "a key of 1024 bits", token(key=rsa_weak, algorithm="RS256", kid="weak"))
no("keys", "key", "a key for encryption", token(key=rsa_enc, algorithm="RS256", kid="enc"))
no("keys", "key", "a key whose private half is public", token(key=p256_leaked, kid="leaked"))
no("keys", "key", "PS256 with a key for RS256", token(key=rsa_only, algorithm="PS256", kid="only-rs256"))
no("keys", "key", "ES384 with the kid of a P-256 key", token(key=p384_a, algorithm="ES384", kid="k2"))
no("keys", "key", "RS256 with the kid of an EC key", token(key=rsa_a, algorithm="RS256", kid="k2"))
no("keys", "signature", "RS256 in the header, PS256 underneath",
   raw({"alg": "RS256", "kid": "r"}, claims(), rsa_a, "PS256"))
no("keys", "signature", "PS256 in the header, RS256 underneath",
   raw({"alg": "PS256", "kid": "r"}, claims(), rsa_a, "RS256"))
no("keys", "signature", "RS256 in the header, RS512 underneath",
   raw({"alg": "RS256", "kid": "r"}, claims(), rsa_a, "RS512"))

# ------------------------------------------------------------------------------------------------ changed afterwards
dice = random.Random(7)
for algorithm, key, kid in SIGNERS:
    one, two, three = token(key=key, algorithm=algorithm, kid=kid).split(".")
    other = b64(dump(claims(sub="root")))
    no("changed", "signature", f"{algorithm}, another payload", f"{one}.{other}.{three}")
    flipped = bytearray(base64.urlsafe_b64decode(three + "=="))
    flipped[dice.randrange(1, len(flipped) - 1)] ^= 1 << dice.randrange(8)
    no("changed", "signature", f"{algorithm}, a bit of the signature", f"{one}.{two}.{b64(bytes(flipped))}")
    _, _, borrowed = token(claims(sub="bob"), key=key, algorithm=algorithm, kid=kid).split(".")
    no("changed", "signature", f"{algorithm}, the signature of another", f"{one}.{two}.{borrowed}")

names = [vector["name"] + vector.get("line", "") for vector in good + bad]
assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
assert len(bad) >= 300 and len(good) >= 50, (len(bad), len(good))
out = pathlib.Path(__file__).with_name("tokens.json")
out.write_text(json.dumps({"now": NOW, "issuers": ISSUERS, "good": good, "bad": bad}, indent=1, ensure_ascii=True) + "\n")
print(f"{len(bad)} forged, {len(good)} good, {out.stat().st_size} bytes")
