//! Keys: the master key from the configuration wraps a key per person; a person's key seals what is personal.
//!
//! Destroying a person's key makes everything sealed under it unreadable, in every table and every dump. AES-256-GCM
//! throughout, each value bound to what it belongs to, so that ciphertexts cannot be moved about.

use crate::domain::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The key is not 32 bytes in base64.
    #[error("must be 32 bytes in base64; `openssl rand -base64 32` makes one")]
    BadKey,
    /// The key does not fit, or the ciphertext was changed or moved.
    #[error("cannot be opened with this key; is `encryption.key` the one it was written with?")]
    CannotOpen,
    /// The system has no randomness to give.
    #[error("cannot be sealed: the system gives no random numbers")]
    CannotSeal,
}

type KeyBytes = [u8; 32];

fn seal(key: &KeyBytes, context: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| VaultError::CannotSeal)?;
    let mut sealed = plain.to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut sealed).map_err(|_| VaultError::CannotSeal)?;
    Ok([nonce.as_ref().as_slice(), &sealed].concat())
}

fn open(key: &KeyBytes, context: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(VaultError::CannotOpen)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::CannotOpen)?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| VaultError::CannotOpen)?;
    let mut plain = sealed.to_vec();
    let length = key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut plain).map_err(|_| VaultError::CannotOpen)?.len();
    plain.truncate(length);
    Ok(plain)
}

fn random_key() -> Result<KeyBytes, VaultError> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| VaultError::CannotSeal)?;
    Ok(bytes)
}

/// How the text begins that a database's sentinel seals, where the key that makes keyed hashes is not the one that seals.
const SENTINEL: &[u8] = b"assent";
const SENTINEL_CONTEXT: &str = "sentinel";

/// The key from the configuration. It wraps persons' keys and seals what waits in the work queue. Keyed hashes are made with the
/// first key that a database had, which its sentinel keeps under seal: they are compared with those of years before.
#[derive(Clone, Debug)]
pub struct MasterKey {
    wraps: Secret<KeyBytes>,
    hashes: Secret<KeyBytes>,
}

/// A person's key as it is stored: sealed under the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey(pub Vec<u8>);

/// A person's key.
#[derive(Clone, Debug)]
pub struct PersonKey(Secret<KeyBytes>);

impl MasterKey {
    /// Reads 32 bytes in base64.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, VaultError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| VaultError::BadKey)?;
        bytes.try_into().map(Self::of).map_err(|_| VaultError::BadKey)
    }

    fn of(bytes: KeyBytes) -> Self {
        Self { wraps: Secret::new(bytes), hashes: Secret::new(bytes) }
    }

    /// What a database keeps to know its key by.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn sentinel(&self) -> Result<Vec<u8>, VaultError> {
        let hashes: &[u8] = if self.hashes == self.wraps { &[] } else { self.hashes.expose() };
        self.seal(SENTINEL_CONTEXT, &[SENTINEL, hashes].concat())
    }

    /// This key as it is for the database with this sentinel.
    ///
    /// # Errors
    /// It is the key of another one.
    pub fn of_database(&self, sentinel: &[u8]) -> Result<Self, VaultError> {
        let plain = self.open(SENTINEL_CONTEXT, sentinel)?;
        let hashes = plain.strip_prefix(SENTINEL).ok_or(VaultError::CannotOpen)?;
        if hashes.is_empty() {
            return Ok(self.clone());
        }
        let hashes = hashes.try_into().map_err(|_| VaultError::CannotOpen)?;
        Ok(Self { wraps: self.wraps.clone(), hashes: Secret::new(hashes) })
    }

    /// The same for keyed hashes, and another one for all else: what this one becomes when it is replaced.
    #[must_use]
    pub fn replaced_by(&self, other: &Self) -> Self {
        Self { wraps: other.wraps.clone(), hashes: self.hashes.clone() }
    }

    /// A new key, for a demonstration that ends with its database.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, VaultError> {
        random_key().map(Self::of)
    }

    /// A new key for a person, sealed for storing.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new_person_key(&self, person: &str) -> Result<WrappedKey, VaultError> {
        seal(self.wraps.expose(), &format!("person {person}"), &random_key()?).map(WrappedKey)
    }

    /// A person's key from its stored form.
    ///
    /// # Errors
    /// It was sealed under another master key, or for another person.
    pub fn person_key(&self, person: &str, wrapped: &WrappedKey) -> Result<PersonKey, VaultError> {
        let bytes = open(self.wraps.expose(), &format!("person {person}"), &wrapped.0)?;
        bytes.try_into().map(|bytes| PersonKey(Secret::new(bytes))).map_err(|_| VaultError::CannotOpen)
    }

    /// Seals what waits in the work queue; `context` is the record it belongs to.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        seal(self.wraps.expose(), context, plain)
    }

    /// A keyed hash in hex: the same for the same bytes, and of no use without the key.
    #[must_use]
    pub fn fingerprint(&self, bytes: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.hashes.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(b"assent.fingerprint.v1\n");
        context.update(bytes);
        hex::encode(context.sign())
    }

    /// Another key that follows from this one, for one purpose alone.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> KeyBytes {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.hashes.expose());
        let tag = hmac::sign(&key, format!("assent.derived.v1\n{purpose}").as_bytes());
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// Opens what [`MasterKey::seal`] sealed.
    ///
    /// # Errors
    /// Another key, another context, or changed bytes.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        open(self.wraps.expose(), context, sealed)
    }
}

