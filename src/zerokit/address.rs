//! Where the platform is and who we are there: both address forms, the tenant, the admin key.

use crate::domain::secret::Secret;
use std::fmt;

/// Why a text is no service address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServiceUrl {
    /// It is no URL of the two forms.
    #[error("must be `https://{{tenant}}.api.tresorit.io` or `https://{{host}}/tenant-{{tenant}}`, without a query")]
    Form,
    /// The tenant is not in the address.
    #[error("does not name the tenant; set `zerokit.tenant_id`")]
    NoTenant,
    /// The tenant's name is malformed.
    #[error("has no valid tenant id: a lower-case letter and 7 to 9 lower-case letters or digits")]
    BadTenant,
}

/// The name of a tenant: `[a-z][a-z0-9]{7,9}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TenantId(String);

impl TenantId {
    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let sound = (8..=10).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        sound.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user that signs: `admin@{tenant}.tresorit.io`.
    #[must_use]
    pub fn admin_user(&self) -> String {
        format!("admin@{}.tresorit.io", self.0)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address of a tenant's service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    origin: String,
    /// `tenant-{id}/` for a hosted tenant, else empty; it is signed.
    prefix: String,
    /// The tenant.
    pub tenant: TenantId,
}

impl ServiceUrl {
    /// Reads either form, with or without a trailing slash; `tenant` where it is given apart.
    ///
    /// # Errors
    /// Says what the address lacks.
    pub fn parse(text: &str, tenant: Option<&str>) -> Result<Self, InvalidServiceUrl> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(InvalidServiceUrl::Form)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.strip_suffix('/').unwrap_or(path);
        if authority.is_empty() || authority.contains(|c: char| "@?#".contains(c) || c.is_whitespace()) {
            return Err(InvalidServiceUrl::Form);
        }
        let scheme = text.strip_suffix(rest).unwrap_or("https://");
        let (prefix, inferred) = match path {
            "" => (String::new(), authority.split_once(".api.").map(|(tenant, _)| tenant)),
            path => {
                let hosted = path.strip_prefix("tenant-").filter(|id| !id.contains('/')).ok_or(InvalidServiceUrl::Form)?;
                (format!("{path}/"), Some(hosted))
            }
        };
        let tenant = tenant.or(inferred).ok_or(InvalidServiceUrl::NoTenant)?;
        let tenant = TenantId::parse(tenant).ok_or(InvalidServiceUrl::BadTenant)?;
        Ok(Self { origin: format!("{scheme}{authority}"), prefix, tenant })
    }

    /// The part of the address that is signed: no leading slash, the hosted tenant's prefix included.
    #[must_use]
    pub fn path(&self, endpoint: &str) -> String {
        format!("{}api/v4/admin/{endpoint}", self.prefix)
    }

    /// The whole address of a signed path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.origin)
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.origin, self.prefix)
    }
}

/// Why a text is no admin key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAdminKey {
    /// It has another length.
    #[error("must be 64 hex digits, and has {0} characters")]
    Length(usize),
    /// It has the length and is no hex.
    #[error("must be 64 hex digits, and has other characters in it")]
    NotHex,
}

/// The key that signs: 32 bytes.
#[derive(Debug, Clone)]
pub struct AdminKey(Secret<[u8; 32]>);

impl AdminKey {
    /// Reads 64 hex digits.
    ///
    /// # Errors
    /// Says what is wrong with the text, never the text.
    pub fn parse(text: &str) -> Result<Self, InvalidAdminKey> {
        let text = text.trim();
        if text.len() != 64 {
            return Err(InvalidAdminKey::Length(text.chars().count()));
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidAdminKey::NotHex)?;
        Ok(Self(Secret::new(bytes)))
    }

    /// The bytes, for signing.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_address_forms_are_read_with_and_without_a_slash() {
        for (text, path) in [
            ("https://tenant1234.api.tresorit.io", "api/v4/admin/user/list-users"),
            ("https://tenant1234.api.tresorit.io/", "api/v4/admin/user/list-users"),
            ("https://host-abc.api.tresorit.io/tenant-tenant1234", "tenant-tenant1234/api/v4/admin/user/list-users"),
            ("http://127.0.0.1:8080/tenant-tenant1234/", "tenant-tenant1234/api/v4/admin/user/list-users"),
        ] {
            let url = ServiceUrl::parse(text, None).unwrap();
            assert_eq!(url.tenant.as_str(), "tenant1234", "{text}");
            assert_eq!(url.path("user/list-users"), path, "{text}");
        }
        let explicit = ServiceUrl::parse("http://127.0.0.1:8080", Some("tenant1234")).unwrap();
        assert_eq!(explicit.url(&explicit.path("x")), "http://127.0.0.1:8080/api/v4/admin/x");
        assert_eq!(ServiceUrl::parse("http://127.0.0.1:8080", None), Err(InvalidServiceUrl::NoTenant));
        for wrong in ["", "ftp://x", "https://", "https://host/other", "https://a@b/tenant-tenant1234", "https://host/tenant-a/b"]
        {
            assert!(ServiceUrl::parse(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_admin_key_is_64_hex_digits() {
        assert!(AdminKey::parse(&"a7".repeat(32)).is_ok());
        assert_eq!(AdminKey::parse("abc").unwrap_err(), InvalidAdminKey::Length(3));
        assert_eq!(AdminKey::parse(&"zz".repeat(32)).unwrap_err(), InvalidAdminKey::NotHex);
    }
}
