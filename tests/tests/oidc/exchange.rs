//! A provider's token, exchanged or as it is, and what the tokens of the gate are good for.

use scenarios::rig::{End, Heard, request};

use super::rig::{Gate, code, form_at, talkative, text, until};

const CHAT: &str = "/v1/chat/completions";
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test(flavor = "multi_thread")]
async fn an_exchanged_token_opens_a_masked_stream_in_each_of_its_headers() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let token = gate.token("").await;
    assert!(token.starts_with("pct_"), "{token}");
    let bearer = format!("Bearer {token}");
    for header in [("authorization", bearer.as_str()), ("x-api-key", &token), ("api-key", &token)] {
        let client = gate.host.caller("");
        let mut reply = client.send_plain("POST", CHAT, &[header, JSON], &request("hello", true)).await;
        let got = reply.rest().await;
        assert_eq!((reply.status, reply.end), (200, Some(End::Complete)), "{}", gate.host.log_text());
        assert_eq!(Heard::stream(&got).text(0, "content"), "my ssn is [SSN] ok");
    }
    for received in upstream.received() {
        assert!(!format!("{:?}", received.headers).contains(&token[4..]), "a caller's credential never goes up");
    }
    assert!(!gate.host.log_text().contains(&token[4..]));

    let listed = gate.host.cli().json(&["token", "list"]);
    let id = text(&listed["tokens"][0]["id"]).to_owned();
    let shown = gate.host.cli().run(&["token", "show", &id]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(shown.stdout.contains(&id) && shown.stdout.contains(&gate.provider.issuer), "{}", shown.stdout);
    assert!(!shown.stdout.contains(&token[4..]));
    assert_eq!(gate.host.cli().json(&["token", "show", &id])["caller"]["subject"], "ci");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_token_is_used_as_it_is_where_a_grant_says_so() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let token = gate.provider.token().await;
    let (reply, got) = gate.host.caller(&token).whole(&request("hello", true)).await;
    assert_eq!((reply.status, reply.end), (200, Some(End::Complete)), "{}", String::from_utf8_lossy(&got));
    let record = gate.host.record(reply.header("x-request-id").unwrap()).await;
    let opened = scenarios::rig::entries(&record, "Opened").next().unwrap();
    assert_eq!(opened["caller"]["issuer"], gate.provider.issuer.as_str(), "{opened}");
    assert_eq!(opened["caller"]["groups"], serde_json::json!(["builders"]));

    let cut = &token[..token.len() - 2];
    for wrong in [cut, "pct_0", "a.b.c", &token.replace('.', "..")] {
        assert_eq!(gate.host.caller(wrong).whole(&request("hello", false)).await.0.status, 401, "{wrong}");
    }
    assert_eq!(upstream.received().len(), 1, "nothing of an unknown caller goes upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_refused_outside_its_scope_in_the_dialects_own_form() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let scope = "&scope=connection%3Aopenai+model%3Agpt-other+operation%3Aopenai-chat";
    let narrow = gate.host.caller(&gate.token(scope).await);
    let mut model = narrow.ask(&request("hello", false)).await;
    assert_eq!((model.status, code(&mut model).await.as_str()), (403, "out_of_scope"), "another model");
    let body = br#"{"model":"gpt-other","input":"hello"}"#;
    let mut operation = narrow.send("POST", "/v1/embeddings", &[JSON], body).await;
    assert_eq!((operation.status, code(&mut operation).await.as_str()), (403, "out_of_scope"), "another operation");
    assert_eq!(upstream.received().len(), 0);
    let right = br#"{"model":"gpt-other","messages":[{"role":"user","content":"hello"}]}"#;
    assert_eq!(narrow.whole(right).await.0.status, 200);

    let token = gate.provider.token().await;
    for (more, error) in [
        ("&scope=connection%3Aelsewhere", "invalid_scope"),
        ("&audience=elsewhere", "invalid_scope"),
        ("&scope=grant%3Astaff", "invalid_scope"),
        ("&scope=nonsense", "invalid_scope"),
        ("&client_id=stranger", "invalid_client"),
        ("&resource=https%3A%2F%2Fx", "invalid_target"),
    ] {
        assert_eq!(gate.exchange(&token, more).await.unwrap_err()["error"], error, "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_endpoint_is_nobodys_connection() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let client = gate.host.client();
    let mut metadata = client.send_plain("GET", "/.well-known/oauth-authorization-server", &[], b"").await;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.rest().await).unwrap();
    assert_eq!(text(&metadata["token_endpoint"]), format!("{}/oauth/token", super::rig::GATE));

    // However the path is spelt, with a credential that opens the connection of every path: it goes nowhere else.
    for path in ["/oauth", "/oauth/x", "/%6fauth/token", "//oauth//token", "/v1/../oauth/token", "/./oauth/./x"] {
        let reply = client.send("POST", path, &[], b"").await;
        assert!((400..405).contains(&reply.status), "{path}: {}", reply.status);
    }
    let long = vec![b'a'; 70 << 10];
    let reply = client.send_plain("POST", "/oauth/token", &[super::rig::FORM], &long).await;
    assert_eq!(reply.status, 413);
    let packed = client.send_plain("POST", "/oauth/token", &[("content-encoding", "gzip")], b"x").await;
    assert_eq!(packed.status, 415);
    assert_eq!(upstream.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_given_back_is_over() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let token = gate.token("").await;
    let caller = gate.host.caller(&token);
    let bearer = format!("Bearer {token}");
    let ask = format!("token={token}");
    let (status, about) = form_at(&caller, "/oauth/introspect", &ask, &[("authorization", &bearer)]).await;
    assert_eq!((status, &about["active"], &about["sub"]), (200, &true.into(), &"ci".into()), "{about}");
    assert_eq!(caller.whole(&request("hello", false)).await.0.status, 200);
    assert_eq!(gate.form("/oauth/revoke", &ask).await.0, 200);
    assert_eq!(caller.whole(&request("hello", false)).await.0.status, 401);
    let listed = gate.host.cli().json(&["token", "list"]);
    assert_eq!(listed["tokens"][0]["revoked"]["reason"], "given back by its holder", "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_with_its_grant_and_its_caller_can_still_be_named() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let token = gate.token("").await;
    assert_eq!(gate.host.caller(&token).whole(&request("hello", false)).await.0.status, 200);
    let Gate { provider, mut host } = gate;
    for tables in [&["[grant]]"][..], &["[issuer]]", "oauth]", "[signals]]"]] {
        host.stop().await;
        let config = std::fs::read_to_string(host.home().join("portcullis.toml")).unwrap();
        let left = config.split("\n[").filter(|table| !tables.iter().any(|gone| table.starts_with(gone)));
        host.rewrite("portcullis.toml", &left.collect::<Vec<_>>().join("\n["));
        host = host.restart().await;
        assert_eq!(host.caller(&token).whole(&request("hello", false)).await.0.status, 401, "{tables:?}");
        let listed = host.cli().json(&["token", "list"]);
        assert_eq!(listed["tokens"][0]["revoked"]["by"], "the configuration", "{listed}");
        for target in [["--issuer", &provider.issuer], ["--caller", &format!("{}|ci", provider.issuer)]] {
            let told = host.cli().run(&[&["revoke", "--yes", "--dry-run"][..], &target].concat());
            assert_eq!(told.code, Some(0), "{}", told.stderr);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_caller_at_the_token_endpoint_is_noticed() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let proof = gate.provider.token().await;
    gate.exchange(&proof, "").await.unwrap();
    let told = gate.host.cli().run(&["revoke", "--caller", "ci", "--yes"]);
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert_eq!(gate.exchange(&proof, "").await.unwrap_err()["error"], "invalid_request");
    let about = format!("{}|ci", gate.provider.issuer);
    until("an alert", async || {
        let alerts = gate.host.look("/v1/alerts").await;
        let alerts = alerts["alerts"].as_array().unwrap();
        alerts.iter().any(|alert| alert["rule"] == "revoked-credentials" && alert.to_string().contains(&about))
    })
    .await;
    gate.host.logged(|line| line.contains("turned away")).await;
    assert!(!gate.host.log_text().contains(&proof), "{}", gate.host.log_text());
}
