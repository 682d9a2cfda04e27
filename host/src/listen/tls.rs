//! TLS on the data listener, from certificate files. Callers may show certificates of their own (RFC 8705), where the
//! configuration names who vouches for them: nobody must, but one that is shown is verified, or there is no connection.

use std::{io, sync::Arc};

use model::Digest;
use outbound::tls::{certificates, private_key, roots, wrong};
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::config::TlsFiles;

/// An acceptor from PEM files.
///
/// # Errors
/// Names the file that can't be read or does not fit.
pub(crate) fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let builder = match &files.client_ca {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(file) => {
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots(file)?)).allow_unauthenticated().build();
            ServerConfig::builder().with_client_cert_verifier(verifier.map_err(|error| wrong(file, error))?)
        }
    };
    let mut config = builder
        .with_single_cert(certificates(&files.certificate)?, private_key(&files.key)?)
        .map_err(|error| wrong(&files.key, error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// SHA-256 of the certificate that a caller showed, and that was verified.
pub(super) fn shown_by<S>(stream: &TlsStream<S>) -> Option<Digest> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates()?.first().map(identity::digest)
}
