//! The syntax of nginx: directives, blocks, quotes, Lua. It knows no directive but those whose block is
//! in another language, and goes on behind mistakes as far as it can.

use std::path::Path;
use std::sync::Arc;

use crate::configs::At;

/// So deep may blocks stand in one another.
const DEPTH_MAX: usize = 64;
/// So many directives are read of one file.
const DIRECTIVES_MAX: usize = 1_000_000;

/// One directive, with its block if it has one.
#[derive(Debug)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) at: At,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// The first argument, or nothing.
    pub(super) fn first(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }
}

/// The directives of a text, and the first mistake in it.
pub(super) fn parse(path: &Arc<Path>, text: &str) -> (Vec<Directive>, Option<(u32, &'static str)>) {
    let mut lexer = Lexer { bytes: text.as_bytes(), at: 0, line: 1 };
    let mut open: Vec<Directive> = Vec::new();
    let mut here: Vec<Vec<Directive>> = vec![Vec::new()];
    let mut words: Vec<String> = Vec::new();
    let (mut begun, mut count) = (1, 0);
    let mut mistake = None;
    loop {
        let token = lexer.next();
        if words.is_empty() {
            begun = lexer.line;
        }
        let directive = |words: &mut Vec<String>, block| {
            let mut words = std::mem::take(words).into_iter();
            let name = words.next().unwrap_or_default();
            Directive { name, arguments: words.collect(), at: At::new(path, begun), block }
        };
        match token {
            Token::Word(word) => words.push(word),
            Token::End => {
                if !words.is_empty() {
                    let one = directive(&mut words, None);
                    here.last_mut().expect("the outermost is never closed").push(one);
                    count += 1;
                }
            }
            Token::Open if words.first().is_some_and(|w| w.ends_with("_by_lua_block")) => {
                lexer.skip_lua();
                words.clear();
            }
            Token::Open => {
                if here.len() > DEPTH_MAX {
                    mistake.get_or_insert((lexer.line, "blocks stand too deep in one another"));
                    break;
                }
                if words.is_empty() {
                    mistake.get_or_insert((lexer.line, "a block without a name"));
                }
                open.push(directive(&mut words, Some(Vec::new())));
                here.push(Vec::new());
                count += 1;
            }
            Token::Close => {
                if !words.is_empty() {
                    mistake.get_or_insert((begun, "a directive that does not end in `;`"));
                    let one = directive(&mut words, None);
                    here.last_mut().expect("the outermost is never closed").push(one);
                }
                match open.pop() {
                    Some(mut one) => {
                        one.block = here.pop();
                        here.last_mut().expect("the outermost is never closed").push(one);
                    }
                    None => {
                        mistake.get_or_insert((lexer.line, "a `}` too many"));
                    }
                }
            }
            Token::Eof => break,
        }
        if count > DIRECTIVES_MAX {
            mistake.get_or_insert((lexer.line, "too many directives: the rest is not read"));
            break;
        }
    }
    if !open.is_empty() || !words.is_empty() {
        mistake.get_or_insert((lexer.line, "the file ends within a block or a directive"));
    }
    while let Some(mut one) = open.pop() {
        one.block = here.pop();
        here.last_mut().expect("the outermost is never closed").push(one);
    }
    (here.pop().unwrap_or_default(), mistake)
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
    Eof,
}

struct Lexer<'t> {
    bytes: &'t [u8],
    at: usize,
    line: u32,
}

impl Lexer<'_> {
    fn take(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
        }
        Some(byte)
    }

    fn next(&mut self) -> Token {
        loop {
            match self.take() {
                None => return Token::Eof,
                Some(b' ' | b'\t' | b'\r' | b'\n') => {}
                Some(b'#') => while self.take().is_some_and(|b| b != b'\n') {},
                Some(b';') => return Token::End,
                Some(b'{') => return Token::Open,
                Some(b'}') => return Token::Close,
                Some(quote @ (b'"' | b'\'')) => return Token::Word(self.quoted(quote)),
                Some(first) => return Token::Word(self.bare(first)),
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> String {
        let mut out = Vec::new();
        while let Some(byte) = self.take() {
            match byte {
                _ if byte == quote => break,
                b'\\' => self.escaped(&mut out),
                _ => out.push(byte),
            }
        }
        text(out)
    }

    fn bare(&mut self, first: u8) -> String {
        let mut out = Vec::new();
        if first == b'\\' {
            self.escaped(&mut out);
        } else {
            out.push(first);
        }
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' => break,
                // `${name}` is a variable and opens nothing.
                b'{' if out.last() != Some(&b'$') => break,
                b'\\' => {
                    self.take();
                    self.escaped(&mut out);
                }
                _ => {
                    self.take();
                    out.push(byte);
                }
            }
        }
        text(out)
    }

    fn escaped(&mut self, out: &mut Vec<u8>) {
        match self.take() {
            Some(byte @ (b'"' | b'\'' | b'\\')) => out.push(byte),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'n') => out.push(b'\n'),
            Some(byte) => out.extend([b'\\', byte]),
            None => out.push(b'\\'),
        }
    }

    /// Up to the brace that closes a block of Lua, whose strings and comments may hold any brace.
    fn skip_lua(&mut self) {
        let mut depth = 1;
        while let Some(byte) = self.take() {
            match byte {
                b'{' => depth += 1,
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                b'"' | b'\'' => {
                    while let Some(inner) = self.take().filter(|b| *b != byte && *b != b'\n') {
                        if inner == b'\\' {
                            self.take();
                        }
                    }
                }
                b'-' if self.bytes.get(self.at) == Some(&b'-') => {
                    self.take();
                    let long = self.bytes.get(self.at) == Some(&b'[') && {
                        self.take();
                        self.skip_long()
                    };
                    if !long {
                        while self.take().is_some_and(|b| b != b'\n') {}
                    }
                }
                b'[' => {
                    self.skip_long();
                }
                _ => {}
            }
        }
    }

    /// Behind the first `[`: skips `[[...]]` and `[==[...]==]`, if it is one.
    fn skip_long(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let level = rest.iter().take_while(|b| **b == b'=').count();
        if rest.get(level) != Some(&b'[') {
            return false;
        }
        let end = [&b"]"[..], &vec![b'='; level], b"]"].concat();
        let stop = memchr::memmem::find(&rest[level..], &end).map_or(rest.len(), |n| level + n + end.len());
        for _ in 0..stop {
            self.take();
        }
        true
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}
