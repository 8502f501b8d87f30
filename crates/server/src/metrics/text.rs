//! Prometheus' text format, version 0.0.4, as a writer: families with HELP and TYPE, samples with labels.
//!
//! Label values come out of certificates, so every one is escaped; what is not printable is shown escaped
//! by `pki` before, and a line break cannot get through here. A family is written whole before the next
//! one begins; a name that comes twice is a mistake that the tests find, not Prometheus.

use std::io::{self, Write};

/// What the answer is called.
pub(crate) const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A label's value may have so many bytes: a certificate's name can have a million.
const VALUE_MAX: usize = 512;

/// Writes families.
pub(crate) struct Text<'o> {
    out: &'o mut dyn Write,
    name: &'static str,
    line: String,
}

impl<'o> Text<'o> {
    /// A writer of samples of one family, whose head is written elsewhere.
    pub(crate) fn beside(out: &'o mut dyn Write, name: &'static str) -> Self {
        Self { out, name, line: String::new() }
    }

    /// A writer to this.
    pub(crate) fn new(out: &'o mut dyn Write) -> Self {
        Self { out, name: "", line: String::new() }
    }

    /// Begins a family: `kind` is `gauge` or `counter`.
    pub(crate) fn family(&mut self, name: &'static str, kind: &str, help: &str) -> io::Result<()> {
        self.name = name;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n")
    }

    /// Samples of the family that were written elsewhere.
    pub(crate) fn lines(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        io::copy(from, self.out).map(drop)
    }

    /// A sample of the family.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> io::Result<()> {
        self.line.clear();
        self.line.push_str(self.name);
        for (n, (label, text)) in labels.iter().enumerate() {
            self.line.push(if n == 0 { '{' } else { ',' });
            self.line.push_str(label);
            self.line.push_str("=\"");
            escape(text, &mut self.line);
            self.line.push('"');
        }
        if !labels.is_empty() {
            self.line.push('}');
        }
        self.line.push(' ');
        self.line.push_str(&number(value));
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes())
    }
}

/// A label's value: `\`, `"` and line breaks are escaped, the rest of the control characters shown, and what
/// is too long is cut between two characters and ends in a hash of the whole.
fn escape(text: &str, out: &mut String) {
    let start = out.len();
    for c in text.chars() {
        if out.len() - start > VALUE_MAX {
            // Two that begin alike must not become one series.
            let hash = notafter_pki::fingerprint::sha256(text.as_bytes());
            out.push('…');
            out.push_str(&notafter_pki::fingerprint::hex(&hash[..8]));
            return;
        }
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\\\u{{{:04x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// A value. Whole numbers without a point or an exponent: they are timestamps and counts.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{value}")
    }
}

/// What `promtool check metrics` would say, as far as a test needs it: every family once with HELP and TYPE,
/// every sample in its family, no series twice, every escape closed.
#[cfg(test)]
pub(crate) fn faults(sheet: &str) -> Vec<String> {
    use std::collections::HashSet;
    let (mut families, mut series, mut out) = (HashSet::new(), HashSet::new(), Vec::new());
    let mut now = String::new();
    let mut typed = false;
    if !sheet.is_empty() && !sheet.ends_with('\n') {
        out.push("the last line does not end".to_owned());
    }
    for line in sheet.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            if !families.insert(name.to_owned()) || help.is_empty() {
                out.push(format!("{name}: twice, or without help"));
            }
            (now, typed) = (name.to_owned(), false);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, ""));
            typed = name == now && ["gauge", "counter"].contains(&kind);
            if kind == "counter" && !name.ends_with("_total") {
                out.push(format!("{name}: a counter ends in _total"));
            }
        } else {
            let (labels, value) = line.rsplit_once(' ').unwrap_or((line, ""));
            let name = labels.split('{').next().unwrap_or("");
            if name != now || !typed {
                out.push(format!("outside of its family: {line}"));
            }
            if value.parse::<f64>().is_err() {
                out.push(format!("no number: {line}"));
            }
            if !series.insert(labels.to_owned()) {
                out.push(format!("twice: {line}"));
            }
            if let Some(rest) = labels.strip_prefix(name).filter(|r| !r.is_empty())
                && !labels_are_well_formed(rest)
            {
                out.push(format!("labels: {line}"));
            }
        }
    }
    out
}

#[cfg(test)]
fn labels_are_well_formed(text: &str) -> bool {
    let Some(mut rest) = text.strip_prefix('{') else { return false };
    loop {
        let Some((name, after)) = rest.split_once("=\"") else { return false };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            return false;
        }
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next() {
                Some((_, '\\')) => {
                    if !chars.next().is_some_and(|(_, c)| matches!(c, '\\' | '"' | 'n')) {
                        return false;
                    }
                }
                Some((at, '"')) => break at,
                Some(_) => {}
                None => return false,
            }
        };
        match &after[end + 1..] {
            "}" => return true,
            more => match more.strip_prefix(',') {
                Some(more) => rest = more,
                None => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(label: &str, value: f64) -> String {
        let mut out = Vec::new();
        let mut text = Text::new(&mut out);
        text.family("x_info", "gauge", "Help\nwith a break.").unwrap();
        text.sample(&[("name", label), ("b", "")], value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_labels_stay_in_their_quotes() {
        for (label, shown) in [
            ("plain", "plain"),
            ("a\"} 1\nfake 2", "a\\\"} 1\\nfake 2"),
            ("back\\slash", "back\\\\slash"),
            ("\\", "\\\\"),
            ("tab\tcr\rnul\0", "tab\\\\u{0009}cr\\\\u{000d}nul\\\\u{0000}"),
            ("<img onerror=x>", "<img onerror=x>"),
            ("größe", "größe"),
        ] {
            let sheet = one(label, 1.0);
            assert!(sheet.contains(&format!("{{name=\"{shown}\",b=\"\"}} 1\n")), "{sheet}");
            assert_eq!(faults(&sheet), Vec::<String>::new(), "{label}");
            assert_eq!(sheet.lines().count(), 3);
        }
        let long = one(&"ä\"".repeat(100_000), 1.0);
        assert!(long.len() < 1000 && faults(&long).is_empty());
    }

    #[test]
    fn numbers() {
        for (value, shown) in [
            (1_795_219_200.0, "1795219200"),
            (-62_167_219_200.0, "-62167219200"),
            (253_402_300_799.0, "253402300799"),
            (0.25, "0.25"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn the_check_finds_what_promtool_would() {
        for bad in [
            "x 1\n",
            "# HELP x y\n# TYPE x gauge\nx 1\nx 1\n",
            "# HELP x y\n# TYPE x gauge\nx{a=\"b} 1\n",
            "# HELP x y\n# TYPE x gauge\nx{a=\"\\q\"} 1\n",
            "# HELP x y\n# TYPE x gauge\nx 1\n# HELP x y\n# TYPE x gauge\n",
            "# HELP x y\n# TYPE x counter\nx 1\n",
            "# HELP x y\n# TYPE x gauge\nx one\n",
        ] {
            assert!(!faults(bad).is_empty(), "{bad}");
        }
    }
}