impl PersonKey {
    /// Seals personal facts for one decision, as base64.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<String, VaultError> {
        seal(self.0.expose(), context, plain).map(|sealed| STANDARD.encode(sealed))
    }

    /// Opens what [`PersonKey::seal`] sealed.
    ///
    /// # Errors
    /// Another key, another context, or changed text.
    pub fn open(&self, context: &str, sealed: &str) -> Result<Vec<u8>, VaultError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| VaultError::CannotOpen)?;
        open(self.0.expose(), context, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_with_its_key_and_in_its_place() {
        let master = MasterKey::generate().unwrap();
        let wrapped = master.new_person_key("ann").unwrap();
        let key = master.person_key("ann", &wrapped).unwrap();
        let sealed = key.seal("decision 1", b"ann@example.com").unwrap();
        assert_eq!(key.open("decision 1", &sealed).unwrap(), b"ann@example.com");
        assert_eq!(key.open("decision 2", &sealed), Err(VaultError::CannotOpen));
        assert!(master.person_key("bob", &wrapped).is_err());
        assert!(MasterKey::generate().unwrap().person_key("ann", &wrapped).is_err());
        assert_ne!(key.seal("decision 1", b"ann@example.com").unwrap(), sealed);
    }

    #[test]
    fn a_key_that_replaces_another_one_makes_the_same_keyed_hashes() {
        let (old, fresh) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
        let wrapped = old.new_person_key("ann").unwrap();
        let sealed = old.person_key("ann", &wrapped).unwrap().seal("decision 1", b"ann@example.com").unwrap();
        let first = old.of_database(&old.sentinel().unwrap()).unwrap();
        let second = first.replaced_by(&fresh);
        // As it is read after a restart, with nothing but the new key in the configuration.
        let read = fresh.of_database(&second.sentinel().unwrap()).unwrap();
        assert_eq!(read.fingerprint(b"192.0.2.7"), old.fingerprint(b"192.0.2.7"));
        assert_eq!(read.derived("a"), old.derived("a"));
        assert_ne!(fresh.derived("a"), old.derived("a"));
        // A person's key is sealed as all else is, bound to the person.
        let rewrapped = WrappedKey(read.seal("person ann", &old.open("person ann", &wrapped.0).unwrap()).unwrap());
        assert_eq!(read.person_key("ann", &rewrapped).unwrap().open("decision 1", &sealed).unwrap(), b"ann@example.com");
        assert!(old.person_key("ann", &rewrapped).is_err());
        assert!(old.of_database(&second.sentinel().unwrap()).is_err());
    }
}
