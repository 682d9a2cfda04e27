//! Headers of a request that do not go upstream, by name: always, or unless the operator leaves them to callers.
//!
//! It stands where the head is read. What must hold: what is not listed passes; nothing that is passes by another case of
//! its letters or by being named in `connection`.

use http::{HeaderMap, HeaderName, Method, header};

/// Names that never go upstream: framing and hop-by-hop (RFC 9110, 7.6.1); how the body was packed, and hashes of it as
/// it came in, which would tell what was masked; credentials; wishes for a part of an answer, also of a stream, which would
/// go on behind the first half of a value; what the gate says itself.
const WITHHELD: [&str; 29] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "content-length",
    "content-encoding",
    "content-md5",
    "content-digest",
    "repr-digest",
    "digest",
    "host",
    "expect",
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "accept-encoding",
    "range",
    "if-range",
    "last-event-id",
    "x-request-id",
    "request-id",
    "via",
];

/// What others may say about the caller or the target, by how the names begin: many a server behind believes it.
const CLAIMS: [&str; 43] = [
    "forwarded",
    "x-forward",
    "x-original-",
    "x-originating-",
    "x-override-",
    "x-http-method",
    "x-http-host",
    "x-method-",
    "x-proxy-",
    "x-url-",
    "x-scheme",
    "x-ssl-",
    "ssl-",
    "x-user",
    "x-webauth-",
    "x-goog-iap-",
    "x-amzn-oidc-",
    "cf-access-",
    "x-rewrite-",
    "x-real-",
    "x-host",
    "x-client-",
    "x-cluster-client-",
    "x-remote-",
    "x-envoy-",
    "x-portcullis-",
    "x-auth-request-",
    "x-authenticated-",
    "x-goog-authenticated-",
    "x-ms-client-principal",
    "remote-",
    "client-ip",
    "true-client-ip",
    "cf-connecting-",
    "fastly-client-",
    "x-proxyuser-",
    // RFC 9440, RFC 9449.
    "client-cert",
    "dpop",
    // Kubernetes, Kong, API management of Azure, Next.js.
    "impersonate-",
    "x-impersonate-",
    "x-consumer-",
    "x-ms-token-aad-",
    "x-middleware-subrequest",
];

/// What says whose account is used at the upstream, and which way a request takes there, by how the names begin. Providers,
/// then routers, which may be told another provider, model or key; then credentials that the gate does not read.
const CHOICES: [&str; 24] = [
    "openai-organization",
    "openai-project",
    "x-goog-user-project",
    "ocp-apim-",
    "x-portkey-",
    "helicone-",
    "x-litellm-",
    "litellm-",
    "cf-aig-",
    "x-bf-",
    "x-hf-bill-to",
    "azureml-",
    "x-gateway-",
    "x-tenant",
    "x-auth-",
    "x-authorization",
    "x-access-token",
    "x-api-token",
    "x-id-token",
    "x-jwt-",
    "x-vault-token",
    "private-token",
    "x-amz-security-token",
    "x-goog-iam-",
];

/// What a header has in its name that chooses the model past the body (`x-ms-model-mesh-model-name`, `x-ai-eg-model`).
const MODEL: &str = "model";

