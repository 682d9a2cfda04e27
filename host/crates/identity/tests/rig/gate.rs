//! A token endpoint with all that it stands on, and no listener: requests go in, answers come out.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use exchange::ports::{ControlLog, RecordError, TurnedAway};
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode, header};
use identity::{
    Access, AccessTerms, Approval, CLIENT, Direct, Grant, Grants, Issuers, LIFETIME, Login, Oauth, OauthTerms, Peer,
    Registry, Terms, Who,
};
use model::{ControlEvent, Digest, Scope};
use openid_provider::Provider;
use serde_json::Value;

use super::{Clock, keep, terms};

/// Where the gate says it is. Nothing listens there: the test carries the browser's requests over.
pub(crate) const GATE: &str = "http://127.0.0.1:1";
pub(crate) const CALLBACK: &str = "http://127.0.0.1:1/oauth/callback";

pub(crate) const EXCHANGE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
    &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";
pub(crate) const DEVICE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code";

/// The control log, in memory.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<ControlEvent>>);

impl ControlLog for Log {
    fn replay(&self) -> Result<Vec<ControlEvent>, RecordError> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn append(&self, event: ControlEvent) -> BoxFuture<'_, Result<(), RecordError>> {
        self.0.lock().unwrap().push(event);
        async { Ok(()) }.boxed()
    }
}

pub(crate) struct Gate {
    pub(crate) oauth: Oauth,
    pub(crate) registry: Registry,
    pub(crate) access: Access,
    pub(crate) direct: Direct,
    pub(crate) clock: Clock,
    pub(crate) log: Arc<Log>,
    issuers: Arc<Issuers>,
    grants: Arc<Grants>,
}

/// `ci` may use everything of two connections, directly too; staff one of them; contractors need an approval.
pub(crate) fn grants(issuer: &str) -> Vec<Grant> {
    let grant = |name: &str, who: Who, scope: Scope| Grant {
        name: name.into(),
        who: Who { issuer: issuer.into(), ..who },
        scope,
        lifetime: LIFETIME,
        direct: false,
        bound: false,
        approval: None,
    };
    let groups = |group: &str| Who { groups: vec![group.into()], ..Who::default() };
    let approval = Approval { approvers: vec!["leads".into()], timeout: LIFETIME };
    let ci = Who { subjects: vec!["ci*".into()], ..groups("builders") };
    vec![
        Grant { direct: true, ..grant("builds", ci, Scope::on(["openai", "local"])) },
        grant("staff", groups("staff"), Scope { models: vec!["gpt-4*".into()], ..Scope::on(["openai"]) }),
        Grant { approval: Some(approval), ..grant("contractors", groups("contractors"), Scope::on(["openai"])) },
    ]
}

impl Gate {
    pub(crate) async fn new(provider: &Provider) -> Self {
        Self::with(provider, grants(&provider.issuer)).await
    }

    pub(crate) async fn with(provider: &Provider, grants: Vec<Grant>) -> Self {
        let clock = Clock::default();
        let issuers = keep([terms(provider)], &clock);
        // A token of the provider is good as soon as its keys are there.
        issuers.verify(&provider.token().await).await.unwrap();
        let grants = Arc::new(Grants::new(grants).unwrap());
        Self::on(Arc::default(), clock, issuers, grants, &provider.issuer)
    }

    fn on(log: Arc<Log>, clock: Clock, issuers: Arc<Issuers>, grants: Arc<Grants>, issuer: &str) -> Self {
        let shared: Arc<dyn ControlLog> = Arc::clone(&log) as _;
        let registry = Registry::open_at(Arc::clone(&shared), Terms::default(), clock.read()).unwrap();
        let access = Access::open(shared, Arc::clone(&grants), AccessTerms::default(), registry.clone()).unwrap();
        let login = Login {
            issuer: issuer.into(),
            client_id: "gate".into(),
            client_secret: Some(openid_provider::GATE_SECRET.into()),
            scopes: Vec::new(),
        };
        let terms = OauthTerms { url: GATE.into(), clients: vec![CLIENT.into()], login: Some(login) };
        let nobody_watches = Arc::new(|_: &TurnedAway<'_>, _: &str| {});
        let (trusted, given) = (Arc::clone(&issuers), Arc::clone(&grants));
        let oauth = Oauth::new(terms, trusted, given, registry.clone(), access.clone(), nobody_watches).unwrap();
        let direct = Direct::new(Arc::clone(&issuers), Arc::clone(&grants), registry.clone());
        Self { oauth, registry, access, direct, clock, log, issuers, grants }
    }

    /// The same after a restart: only the log is left.
    pub(crate) fn restart(&self, issuer: &str) -> Self {
        let (issuers, grants) = (Arc::clone(&self.issuers), Arc::clone(&self.grants));
        Self::on(Arc::clone(&self.log), self.clock.clone(), issuers, grants, issuer)
    }

    pub(crate) async fn ask(&self, request: Request<String>, certificate: Option<Digest>) -> Response<Bytes> {
        let peer = Peer { address: "192.0.2.7".parse().unwrap(), certificate };
        let answer = self.oauth.answer(request.map(Bytes::from), peer).await;
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        answer
    }

    /// A form; status and JSON.
    pub(crate) async fn post(&self, path: &str, form: &str) -> (StatusCode, Value) {
        self.post_with(path, form, None).await
    }

    pub(crate) async fn post_with(&self, path: &str, form: &str, certificate: Option<Digest>) -> (StatusCode, Value) {
        let answer = self.ask(request(path, form), certificate).await;
        let body = if answer.body().is_empty() { Value::Null } else { serde_json::from_slice(answer.body()).unwrap() };
        (answer.status(), body)
    }

    /// An exchange; the token.
    pub(crate) async fn exchange(&self, token: &str, more: &str) -> Result<Value, Value> {
        let (status, body) = self.post("/oauth/token", &format!("{EXCHANGE}&subject_token={token}{more}")).await;
        if status == StatusCode::OK { Ok(body) } else { Err(body) }
    }
}

/// A form's request.
pub(crate) fn request(path: &str, form: &str) -> Request<String> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(form.to_owned()).unwrap()
}
