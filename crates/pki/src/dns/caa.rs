//! What CAA records say: whom they let issue, and on what conditions (RFC 8659 sections 4.2 and 4.3, RFC 8657).
//!
//! The policy of a name is made of its records by `zone::caa`. Nothing is looked up, and no CA is known.

use crate::statement::Statement;

/// The values by which CAs may issue for a name below a policy; for a wildcard, those of `issuewild` where there is one.
/// `None`: there is no such record, and anybody may. A critical property that no standard knows lets nobody (RFC 8659
/// section 4.5): the list is empty.
pub fn allowed(policy: &Statement, wildcard: bool) -> Option<Vec<String>> {
    if policy.fact_of("critical_unknown").is_some() {
        return Some(Vec::new());
    }
    let issue = || policy.fact_of("issue");
    let values = if wildcard { policy.fact_of("issuewild").or_else(issue) } else { issue() };
    Some(values?.split(" | ").map(str::to_owned).collect())
}

/// The domain by which a value names its CA; empty: nobody.
pub fn domain(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// What the CA has to keep to, by tags in lower case. `None`: the value is malformed, and lets nobody issue.
pub fn parameters(value: &str) -> Option<Vec<(String, &str)>> {
    let Some((_, text)) = value.split_once(';') else { return Some(Vec::new()) };
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    text.split(';')
        .map(|one| {
            let (tag, value) = one.split_once('=')?;
            let (tag, value) = (tag.trim(), value.trim());
            let plain = !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let fits = plain && value.bytes().all(|b| b.is_ascii_graphic());
            fits.then(|| (tag.to_ascii_lowercase(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_critical_property_that_nobody_knows_lets_nobody_issue() {
        use crate::statement::StatementKind;
        let policy = || Statement::new(StatementKind::CaaPolicy, "a policy");
        assert_eq!(allowed(&policy(), false), None);
        let named = policy().fact("issue", "ca.test");
        assert_eq!(allowed(&named, true), Some(vec!["ca.test".to_owned()]));
        for policy in [policy(), named] {
            let policy = policy.fact("critical_unknown", "tbs");
            assert_eq!((allowed(&policy, false), allowed(&policy, true)), (Some(vec![]), Some(vec![])));
        }
    }

    #[test]
    fn values_and_their_parameters() {
        for (value, named, conditions) in [
            ("ca.test", "ca.test", Some(&[][..])),
            (" ca.test ; ", "ca.test", Some(&[])),
            (";", "", Some(&[])),
            ("", "", Some(&[])),
            (
                "ca.test; accountURI=https://x/1?a=b ;validationmethods = dns-01,http-01",
                "ca.test",
                Some(&[("accounturi", "https://x/1?a=b"), ("validationmethods", "dns-01,http-01")]),
            ),
            ("ca.test; a=", "ca.test", Some(&[("a", "")])),
            ("ca.test; a", "ca.test", None),
            ("ca.test; a=b;", "ca.test", None),
            ("ca.test; a=b c", "ca.test", None),
            ("ca.test; =b", "ca.test", None),
        ] {
            let expected =
                conditions.map(|all| all.iter().map(|(tag, v)| ((*tag).to_owned(), *v)).collect::<Vec<_>>());
            assert_eq!((domain(value), parameters(value)), (named, expected), "{value}");
        }
    }
}
