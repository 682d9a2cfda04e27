//! TLS on the data listener, from certificate files. Callers may show certificates of their own (RFC 8705), where the
//! configuration names who vouches for them: nobody must, but one that is shown is verified, or there is no connection.

use std::{io, path::Path, sync::Arc};

use model::Digest;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::config::TlsFiles;

/// An acceptor from PEM files.
///
/// # Errors
/// Names the file that can't be read or does not fit.
pub(crate) fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, error))?;
    let builder = match &files.client_ca {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| wrong(file, error))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
            ServerConfig::builder().with_client_cert_verifier(verifier.map_err(|error| wrong(file, error))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| wrong(&files.key, error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// SHA-256 of the certificate that a caller showed, and that was verified.
pub(super) fn shown_by<S>(stream: &TlsStream<S>) -> Option<Digest> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates()?.first().map(identity::digest)
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong(file, "holds no certificate")),
        Err(error) => Err(wrong(file, error)),
    }
}

fn wrong(file: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display()))
}
