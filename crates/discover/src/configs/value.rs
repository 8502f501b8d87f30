//! Values with lines: what YAML, JSON and TOML have in common, as much as configurations need of it.
//!
//! The readers are small, bounded in depth and count, and keep the line of every value, which is the
//! evidence later. They deliberately know no types: a number is its text.

mod yaml;

/// A value and the line it begins on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) data: Data,
}

/// What it is.
#[derive(Debug, Clone, Default)]
pub(crate) enum Data {
    #[default]
    Nothing,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// So deep may values stand in one another.
const DEPTH_MAX: usize = 100;
/// So many values are kept of one file; aliases count anew each time.
const COUNT_MAX: usize = 500_000;

impl Node {
    /// YAML, of which JSON is a part. As far as it can be read.
    pub(crate) fn yaml(text: &str) -> Vec<Self> {
        yaml::documents(text)
    }

    /// TOML; `None` where it is none.
    pub(crate) fn toml(text: &str) -> Option<Self> {
        let table = toml::de::DeTable::parse(text).ok()?;
        let mut breaks: Vec<usize> = Vec::new();
        breaks.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at));
        let line = |at: usize| breaks.partition_point(|b| *b < at) as u32 + 1;
        Some(from_table(table.get_ref(), 1, &line))
    }

    /// By the file's name.
    pub(crate) fn of(path: &std::path::Path, text: &str) -> Option<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("toml") => Self::toml(text),
            _ => Self::yaml(text).into_iter().next(),
        }
    }

    /// The value of a key, whatever its capitals; nothing where there is none.
    pub(crate) fn get(&self, key: &str) -> &Self {
        const NOTHING: &Node = &Node { line: 0, data: Data::Nothing };
        let own = self.entries().find(|(name, _)| name.eq_ignore_ascii_case(key));
        own.map_or(NOTHING, |(_, value)| value)
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> &Self {
        path.iter().fold(self, |node, key| node.get(key))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Is there anything at all?
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self.data, Data::Nothing)
    }

    /// The members of a list; a single value is a list of itself.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            Data::Nothing => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// The entries of a map.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Self)> {
        let entries = match &self.data {
            Data::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Everything below that has this key, however deep.
    pub(crate) fn all<'n>(&'n self, key: &str, out: &mut Vec<&'n Self>) {
        match &self.data {
            Data::List(items) => items.iter().for_each(|item| item.all(key, out)),
            Data::Map(entries) => {
                for (name, value) in entries {
                    if name == key {
                        out.push(value);
                    }
                    value.all(key, out);
                }
            }
            _ => {}
        }
    }
}

fn from_table(table: &toml::de::DeTable<'_>, line: u32, of: &dyn Fn(usize) -> u32) -> Node {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<toml::de::DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        (key.clone().into_owned(), from_value(value.get_ref(), of(value.span().start), of))
    };
    Node { line, data: Data::Map(table.iter().map(entry).collect()) }
}

fn from_value(value: &toml::de::DeValue<'_>, line: u32, of: &dyn Fn(usize) -> u32) -> Node {
    use toml::de::DeValue;
    let data = match value {
        DeValue::String(text) => Data::Text(text.clone().into_owned()),
        DeValue::Integer(number) => Data::Text(number.to_string()),
        DeValue::Float(number) => Data::Text(number.to_string()),
        DeValue::Boolean(yes) => Data::Text(yes.to_string()),
        DeValue::Datetime(at) => Data::Text(at.to_string()),
        DeValue::Array(items) => {
            Data::List(items.iter().map(|v| from_value(v.get_ref(), of(v.span().start), of)).collect())
        }
        DeValue::Table(table) => return from_table(table, line, of),
    };
    Node { line, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_keeps_lines() {
        let node = Node::toml("a = 1\n[b]\nc = \"x\"\n[[b.d]]\ne = ['y']\n").unwrap();
        let c = node.at(&["b", "c"]);
        assert_eq!((c.text(), c.line), (Some("x"), 3));
        let e = &node.at(&["b", "d"]).items()[0];
        assert_eq!((e.get("e").items()[0].text(), e.get("e").line), (Some("y"), 5));
        assert!(Node::toml("= broken").is_none());
    }
}
