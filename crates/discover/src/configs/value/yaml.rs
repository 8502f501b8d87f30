//! YAML as configurations are written: blocks by indentation, flow collections (and so JSON), quotes, block
//! texts, anchors and merges. Tags are dropped, complex keys are not read. What cannot be understood is
//! skipped, because half a configuration is better than none.

use std::collections::HashMap;

use super::{COUNT_MAX, DEPTH_MAX, Data, Node};

/// Every document of a text.
pub(super) fn documents(text: &str) -> Vec<Node> {
    let mut lines = Vec::new();
    let mut at = 0;
    for (n, raw) in text.split_inclusive('\n').enumerate() {
        let content = raw.trim_end();
        let indent = content.len() - content.trim_start_matches(' ').len();
        lines.push(Line { number: n as u32 + 1, indent, start: at + indent, end: at + content.len() });
        at += raw.len();
    }
    let mut reader = Reader { text, lines, next: 0, anchors: HashMap::new(), left: COUNT_MAX };
    let mut out = Vec::new();
    while let Some(line) = reader.peek() {
        let content = reader.content(line);
        if content.starts_with("---") || content.starts_with("...") || content.starts_with('%') {
            match content.strip_prefix("--- ") {
                Some(rest) if !rest.trim().is_empty() => {
                    reader.lines[reader.next].start += 4;
                }
                _ => {
                    reader.next += 1;
                    continue;
                }
            }
        }
        let before = reader.next;
        let node = reader.block(0, 0);
        if node.is_some() {
            out.push(node);
        }
        reader.next = reader.next.max(before + 1);
    }
    out
}

#[derive(Clone, Copy)]
struct Line {
    number: u32,
    indent: usize,
    start: usize,
    end: usize,
}

struct Reader<'t> {
    text: &'t str,
    lines: Vec<Line>,
    next: usize,
    anchors: HashMap<String, Node>,
    left: usize,
}

