//! Lines and words as most configurations have them: quotes, escapes, comments, continued lines.

/// A word longer than this is no path and no name, in bytes.
const WORD_MAX: usize = 64 << 10;

/// Lines with their numbers from 1; a line that ends in a backslash goes on in the next.
pub(crate) fn joined(text: &str) -> impl Iterator<Item = (u32, String)> + '_ {
    let mut lines = text.lines().zip(1u32..);
    std::iter::from_fn(move || {
        let (line, number) = lines.next()?;
        let mut whole = line.trim_end_matches('\r').to_owned();
        while let Some(begun) = whole.strip_suffix('\\') {
            whole.truncate(begun.len());
            match lines.next() {
                Some((more, _)) => whole.push_str(more.trim_end_matches('\r')),
                None => break,
            }
        }
        Some((number, whole))
    })
}

/// Lines with their numbers from 1, trimmed, without the empty ones and those that begin a comment.
pub(crate) fn lines<'t>(text: &'t str, comments: &'t [char]) -> impl Iterator<Item = (u32, &'t str)> {
    let lines = text.lines().zip(1u32..).map(|(line, number)| (number, line.trim()));
    lines.filter(move |(_, line)| !line.is_empty() && !line.starts_with(comments))
}

/// Words between blanks; both kinds of quotes hold blanks, a backslash takes what is behind it for
/// itself, and `#` in front of a word ends the line.
pub(crate) fn split(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            // Within quotes only what would end them need be escaped; `\d` of an expression stays.
            (Some('"') | None, '\\') => {
                let next = chars.next();
                let word = word.get_or_insert_default();
                if quote.is_some() && !matches!(next, Some('"' | '\\' | '$')) {
                    word.push('\\');
                }
                word.extend(next);
            }
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, _) if c.is_whitespace() => out.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(c),
        }
        if word.as_ref().is_some_and(|w| w.len() > WORD_MAX) {
            break;
        }
    }
    out.extend(word);
    out
}

/// `key = value`, with quotes around the value taken off.
pub(crate) fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    Some((key.trim(), unquote(value.trim())))
}

/// The text without a pair of quotes around it.
pub(crate) fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// Is the switch on, in the words servers use?
pub(crate) fn is_on(text: &str) -> bool {
    ["on", "yes", "true", "1", "enable", "enabled", "required"].iter().any(|w| text.eq_ignore_ascii_case(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (line, expected) in [
            ("a b\tc", &["a", "b", "c"][..]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            ("a # b", &["a"]),
            ("a#b", &["a#b"]),
            ("a\\ b c", &["a b", "c"]),
            ("'' x", &["", "x"]),
            ("\"a\\\"b\" \"\\d\"", &["a\"b", "\\d"]),
            ("'open", &["open"]),
            ("x\\", &["x"]),
        ] {
            assert_eq!(split(line), expected, "{line}");
        }
    }

    #[test]
    fn continued() {
        let got: Vec<_> = joined("a \\\nb\nc\\").collect();
        assert_eq!(got, [(1, "a b".to_owned()), (3, "c".to_owned())]);
    }
}
