//! Domain names and patterns: compared without case, in IDNA form.
//!
//! `example.com` is that name alone; `*.example.org` is every name below it and not itself.

use std::fmt;

/// A domain name in its IDNA (ASCII, lower-case) form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// Reads a name such as `Example.com` or `bücher.example`; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "@/:*".contains(c)) {
            return None;
        }
        let ascii = idna::domain_to_ascii_strict(name).ok()?;
        let sound = !ascii.is_empty() && ascii.split('.').all(|label| !label.is_empty());
        sound.then_some(Self(ascii))
    }

    /// The domain of an e-mail address; `None` for what is no valid address.
    #[must_use]
    pub fn of_email(address: &str) -> Option<Self> {
        let (local, domain) = address.rsplit_once('@')?;
        let local_is_sound = !local.is_empty()
            && local.len() <= 64
            && !local.contains(|c: char| c.is_whitespace() || c.is_control() || "@,;:<>()[]\\\"".contains(c))
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..");
        // A machine's address such as `10.0.3.4` is no name, and would be below another one.
        let is_number = |name: &Self| name.0.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if local_is_sound { Self::parse(domain).filter(|name| !is_number(name)) } else { None }
    }

    /// The part that somebody registered, by the public suffix list: `example.co.uk` of `mail.example.co.uk`. `None` for
    /// a public suffix itself, which is nobody's.
    #[must_use]
    pub fn registrable(&self) -> Option<Self> {
        psl::domain_str(&self.0).map(|name| Self(name.to_owned()))
    }

    /// The name in ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One entry of a list of domains.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DomainPattern {
    /// That name alone.
    Exact(DomainName),
    /// Every name below it, and not itself.
    Below(DomainName),
}

impl DomainPattern {
    /// Reads `example.com` or `*.example.org`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("*.") {
            Some(parent) => DomainName::parse(parent).map(Self::Below),
            None => DomainName::parse(text).map(Self::Exact),
        }
    }

    /// Whether the pattern covers `name`.
    #[must_use]
    pub fn matches(&self, name: &DomainName) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Below(parent) => name.0.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_machine_is_no_name() {
        for address in ["ann@10.0.3.4", "ann@example.3", "ann@10"] {
            assert_eq!(DomainName::of_email(address), None, "{address}");
        }
        assert!(DomainName::of_email("ann@3.example").is_some());
    }

    fn covers(pattern: &str, name: &str) -> bool {
        DomainPattern::parse(pattern).unwrap().matches(&DomainName::parse(name).unwrap())
    }

    #[test]
    fn an_exact_name_is_itself_alone_and_a_wildcard_is_all_below() {
        assert!(covers("example.com", "EXAMPLE.com"));
        assert!(!covers("example.com", "mail.example.com"));
        assert!(covers("*.example.org", "a.example.org"));
        assert!(covers("*.example.org", "a.b.example.org"));
        assert!(!covers("*.example.org", "example.org"));
        assert!(!covers("*.example.org", "notexample.org"));
        assert!(covers("bücher.example", "xn--bcher-kva.example"));
    }

    #[test]
    fn the_registrable_part_is_what_somebody_bought() {
        let registrable = |name: &str| DomainName::parse(name).unwrap().registrable().map(|name| name.to_string());
        assert_eq!(registrable("mail.example.com").as_deref(), Some("example.com"));
        assert_eq!(registrable("a.b.example.co.uk").as_deref(), Some("example.co.uk"));
        assert_eq!(registrable("someone.github.io").as_deref(), Some("someone.github.io"));
        assert_eq!(registrable("co.uk"), None);
    }

    #[test]
    fn what_is_no_address_has_no_domain() {
        assert_eq!(DomainName::of_email("Ann@Example.COM").unwrap().as_str(), "example.com");
        for wrong in [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@@example.com",
            "a b@example.com",
            "ann@exa mple.com",
            "ann@.com",
            "ann@a..b",
            "a..b@example.com",
            "ann@example.com>",
            "x@evil.com,ann@example.com",
            "ann@*.example.com",
        ] {
            assert_eq!(DomainName::of_email(wrong), None, "{wrong}");
        }
    }
}