impl<'t> Reader<'t> {
    fn content(&self, line: Line) -> &'t str {
        self.text.get(line.start..line.end).unwrap_or("")
    }

    /// The next line that says something.
    fn peek(&mut self) -> Option<Line> {
        loop {
            let line = *self.lines.get(self.next)?;
            let content = self.content(line);
            if content.is_empty() || content.starts_with('#') {
                self.next += 1;
            } else {
                return Some(line);
            }
        }
    }

    fn ends(&self, line: Line) -> bool {
        let content = self.content(line);
        line.indent == 0 && (content == "---" || content == "..." || content.starts_with("--- "))
    }

    /// The value that begins on the next line, if that is indented enough.
    fn block(&mut self, indent: usize, depth: usize) -> Node {
        let Some(line) = self.peek().filter(|l| l.indent >= indent) else { return Node::default() };
        if depth > DEPTH_MAX || self.left == 0 {
            self.next = self.lines.len();
            return Node::default();
        }
        self.left -= 1;
        let content = self.content(line);
        if content == "-" || content.starts_with("- ") {
            self.sequence(line, depth)
        } else if !content.starts_with(['{', '[']) && key(content).is_some() {
            self.mapping(line, depth)
        } else {
            self.next += 1;
            self.scalar(content, line, line.indent, depth)
        }
    }

    fn sequence(&mut self, first: Line, depth: usize) -> Node {
        let mut items = Vec::new();
        while let Some(line) = self.peek().filter(|l| l.indent == first.indent) {
            let content = self.content(line);
            let Some(rest) = content.strip_prefix('-').filter(|r| r.is_empty() || r.starts_with(' ')) else {
                break;
            };
            let trimmed = rest.trim_start();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                self.next += 1;
                items.push(self.block(first.indent + 1, depth + 1));
            } else {
                // What is behind the dash stands where it stands.
                let skip = content.len() - trimmed.len();
                let place = &mut self.lines[self.next];
                (place.start, place.indent) = (line.start + skip, line.indent + skip);
                items.push(self.block(first.indent + 1, depth + 1));
            }
            if self.left == 0 {
                break;
            }
        }
        Node { line: first.number, data: Data::List(items) }
    }

    fn mapping(&mut self, first: Line, depth: usize) -> Node {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some(line) = self.peek().filter(|l| l.indent == first.indent && !self.ends(*l)) {
            let content = self.content(line);
            let Some((name, rest)) = key(content) else {
                self.next += 1;
                continue;
            };
            self.next += 1;
            let rest = rest.trim_start();
            let value = if bare(rest).is_empty() {
                let anchor = anchor(rest).map(str::to_owned);
                let follows = self.peek().is_some_and(|l| {
                    let dash = self.content(l).starts_with("- ") || self.content(l) == "-";
                    l.indent > first.indent || l.indent == first.indent && dash
                });
                let value = match follows {
                    true => self.block(first.indent, depth + 1),
                    false => Node { line: line.number, data: Data::Nothing },
                };
                self.remember(anchor, &value);
                value
            } else {
                self.scalar(rest, line, first.indent, depth + 1)
            };
            match (name.as_str(), value) {
                ("<<", Node { data: Data::Map(more), .. }) => {
                    for (name, value) in more {
                        if !entries.iter().any(|(known, _)| *known == name) {
                            entries.push((name, value));
                        }
                    }
                }
                (_, value) => entries.push((name, value)),
            }
            if self.left == 0 {
                break;
            }
            self.left -= 1;
        }
        Node { line: first.number, data: Data::Map(entries) }
    }

    fn remember(&mut self, anchor: Option<String>, value: &Node) {
        if let Some(name) = anchor.filter(|_| self.anchors.len() < 1000) {
            let cost = count(value);
            if let Some(left) = self.left.checked_sub(cost) {
                self.left = left;
                self.anchors.insert(name, value.clone());
            }
        }
    }

    /// A value on a line whose next has been taken already; `indent` is that of what it belongs to.
    fn scalar(&mut self, text: &'t str, line: Line, indent: usize, depth: usize) -> Node {
        let anchor = anchor(text).map(str::to_owned);
        let text = bare(text);
        let node = |data| Node { line: line.number, data };
        let value = if let Some(name) = text.strip_prefix('*') {
            let name = name.split_whitespace().next().unwrap_or("");
            let known = self.anchors.get(name);
            match known.map(count).and_then(|cost| self.left.checked_sub(cost)) {
                Some(left) => {
                    self.left = left;
                    self.anchors[name].clone()
                }
                None => Node::default(),
            }
        } else if text.starts_with(['|', '>']) {
            node(Data::Text(self.literal(indent, text.starts_with('>'))))
        } else if text.starts_with(['{', '[', '"', '\'']) {
            let start = text.as_ptr() as usize - self.text.as_ptr() as usize;
            let mut flow = Flow { text: self.text, at: start, line: line.number, left: &mut self.left };
            let value = flow.value(depth);
            let end = flow.at;
            while self.lines.get(self.next).is_some_and(|l| l.start < end) {
                self.next += 1;
            }
            value
        } else {
            let mut whole = without_comment(text).to_owned();
            // A plain text goes on on lines that are further in.
            while let Some(more) = self.peek().filter(|l| l.indent > indent) {
                if key(self.content(more)).is_some() || whole.len() > 1 << 20 {
                    break;
                }
                whole.push(' ');
                whole.push_str(without_comment(self.content(more)));
                self.next += 1;
            }
            match whole.as_str() {
                "" | "~" | "null" => node(Data::Nothing),
                _ => node(Data::Text(whole)),
            }
        };
        self.remember(anchor, &value);
        value
    }

    /// The lines of a block text.
    fn literal(&mut self, indent: usize, folded: bool) -> String {
        let mut out = String::new();
        let mut inner = None;
        while let Some(line) = self.lines.get(self.next) {
            let begins = line.start - line.indent;
            if line.start < line.end {
                if line.indent <= indent {
                    break;
                }
                let cut = begins + *inner.get_or_insert(line.indent);
                out.push_str(self.text.get(cut.min(line.start)..line.end).unwrap_or(""));
            }
            out.push(if folded { ' ' } else { '\n' });
            self.next += 1;
        }
        out
    }
}

