//! Answers that end with their connection, over TLS; connections that nobody uses.

use futures_util::StreamExt;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::*;
use crate::forward::IDLE;

/// Both ends of a TLS connection in memory.
async fn connected() -> (client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>) {
    let made = rcgen::generate_simple_self_signed(["upstream".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let (near, far) = duplex(64 << 10);
    let (connector, acceptor) = (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)));
    let name = ServerName::try_from("upstream").unwrap();
    let (near, far) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    (near.unwrap(), far.unwrap())
}

/// What comes of an answer that ends with its connection: with TLS's own end before that, or without.
async fn answered(in_order: bool) -> Vec<Result<Bytes, BodyError>> {
    let (near, mut far) = connected().await;
    let upstream = tokio::spawn(async move {
        let mut head = [0; 1024];
        assert!(far.read(&mut head).await.unwrap() > 0);
        far.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nwhole?").await.unwrap();
        far.flush().await.unwrap();
        if in_order {
            far.shutdown().await.unwrap();
        }
    });
    let Ok(live) = Live::begin(near, 4096).await else { unreachable!("a handshake of HTTP/1.1 sends nothing") };
    let request = Request::builder().uri("/x").header("host", "upstream").body(Full::default()).unwrap();
    let Ok((live, response)) = live.send(request).await else { unreachable!("the upstream answers") };
    assert!(live.ends_with_answer());
    let body = AnswerBody::new(live, response.into_body(), Arc::new(Pool::new(1))).collect().await;
    upstream.await.unwrap();
    body
}

#[tokio::test]
async fn an_answer_that_tls_does_not_end_is_not_whole() {
    let said = Ok(Bytes::from_static(b"whole?"));
    assert_eq!(answered(true).await, std::slice::from_ref(&said));
    let broken = answered(false).await;
    assert_eq!((broken.first(), broken.len()), (Some(&said), 2));
    assert!(broken[1].is_err(), "{broken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_closed_by_time() {
    let (near, mut far) = duplex(1024);
    let Ok(live) = Live::begin(near, 4096).await else { unreachable!("a handshake of HTTP/1.1 sends nothing") };
    let pool = Pool::new(1);
    pool.give(live);
    tokio::time::advance(IDLE - std::time::Duration::from_secs(1)).await;
    pool.reap();
    assert!(far.read_u8().now_or_never().is_none(), "its time is not over");
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    pool.reap();
    assert!(far.read_u8().await.is_err(), "it is closed");
}
