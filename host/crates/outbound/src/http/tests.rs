//! What is asked and what is not; against listeners on this machine.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

fn client(url: &str) -> Result<Http, String> {
    Http::new(None, [&url.to_owned()])
}

fn allowed(http: &Http, url: &str) -> bool {
    http.check(&Url::parse(url).unwrap()).is_ok()
}

/// Answers every connection with these bytes, then closes it.
async fn server(answer: impl AsRef<[u8]> + Send + 'static) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _size = stream.read(&mut head).await;
            let _gone = stream.write_all(answer.as_ref()).await;
        }
    });
    (url, task)
}

async fn ask(answer: impl AsRef<[u8]> + Send + 'static) -> Result<Response<Vec<u8>>, HttpError> {
    let (url, task) = server(answer).await;
    let answer = client(&url).unwrap().get(&Url::parse(&format!("{url}/x?y=z")).unwrap()).await;
    task.abort();
    answer
}

#[test]
fn only_https_or_this_machine_where_the_configuration_says_so() {
    for url in [
        "http://idp.example",
        "http://10.0.0.1",
        "ftp://idp.example",
        "file:///etc/passwd",
        "idp",
        "https://a:b@idp",
        "https://idp/#x",
        "data:text/plain,x",
    ] {
        assert!(client(url).is_err(), "{url}");
    }
    let far = client("https://idp.example").unwrap();
    assert!(allowed(&far, "https://keys.example/jwks"));
    for url in ["http://idp.example/", "http://127.0.0.1/", "http://localhost/", "https://u@idp.example/", "file:///x"]
    {
        assert!(!allowed(&far, url), "{url}");
    }
    let near = client("http://127.0.0.1:1").unwrap();
    assert!(allowed(&near, "http://localhost:2/"));
    assert!(!allowed(&near, "http://idp.example/"));
}

#[test]
fn metadata_addresses_must_be_named_by_the_configuration() {
    let far = client("https://idp.example").unwrap();
    for url in [
        "https://169.254.169.254/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fd00:ec2::254]/",
    ] {
        assert!(!allowed(&far, url), "{url}");
    }
    assert!(allowed(&client("https://169.254.7.7").unwrap(), "https://169.254.7.7/jwks"));
    assert!(!allowed(&client("https://169.254.7.7").unwrap(), "https://169.254.169.254/"));
}

#[tokio::test]
async fn an_answer_is_brought_whole() {
    let answer = ask("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"{}"[..]));
}

#[tokio::test]
async fn a_server_that_tells_keys_as_a_key_set_only_is_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/openid/v1/jwks", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let size = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..size]).to_ascii_lowercase();
        let accept = head.lines().find_map(|line| line.strip_prefix("accept:")).unwrap_or_default();
        let fits = accept.split(',').any(|kind| kind.trim() == "application/jwk-set+json");
        let status = if fits { "200 OK" } else { "406 Not Acceptable" };
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}").as_bytes()).await.unwrap();
    });
    let answer = client(&url).unwrap().get(&Url::parse(&url).unwrap()).await.unwrap();
    assert_eq!(found(answer), Ok(b"{}".to_vec()));
    task.await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nothing_more() {
    let answer = ask("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert_eq!(found(answer), Err(StatusCode::FOUND));
}

#[tokio::test]
async fn what_is_too_long_cut_or_compressed_is_no_answer() {
    let long =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", ANSWER_BYTES + 1, "x".repeat(ANSWER_BYTES + 1));
    assert!(ask(long).await.is_err());
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(ANSWER_BYTES + 1));
    assert!(ask(endless).await.is_err());
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(4 * HEAD_BYTES));
    assert!(ask(head).await.is_err());
    assert!(ask("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}").await.is_err());
    assert!(ask("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}").await.is_err());
    assert!(ask("nonsense\r\n\r\n").await.is_err());
}

#[tokio::test]
async fn who_can_not_show_a_certificate_that_is_vouched_for_gets_no_request() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let chain = vec![key.cert.der().clone()];
    let private = rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut head = [0; 4096];
                let _size = stream.read(&mut head).await;
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
                let _gone = stream.shutdown().await;
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let url = format!("https://localhost:{port}");
    for (certificate, good) in [(&key.cert, true), (&other.cert, false)] {
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        let http = Http::new(Some(&file), [&url]).unwrap();
        let answer = http.get(&Url::parse(&url).unwrap()).await;
        assert_eq!(answer.is_ok(), good, "{answer:?}");
    }
    task.abort();
}

#[tokio::test]
async fn who_wants_the_head_only_has_it_whatever_the_body_is() {
    let long =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", 2 * ANSWER_BYTES, "x".repeat(2 * ANSWER_BYTES));
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbroken off",
        &long,
    ] {
        let (url, task) = server(answer.to_owned()).await;
        let request = Request::post(format!("{url}/hook")).body(b"{}".to_vec()).unwrap();
        let told = client(&url).unwrap().tell(request).await;
        task.abort();
        assert_eq!(told.unwrap().status(), StatusCode::OK, "{answer:.60}");
    }
}
