//! Tokens that are bound to a client certificate (RFC 8705): worth nothing to whoever copies them.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use scenarios::rig::{Setup, Upstream, within};
use tempfile::TempDir;

use super::{
    rig::{Gate, talkative, text},
    user::User,
};

/// An authority, and two clients that it vouches for; one client that nobody vouches for.
struct Files {
    home: TempDir,
    authority: String,
}

impl Files {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let (authority, stranger) = (authority("authority"), authority("stranger"));
        for (name, by) in [("one", &authority), ("other", &authority), ("stranger", &stranger)] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
            let made = params.signed_by(&key, by).unwrap();
            std::fs::write(home.path().join(format!("{name}.pem")), made.pem()).unwrap();
            std::fs::write(home.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { authority: authority.pem(), home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

async fn gate(files: &Files, upstream: &Upstream) -> (Gate, PathBuf) {
    let listener = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let ca = files.path("listener.pem");
    std::fs::write(&ca, listener.cert.pem()).unwrap();
    let setup = Setup::new()
        .tls_listener(listener.cert.pem(), listener.signing_key.serialize_pem())
        .client_authority(files.authority.clone());
    (Gate::with(setup, "", upstream).await, ca)
}

/// The status of a chat with this token, by curl, with these arguments for it; 0 when there was no connection.
async fn chat(gate: &Gate, ca: &Path, token: &str, more: &[&str]) -> u16 {
    let url = format!("https://{}/v1/chat/completions", gate.host.caller("").address);
    let body = r#"{"model":"gpt-test","messages":[{"role":"user","content":"hello"}]}"#;
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", "--cacert"]).arg(ca).args(more);
    curl.args([
        "-H",
        "content-type: application/json",
        "-H",
        &format!("authorization: Bearer {token}"),
        "-d",
        body,
        &url,
    ]);
    let output = within("curl's end", curl.output()).await.unwrap();
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_works_only_with_the_certificate_it_was_asked_with() {
    let upstream = talkative().await;
    let files = Files::new();
    let (gate, ca) = gate(&files, &upstream).await;
    let shown = |name: &str| {
        let file = |end: &str| files.path(&format!("{name}.{end}")).display().to_string();
        vec!["--cert".to_owned(), file("pem"), "--key".to_owned(), file("key")]
    };

    let user = User::at(format!("https://{}", gate.host.caller("").address));
    let token = gate.provider.token().await;
    let ca_text = ca.display().to_string();
    let plain = ["token", "issue", "--subject-env", "CI_TOKEN", "--ca", &ca_text];
    let mine = [("CI_TOKEN", token.as_str())];
    let one = shown("one");
    let issue: Vec<&str> = plain.into_iter().chain(one.iter().map(String::as_str)).collect();
    let answer = user.json(&issue, &mine).await;
    let bound = text(&answer["access_token"]);

    for (name, status) in [(Some("one"), 200), (Some("other"), 401), (None, 401), (Some("stranger"), 0)] {
        let more = name.map(shown).unwrap_or_default();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        assert_eq!(chat(&gate, &ca, bound, &more).await, status, "{name:?}: {}", gate.host.log_text());
    }
    // With no certificate a token is bound to none.
    let answer = user.json(&plain, &mine).await;
    assert_eq!(chat(&gate, &ca, text(&answer["access_token"]), &[]).await, 200);
    assert_eq!(upstream.received().len(), 2);
    let nobody = user.run_with(&plain[..4], &mine).await;
    assert!(
        nobody.code == Some(1) && nobody.err.contains("no gate answers"),
        "an authority that is not known: {}",
        nobody.err
    );
}
