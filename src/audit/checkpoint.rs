//! Checkpoints: how large the tree is and what its root is, signed (C2SP checkpoint and signed note, Ed25519).

use crate::domain::secret::Secret;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList, is_key_name_valid, key_id};
use tlog_tiles::Hash;

/// How a signature line of a note begins.
pub const SIGNATURE_LINE: &str = "\u{2014} ";
/// Ed25519 in the keys of signed notes.
const ALGORITHM: u8 = 1;

/// Why something is no key, or no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not 32 bytes in base64.
    #[error("must be 32 bytes in base64; `openssl rand -base64 32` makes one")]
    BadKey,
    /// The log's name cannot stand in a signature.
    #[error("must not be empty, nor contain white space or `+`")]
    BadName,
    /// No key of a verifier.
    #[error("is no key to check signatures with; `assent audit key` prints it, as `NAME+HASH+KEY`")]
    BadVerifier,
    /// No checkpoint.
    #[error("is no checkpoint: it begins with the log's name, its size and its root, and ends with signatures")]
    Malformed,
    /// The end is missing.
    #[error("ends in something that is no whole checkpoint; copy the file once more, or cut off what follows the last whole one")]
    Cut,
    /// A checkpoint of something else.
    #[error("is of the log `{0}`, which is another one")]
    OtherLog(String),
    /// Not signed by this key.
    #[error("carries no valid signature of the log's key")]
    BadSignature,
    /// The library would not sign.
    #[error("cannot be signed: {0}")]
    CannotSign(String),
}

/// The key that signs checkpoints, with the log's name.
#[derive(Debug, Clone)]
pub struct LogKey {
    name: String,
    seed: Secret<[u8; 32]>,
    /// What signed before it was this key.
    previous: Vec<LogVerifier>,
}

impl LogKey {
    /// From 32 bytes.
    ///
    /// # Errors
    /// The name cannot be one.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, CheckpointError> {
        if !is_key_name_valid(name) || name.chars().any(char::is_control) {
            return Err(CheckpointError::BadName);
        }
        Ok(Self { name: name.to_owned(), seed: Secret::new(seed), previous: Vec::new() })
    }

    /// Reads 32 bytes in base64.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse_seed(text: &str) -> Result<[u8; 32], CheckpointError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| CheckpointError::BadKey)?;
        bytes.try_into().map_err(|_| CheckpointError::BadKey)
    }

    /// With the keys that signed this log before.
    #[must_use]
    pub fn after(mut self, previous: Vec<LogVerifier>) -> Self {
        self.previous = previous;
        self
    }

    /// The same log's, from other bytes.
    #[must_use]
    pub fn with_seed(&self, seed: [u8; 32]) -> Self {
        Self { seed: Secret::new(seed), ..self.clone() }
    }

    /// Whether it, or one before it, signed a checkpoint.
    ///
    /// # Errors
    /// Neither did, or the key cannot be used.
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let own = self.verifier()?.check(checkpoint);
        if self.previous.iter().any(|key| key.check(checkpoint).is_ok()) { Ok(()) } else { own }
    }

    /// The keys that signed this log before.
    #[must_use]
    pub fn previous(&self) -> &[LogVerifier] {
        &self.previous
    }

    /// The log's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn public(&self) -> Result<Vec<u8>, CheckpointError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.seed.expose()).map_err(|_| CheckpointError::BadKey)?;
        Ok([&[ALGORITHM], pair.public_key().as_ref()].concat())
    }

    /// What others check signatures with.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn verifier(&self) -> Result<LogVerifier, CheckpointError> {
        let public = self.public()?;
        LogVerifier::parse(&format!("{}+{:08x}+{}", self.name, key_id(&self.name, &public), STANDARD.encode(public)))
    }

    /// A checkpoint of a tree.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn sign(&self, size: u64, root: Hash) -> Result<Checkpoint, CheckpointError> {
        let cannot = |error: &dyn std::fmt::Display| CheckpointError::CannotSign(error.to_string());
        let id = key_id(&self.name, &self.public()?);
        let private = STANDARD.encode([&[ALGORITHM], self.seed.expose().as_slice()].concat());
        let signer = StandardSigner::new(&format!("PRIVATE+KEY+{}+{id:08x}+{private}", self.name));
        let signer = signer.map_err(|error| cannot(&error))?;
        let text = tlog_tiles::Checkpoint::new(&self.name, size, root, "").map_err(|error| cannot(&error))?;
        let mut note = Note::new(&text.to_bytes(), &[]).map_err(|error| cannot(&error))?;
        note.add_sigs(&[&signer]).map_err(|error| cannot(&error))?;
        let note = String::from_utf8(note.to_bytes()).map_err(|error| cannot(&error))?;
        Ok(Checkpoint { origin: self.name.clone(), size, root, note })
    }
}

