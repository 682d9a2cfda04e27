//! People: signed in from a terminal, signed out, offboarded.

use std::os::unix::fs::PermissionsExt;

use scenarios::rig::{Channel, End, Heard, Upstream, events, request, sse_head, within};

use super::{
    rig::{Gate, talkative, text},
    user::{Person, User},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_at_a_terminal_and_out_again() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let user = User::of(&gate);
    let none = user.run(&["whoami"]).await;
    assert!(none.code == Some(1) && none.err.contains("portcullis login"), "{}", none.err);

    let said = user.sign_in(&gate, "ann", &["--print-token"]).await;
    assert_eq!(said.code, Some(0), "{}{}", said.err, gate.host.log_text());
    let token = said.out.trim().to_owned();
    assert!(token.starts_with("pct_"), "{}", said.out);
    assert!(!said.err.contains(&token));
    assert_eq!(std::fs::metadata(user.kept()).unwrap().permissions().mode() & 0o777, 0o600);

    let (reply, got) = gate.host.caller(&token).whole(&request("hello", true)).await;
    assert_eq!((reply.status, reply.end), (200, Some(End::Complete)));
    assert_eq!(Heard::stream(&got).text(0, "content"), "my ssn is [SSN] ok");

    let me = user.json(&["whoami"], &[]).await;
    assert_eq!((text(&me["sub"]), text(&me["idp"])), ("ann", gate.provider.issuer.as_str()));
    assert_eq!((&me["groups"], text(&me["grant"])), (&serde_json::json!(["staff"]), "staff"));
    assert_eq!(user.run(&["login", "--print-token"]).await.out.trim(), token, "a good one is not asked for again");
    let shown = user.run(&["whoami"]).await;
    assert!(shown.out.contains("ann") && !shown.out.contains(&token), "{}", shown.out);

    let out = user.run(&["logout"]).await;
    assert!(out.code == Some(0) && !user.kept().exists(), "{}", out.err);
    assert_eq!(gate.host.caller(&token).whole(&request("hello", false)).await.0.status, 401);
    assert_eq!(user.run(&["logout"]).await.code, Some(1), "there is nothing to give back any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_grant_gets_nothing_and_is_told_so() {
    let upstream = talkative().await;
    let gate = Gate::start(&upstream).await;
    let user = User::of(&gate);
    let said = user.sign_in(&gate, "stranger", &[]).await;
    assert!(said.code == Some(1) && said.err.contains("no grant"), "{}", said.err);
    assert!(!user.kept().exists());
    let foreign = user.run(&["login", "--url", "http://gate.example.com"]).await;
    assert!(foreign.code == Some(1) && foreign.err.contains("in clear"), "{}", foreign.err);
    let nowhere = user.run(&["login", "--url", "http://127.0.0.1:1"]).await;
    assert!(nowhere.code == Some(1) && nowhere.err.contains("no gate answers"), "{}", nowhere.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offboarded_contractor_is_cut_off_everywhere() {
    let mut upstream = Upstream::start().await;
    let gate = Gate::start(&upstream).await;
    let user = User::of(&gate);
    // An approver must agree: the login waits for it.
    let login = user.login(&["--reason", "release night", "--print-token"]).await;
    let page = Person::new(&gate).allow(&login.link, "bob").await;
    assert!(page.contains("An approver is asked"), "{page}");
    let asked = gate.host.cli().json(&["access", "list"]);
    assert_eq!(
        (text(&asked["requests"][0]["reason"]), text(&asked["requests"][0]["caller"]["subject"])),
        ("release night", "bob")
    );
    let id = text(&asked["requests"][0]["id"]).to_owned();
    gate.host.cli().json(&["access", "approve", &id, "--by", "lea"]);
    let said = login.end().await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let caller = gate.host.caller(said.out.trim());

    let streaming = caller.clone();
    let asked = tokio::spawn(async move { streaming.ask(&request("hello", true)).await });
    let mut turn = upstream.turn().await;
    turn.write(&sse_head()).await;
    turn.chunk(&events(Channel::Content, &["a word. "])[1]).await;
    let mut reply = within("the head of the answer", asked).await.unwrap();
    assert!(reply.chunk().await.is_some(), "the stream runs");

    let who = format!("{}|bob", gate.provider.issuer);
    let told = gate.host.cli().json(&["revoke", "--caller", &who, "--reason", "offboarded"]);
    assert_eq!((&told["tokens"], &told["streams"]), (&1.into(), &1.into()), "{told}");
    let rest = reply.rest().await;
    assert_eq!(reply.end, Some(End::Broken), "a cut stream must not look complete");
    assert!(!Heard::stream(&rest).done);
    assert_eq!(caller.whole(&request("hello", false)).await.0.status, 401);
    assert_eq!(user.run(&["whoami"]).await.code, Some(1));

    // The provider still lets bob sign in; the gate gives him nothing.
    // What is kept of his is not handed out any more.
    let login = user.login(&["--reason", "me again", "--print-token"]).await;
    Person::new(&gate).allow(&login.link, "bob").await;
    let open = gate.host.cli().json(&["access", "list"]);
    for request in open["requests"].as_array().unwrap() {
        gate.host.cli().json(&["access", "approve", text(&request["id"]), "--by", "lea"]);
    }
    let said = login.end().await;
    assert!(said.code == Some(1) && said.err.contains("denied"), "{}", said.err);
    assert_eq!(upstream.received().len(), 1);
}
