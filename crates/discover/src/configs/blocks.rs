//! Settings in braces: what the languages of Hitch, NATS and Prosody have in common, as much as is needed of them.
//!
//! `key = value`, `key: value` or `key value`; a value is a word, a text in quotes, `{ ... }` or `[ ... ]`. What stands alone in
//! braces is an item without a name. Bounded in depth and count; what a language computes is deliberately not followed.

use super::value::{Data, Node};

/// So deep may braces stand in one another.
const DEPTH_MAX: usize = 64;
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Is,
    Open,
    Close,
    Next,
}

/// Every setting in order, under its name; an item without one has the empty name. `comments`: what begins one. So many
/// values are `left` to be kept: files that include one another have them in common.
pub(crate) fn parse(text: &str, comments: &[&str], left: &mut usize) -> Node {
    let tokens = tokens(text, comments, *left);
    let (entries, _) = entries(&tokens, 0, 0, left);
    Node { line: 1, data: Data::Map(entries) }
}

/// As many as so many values can have.
fn tokens(text: &str, comments: &[&str], values: usize) -> Vec<(u32, Token)> {
    let most = values.saturating_mul(4);
    let mut out = Vec::new();
    let mut rest = text;
    let mut line = 1u32;
    let lines = |part: &str| part.bytes().filter(|b| *b == b'\n').count() as u32;
    while let Some(c) = rest.chars().next().filter(|_| out.len() < most) {
        // A comment of several lines, as Lua has them.
        if comments.contains(&"--") && rest.starts_with("--[[") {
            let end = rest.find("]]").map_or(rest.len(), |at| at + 2);
            line += lines(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        if comments.iter().any(|mark| rest.starts_with(mark)) {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
            continue;
        }
        let single = match c {
            '{' | '[' => Some(Token::Open),
            '}' | ']' => Some(Token::Close),
            '=' | ':' => Some(Token::Is),
            ',' | ';' => Some(Token::Next),
            _ => None,
        };
        if c == '\n' {
            line += 1;
        }
        if c.is_whitespace() || single.is_some() {
            out.extend(single.map(|token| (line, token)));
            rest = &rest[c.len_utf8()..];
        } else if c == '"' || c == '\'' {
            let inner = &rest[1..];
            let end = inner.find([c, '\n']).unwrap_or(inner.len());
            out.push((line, Token::Quoted(inner[..end].to_owned())));
            rest = &inner[end..];
            rest = rest.strip_prefix(c).unwrap_or(rest);
        } else {
            // `port:4222` has a colon behind its name, `127.0.0.1:4222` has one in its value.
            let named = matches!(out.last(), None | Some((_, Token::Open | Token::Next)))
                || out.last().is_some_and(|(last, token)| *last < line && *token != Token::Is);
            let ends = |k: char| k.is_whitespace() || "{}[]=,;\"'".contains(k);
            let whole = rest.find(ends).unwrap_or(rest.len());
            let colon =
                rest[..whole].find(':').filter(|at| named && *at > 0 && !rest[*at..].starts_with("://"));
            let end = colon.unwrap_or(whole);
            out.push((line, Token::Word(rest[..end].to_owned())));
            rest = &rest[end..];
        }
    }
    out
}

fn entries(
    tokens: &[(u32, Token)],
    mut at: usize,
    depth: usize,
    left: &mut usize,
) -> (Vec<(String, Node)>, usize) {
    let mut out = Vec::new();
    while let Some((line, token)) = tokens.get(at) {
        if *left == 0 {
            return (out, tokens.len());
        }
        match token {
            Token::Close if depth > 0 => return (out, at + 1),
            Token::Close | Token::Next | Token::Is => at += 1,
            Token::Open => {
                let (value, next) = value(tokens, at, depth, left);
                out.push((String::new(), value));
                at = next;
            }
            Token::Word(text) | Token::Quoted(text) => {
                let is_name = matches!(token, Token::Word(_));
                let behind = tokens.get(at + 1);
                let begins = match behind {
                    Some((_, Token::Is)) => Some(at + 2),
                    // `key value` and `key { ... }`, on one line.
                    Some((its, Token::Word(_) | Token::Quoted(_) | Token::Open))
                        if is_name && its == line =>
                    {
                        Some(at + 1)
                    }
                    _ => None,
                };
                match begins {
                    Some(begins) if begins < tokens.len() => {
                        let (mut value, next) = value(tokens, begins, depth, left);
                        value.line = *line;
                        out.push((text.clone(), value));
                        at = next;
                    }
                    _ => {
                        *left = left.saturating_sub(1);
                        out.push((String::new(), Node { line: *line, data: Data::Text(text.clone()) }));
                        at += 1;
                    }
                }
            }
        }
    }
    (out, at)
}

fn value(tokens: &[(u32, Token)], at: usize, depth: usize, left: &mut usize) -> (Node, usize) {
    *left = left.saturating_sub(1);
    let Some((line, token)) = tokens.get(at) else { return (Node::default(), at) };
    match token {
        Token::Word(text) | Token::Quoted(text) => {
            (Node { line: *line, data: Data::Text(text.clone()) }, at + 1)
        }
        Token::Open if depth < DEPTH_MAX => {
            let (entries, next) = entries(tokens, at + 1, depth + 1, left);
            (Node { line: *line, data: Data::Map(entries) }, next)
        }
        // Too deep: nothing is kept of what follows.
        Token::Open => (Node::default(), tokens.len()),
        Token::Is | Token::Close | Token::Next => (Node { line: *line, data: Data::Nothing }, at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match &node.data {
            Data::Text(text) => text.clone(),
            Data::Map(entries) => {
                let all = entries.iter().map(|(name, value)| match name.as_str() {
                    "" => shown(value),
                    name => format!("{name}={}@{}", shown(value), value.line),
                });
                format!("({})", all.collect::<Vec<_>>().join(" "))
            }
            _ => "-".to_owned(),
        }
    }

    #[test]
    fn three_languages() {
        for (text, comments, expected) in [
            (
                "listen: 127.0.0.1:4222 # c\ntls {\n cert_file: \"/a b\"\n}\n",
                &["#", "//"][..],
                "(listen=127.0.0.1:4222@1 tls=(cert_file=/a b@3)@2)",
            ),
            (
                "port:4222\nroutes = [ nats://a:1, nats://b:2 ]",
                &["#", "//"],
                "(port=4222@1 routes=(nats://a:1 nats://b:2)@2)",
            ),
            (
                "frontend = {\n host = \"*\"\n port = \"443\"\n}\npem-file = \"/x\"",
                &["#"],
                "(frontend=(host=*@2 port=443@3)@1 pem-file=/x@5)",
            ),
            (
                "ports = { 5222, 5223 }\nVirtualHost \"a.test\"\n ssl = { key = '/k'; certificate = '/c' }",
                &["--"],
                "(ports=(5222 5223)@1 VirtualHost=a.test@2 ssl=(key=/k@3 certificate=/c@3)@3)",
            ),
            ("--[[ a = 1\n ]] b = 2 -- c", &["--"], "(b=2@2)"),
            ("} } a = ", &["#"], "(a)"),
            ("a = }", &["#"], "(a=-@1)"),
            ("'open", &["#"], "(open)"),
        ] {
            assert_eq!(shown(&parse(text, comments, &mut 1000)), expected, "{text}");
        }
        // Neither depth nor number has no end.
        shown(&parse(&"{".repeat(100_000), &[], &mut 1000));
        let mut left = 10;
        assert_eq!(shown(&parse(&"a ".repeat(500_000), &[], &mut left)).matches('=').count(), 10);
        assert_eq!((left, shown(&parse("b = c", &[], &mut left))), (0, "()".to_owned()));
    }
}
