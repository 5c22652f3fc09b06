//! E-mail addresses as the worker takes them. Pure.

use icu_normalizer::ComposingNormalizerBorrowed;
use url::Host;

/// In lower case and composed (NFC), its domain in ASCII: this spelling is signed. `None` if it is not an address.
pub(crate) fn read(typed: &str) -> Option<String> {
    let (local, domain) = typed.trim().rsplit_once('@')?;
    let Ok(Host::Domain(domain)) = Host::parse(domain) else { return None };
    let is_local = !local.is_empty() && !local.contains(|c: char| c.is_whitespace() || c == '@');
    let composed = ComposingNormalizerBorrowed::new_nfc();
    let address = format!("{}@{domain}", composed.normalize(&local.to_lowercase()));
    (is_local && address.len() <= 254).then_some(address)
}

/// Without what may differ where the worker takes it for the same: case, tags and dots.
pub(crate) fn mailbox(address: &str) -> String {
    let address = address.trim().to_lowercase();
    let (local, domain) = address.rsplit_once('@').unwrap_or((&address, ""));
    let local = local.split('+').next().unwrap_or_default().replace('.', "");
    format!("{local}@{}", domain.replace("googlemail.com", "gmail.com"))
}