fn count(node: &Node) -> usize {
    match &node.data {
        Data::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Data::Map(entries) => 1 + entries.iter().map(|(_, value)| count(value)).sum::<usize>(),
        _ => 1,
    }
}

/// The name of an anchor in front of a value.
fn anchor(text: &str) -> Option<&str> {
    text.strip_prefix('&')?.split_whitespace().next()
}

/// A value without anchor, tag, or a comment that is all there is.
fn bare(mut text: &str) -> &str {
    while text.starts_with(['&', '!']) {
        text = text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    }
    if text.starts_with('#') { "" } else { text }
}

fn without_comment(text: &str) -> &str {
    text.find(" #").map_or(text, |at| &text[..at]).trim_end()
}

/// The key a line begins with, and what is behind its colon.
fn key(content: &str) -> Option<(String, &str)> {
    for quote in ['"', '\''] {
        if let Some(rest) = content.strip_prefix(quote) {
            let (name, rest) = rest.split_once(quote)?;
            let rest = rest.trim_start().strip_prefix(':')?;
            return (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| (name.to_owned(), rest));
        }
    }
    if content.starts_with(['|', '>', '#', '*', '&', '%', '@', '`', '?']) {
        return None;
    }
    let mut from = 0;
    loop {
        let at = from + content[from..].find(':')?;
        let rest = &content[at + 1..];
        if rest.is_empty() || rest.starts_with([' ', '\t']) {
            let name = content[..at].trim_end();
            return (!name.is_empty() && !name.contains(" #")).then(|| (name.to_owned(), rest));
        }
        from = at + 1;
    }
}

/// Collections in brackets, over as many lines as they take.
struct Flow<'t, 'l> {
    text: &'t str,
    at: usize,
    line: u32,
    left: &'l mut usize,
}