/// What a log's checkpoints are checked with; not secret.
#[derive(Debug, Clone)]
pub struct LogVerifier {
    name: String,
    key: String,
}

impl LogVerifier {
    /// Reads `NAME+HASH+KEY`.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let key = text.trim();
        StandardVerifier::new(key).map_err(|_| CheckpointError::BadVerifier)?;
        let (name, _) = key.split_once('+').ok_or(CheckpointError::BadVerifier)?;
        Ok(Self { name: name.to_owned(), key: key.to_owned() })
    }

    /// As [`LogVerifier::parse`] reads it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// The log's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks that this log signed a checkpoint.
    ///
    /// # Errors
    /// It is another log's, or the signature is missing or wrong.
    pub fn check(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        if checkpoint.origin != self.name {
            return Err(CheckpointError::OtherLog(checkpoint.origin.clone()));
        }
        let verifier = StandardVerifier::new(&self.key).map_err(|_| CheckpointError::BadVerifier)?;
        let note = Note::from_bytes(checkpoint.note.as_bytes()).map_err(|_| CheckpointError::Malformed)?;
        let known = VerifierList::new(vec![Box::new(verifier)]);
        note.verify(&known).map(|_| ()).map_err(|_| CheckpointError::BadSignature)
    }
}

/// Checks that one of these keys signed a checkpoint.
///
/// # Errors
/// None did.
pub fn check_any(keys: &[LogVerifier], checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    let mut last = Err(CheckpointError::BadSignature);
    for key in keys {
        last = key.check(checkpoint);
        if last.is_ok() {
            break;
        }
    }
    last
}

/// A checkpoint as it was written; whether its signatures hold is another question.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many leaves it covers.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The signed note.
    pub note: String,
}

impl Checkpoint {
    /// Reads a signed note.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(note: &str) -> Result<Self, CheckpointError> {
        let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| CheckpointError::Malformed)?;
        let text = tlog_tiles::Checkpoint::from_bytes(parsed.text()).map_err(|_| CheckpointError::Malformed)?;
        Ok(Self { origin: text.origin().to_owned(), size: text.size(), root: *text.hash(), note: note.to_owned() })
    }

    /// Reads checkpoints that stand one after the other, as in a file that each new one is written to the end of. One that was
    /// not written whole is left out: those before and after it are as good as ever.
    ///
    /// # Errors
    /// There is none.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, CheckpointError> {
        let read: Vec<_> = notes(text).iter().filter_map(|note| Self::parse(note).ok()).collect();
        if read.is_empty() { Err(CheckpointError::Malformed) } else { Ok(read) }
    }

    /// The same of a file that is held against a log: it must end with a whole one, as the newest tells most.
    ///
    /// # Errors
    /// There is none, or the file was cut.
    pub fn parse_kept(text: &str) -> Result<Vec<Self>, CheckpointError> {
        let read = Self::parse_all(text)?;
        let is_whole = notes(text).iter().rfind(|note| !note.is_empty()).is_some_and(|last| Self::parse(last).is_ok());
        if is_whole { Ok(read) } else { Err(CheckpointError::Cut) }
    }

    /// The same with more signatures, such as a witness gives.
    #[must_use]
    pub fn with_signatures(&self, lines: &[String]) -> Self {
        let mut note = self.note.clone();
        for line in lines {
            note.push_str(line);
            note.push('\n');
        }
        Self { note, ..self.clone() }
    }
}

