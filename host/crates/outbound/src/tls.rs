//! What the host shows and believes as a client of TLS: upstream, at issuers and webhooks, and on the command line; and
//! certificates in PEM files.

use std::{io, path::Path};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls_platform_verifier::BuilderVerifierExt;

/// Believes these authorities (the system's, where no file is named), and shows a certificate with its key, where one is
/// named.
///
/// # Errors
/// Names the file that can't be read or does not fit.
pub fn client_config(authorities: Option<&Path>, own: Option<(&Path, &Path)>) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder();
    let builder = match authorities {
        None => builder.with_platform_verifier().map_err(io::Error::other)?,
        Some(file) => builder.with_root_certificates(roots(file)?),
    };
    let Some((certificate, key)) = own else { return Ok(builder.with_no_client_auth()) };
    builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?).map_err(|error| wrong(key, error))
}

/// The authorities in a file.
///
/// # Errors
/// Names the file.
pub fn roots(file: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| wrong(file, error))?;
    }
    Ok(roots)
}

/// The certificates in a file, at least one.
///
/// # Errors
/// Names the file.
pub fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong(file, "holds no certificate")),
        Err(error) => Err(wrong(file, error)),
    }
}

/// The private key in a file.
///
/// # Errors
/// Names the file.
pub fn private_key(file: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| wrong(file, error))
}

/// What is wrong with a file.
pub fn wrong(file: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", file.display()))
}
