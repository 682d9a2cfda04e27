//! hyper behind the front door, on a stream in memory and with virtual time.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::sleep,
};

use super::*;

/// The usual terms, with so many places that are left for other connections.
fn terms(places: usize) -> Terms {
    Terms {
        head_bytes: 2048,
        head_deadline: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
        places: Arc::new(Semaphore::new(places)),
    }
}

const GET: &str = "GET /x HTTP/1.1\r\nhost: gate\r\n\r\n";

/// A request as hyper told it: method and target, fields, body; none when the body broke off.
type Heard = (String, Vec<(String, Vec<u8>)>, Option<Vec<u8>>);

/// A caller's end of a connection, and what was heard at the other.
struct Caller {
    stream: DuplexStream,
    heard: Arc<Mutex<Vec<Heard>>>,
    server: JoinHandle<Result<(), hyper::Error>>,
}

/// Connects to a server that takes so long for each answer.
fn connect(takes: Duration) -> Caller {
    connect_on(terms(1), takes)
}

fn connect_on(terms: Terms, takes: Duration) -> Caller {
    let (near, far) = duplex(64 << 10);
    let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
    let kept = Arc::clone(&heard);
    let server = tokio::spawn(async move {
        let course = Course::new();
        let stream =
            Strict::new(near, terms, course.clone(), |refusal: Refusal| format!("<{}>", refusal.status).into());
        let service = service_fn(|request: Request<Incoming>| {
            let (running, kept) = (course.begin(), Arc::clone(&kept));
            async move {
                let (parts, body) = request.into_parts();
                let line = format!("{} {}", parts.method, parts.uri);
                let fields = parts.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
                let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
                kept.lock().unwrap().push((line, fields.collect(), body));
                sleep(takes).await;
                drop(running);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"done"))))
            }
        });
        http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service).await
    });
    Caller { stream: far, heard, server }
}

