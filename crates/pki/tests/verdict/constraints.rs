//! Name constraints and subjectAltNames of BoringSSL's `name_constraints_unittest`, each pair in a chain of its own.
//!
//! The corpus has the values, not what to expect of them: that is written here, after RFC 5280 section 4.2.1.10.

use std::fs;
use std::path::Path;

use notafter_pki::verdict::{Purpose, Question, Reason, Rules, judge};
use rcgen::{CustomExtension, SanType};

use super::agreement::{block, corpus, parsed};
use super::made::{Authority, now, parse};

/// A constraint, a name (a file of the corpus, or text), and whether it may be certified.
const TABLE: &[(&str, &str, bool)] = &[
    ("dnsname", "dns:permitted.example.com", true),
    ("dnsname", "dns:a.permitted.example2.com", true),
    ("dnsname", "dns:permitted.example3.com", true),
    ("dnsname", "dns:example.com", false),
    ("dnsname", "dns:foo.excluded.permitted.example.com", false),
    ("dnsname", "dns:stillnotpermitted.excluded.permitted.example.com", false),
    ("dnsname", "dns:*.permitted.example.com", false),
    ("dnsname", "san-dnsname", false),
    ("dnsname", "san-excluded-dnsname", false),
    ("dnsname", "san-ipaddress6", true),
    ("dnsname2", "dns:foo.com", true),
    ("dnsname2", "dns:foo.bar.com", false),
    ("dnsname2", "dns:*.bar.com", false),
    ("dnsname-excluded", "dns:other.example", true),
    ("dnsname-excluded", "dns:excluded.permitted.example.com", false),
    ("dnsname-excluded_with_leading_dot", "dns:bar.com", true),
    ("dnsname-excluded_with_leading_dot", "dns:foo.bar.com", false),
    ("dnsname-with_max", "dns:permitted.example.com", false),
    ("dnsname-with_min_1", "dns:permitted.example.com", false),
    ("invalid-no_subtrees", "dns:permitted.example.com", false),
    ("directoryname", "san-directoryname", true),
    ("directoryname-excluded", "san-directoryname", true),
    ("directoryname-excludeall", "san-directoryname", false),
    ("directoryname", "san-excluded-dnsname", true),
    ("directoryname_and_dnsname", "san-excluded-dnsname", false),
    ("ipaddress", "ip:192.168.6.7", true),
    ("ipaddress", "ip:10.0.0.1", false),
    ("ipaddress", "san-ipaddress6", false),
    ("ipaddress-excluded", "ip:192.168.5.1", false),
    ("ipaddress-excluded", "ip:192.168.6.1", true),
    ("ipaddress-excludeall", "ip:192.168.1.1", false),
    ("ipaddress-permit_prefix1", "ip:192.168.1.1", true),
    ("ipaddress-permit_prefix1", "ip:10.0.0.1", false),
    ("ipaddress-invalid_addr", "ip:192.168.0.1", false),
    ("ipaddress-invalid_mask_not_contiguous_1", "ip:192.168.1.1", false),
    ("rfc822name-permitted-hostname", "san-rfc822name-domaincase", true),
    ("rfc822name-permitted-hostname", "san-rfc822name-localpartcase", true),
    ("rfc822name-permitted-hostname", "san-rfc822name-two-ats", false),
    ("rfc822name-permitted-hostname", "email:foo@sub.example.com", false),
    ("rfc822name-excluded-subdomains", "email:foo@sub.example.com", false),
    ("rfc822name-excluded-subdomains", "email:foo@example.com", true),
    ("rfc822name-excluded-empty", "email:foo@example.com", false),
    ("rfc822name-excluded-hostnamewithat", "email:foo@example.com", false),
    ("othername-excluded", "san-othername", false),
    ("othername-permitted", "san-othername", false),
    ("othername-excluded", "dns:foo.example.com", true),
    ("uri-excluded", "dns:foo.example.com", true),
    ("uri-excluded", "uri:https://foo.example.com/", false),
    ("edipartyname-excluded", "dns:foo.example.com", true),
    ("x400address-excluded", "dns:foo.example.com", true),
];

fn san(folder: &Path, name: &str) -> Result<SanType, CustomExtension> {
    let (kind, text) = name.split_once(':').unwrap_or(("", name));
    let ia5 = |text: &str| text.try_into().expect("ASCII");
    Ok(match kind {
        "dns" => SanType::DnsName(ia5(text)),
        "ip" => SanType::IpAddress(text.parse().expect("an address")),
        "email" => SanType::Rfc822Name(ia5(text)),
        "uri" => SanType::URI(ia5(text)),
        _ => {
            let value = value(folder, name, "SUBJECT ALTERNATIVE NAME");
            return Err(CustomExtension::from_oid_content(&[2, 5, 29, 17], value));
        }
    })
}

fn value(folder: &Path, name: &str, label: &str) -> Vec<u8> {
    let text = fs::read_to_string(folder.join(format!("{name}.pem"))).expect("a file of the corpus");
    block(&text, label).expect("a block")
}

#[test]
fn name_constraints_unittest() {
    let Some(folder) = corpus("boringssl-pki/name_constraints_unittest") else { return };
    let (root, int) = (Authority::new("Root"), Authority::new("Int"));
    let anchors = vec![root.root(2040)];
    for (constraint, name, permitted) in TABLE {
        let mut extension = CustomExtension::from_oid_content(
            &[2, 5, 29, 30],
            value(&folder, constraint, "NAME CONSTRAINTS"),
        );
        extension.set_criticality(true);
        let sent = vec![int.certified_by(&root, 2035, |params| params.custom_extensions.push(extension))];
        let leaf = int.leaf("a.example", 2027, |params| {
            params.subject_alt_names.clear();
            // No subject: directory names are to be those of the corpus.
            params.distinguished_name = rcgen::DistinguishedName::new();
            match san(&folder, name) {
                Ok(name) => params.subject_alt_names.push(name),
                Err(extension) => params.custom_extensions.push(extension),
            }
        });
        let verdict = judge(&Question {
            leaf: parse(&leaf),
            sent: &parsed(&sent),
            anchors: &parsed(&anchors),
            name: None,
            at: now(),
            purpose: Purpose::Server,
            crls: &[],
            rules: Rules::default(),
        });
        let expected = if *permitted { None } else { Some(Reason::NameConstraint) };
        assert_eq!(verdict.reason(), expected, "{constraint} {name}: {verdict:?}");
    }
    println!("boringssl name_constraints_unittest: {0} of {0} pairs as RFC 5280 says", TABLE.len());
}
