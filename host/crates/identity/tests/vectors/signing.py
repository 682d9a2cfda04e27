"""What both forges share: keys, and tokens of exactly the bytes that are asked for.

A second library (joserfc, on pyca/cryptography) signs them, so that no mistake of the gate's own library hides behind
the same mistake.
"""

import base64
import hmac
import json

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey


def rsa(bits=2048):
    return RSAKey.generate_key(bits, private=True, auto_kid=False)


def ec(curve="P-256"):
    return ECKey.generate_key(curve, private=True, auto_kid=False)


def ed():
    return OKPKey.generate_key("Ed25519", private=True, auto_kid=False)


def public(key, kid=None, **more):
    jwk = {**key.as_dict(private=False), **more}
    jwk.pop("kid", None)
    return {**jwk, **({"kid": kid} if kid else {})}


def b64(raw):
    if isinstance(raw, str):
        raw = raw.encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def dump(value):
    return value if isinstance(value, (str, bytes)) else json.dumps(value, separators=(",", ":"))


def sign(algorithm, key, text):
    """The signature as the algorithm has it; a secret for HMAC is bytes, since joserfc takes no public key for one."""
    if algorithm.startswith("HS"):
        return hmac.digest(key, text.encode(), f"sha{algorithm[2:]}")
    name = "EdDSA" if algorithm == "Ed25519" else algorithm
    return jws.JWSRegistry.algorithms[name].sign(text.encode(), key)


def raw(header, claims, key=None, algorithm=None, signature=None):
    """A token of exactly these bytes."""
    signed = f"{b64(dump(header))}.{b64(dump(claims))}"
    if signature is None:
        signature = sign(algorithm, key, signed)
    return f"{signed}.{b64(signature)}"
