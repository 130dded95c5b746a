//! Unique identifiers.

use sha2::{Digest, Sha256};

/// Makes UIDs from what they are of: the same input gives the same UIDs, so that a file that is written twice is the same instance.
///
/// Source: PS3.5, annex B.2: `2.25.` and a UUID as a decimal number.
#[derive(Debug, Clone)]
pub struct Uids(Sha256);

impl Uids {
    /// UIDs of an object.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash)
    }

    /// The UID of a part of it.
    pub fn get(&self, part: &str) -> String {
        let digest: [u8; 32] = self.0.clone().chain_update(part).finalize().into();
        let mut uuid = [0u8; 16];
        uuid.copy_from_slice(&digest[..16]);
        // Marked as a UUID that is made of a hash (version 8, RFC 9562).
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        format!("2.25.{}", u128::from_be_bytes(uuid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_differ_by_what_they_are_of() {
        let a = Uids::of(&[b"1", b"23"]);
        assert_eq!(a.get("series"), Uids::of(&[b"1", b"23"]).get("series"));
        assert_ne!(a.get("series"), a.get("instance"));
        assert_ne!(a.get("series"), Uids::of(&[b"12", b"3"]).get("series"));
        let uid = a.get("series");
        assert!(uid.len() <= 64 && uid.starts_with("2.25.") && !uid.starts_with("2.25.0"));
        assert!(uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    }
}