/// Signed notes that stand one after the other, whole or not.
fn notes(text: &str) -> Vec<String> {
    let mut notes = vec![String::new()];
    let mut is_signed = false;
    for line in text.lines() {
        let is_signature = line.starts_with(SIGNATURE_LINE);
        if is_signed && !is_signature {
            notes.push(String::new());
        }
        is_signed = is_signature;
        let Some(note) = notes.last_mut().filter(|note| !note.is_empty() || !line.is_empty()) else { continue };
        note.push_str(line);
        note.push('\n');
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog_tiles::record_hash;

    #[test]
    fn a_checkpoint_is_one_logs_and_one_keys() {
        let key = LogKey::new("audit.example.com/assent", [7; 32]).unwrap();
        let verifier = key.verifier().unwrap();
        assert_eq!(verifier.as_str(), LogVerifier::parse(verifier.as_str()).unwrap().as_str());
        let checkpoint = key.sign(3, record_hash(b"root")).unwrap();
        assert_eq!(Checkpoint::parse(&checkpoint.note).unwrap(), checkpoint);
        assert_eq!(verifier.check(&checkpoint), Ok(()));
        let other = LogKey::new("audit.example.com/assent", [8; 32]).unwrap();
        assert_eq!(other.verifier().unwrap().check(&checkpoint), Err(CheckpointError::BadSignature));
        let elsewhere = LogKey::new("elsewhere", [7; 32]).unwrap();
        let of_another = CheckpointError::OtherLog("audit.example.com/assent".into());
        assert_eq!(elsewhere.verifier().unwrap().check(&checkpoint), Err(of_another));
        let forged = Checkpoint::parse(&checkpoint.note.replace("\n3\n", "\n4\n")).unwrap();
        assert_eq!(verifier.check(&forged), Err(CheckpointError::BadSignature));
        assert!(!format!("{key:?}").contains("7, 7"), "{key:?}");
        assert!(LogKey::new("two words", [7; 32]).is_err());
    }

    #[test]
    fn checkpoints_that_follow_each_other_are_told_apart() {
        let key = LogKey::new("log", [7; 32]).unwrap();
        let both = [key.sign(1, record_hash(b"1")).unwrap(), key.sign(2, record_hash(b"2")).unwrap()];
        let signed_twice = both[0].with_signatures(&["\u{2014} witness AAAAAAAA".to_owned()]);
        assert_eq!(Checkpoint::parse_all(&format!("{}{}", both[0].note, both[1].note)).unwrap(), both);
        assert_eq!(Checkpoint::parse_all(&format!("\n{}\n\n{}\n", both[0].note, both[1].note)).unwrap(), both);
        assert_eq!(Checkpoint::parse_all(&signed_twice.note).unwrap(), [signed_twice]);
        let torn: String = both[0].note.chars().take(60).collect();
        assert_eq!(
            Checkpoint::parse_all(&format!("{}{torn}\n{}", both[1].note, both[1].note)).unwrap().len(),
            2,
            "the torn one is left out"
        );
        let kept = |end: &str| Checkpoint::parse_kept(&format!("{}{}{end}", both[0].note, both[1].note));
        assert_eq!(kept("\n").unwrap(), both);
        assert_eq!(kept(&torn), Err(CheckpointError::Cut));
        for missing in 2..both[1].note.len() {
            let Some(cut) = both[1].note.get(..both[1].note.len() - missing) else { continue };
            // Where the signature alone is cut it is for the key to say so.
            let kept = Checkpoint::parse_kept(&format!("{}{cut}", both[0].note));
            let is_seen = kept.is_err() || kept.is_ok_and(|kept| kept.len() == 2 && key.check(&kept[1]).is_err());
            assert!(is_seen || cut.is_empty(), "{cut}");
        }
        for text in ["", "log\n1\nAAAA\n", "something else"] {
            assert_eq!(Checkpoint::parse_all(text), Err(CheckpointError::Malformed), "{text}");
        }
    }
}