impl Flow<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                b'#' => {
                    while self.peek().is_some_and(|b| b != b'\n') {
                        self.at += 1;
                    }
                    continue;
                }
                _ => return,
            }
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Node {
        self.blanks();
        let line = self.line;
        if depth > DEPTH_MAX || *self.left == 0 {
            self.at = self.text.len();
            return Node::default();
        }
        *self.left -= 1;
        let data = match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let mut entries = Vec::new();
                while self.more(b'}') {
                    let before = self.at;
                    let name = self.value(depth + 1);
                    self.blanks();
                    let value = if self.peek() == Some(b':') {
                        self.at += 1;
                        self.value(depth + 1)
                    } else {
                        Node::default()
                    };
                    if let Data::Text(name) = name.data {
                        entries.push((name, value));
                    }
                    // What can be neither is stepped over.
                    if self.at == before {
                        self.step();
                    }
                }
                Data::Map(entries)
            }
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                while self.more(b']') {
                    let before = self.at;
                    let item = self.value(depth + 1);
                    if self.at == before {
                        self.step();
                    } else {
                        items.push(item);
                    }
                }
                Data::List(items)
            }
            Some(quote @ (b'"' | b'\'')) => Data::Text(self.quoted(quote)),
            _ => self.plain(),
        };
        Node { line, data }
    }

    fn step(&mut self) {
        let width = self.text[self.at..].chars().next().map_or(1, char::len_utf8);
        self.at += width;
    }

    /// Steps over commas; whether there is another member before the closing bracket, which is taken.
    fn more(&mut self, close: u8) -> bool {
        loop {
            self.blanks();
            match self.peek() {
                None => return false,
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return false;
                }
                Some(_) => return *self.left > 0,
            }
        }
    }

    fn plain(&mut self) -> Data {
        let from = self.at;
        while let Some(byte) = self.peek() {
            let next = self.text.as_bytes().get(self.at + 1).copied();
            let colon =
                byte == b':' && next.is_none_or(|b| matches!(b, b' ' | b'\n' | b',' | b'}' | b']' | b'"'));
            if matches!(byte, b',' | b'{' | b'}' | b'[' | b']' | b'\n') || colon {
                break;
            }
            self.at += 1;
        }
        match self.text.get(from..self.at).unwrap_or("").trim() {
            "" | "~" | "null" => Data::Nothing,
            text => Data::Text(text.to_owned()),
        }
    }

    fn quoted(&mut self, quote: u8) -> String {
        let mut out = String::new();
        self.at += 1;
        while let Some(c) = self.text.get(self.at..).and_then(|t| t.chars().next()) {
            self.at += c.len_utf8();
            match c {
                '\n' => {
                    self.line += 1;
                    out.push(' ');
                }
                '\'' if quote == b'\'' => {
                    if self.peek() != Some(b'\'') {
                        break;
                    }
                    self.at += 1;
                    out.push('\'');
                }
                '"' if quote == b'"' => break,
                '\\' if quote == b'"' => {
                    let Some(escape) = self.text.get(self.at..).and_then(|t| t.chars().next()) else { break };
                    self.at += escape.len_utf8();
                    match escape {
                        'n' => out.push('\n'),
                        't' => out.push('\t'),
                        'r' => out.push('\r'),
                        'u' => {
                            let digits = self.text.get(self.at..self.at + 4).unwrap_or("");
                            if let Ok(code) = u32::from_str_radix(digits, 16) {
                                self.at += 4;
                                out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                            }
                        }
                        '\n' => self.line += 1,
                        other => out.push(other),
                    }
                }
                _ => out.push(c),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(node: &Node) -> String {
        match &node.data {
            Data::Nothing => "-".to_owned(),
            Data::Text(text) => format!("{text:?}"),
            Data::List(items) => format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(" ")),
            Data::Map(entries) => {
                let one = |(name, value): &(String, Node)| format!("{name}={}", print(value));
                format!("{{{}}}", entries.iter().map(one).collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn forms() {
        let check = |text: &str, expected: &[&str]| {
            let got: Vec<_> = documents(text).iter().map(print).collect();
            assert_eq!(got, expected, "{text}");
        };
        check(
            "a: 1\nb:\n  c: 'it''s' # x\n  d:\n  - e\n  - f: g\n    h: i\n",
            &["{a=\"1\" b={c=\"it's\" d=[\"e\" {f=\"g\" h=\"i\"}]}}"],
        );
        check("a: {b: [1, \"x\\n\\u0041\"], c: }\n", &["{a={b=[\"1\" \"x\\nA\"] c=-}}"]);
        check("{\n \"a\": [{\"b\":\"c\"}],\n \"d\":null,\"e\":true}\n", &["{a=[{b=\"c\"}] d=- e=\"true\"}"]);
        check("---\na: b\n---\nc: d\n...\n", &["{a=\"b\"}", "{c=\"d\"}"]);
        check("a: |\n  x\n   y\nb: >-\n  z\n  z\nc: d", &["{a=\"x\\n y\\n\" b=\"z z \" c=\"d\"}"]);
        check(
            "a: &x\n  b: c\nd: *x\ne:\n  <<: *x\n  f: g\n",
            &["{a={b=\"c\"} d={b=\"c\"} e={b=\"c\" f=\"g\"}}"],
        );
        check("a: long\n  text\nb: http://x:80/y", &["{a=\"long text\" b=\"http://x:80/y\"}"]);
        check("- - a\n  - b\n- c\n", &["[[\"a\" \"b\"] \"c\"]"]);
        check("\"k\": v\n? x\n", &["{k=\"v\"}"]);
        check("", &[]);
    }

    #[test]
    fn lines_are_kept() {
        let documents = documents("# x\na:\n  b: c\n  d: [\n    e,\n    f]\n");
        let line = |path: &[&str]| documents[0].at(path).line;
        assert_eq!((line(&["a", "b"]), documents[0].at(&["a", "d"]).items()[1].line), (3, 6));
    }

    #[test]
    fn hostile_texts_end() {
        let bomb: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1)).collect();
        documents(&format!("a0: &a0 [x, y]\n{bomb}"));
        documents(&"[".repeat(50_000));
        documents(&"a:\n ".repeat(1000));
        documents(&(0..5000).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>());
        documents("- - - - é: [é, 'é\\");
    }
}
