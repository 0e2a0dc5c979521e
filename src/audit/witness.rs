//! What a witness signs (C2SP `tlog-cosignature`): that it saw a checkpoint, when, and that the log only grew before it.

use super::checkpoint::{Checkpoint, CheckpointError, SIGNATURE_LINE};
use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Timestamped Ed25519 in the keys of signed notes.
const ALGORITHM: u8 = 4;

/// A witness's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: [u8; 4],
    public: Vec<u8>,
}

impl WitnessKey {
    /// Reads `NAME+HASH+KEY`, as a witness publishes it.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(CheckpointError::BadVerifier);
        };
        let key = STANDARD.decode(key).map_err(|_| CheckpointError::BadVerifier)?;
        let named = digest::digest(&digest::SHA256, &[name.as_bytes(), b"\n", &key].concat());
        let id: [u8; 4] = named.as_ref().first_chunk().copied().ok_or(CheckpointError::BadVerifier)?;
        match key.split_first() {
            Some((&ALGORITHM, public)) if public.len() == 32 && hash == hex::encode(id) => {
                Ok(Self { name: name.to_owned(), id, public: public.to_vec() })
            }
            _ => Err(CheckpointError::BadVerifier),
        }
    }

    /// Whether a signature line is this witness's, over this checkpoint.
    #[must_use]
    pub fn signed(&self, checkpoint: &Checkpoint, line: &str) -> bool {
        let Some((name, signature)) = line.strip_prefix(SIGNATURE_LINE).and_then(|line| line.split_once(' ')) else {
            return false;
        };
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        let Some((id, rest)) = signature.split_first_chunk::<4>() else { return false };
        let Some((time, signature)) = rest.split_first_chunk::<8>() else { return false };
        let Some((text, _)) = checkpoint.note.split_once("\n\n") else { return false };
        let message = format!("cosignature/v1\ntime {}\n{text}\n", u64::from_be_bytes(*time));
        name == self.name
            && *id == self.id
            && UnparsedPublicKey::new(&ED25519, &self.public).verify(message.as_bytes(), signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Frontier, LogKey};
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    #[test]
    fn a_cosignature_is_one_witness_s_over_one_checkpoint() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let key = [&[ALGORITHM], pair.public_key().as_ref()].concat();
        let id = &digest::digest(&digest::SHA256, &[b"w.example\n", key.as_slice()].concat()).as_ref()[..4].to_vec();
        let witness = WitnessKey::parse(&format!("w.example+{}+{}", hex::encode(id), STANDARD.encode(&key))).unwrap();
        let log = LogKey::new("log", [1; 32]).unwrap();
        let checkpoint = log.sign(0, Frontier::default().root()).unwrap();
        let text = checkpoint.note.split_once("\n\n").unwrap().0;
        let signature = pair.sign(format!("cosignature/v1\ntime 1700000000\n{text}\n").as_bytes());
        let bytes = [id.as_slice(), &1_700_000_000_u64.to_be_bytes(), signature.as_ref()].concat();
        let line = format!("\u{2014} w.example {}", STANDARD.encode(bytes));
        assert!(witness.signed(&checkpoint, &line));
        assert!(!witness.signed(&log.sign(1, checkpoint.root).unwrap(), &line));
        assert!(!witness.signed(&checkpoint, &line.replace("w.example", "v.example")));
        assert!(!witness.signed(&checkpoint, "\u{2014} w.example AAAA"));
        assert!(WitnessKey::parse(log.verifier().unwrap().as_str()).is_err(), "a log's key is no witness's");
    }
}
