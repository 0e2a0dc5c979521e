//! The proof that one record is in the log, as a file that anyone can check: C2SP `tlog-proof`, with the leaf as its extra data.

use super::checkpoint::{Checkpoint, CheckpointError, LogVerifier, check_any};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tlog_tiles::{Hash, check_record, record_hash};

const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// A proof of inclusion.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// The record as it was sealed.
    pub leaf: Vec<u8>,
    /// Where it is.
    pub index: u64,
    /// From the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The tree it is in.
    pub checkpoint: Checkpoint,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not the form.
    #[error("it is no proof: {0}")]
    Malformed(&'static str),
    /// The checkpoint.
    #[error("its checkpoint {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The record is another one, or the hashes do not lead to the root.
    #[error("the record in it is not the one at its place in the log")]
    NotIncluded,
}

impl Proof {
    /// As it stands in a file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\nextra {}\nindex {}\n", STANDARD.encode(&self.leaf), self.index);
        for hash in &self.hashes {
            text.push_str(&STANDARD.encode(hash.0));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint.note);
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (proof, note) =
            text.split_once("\n\n").ok_or(ProofError::Malformed("an empty line must stand before the checkpoint"))?;
        let mut lines = proof.lines();
        if lines.next() != Some(HEAD) {
            return Err(ProofError::Malformed("its first line must be `c2sp.org/tlog-proof@v1`"));
        }
        let leaf = lines.next().and_then(|line| line.strip_prefix("extra ")).and_then(|leaf| STANDARD.decode(leaf).ok());
        let leaf = leaf.ok_or(ProofError::Malformed("its second line must be `extra` and the record in base64"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(|index| index.parse().ok());
        let index = index.ok_or(ProofError::Malformed("its third line must be `index` and a number"))?;
        let hash = |line: &str| STANDARD.decode(line).ok()?.try_into().ok().map(Hash);
        let hashes = lines.map(hash).collect::<Option<_>>().ok_or(ProofError::Malformed("a hash is 32 bytes in base64"))?;
        Ok(Self { leaf, index, hashes, checkpoint: Checkpoint::parse(note)? })
    }

    /// Checks the signature and the way from the record to the root.
    ///
    /// # Errors
    /// It proves nothing.
    pub fn check(&self, keys: &[LogVerifier]) -> Result<(), ProofError> {
        check_any(keys, &self.checkpoint)?;
        self.check_way()
    }

    /// Checks the way from the record to the root, whoever signed that.
    ///
    /// # Errors
    /// The record is not there.
    pub fn check_way(&self) -> Result<(), ProofError> {
        let Checkpoint { size, root, .. } = self.checkpoint;
        if self.index >= size {
            return Err(ProofError::NotIncluded);
        }
        check_record(&self.hashes, size, root, self.index, record_hash(&self.leaf)).map_err(|_| ProofError::NotIncluded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{LogKey, Nodes};

    #[test]
    fn a_proof_is_read_back_and_holds_for_its_record_alone() {
        let key = LogKey::new("log", [1; 32]).unwrap();
        let mut nodes = Nodes::default();
        let leaf = |index: u64| format!("record {index}").into_bytes();
        for index in 0..300 {
            nodes.add(index, record_hash(&leaf(index))).unwrap();
        }
        let checkpoint = key.sign(300, nodes.root(300).unwrap()).unwrap();
        let proof = Proof { leaf: leaf(17), index: 17, hashes: nodes.prove_leaf(17, 300).unwrap(), checkpoint };
        let verifier = [key.verifier().unwrap()];
        assert_eq!(Proof::parse(&proof.to_text()), Ok(proof.clone()));
        assert_eq!(proof.check(&verifier), Ok(()));
        assert_eq!(Proof { leaf: leaf(18), ..proof.clone() }.check(&verifier), Err(ProofError::NotIncluded));
        assert_eq!(Proof { index: 18, ..proof.clone() }.check(&verifier), Err(ProofError::NotIncluded));
        assert_eq!(Proof { index: 300, ..proof.clone() }.check(&verifier), Err(ProofError::NotIncluded));
        let text = proof.to_text();
        for (wrong, line) in [("@v1", "@v2"), ("extra ", "extra"), ("index 17", "index x"), ("\n\n", "\n")] {
            assert!(Proof::parse(&text.replacen(wrong, line, 1)).is_err(), "{wrong}");
        }
    }
}
