//! The directory's HTTP endpoint. Ids are encoded into its address, redirects are not followed, and an answer that is not
//! what was agreed is no answer.

use super::claims::{Claims, TresorClaims};
use super::{DirectoryError, Down, HttpSettings, Lookup, Subject};
use crate::domain::fact::Source;
use crate::domain::operation::UserClaims;
use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url, redirect};
use std::sync::Arc;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A person's record is small; what is larger is something else.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

pub(super) struct HttpSource {
    client: reqwest::Client,
    user_url: Option<String>,
    tresor_url: Option<String>,
}

impl HttpSource {
    pub(super) fn new(settings: &HttpSettings) -> Result<Self, DirectoryError> {
        let broken = |key: &'static str, what: String| DirectoryError::Setting { key, what };
        if settings.user_url.is_none() && settings.tresor_url.is_none() {
            return Err(broken("http", "needs `user_url`, `tresor_url`, or both".to_owned()));
        }
        check(settings.user_url.as_deref(), "{user_id}").map_err(|what| broken("http.user_url", what))?;
        check(settings.tresor_url.as_deref(), "{tresor_id}").map_err(|what| broken("http.tresor_url", what))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = &settings.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose().trim()))
                .map_err(|_| broken("http.token", "holds characters that no header can".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = reqwest::Client::builder()
            .timeout(settings.timeout)
            // Whoever can redirect it could make it call anything, with the token.
            .redirect(redirect::Policy::none())
            .default_headers(headers)
            .build()
            .map_err(|error| broken("http", format!("cannot be used: {error}")))?;
        Ok(Self { client, user_url: settings.user_url.clone(), tresor_url: settings.tresor_url.clone() })
    }

    fn address(&self, subject: &Subject) -> Result<Url, Down> {
        let (template, placeholder) = match subject {
            Subject::User(_) => (&self.user_url, "{user_id}"),
            Subject::Tresor(_) => (&self.tresor_url, "{tresor_id}"),
        };
        let template = template.as_deref().unwrap_or_default();
        // A path has its own meaning for these two, however they are encoded.
        if [".", ".."].contains(&subject.id()) {
            return Err(Down::for_good("this id cannot be part of an address"));
        }
        let encoded = utf8_percent_encode(subject.id(), RESERVED).to_string();
        template.replace(placeholder, &encoded).parse().map_err(|_| Down::for_good("the address is malformed"))
    }

    async fn get(&self, url: Url) -> Result<Option<Vec<u8>>, Down> {
        let answer = self.client.get(url).send().await;
        let mut answer = answer.map_err(|error| {
            // The error's own text holds the address, and the address holds an id.
            Down::for_now(if error.is_timeout() { "no answer in time" } else { "it cannot be reached" })
        })?;
        let status = answer.status();
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                return Err(Down::for_now(format!("HTTP {}", status.as_u16())));
            }
            _ if status.is_server_error() => return Err(Down::for_now(format!("HTTP {}", status.as_u16()))),
            _ if status.is_redirection() => {
                return Err(Down::for_good(format!("HTTP {}: redirects are not followed", status.as_u16())));
            }
            _ => return Err(Down::for_good(format!("HTTP {}", status.as_u16()))),
        }
        let mut body = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER_BYTES => body.extend_from_slice(&chunk),
                Ok(Some(_)) => return Err(Down::for_good("the answer is larger than 256 KiB")),
                Ok(None) => return Ok(Some(body)),
                Err(_) => return Err(Down::for_now("the answer broke off")),
            }
        }
    }
}

/// An address with its placeholder, somewhere behind the host.
fn check(template: Option<&str>, placeholder: &str) -> Result<(), String> {
    let Some(template) = template else { return Ok(()) };
    if !template.contains(placeholder) {
        return Err(format!("must hold `{placeholder}`, which is replaced by the id"));
    }
    let with = |id: &str| template.replace(placeholder, id).parse::<Url>().ok();
    let origin = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    let is_plain = |url: &Url| url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    // The id must choose what is asked for, and nothing else.
    let chooses = |a: &Url, b: &Url| origin(a) == origin(b) && (a.path(), a.query()) != (b.path(), b.query());
    match (with("a"), with("b")) {
        (Some(a), Some(b)) if ["http", "https"].contains(&a.scheme()) && chooses(&a, &b) && is_plain(&a) => Ok(()),
        _ => Err(format!("must be an http:// or https:// address with `{placeholder}` in its path or query")),
    }
}

#[async_trait]
impl Lookup for HttpSource {
    fn source(&self) -> Source {
        Source::Http
    }

    fn knows_of(&self, subject: &Subject) -> bool {
        match subject {
            Subject::User(_) => self.user_url.is_some(),
            Subject::Tresor(_) => self.tresor_url.is_some(),
        }
    }

    async fn look_up(&self, subject: &Subject) -> Result<Option<Arc<Claims>>, Down> {
        let Some(body) = self.get(self.address(subject)?).await? else { return Ok(None) };
        let claims = match subject {
            Subject::User(_) => serde_json::from_slice::<UserClaims>(&body).map(Claims::from),
            Subject::Tresor(_) => serde_json::from_slice::<TresorClaims>(&body).map(Claims::from),
        };
        // The parser's sentence may quote the value that it did not like.
        claims.map(|claims| Some(Arc::new(claims))).map_err(|error| {
            let what = if error.is_data() { "is no such record" } else { "is no JSON" };
            Down::for_good(format!("the answer {what} (line {}, column {})", error.line(), error.column()))
        })
    }
}