impl Caller {
    async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// All that comes until the connection closes.
    async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        self.stream.read_to_end(&mut all).await.unwrap();
        String::from_utf8(all).unwrap()
    }

    /// Reads an answer.
    async fn answer(&mut self) {
        let mut seen = Vec::new();
        while !seen.ends_with(b"done") {
            seen.push(self.stream.read_u8().await.unwrap());
        }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_refused_is_answered_and_hyper_never_sees_it() {
    for cut in 0..GET.len() {
        let mut caller = connect(Duration::ZERO);
        let bad = GET.replace("host", "h ost");
        let (begin, end) = bad.split_at(cut);
        caller.send(begin).await;
        tokio::task::yield_now().await;
        caller.send(end).await;
        assert_eq!(caller.rest().await, "<400>");
        assert_eq!(caller.heard(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_refused_head_is_answered_first() {
    let mut caller = connect(Duration::from_secs(30));
    caller.send(&format!("{GET}{GET}GET /x HTTP/1.1\r\n\r\n")).await;
    let all = caller.rest().await;
    assert_eq!((all.matches("200 OK").count(), all.ends_with("done<400>")), (2, true), "{all}");
    assert_eq!(caller.heard().len(), 2);
}

/// Otherwise its request stays with the model, and may be approved, with nobody there for the answer.
#[tokio::test(start_paused = true)]
async fn a_caller_that_went_away_is_noticed_whatever_it_sent_behind_its_request() {
    let bad = "GET /x HTTP/1.1\r\n\r\n";
    let post = "POST /x HTTP/1.1\r\nhost: gate\r\ncontent-length: 900\r\n\r\nabc";
    let behind = ["", &GET[..9], GET, &GET.repeat(9), bad, "\0", "\r\n", post];
    for behind in behind {
        for at_once in [true, false] {
            let mut caller = connect(Duration::from_secs(1000));
            let (first, then) = if at_once { (format!("{GET}{behind}"), "") } else { (GET.to_owned(), behind) };
            caller.send(&first).await;
            sleep(Duration::from_secs(20)).await;
            caller.send(then).await;
            sleep(Duration::from_secs(20)).await;
            assert_eq!((caller.heard().len(), caller.server.is_finished()), (1, false), "{behind}");
            drop(caller.stream);
            let ended = tokio::time::timeout(Duration::from_secs(1), caller.server).await;
            assert!(ended.is_ok_and(|ended| ended.unwrap().is_err()), "{behind}: {at_once}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_behind_a_request_has_its_time_when_the_exchange_is_over() {
    let began = Instant::now();
    let mut caller = connect(Duration::from_secs(30));
    caller.send(&format!("{GET}{}", &GET[..9])).await;
    caller.answer().await;
    sleep(Duration::from_secs(5)).await;
    caller.send(&GET[9..]).await;
    caller.answer().await;
    assert_eq!((caller.heard().len(), began.elapsed().as_secs()), (2, 65));
    caller.send(&GET[..9]).await;
    assert_eq!((caller.rest().await.as_str(), began.elapsed().as_secs()), ("<408>", 75));
}

#[tokio::test(start_paused = true)]
async fn of_what_comes_behind_a_request_no_more_is_kept_than_a_head_may_have() {
    let mut caller = connect(Duration::from_secs(30));
    let more = GET.repeat(4096);
    caller.send(GET).await;
    let sent = tokio::time::timeout(Duration::from_secs(29), caller.stream.write_all(more.as_bytes())).await;
    assert!(sent.is_err(), "it waits in the system's buffers, as a slow reader makes it");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_refused_breaks_off() {
    let mut caller = connect(Duration::ZERO);
    caller.send("POST /x HTTP/1.1\r\nhost: gate\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0x0\r\n\r\n").await;
    assert!(caller.rest().await.starts_with("HTTP/1.1 200"), "the exchange answers");
    assert_eq!(caller.heard()[0].2, None);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_was_refused_can_read_why_before_the_connection_goes() {
    let mut caller = connect(Duration::ZERO);
    caller.send("GET /x HTTP/1.1\r\n\r\n").await;
    assert_eq!(caller.rest().await, "<400>");
    assert!(!caller.server.is_finished(), "what it still sends is taken for a moment");
    sleep(LINGER).await;
    assert!(caller.server.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_deadline_from_its_first_byte() {
    let began = Instant::now();
    let mut caller = connect(Duration::ZERO);
    caller.send(GET).await;
    caller.answer().await;
    sleep(Duration::from_secs(70)).await;
    for byte in GET.bytes().take(9) {
        caller.send(&char::from(byte).to_string()).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(caller.rest().await, "<408>");
    assert_eq!(began.elapsed().as_secs(), 80);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed_as_soon_as_a_slow_head() {
    let began = Instant::now();
    assert_eq!(connect(Duration::ZERO).rest().await, "");
    assert_eq!(began.elapsed().as_secs(), 10);
    let mut caller = connect(Duration::ZERO);
    sleep(Duration::from_secs(8)).await;
    caller.send("GET ").await;
    assert_eq!(caller.rest().await, "<408>");
    assert_eq!(began.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_no_request_is_kept_for_its_time_after_the_last_one() {
    let began = Instant::now();
    let mut caller = connect(Duration::from_secs(200));
    caller.send(GET).await;
    caller.answer().await;
    assert_eq!(began.elapsed().as_secs(), 200, "while an exchange runs nothing is due");
    sleep(Duration::from_secs(74)).await;
    caller.send(GET).await;
    caller.answer().await;
    assert_eq!((caller.rest().await.as_str(), began.elapsed().as_secs()), ("", 200 + 74 + 200 + 75));
}

#[tokio::test(start_paused = true)]
async fn when_no_place_is_left_a_connection_with_no_request_makes_room_as_soon_as_a_slow_head() {
    let began = Instant::now();
    let mut caller = connect_on(terms(0), Duration::from_secs(100));
    caller.send(GET).await;
    caller.answer().await;
    assert_eq!((caller.rest().await.as_str(), began.elapsed().as_secs()), ("", 110), "its exchange is not cut");
    let terms = terms(1);
    let places = Arc::clone(&terms.places);
    let mut caller = connect_on(terms, Duration::ZERO);
    caller.send(GET).await;
    caller.answer().await;
    sleep(Duration::from_secs(34)).await;
    places.forget_permits(1);
    assert_eq!((caller.rest().await.as_str(), began.elapsed().as_secs()), ("", 110 + 40));
}

/// Requests as they are sent, and as they are to be heard.
fn request() -> impl Strategy<Value = (Vec<u8>, Heard)> {
    let fields = prop::collection::vec(("x-[a-z0-9]{1,8}", "([!-~]([ -~]{0,16}[!-~])?)?"), 0..4);
    let pieces =
        prop::collection::vec((prop::collection::vec(any::<u8>(), 1..200), "(;[a-z]{1,4}(=[a-z]{1,4})?)?"), 0..4);
    let parts = ("(GET|POST|PATCH)", "/[a-z0-9/.-]{0,12}(\\?[a-z=&]{1,8})?", fields, pieces, any::<bool>());
    parts.prop_map(|(method, target, fields, pieces, chunked)| {
        let body: Vec<u8> = pieces.iter().flat_map(|(data, _)| data.clone()).collect();
        let mut heard: Vec<_> = vec![("host".to_owned(), b"gate".to_vec())];
        heard.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())));
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: \t{value} \r\n")).collect();
        let mut sent = format!("{method} {target} HTTP/1.1\r\nHost:gate\r\n{fields}").into_bytes();
        if chunked {
            sent.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for (data, extension) in &pieces {
                sent.extend(format!("{:X}{extension}\r\n", data.len()).into_bytes());
                sent.extend([data, b"\r\n".as_slice()].concat());
            }
            sent.extend_from_slice(b"0\r\nx-trailer: dropped\r\n\r\n");
            heard.push(("transfer-encoding".into(), b"chunked".to_vec()));
        } else {
            sent.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
            sent.extend_from_slice(&body);
            heard.push(("content-length".into(), body.len().to_string().into_bytes()));
        }
        // A map keeps the fields of one name together.
        heard.sort_by(|one, other| one.0.cmp(&other.0));
        (sent, (format!("{method} {target}"), heard, Some(body)))
    })
}

async fn heard_of(bytes: &[u8], places: &[usize]) -> Vec<Heard> {
    let mut caller = connect(Duration::ZERO);
    let mut cuts: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut from = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        caller.stream.write_all(&bytes[from..cut]).await.unwrap();
        from = cut;
        tokio::task::yield_now().await;
    }
    // It closes by itself, when it has been idle for its time.
    caller.rest().await;
    let mut heard = caller.heard();
    heard.iter_mut().for_each(|(_, fields, _)| fields.sort_by(|one, other| one.0.cmp(&other.0)));
    heard
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hyper_hears_what_was_sent_over_any_split(
        requests in prop::collection::vec(request(), 1..4),
        places in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let (sent, wanted): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let heard = runtime.block_on(heard_of(&sent.concat(), &places));
        prop_assert_eq!(heard, wanted);
    }
}
