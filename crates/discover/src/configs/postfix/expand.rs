//! Parameters of Postfix and their `$`: `$name`, `${name}`, `$(name)`, `${name?value}`, `${name:value}`.

use super::Settings;
use crate::configs::At;

/// So deep may parameters stand in one another: `a = $a` ends here.
const DEPTH_MAX: usize = 12;
/// A value longer than this is not expanded further, in bytes.
const LENGTH_MAX: usize = 64 << 10;

/// All parameters, the last word on each.
#[derive(Clone, Default)]
pub(super) struct Parameters(Settings);

impl Parameters {
    pub(super) fn set(&mut self, name: &str, value: &str, at: At) {
        self.0.insert(name.to_owned(), (value.to_owned(), at));
    }

    /// The value, expanded; empty where nothing was said.
    pub(super) fn value(&self, name: &str) -> String {
        let mut left = LENGTH_MAX;
        self.0.get(name).map_or_else(String::new, |(value, _)| self.expand(value, DEPTH_MAX, &mut left))
    }

    /// Where it was said.
    pub(super) fn at(&self, name: &str, or: &At) -> At {
        self.0.get(name).map_or_else(|| or.clone(), |(_, at)| at.clone())
    }

    fn expand(&self, text: &str, depth: usize, left: &mut usize) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if depth == 0 || *left < text.len() {
                return out;
            }
            let (inner, behind) = match after.chars().next() {
                Some('{') => enclosed(after, '{', '}'),
                Some('(') => enclosed(after, '(', ')'),
                Some('$') => {
                    out.push('$');
                    rest = &after[1..];
                    continue;
                }
                _ => {
                    let end =
                        after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                    (&after[..end], &after[end..])
                }
            };
            *left = left.saturating_sub(inner.len() + 1);
            out.push_str(&self.one(inner, depth - 1, left));
            rest = behind;
        }
        out.push_str(rest);
        *left = left.saturating_sub(out.len());
        out
    }

    fn one(&self, inner: &str, depth: usize, left: &mut usize) -> String {
        let end = inner.find(['?', ':']).unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        let known = self.0.get(name.trim()).map(|(value, _)| value.as_str()).unwrap_or_default();
        match rest.split_at_checked(1) {
            None => self.expand(known, depth, left),
            Some(("?", then)) => {
                // `${name?{yes}:{no}}`
                let (yes, no) = match then.trim_start().starts_with('{') {
                    true => {
                        let (yes, behind) = enclosed(then.trim_start(), '{', '}');
                        (
                            yes,
                            behind
                                .trim_start()
                                .strip_prefix(':')
                                .map_or("", |n| enclosed(n.trim_start(), '{', '}').0),
                        )
                    }
                    false => (then, ""),
                };
                self.expand(if known.is_empty() { no } else { yes }, depth, left)
            }
            Some((_, otherwise)) => {
                let otherwise = otherwise.trim();
                let otherwise =
                    if otherwise.starts_with('{') { enclosed(otherwise, '{', '}').0 } else { otherwise };
                // Unlike a shell's: a parameter that is not empty gives nothing here.
                if known.is_empty() { self.expand(otherwise, depth, left) } else { String::new() }
            }
        }
    }
}

/// What stands between a pair of brackets at the beginning, and what is behind it.
fn enclosed(text: &str, open: char, close: char) -> (&str, &str) {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return (&text[1..at], &text[at + 1..]);
            }
        }
    }
    (text.strip_prefix(open).unwrap_or(""), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion() {
        let mut all = Parameters::default();
        let at = At::file(std::path::Path::new("/x"));
        for (name, value) in
            [("a", "1"), ("b", "$a/${a}/$(a)"), ("c", "$c x"), ("e", ""), ("d", "$d$d$d$d$d$d")]
        {
            all.set(name, value, at.clone());
        }
        for (text, expected) in [
            ("$b", "1/1/1"),
            ("${a?yes}${e?yes}", "yes"),
            ("${e:no}${a:no}", "no"),
            ("${a?{yes}:{no}}${e?{yes}:{no}}", "yesno"),
            ("$$a", "$a"),
            ("${open", ""),
            ("$", ""),
            ("x$unknown y", "x y"),
        ] {
            all.set("t", text, at.clone());
            assert_eq!(all.value("t"), expected, "{text}");
        }
        assert!(all.value("c").len() < 100 && all.value("d").len() <= LENGTH_MAX);
    }
}
