//! TLS by rustls, with the words of libpq.

use std::path::PathBuf;
use std::sync::Arc;

use events_core::{Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::verifier::{AnyServer, ChainOnly};

/// How much of the server's identity is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// No TLS.
    Disable,
    /// Encrypted; anybody may be the server.
    Require,
    /// Somebody with a certificate of a trusted authority is the server.
    VerifyCa,
    /// The server is the host that was asked for.
    VerifyFull,
}

/// What a URL says of TLS.
#[derive(Debug, Clone)]
pub(crate) struct TlsOptions {
    pub(crate) mode: SslMode,
    said: bool,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            mode: SslMode::VerifyFull,
            said: false,
            root: None,
            certificate: None,
            key: None,
        }
    }
}

impl TlsOptions {
    pub(crate) const KEYS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

    /// Takes one of the [`TlsOptions::KEYS`].
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "sslmode" => {
                self.mode = mode(value)?;
                self.said = true;
            }
            "sslrootcert" => self.root = (value != "system").then(|| PathBuf::from(value)),
            "sslcert" => self.certificate = Some(PathBuf::from(value)),
            _ => self.key = Some(PathBuf::from(value)),
        }
        Ok(())
    }

    /// Fills in what was not said, and refuses what does not fit together.
    pub(crate) fn resolve(mut self, is_here: bool) -> Result<Self> {
        let wanted = self.root.is_some() || self.certificate.is_some();
        if !self.said && is_here && !wanted {
            self.mode = SslMode::Disable;
        }
        if self.mode == SslMode::Disable && wanted {
            return Err(Error::invalid_config(
                "sslmode=disable uses no certificate, but sslrootcert or sslcert is set; leave one of them out",
            ));
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err(Error::invalid_config(
                "sslcert and sslkey go together; set both or none",
            ));
        }
        // As in libpq: who names an authority wants it to be asked.
        if self.mode == SslMode::Require && self.root.is_some() {
            self.mode = SslMode::VerifyCa;
        }
        Ok(self)
    }

    /// Reads the files and makes the configuration; `None` where there is no TLS.
    pub(crate) fn load(&self) -> Result<Option<ClientConfig>> {
        if self.mode == SslMode::Disable {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| unusable("the TLS versions", e))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(&provider)?);
        let config = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("sslcert", certificate)?;
                let key_der = PrivateKeyDer::from_pem_file(key)
                    .map_err(|e| unusable(&format!("sslkey {}", key.display()), e))?;
                config
                    .with_client_auth_cert(chain, key_der)
                    .map_err(|e| unusable(&format!("sslkey {}", key.display()), e))?
            }
            _ => config.with_no_client_auth(),
        };
        Ok(Some(config))
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
        Ok(match self.mode {
            SslMode::Disable | SslMode::Require => Arc::new(AnyServer::new(provider)),
            SslMode::VerifyCa => Arc::new(ChainOnly::new(self.roots()?, provider)),
            SslMode::VerifyFull => {
                let roots = Arc::new(self.roots()?);
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
                    .build()
                    .map_err(|e| unusable("the trusted certificates", e))?
            }
        })
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(file) = &self.root else {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(Error::invalid_config(
                    "this machine has no certificates to trust; set sslrootcert in the URL, or install ca-certificates",
                ));
            }
            return Ok(roots);
        };
        for certificate in certificates("sslrootcert", file)? {
            roots
                .add(certificate)
                .map_err(|e| unusable(&format!("sslrootcert {}", file.display()), e))?;
        }
        Ok(roots)
    }
}

fn mode(word: &str) -> Result<SslMode> {
    match word {
        "disable" => Ok(SslMode::Disable),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        "prefer" | "allow" => Err(Error::invalid_config(format!(
            "sslmode={word} lets whoever stands between turn encryption off; use verify-full, or require, or disable"
        ))),
        _ => Err(Error::invalid_config(
            "sslmode must be disable, require, verify-ca or verify-full",
        )),
    }
}

fn certificates(option: &str, file: &std::path::Path) -> Result<Vec<CertificateDer<'static>>> {
    let what = format!("{option} {}", file.display());
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|e| unusable(&what, e))?
        .collect();
    let found = found.map_err(|e| unusable(&what, e))?;
    if found.is_empty() {
        return Err(Error::invalid_config(format!(
            "{what} holds no certificate; it must be a PEM file"
        )));
    }
    Ok(found)
}

fn unusable(what: &str, error: impl Into<events_core::BoxError>) -> Error {
    let error = error.into();
    Error::invalid_config(format!("{what} cannot be used: {error}")).caused_by(error)
}
