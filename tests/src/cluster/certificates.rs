//! An authority for one cluster, and a certificate for each part.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// Signs certificates into a folder.
pub struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one; its certificate is `authority.pem`.
    ///
    /// # Panics
    /// The folder cannot be written.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        write(folder, "authority.pem", &issuer.pem());
        Self {
            folder: folder.to_owned(),
            issuer,
        }
    }

    /// `<name>.pem` and `<name>.key`: good for servers and clients, with this DNS name.
    ///
    /// # Panics
    /// The folder cannot be written.
    pub fn issue(&self, name: &str) {
        self.issue_until(name, 4096);
    }

    /// As [`Authority::issue`]; it ends with the beginning of a year.
    ///
    /// # Panics
    /// The folder cannot be written.
    pub fn issue_until(&self, name: &str, year: i32) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        write(&self.folder, &format!("{name}.pem"), &certificate.pem());
        write(&self.folder, &format!("{name}.key"), &key.serialize_pem());
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file");
}
