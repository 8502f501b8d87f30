//! Any bytes as a distinguished name: its text must be printable, and a name must match itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::Name;

fuzz_target!(|bytes: &[u8]| {
    let name = Name::new(bytes);
    let text = name.to_rfc4514();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(name.matches(&name));
    let _ = (name.common_name(), name.is_empty(), name.is_well_formed(), name.comparison_key());
    name.attributes().for_each(|attribute| drop((attribute.text(), attribute.text_lossy())));
});
