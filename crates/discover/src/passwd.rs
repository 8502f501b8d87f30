//! Names of users by number, from the system's own list, read once.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The name of this user, if `/etc/passwd` has one. Directory services are deliberately not asked: a
/// scan must not hang on a dead LDAP server for every file.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    static USERS: OnceLock<HashMap<u32, String>> = OnceLock::new();
    let users =
        USERS.get_or_init(|| std::fs::read_to_string("/etc/passwd").map(|t| parse(&t)).unwrap_or_default());
    users.get(&uid).cloned()
}

fn parse(text: &str) -> HashMap<u32, String> {
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
    };
    // The first line with a number wins, as getpwuid(3) has it.
    let mut users = HashMap::new();
    for (uid, name) in text.lines().filter_map(user) {
        users.entry(uid).or_insert(name);
    }
    users
}

#[cfg(test)]
mod tests {
    #[test]
    fn first_line_wins() {
        let users = super::parse("root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:\nbroken\nwww:x:33:33::/:\n");
        assert_eq!((users[&0].as_str(), users[&33].as_str(), users.len()), ("root", "www", 2));
    }
}
