//! The syntax of a Caddyfile: words and blocks, imports of files and of parts, placeholders of the
//! environment with their defaults.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use notafter_core::observation::Reason;

use crate::configs::reading::{folder_of, join};
use crate::configs::{At, Reading};

/// So deep may blocks stand in one another.
const DEPTH_MAX: usize = 32;
/// So many words are read, imports counted anew each time.
const WORDS_MAX: usize = 1_000_000;

/// A line with its block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) words: Vec<String>,
    pub(super) at: At,
    pub(super) children: Vec<Block>,
}

impl Block {
    pub(super) fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.words.first().is_some_and(|w| w == name))
    }

    /// Every block of this name, however deep below.
    pub(super) fn below<'b>(&'b self, name: &'b str) -> Vec<&'b Self> {
        let inner = self.children.iter().flat_map(move |c| {
            let own = c.words.first().is_some_and(|w| w == name).then_some(c);
            own.into_iter().chain(c.below(name))
        });
        inner.collect()
    }
}

#[derive(Clone)]
struct Word {
    text: String,
    at: At,
    /// In quotes: a brace in it is a brace.
    quoted: bool,
}

/// The sites of a Caddyfile and its options, imports followed.
pub(super) fn parse(reading: &mut Reading<'_>, path: &Arc<Path>, text: &str) -> Vec<Block> {
    let words = words(path, text);
    let mut parser = Parser { words: words.into(), parts: HashMap::new(), left: WORDS_MAX };
    parser.top(reading)
}

/// Words with their lines; heredocs and backquotes hold anything.
fn words(path: &Arc<Path>, text: &str) -> Vec<Word> {
    let mut out = Vec::new();
    let mut line = 1;
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c == '\n' {
            line += 1;
            chars.next();
        } else if c.is_whitespace() {
            chars.next();
        } else if c == '#' {
            while chars.next_if(|c| *c != '\n').is_some() {}
        } else {
            let at = At::new(path, line);
            let mut word = String::new();
            let quote = chars.next_if(|c| matches!(c, '"' | '`'));
            while let Some(c) = chars.next_if(|c| quote.is_some() || !c.is_whitespace()) {
                if Some(c) == quote {
                    break;
                }
                if c == '\n' {
                    line += 1;
                }
                match (c, chars.peek()) {
                    ('\\', Some('"')) if quote != Some('`') => word.extend(chars.next()),
                    // A line that ends in a backslash goes on.
                    ('\\', Some('\n')) if quote.is_none() => {
                        chars.next();
                        break;
                    }
                    _ => word.push(c),
                }
            }
            if !word.is_empty() || quote.is_some() {
                out.push(Word { text: environment(&word), at, quoted: quote.is_some() });
            }
        }
        if out.len() > WORDS_MAX {
            break;
        }
    }
    out
}

