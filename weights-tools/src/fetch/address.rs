//! Addresses that may be asked: https, and http only on this machine.
//!
//! The hash in a file's name has 32 bits. That finds damage, but it does not keep out somebody on
//! the line who makes a file to fit; https does.

use std::net::IpAddr;

use ureq::http::Uri;

use super::error::{Error, Result};

/// An address that may be asked.
#[derive(Clone, Debug)]
pub(super) struct Address {
    url: String,
    uri: Uri,
}

impl Address {
    pub(super) fn new(url: &str) -> Result<Self> {
        let failed = |found: String| Error::Address { url: url.to_owned(), found };
        let uri: Uri = url.parse().map_err(|_| failed("no address".to_owned()))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(failed("no host".to_owned()));
        }
        if !allowed(&uri) {
            return Err(failed(format!("{}://", uri.scheme_str().unwrap_or_default())));
        }
        Ok(Self { url: url.to_owned(), uri })
    }

    /// Where a redirect leads, seen from here.
    pub(super) fn follow(&self, location: &str) -> Result<Self> {
        let url = join(&self.uri, location);
        let refused = || Error::Address { url: self.url.clone(), found: format!("`{url}`") };
        let next = Self::new(&url).map_err(|_| refused())?;
        // A stranger must not send us to servers on this machine.
        if next.is_plain() && !self.is_plain() { Err(refused()) } else { Ok(next) }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    pub(super) fn is_local(&self) -> bool {
        is_local(&self.uri)
    }

    fn is_plain(&self) -> bool {
        self.uri.scheme_str() == Some("http")
    }
}

fn allowed(uri: &Uri) -> bool {
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_local(uri),
        Some(_) | None => false,
    }
}

fn is_local(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    number.map_or(host.eq_ignore_ascii_case("localhost"), |number| number.is_loopback())
}

/// The location as a whole address; it may leave out what it shares with `base`.
fn join(base: &Uri, location: &str) -> String {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str().unwrap_or_default();
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let before_path = location.split(['/', '?']).next().unwrap_or_default();
    if before_path.contains(':') {
        return location.to_owned();
    }
    if location.starts_with("//") {
        return format!("{scheme}:{location}");
    }
    if location.starts_with('/') {
        return format!("{scheme}://{authority}{location}");
    }
    let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{scheme}://{authority}{folder}/{location}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_leaves_this_machine() {
        for url in ["https://host/x", "http://localhost:80/x", "http://127.0.0.2/", "http://[::1]/"]
        {
            assert!(Address::new(url).is_ok(), "{url}");
        }
        let other = ["http://host/x", "http://10.0.0.1/x", "ftp://host/x", "http://localhost.org/"];
        for url in other.into_iter().chain(["", "host/x", "/x", "https://", "file:///etc/passwd"]) {
            assert!(matches!(Address::new(url), Err(Error::Address { .. })), "{url}");
        }
        let error = Address::new("http://host/x").expect_err("it is not secure").to_string();
        assert_eq!(
            error,
            "cannot fetch `http://host/x`: expected https (or http on this machine), found http://"
        );
    }

    #[test]
    fn a_redirect_leads_to_https_or_stays_on_this_machine() {
        let follow = |from: &str, to: &str| -> Option<String> {
            let from = Address::new(from).expect(from);
            from.follow(to).ok().map(|next| next.url().to_owned())
        };
        let secure = "https://host:8/models/x.pth?a=b";
        assert_eq!(follow(secure, "https://o/y").as_deref(), Some("https://o/y"));
        assert_eq!(follow(secure, "//o/y").as_deref(), Some("https://o/y"));
        assert_eq!(follow(secure, "/y?c=/#d").as_deref(), Some("https://host:8/y?c=/"));
        assert_eq!(follow(secure, "y").as_deref(), Some("https://host:8/models/y"));
        assert_eq!(follow(secure, "http://host:8/models/x.pth"), None);
        assert_eq!(follow(secure, "http://localhost/x.pth"), None);
        let local = "http://127.0.0.1:8/x";
        assert_eq!(follow(local, "http://[::1]:9/x").as_deref(), Some("http://[::1]:9/x"));
        assert_eq!(follow(local, "https://host/x").as_deref(), Some("https://host/x"));
        assert_eq!(follow(local, "http://host/x"), None);
        assert_eq!(follow(local, "ftp://host/x"), None);
        assert_eq!(follow(local, "javascript:x"), None);
    }
}
