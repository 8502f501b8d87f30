//! The rules, one a file: dated, cited, pure. `core/assess.rs` has the list.

pub mod alert_undelivered;
pub mod anchor_expires;
pub mod cannot_read;
pub mod cannot_see;
pub mod chain_expires_first;
pub mod chain_incomplete;
pub mod chain_wrong_order;
pub mod clock_skew;
pub mod crl_expires;
pub mod embedded_anchor_expires;
pub mod expired;
pub mod expires_in_freeze;
pub mod expires_soon;
pub mod expiry_cliff;
pub mod inconsistent_endpoint;
pub mod issuer_outlived;
pub mod key_expires;
pub mod key_exposed;
pub mod key_mismatch;
pub mod lifetime_exceeds_policy;
pub mod metadata_expires;
pub mod name_mismatch;
pub mod not_yet_valid;
pub mod owner_unreachable;
pub mod path_expires_for_clients;
pub mod policy_date;
pub mod renewed_not_loaded;
pub mod signature_dies;
pub mod source_stale;
pub mod staple_expires;
pub mod token_expires;
pub mod unowned;
pub mod untrusted_chain;
pub mod weak_key;
pub mod weak_signature;

#[cfg(test)]
pub(crate) mod scene;