/// Conditions on which a reader gets no answer but that nothing has changed: it would go by what it was told before, under
/// other policies perhaps. Of a request that writes they are its meaning, and stay.
const READERS_CONDITIONS: [HeaderName; 2] = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// The headers of a request that may go upstream.
pub(crate) fn forwardable(method: &Method, headers: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // How the body is to be read is no matter of one hop.
        .filter(|name| *name != header::CONTENT_TYPE)
        .collect();
    let withheld = |name: &str| WITHHELD.contains(&name) || CLAIMS.iter().any(|claim| name.starts_with(claim));
    let reads = method.is_safe();
    headers
        .iter()
        .filter(|(name, _)| !withheld(name.as_str()) && !named.contains(name))
        .filter(|(name, _)| !(reads && READERS_CONDITIONS.contains(name)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether a header chooses an account or a route, or is a credential for one.
pub(crate) fn is_choice(name: &str) -> bool {
    CHOICES.iter().any(|choice| name.starts_with(choice)) || name.contains(MODEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Head;

    /// As servers behind know them; written down here, so that a name that is lost above is missed.
    const IDENTIFYING: &[&str] = &[
        "proxy-authorization",
        "api-key",
        "x-goog-api-key",
        "forwarded",
        "x-forwarded-user",
        "x-user-email",
        "x-webauth-user",
        "x-goog-iap-jwt-assertion",
        "x-amzn-oidc-identity",
        "cf-access-jwt-assertion",
        "cf-access-authenticated-user-email",
        "x-remote-user",
        "remote-user",
        "x-auth-request-email",
        "x-authenticated-userid",
        "x-envoy-original-path",
        "x-ms-client-principal-name",
        "x-ms-token-aad-id-token",
        "ssl-client-subject-dn",
        "x-ssl-client-cert",
        "x-client-cert",
        "x-proxyuser-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x-impersonate-user",
        "x-vault-token",
        "private-token",
        "x-jwt-assertion",
        "x-id-token",
        "openai-organization",
        "x-portkey-provider",
        "x-litellm-api-base",
        "client-cert",
        "client-cert-chain",
        "impersonate-user",
        "impersonate-group",
        "impersonate-uid",
        "impersonate-extra-scopes",
        "x-consumer-username",
        "x-consumer-custom-id",
        "x-tenant-id",
        "x-auth-token",
        "x-access-token",
        "x-api-token",
        "x-authorization",
        "x-amz-security-token",
        "x-goog-iam-authorization-token",
        "x-goog-authenticated-user-email",
        "dpop",
        "x-middleware-subrequest",
    ];

    fn head(method: &str, headers: &[(&str, &str)]) -> Head {
        let mut request = http::Request::builder().method(method).uri("/v1/chat/completions").header("host", "gate");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Head::read(&request.body(()).unwrap().into_parts().0).unwrap()
    }

    #[test]
    fn a_reader_sets_no_conditions() {
        for (method, name, passes) in [
            ("GET", "if-none-match", false),
            ("GET", "if-modified-since", false),
            ("GET", "if-match", true),
            ("PUT", "if-none-match", true),
            ("PUT", "if-match", true),
        ] {
            assert_eq!(head(method, &[(name, "*")]).headers.contains_key(name), passes, "{method} {name}");
        }
    }

    #[test]
    fn nothing_that_identifies_or_frames_goes_upstream() {
        let given = [
            ("authorization", "Bearer secret"),
            ("x-api-key", "secret"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "1.2.3.4"),
            ("connection", "x-private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("x-http-method-override", "DELETE"),
            ("openai-beta", "x"),
        ];
        let read = head("POST", &given);
        let names: Vec<_> = read.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["openai-beta"]);
        let more = [
            "x-forwarded",
            "x-original-url",
            "x-rewrite-url",
            "x-real-ip",
            "x-http-method-override",
            "x-http-host-override",
        ];
        for name in WITHHELD.iter().chain(CLAIMS.iter().filter(|claim| !claim.ends_with('-'))).chain(&more) {
            if *name != "host" && *name != "content-encoding" {
                assert!(head("POST", &[(name, "x")]).headers.is_empty(), "{name}");
            }
        }
        for name in IDENTIFYING {
            let mut head = head("POST", &[(name, "x")]);
            head.withhold_choices(&[]);
            assert!(head.headers.is_empty(), "{name}");
        }
        let mut allowed = head("POST", &[("x-auth-token", "x"), ("impersonate-user", "x")]);
        allowed.withhold_choices(&["x-auth-token".to_owned(), "impersonate-user".to_owned()]);
        let names: Vec<_> = allowed.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-auth-token"], "an operator may leave a credential to callers, and no claim");
        assert_eq!(read.credential.unwrap().0, "secret");
    }
}
