//! TLS on both sides, by two hosts in a row: the first speaks it with its upstream, the second with its callers.

use scenarios::rig::{CHANNELS, End, Heard, SSN, Setup, Upstream, http_chunks, request, sse_head, streamed};

struct Identity {
    certificate: String,
    key: String,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a name that certificates take");
    Identity { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

async fn talkative() -> Upstream {
    let body = streamed(CHANNELS[0], &format!("your ssn is {SSN} ok"), 5);
    Upstream::answering(move |_| {
        let mut pieces = vec![sse_head()];
        pieces.extend(http_chunks(&body.chunks(61).collect::<Vec<_>>()));
        pieces
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_masked_behind_tls_on_both_sides() {
    let upstream = talkative().await;
    let Identity { certificate, key } = identity();
    let behind = Setup::new()
        .policy("10-mask.wasm", "mask")
        .tls_listener(certificate.clone(), key)
        .start(upstream.address)
        .await;
    let front = Setup::new().tls_upstream(certificate).start(behind.client().address).await;
    let (reply, got) = front.client().whole(&request("hello", true)).await;
    assert_eq!((reply.status, reply.end), (200, Some(End::Complete)), "{}", front.log_text());
    assert_eq!(Heard::stream(&got).text(0, "content"), "your ssn is [SSN] ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_nobody_vouches_for_is_not_spoken_to() {
    let upstream = talkative().await;
    let Identity { certificate, key } = identity();
    let behind = Setup::new().tls_listener(certificate, key).start(upstream.address).await;
    let front = Setup::new().tls_upstream(identity().certificate).start(behind.client().address).await;
    let (reply, got) = front.client().whole(&request("hello", true)).await;
    assert_eq!(reply.status, 502);
    assert!(String::from_utf8_lossy(&got).contains("upstream_unreachable"));
    assert_eq!(upstream.received().len(), 0, "nothing went up");
}
