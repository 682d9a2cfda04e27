//! A browser: one host's cookies are kept and sent, redirects are answers. No script, no rendering; pages are read by the
//! marks that tests need.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// Sends requests as a browser does to one host.
#[derive(Default)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
    /// Where it takes its requests, in place of where their URLs say.
    place: Option<String>,
    /// The client certificate that it shows, in base64.
    certificate: Option<String>,
}

impl Browser {
    /// A browser to whom every name leads to this address: for a host that is known by another than its own.
    #[must_use]
    pub fn led_to(place: SocketAddr) -> Self {
        Self { place: Some(place.to_string()), ..Self::default() }
    }

    /// One that shows a client certificate, given in base64.
    #[must_use]
    pub fn with_certificate(certificate: &str) -> Self {
        Self { certificate: Some(certificate.to_owned()), ..Self::default() }
    }

    /// Follows a link.
    pub async fn get(&mut self, url: &str) -> Response<Bytes> {
        self.ask(Method::GET, url, String::new(), false).await
    }

    /// Sends a form, as a program does.
    pub async fn post(&mut self, url: &str, form: &str) -> Response<Bytes> {
        self.ask(Method::POST, url, form.to_owned(), false).await
    }

    /// Sends a form, as a page of the same host does: with what tells so.
    pub async fn submit(&mut self, url: &str, form: &str) -> Response<Bytes> {
        self.ask(Method::POST, url, form.to_owned(), true).await
    }

    async fn ask(&mut self, method: Method, url: &str, form: String, from_page: bool) -> Response<Bytes> {
        let url = Url::parse(url).unwrap();
        let named = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let stream = TcpStream::connect(self.place.as_ref().unwrap_or(&named)).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder()
            .method(method.clone())
            .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
            .header(header::HOST, &named);
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        if let Some(certificate) = &self.certificate {
            request = request.header("x-client-certificate", certificate);
        }
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if from_page {
            request = request
                .header(header::ORIGIN, url.origin().ascii_serialization())
                .header("sec-fetch-site", "same-origin");
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::from(form))).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        self.keep_cookies(&parts.headers);
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    /// Keeps what `set-cookie` says; a cookie that is set to nothing is gone.
    pub fn keep_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Signs in at the provider, from where a page led to, as `name`; where the browser is sent back to.
    ///
    /// # Panics
    /// When it is not sent to a place that begins with `back`.
    pub async fn sign_in(&mut self, start: &str, name: &str, back: &str) -> Url {
        let mut place = Url::parse(start).unwrap();
        for _ in 0..12 {
            if place.as_str().starts_with(back) {
                return place;
            }
            let answer = if place.path().starts_with("/interaction/") {
                let page = html(&self.get(place.as_str()).await);
                let prompt = if page.contains("name=\"login\"") { "login" } else { "consent" };
                self.post(place.as_str(), &format!("prompt={prompt}&login={name}&password=x")).await
            } else {
                self.get(place.as_str()).await
            };
            place = place.join(&location(&answer)).unwrap();
        }
        panic!("the provider never sent the browser back");
    }
}

/// Where a redirect leads.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn location(answer: &Response<Bytes>) -> String {
    let place = answer.headers().get(header::LOCATION);
    let told = || format!("no redirect: {} {}", answer.status(), html(answer));
    place.unwrap_or_else(|| panic!("{}", told())).to_str().unwrap().to_owned()
}

/// A page's text.
#[must_use]
pub fn html(page: &Response<Bytes>) -> String {
    String::from_utf8_lossy(page.body()).into_owned()
}

/// Where a page of the gate leads on to.
///
/// # Panics
/// When it has no link.
#[must_use]
pub fn link(page: &Response<Bytes>) -> String {
    let page = html(page);
    let link = page.split("<a href=\"").nth(1).unwrap_or_else(|| panic!("no link: {page}")).split('"').next().unwrap();
    link.replace("&amp;", "&")
}

/// The proof in the form of a page of the gate that asks for a decision.
///
/// # Panics
/// When it has no such form.
#[must_use]
pub fn proof(page: &str) -> &str {
    page.split("name=\"proof\" value=\"").nth(1).unwrap_or_else(|| panic!("no form: {page}")).split('"').next().unwrap()
}
