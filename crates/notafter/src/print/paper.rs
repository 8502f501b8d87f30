//! Paper to print on: colours where wanted, lines that fit.

use notafter_core::finding::Severity;

/// Collects a page of text.
pub(crate) struct Paper {
    text: String,
    colour: bool,
    width: Option<usize>,
}

/// How a piece of text looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
    Green,
    Blue,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "1;31",
            Self::Yellow => "33",
            Self::Green => "32",
            Self::Blue => "34",
        }
    }

    pub(crate) fn of(severity: Severity) -> Self {
        match severity {
            Severity::Critical => Self::Red,
            Severity::Warning => Self::Yellow,
            Severity::Info => Self::Blue,
        }
    }
}

impl Paper {
    pub(crate) fn new(colour: bool, width: Option<usize>) -> Self {
        Self { text: String::new(), colour, width: width.map(|w| w.max(40)) }
    }

    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    pub(crate) fn put(&mut self, ink: Ink, text: &str) -> &mut Self {
        if self.colour && ink != Ink::Plain && !text.is_empty() {
            self.text.push_str(&format!("\x1b[{}m{text}\x1b[0m", ink.code()));
        } else {
            self.text.push_str(text);
        }
        self
    }

    pub(crate) fn end(&mut self) {
        while self.text.ends_with(' ') {
            self.text.pop();
        }
        self.text.push('\n');
    }

    pub(crate) fn line(&mut self, ink: Ink, text: &str) {
        self.put(ink, text).end();
    }

    /// A paragraph behind an indent, broken between words so that it fits.
    pub(crate) fn paragraph(&mut self, ink: Ink, indent: usize, text: &str) {
        let room = self.width.map_or(usize::MAX, |w| w.saturating_sub(indent).max(20));
        let mut line = String::new();
        let mut length = 0;
        for word in text.split(' ') {
            let letters = word.chars().count();
            if length > 0 && length + 1 + letters > room {
                self.put(Ink::Plain, &" ".repeat(indent)).line(ink, &line);
                line.clear();
                length = 0;
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += letters;
        }
        self.put(Ink::Plain, &" ".repeat(indent)).line(ink, &line);
    }

    /// What is on it so far, taken off.
    pub(crate) fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Cuts a text to so many characters, the last of them an ellipsis.
pub(crate) fn fit(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(room.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// Cuts a text in its middle: both ends of a path or a URL say something.
pub(crate) fn fit_middle(text: &str, room: usize) -> String {
    let length = text.chars().count();
    if length <= room || room < 8 {
        return fit(text, room);
    }
    let head = (room - 1) / 2;
    let tail = room - 1 - head;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit() {
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abc", 4), "abc");
        assert_eq!(fit_middle("tls://10.0.0.5:443?sni=api.example.com", 15), "tls://1…ple.com");
        let mut paper = Paper::new(false, Some(40));
        paper.paragraph(Ink::Plain, 4, "one two three four five six seven eight nine ten");
        assert_eq!(paper.into_text(), "    one two three four five six seven\n    eight nine ten\n");
    }
}
