//! What a look costs: nanoseconds for a request, with its bytes in one piece, against passing over them.
//!
//! `cargo run --release -p front --example cost`

use std::{hint::black_box, time::Instant};

use front::Requests;

const RUNS: u32 = 200_000;

fn main() {
    let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: gate.internal:8080\r\nUser-Agent: OpenAI/Python 2.9.0\r\n\
        Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\
        Authorization: Bearer pcs_0123456789abcdef0123456789abcdef0123456789abcdef\r\nContent-Type: application/json\r\n\
        X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.9.0\r\nX-Stainless-OS: Linux\r\n\
        X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Runtime-Version: 3.13.1\r\n\
        X-Stainless-Async: false\r\nX-Stainless-Retry-Count: 0\r\nX-Stainless-Read-Timeout: 600\r\n";
    let body = "x".repeat(2000);
    let length = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (what, request) in [("content-length", length), ("chunked", chunks)] {
        let bytes = request.as_bytes();
        let over = timed(|| {
            black_box(memchr::memchr(b'\0', black_box(bytes)));
        });
        let mut requests = Requests::new(32 << 10);
        let look = timed(|| {
            let seen = requests.look(black_box(bytes));
            assert!(seen.passed == bytes.len());
        });
        println!("{what}: {} bytes, {over:.0} ns to pass over, {look:.0} ns to look at", bytes.len());
    }
}

/// Nanoseconds of one run: the least of ten rounds, so that what else the machine does counts little.
fn timed(mut run: impl FnMut()) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        (0..RUNS).for_each(|_| run());
        least = least.min(began.elapsed().as_nanos() as f64 / f64::from(RUNS));
    }
    least
}
