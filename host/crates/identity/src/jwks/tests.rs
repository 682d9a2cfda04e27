//! Which keys of a set may check which token.

use serde_json::json;

use super::*;

/// The example keys of RFC 7517, A.1, and RFC 8037, A.2.
const EC_X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
const EC_Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn modulus(length: usize) -> String {
    let mut bytes = vec![0xa5; length];
    bytes[0] = 0x80;
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ec(change: impl FnOnce(&mut Value)) -> Value {
    let mut key = json!({"kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y, "kid": "e"});
    change(&mut key);
    key
}

fn rsa_key(change: impl FnOnce(&mut Value)) -> Value {
    let mut key = json!({"kty": "RSA", "n": modulus(256), "e": "AQAB", "kid": "r", "use": "sig"});
    change(&mut key);
    key
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn fits(set: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> bool {
    matches!(set.fit(kid, algorithm), Fits::One(_))
}

#[test]
fn a_key_serves_its_family_only() {
    let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": ED_X, "kid": "o", "alg": "EdDSA"});
    let set = set(&[ec(|_| {}), rsa_key(|_| {}), ed]);
    assert_eq!(set.len(), 3);
    for (_, algorithm) in Algorithm::ALL {
        let name = format!("{algorithm:?}");
        assert_eq!(fits(&set, Some("r"), algorithm), name.starts_with(['R', 'P']), "{name}");
        assert_eq!(fits(&set, Some("e"), algorithm), name == "Es256", "{name}");
        assert_eq!(fits(&set, Some("o"), algorithm), name.starts_with("Ed"), "{name}");
        assert!(!fits(&set, Some("other"), algorithm));
    }
    assert!(fits(&set, None, Algorithm::Es256), "the only one of its family needs no name");
}

#[test]
fn a_key_for_one_algorithm_serves_no_other() {
    let set = set(&[rsa_key(|key| key["alg"] = json!("PS256"))]);
    assert!(fits(&set, Some("r"), Algorithm::Ps256));
    assert!(!fits(&set, Some("r"), Algorithm::Rs256));
}

#[test]
fn what_is_ambiguous_fits_nothing() {
    let twins = set(&[ec(|_| {}), ec(|_| {})]);
    assert!(matches!(twins.fit(Some("e"), Algorithm::Es256), Fits::Several));
    let two = set(&[ec(|_| {}), ec(|key| key["kid"] = json!("f"))]);
    assert!(fits(&two, Some("f"), Algorithm::Es256));
    assert!(matches!(two.fit(None, Algorithm::Es256), Fits::Several));
    let other_kinds = set(&[ec(|_| {}), rsa_key(|key| key["kid"] = json!("e"))]);
    assert!(fits(&other_kinds, Some("e"), Algorithm::Rs256));
}

#[test]
fn weak_secret_and_foreign_keys_serve_nothing() {
    let none = set(&[
        ec(|key| key["use"] = json!("enc")),
        ec(|key| key["use"] = json!(1)),
        ec(|key| key["key_ops"] = json!(["sign"])),
        ec(|key| key["key_ops"] = json!("verify")),
        ec(|key| key["d"] = json!("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE")),
        ec(|key| key["alg"] = json!("RS256")),
        ec(|key| key["alg"] = json!("HS256")),
        ec(|key| key["alg"] = json!(256)),
        ec(|key| key["kid"] = json!(1)),
        ec(|key| key["crv"] = json!("P-384")),
        ec(|key| key["crv"] = json!("secp256k1")),
        ec(|key| key["x"] = json!("AA")),
        ec(|key| key["y"] = json!(null)),
        rsa_key(|key| key["n"] = json!(modulus(128))),
        rsa_key(|key| key["n"] = json!(modulus(2048))),
        rsa_key(|key| key["e"] = json!("AQ")),
        rsa_key(|key| key["e"] = json!("Ag")),
        rsa_key(|key| key["e"] = json!("")),
        rsa_key(|key| key["e"] = json!("AQAAAAE")),
        rsa_key(|key| key["alg"] = json!("RSA-OAEP-256")),
        json!({"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256", "kid": "h"}),
        json!({"kty": "OKP", "crv": "X25519", "x": ED_X}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
        json!({"kty": "new"}),
        json!(7),
    ]);
    assert_eq!(none.len(), 0);
}

#[test]
fn a_sign_byte_changes_no_key() {
    let mut bytes = vec![0];
    bytes.extend(URL_SAFE_NO_PAD.decode(modulus(256)).unwrap());
    let set = set(&[rsa_key(|key| key["n"] = json!(URL_SAFE_NO_PAD.encode(&bytes)))]);
    assert!(fits(&set, Some("r"), Algorithm::Rs256));
}

#[test]
fn what_is_no_set_is_refused() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert_eq!(KeySet::read(text.as_bytes()).unwrap_err(), NotKeys, "{text}");
    }
    let many: Vec<Value> = (0..=KEYS).map(|_| ec(|_| {})).collect();
    assert!(KeySet::read(json!({ "keys": many }).to_string().as_bytes()).is_err());
}
