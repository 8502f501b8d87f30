//! Paths and names by pattern: `*` within a segment, `**` across segments. No braces, no classes.
//!
//! One matcher for whoever owns a path and for whoever excludes it. It backtracks to the last `*` and to the
//! last `**` and no further, so that no pattern can make it explode.

/// Does the whole path match?
pub fn matches(pattern: &[u8], path: &[u8]) -> bool {
    walk(pattern, path, false)
}

/// Does the path, or a folder above it, match?
pub fn covers(pattern: &[u8], path: &[u8]) -> bool {
    walk(pattern, path, true)
}

fn walk(pattern: &[u8], path: &[u8], below: bool) -> bool {
    let (mut p, mut s) = (0, 0);
    // Behind the star in the pattern, and how far it has eaten of the path.
    let mut star: Option<(usize, usize)> = None;
    let mut deep: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(p..).unwrap_or_default();
        match (rest, path.get(s)) {
            ([], None) => return true,
            ([], Some(b'/')) if below => return true,
            ([b'*', b'*', ..], _) => {
                p += 2;
                (deep, star) = (Some((p, s)), None);
            }
            ([b'*', ..], _) => {
                p += 1;
                star = Some((p, s));
            }
            ([wanted, ..], Some(byte)) if wanted == byte => {
                p += 1;
                s += 1;
            }
            _ => match (star, deep) {
                (Some((after, at)), _) if path.get(at).is_some_and(|b| *b != b'/') => {
                    star = Some((after, at + 1));
                    (p, s) = (after, at + 1);
                }
                (_, Some((after, at))) if at < path.len() => {
                    (deep, star) = (Some((after, at + 1)), None);
                    (p, s) = (after, at + 1);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    fn check(pattern: &str, path: &str, matches: bool, covers: bool) {
        let got = (
            super::matches(pattern.as_bytes(), path.as_bytes()),
            super::covers(pattern.as_bytes(), path.as_bytes()),
        );
        assert_eq!(got, (matches, covers), "{pattern} {path}");
    }

    #[test]
    fn stars() {
        check("/srv", "/srv", true, true);
        check("/srv", "/srv/a/b", false, true);
        check("/srv", "/srv2", false, false);
        check("/etc/*.pem", "/etc/a.pem", true, true);
        check("/etc/*.pem", "/etc/nginx/a.pem", false, false);
        check("/etc/**", "/etc/nginx/a.pem", true, true);
        check("/srv/*/tmp", "/srv/a/tmp/x", false, true);
        check("/srv/*/tmp", "/srv/a/b/tmp", false, false);
        check("/srv/**/tmp", "/srv/a/b/tmp", true, true);
        // The first `cache` is the wrong one: `**` has to try again behind it.
        check("/srv/**/cache/*.pem", "/srv/cache/d/cache/x.pem", true, true);
        check("*.lab", "a.b.lab", true, true);
        check("*.lab", "lab", false, false);
        check("", "", true, true);
    }

    #[test]
    fn no_pattern_explodes() {
        let pattern = "**/a*".repeat(200) + "b";
        let path = "/a".repeat(2000);
        check(&pattern, &path, false, false);
    }
}