/// `{$NAME:default}`: the environment of the server is not known, its default is.
fn environment(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("{$") {
        let Some((inner, behind)) = after.split_once('}') else { break };
        out.push_str(before);
        match inner.split_once(':') {
            Some((_, default)) => out.push_str(default),
            None => out.push_str(&format!("{{${inner}}}")),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

struct Parser {
    words: std::collections::VecDeque<Word>,
    parts: HashMap<String, Vec<Word>>,
    left: usize,
}

impl Parser {
    fn top(&mut self, reading: &mut Reading<'_>) -> Vec<Block> {
        let mut out: Vec<Block> = Vec::new();
        while let Some(first) = self.words.front().cloned() {
            if first.text == "import" && !first.quoted {
                self.import(reading);
                continue;
            }
            // The words in front of the brace: addresses, over several lines while a comma stands at the end.
            let mut head: Vec<String> = Vec::new();
            let mut line = first.at.line;
            while let Some(word) = self.words.front() {
                let goes_on = word.at.line == line && word.at.path == first.at.path
                    || head.last().is_some_and(|w: &String| w.ends_with(','));
                if word.text == "{" && !word.quoted || !goes_on {
                    break;
                }
                line = word.at.line;
                head.extend(self.words.pop_front().map(|w| w.text));
            }
            let opened =
                self.words.front().is_some_and(|w| w.text == "{" && !w.quoted && w.at.path == first.at.path);
            if opened {
                self.words.pop_front();
            }
            if let Some(name) =
                head.first().and_then(|w| w.strip_prefix('(')?.strip_suffix(')')).filter(|_| opened)
            {
                let body = self.body();
                self.parts.insert(name.to_owned(), body);
                continue;
            }
            let children = self.block(reading, if opened { 1 } else { DEPTH_MAX + 1 }, &first.at);
            out.push(Block { words: head, at: first.at, children });
        }
        out
    }

    /// The words up to the brace that closes a part.
    fn body(&mut self) -> Vec<Word> {
        let mut out = Vec::new();
        let mut depth = 1;
        while let Some(word) = self.words.pop_front() {
            match word.text.as_str() {
                "{" if !word.quoted => depth += 1,
                "}" if !word.quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            out.push(word);
        }
        out
    }

    /// The lines of a block up to its brace; with a depth beyond the most, those of a file with one site
    /// and no braces.
    fn block(&mut self, reading: &mut Reading<'_>, depth: usize, from: &At) -> Vec<Block> {
        let mut out = Vec::new();
        while let Some(first) = self.words.front().cloned() {
            if first.text == "}" && !first.quoted {
                self.words.pop_front();
                return out;
            }
            if depth > DEPTH_MAX && first.at.path != from.path {
                return out;
            }
            if first.text == "import" && !first.quoted {
                self.import(reading);
                continue;
            }
            let mut words = Vec::new();
            while let Some(word) = self.words.front() {
                let same = word.at.line == first.at.line && word.at.path == first.at.path;
                if !same || !word.quoted && matches!(word.text.as_str(), "{" | "}") {
                    break;
                }
                words.extend(self.words.pop_front().map(|w| w.text));
            }
            let opened = self.words.front().is_some_and(|w| w.text == "{" && !w.quoted);
            let children = if opened {
                self.words.pop_front();
                if depth >= DEPTH_MAX && depth != DEPTH_MAX + 1 {
                    self.body();
                    Vec::new()
                } else {
                    let inner = if depth > DEPTH_MAX { 1 } else { depth + 1 };
                    self.block(reading, inner, from)
                }
            } else {
                Vec::new()
            };
            if !words.is_empty() {
                out.push(Block { words, at: first.at, children });
            } else if !opened {
                self.words.pop_front();
            }
        }
        out
    }

    /// `import name arguments` or `import pattern`: what it stands for comes in front of the rest.
    fn import(&mut self, reading: &mut Reading<'_>) {
        let Some(import) = self.words.pop_front() else { return };
        let mut arguments = Vec::new();
        while let Some(word) =
            self.words.front().filter(|w| w.at.line == import.at.line && w.at.path == import.at.path)
        {
            if !word.quoted && matches!(word.text.as_str(), "{" | "}") {
                break;
            }
            arguments.extend(self.words.pop_front().map(|w| w.text));
        }
        let Some(name) = arguments.first().cloned() else { return };
        let found: Vec<Word> = match self.parts.get(&name) {
            Some(part) => part.clone(),
            None => {
                let pattern = join(&folder_of(&import.at.path), &name);
                let files = reading.tree.glob(&pattern);
                if files.is_empty() && !name.contains('*') {
                    reading.blind(&import.at, Reason::NotFound, format!("{name}: neither a part nor a file"));
                }
                let read = |file: &std::path::PathBuf| {
                    reading.enter(file, &import.at, |_, path, text| words(path, &text)).unwrap_or_default()
                };
                files.iter().flat_map(read).collect()
            }
        };
        // What imports itself runs out of words.
        if found.len() > self.left || self.left == 0 {
            self.left = 0;
            return reading.blind(&import.at, Reason::Budget, "imports give too much: the rest is not read");
        }
        self.left -= found.len().max(1000).min(self.left);
        for mut word in found.into_iter().rev() {
            for (n, argument) in arguments.iter().skip(1).enumerate() {
                if word.text.contains("{args") {
                    word.text = word
                        .text
                        .replace(&format!("{{args[{n}]}}"), argument)
                        .replace(&format!("{{args.{n}}}"), argument);
                }
            }
            self.words.push_front(word);
        }
    }
}
