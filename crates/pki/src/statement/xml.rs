//! A small reader of XML 1.0 with namespaces, fed in chunks, for documents that strangers wrote.
//!
//! It does what SAML metadata need and no more. Document types are refused, and with them every entity but the five
//! of the standard (section 4.6): no bomb can be built. Depth, tags and names are bounded; text is handed on in
//! pieces, so that memory does not depend on the document. It deliberately does not check all of
//! well-formedness: what it lets pass, no reader here is misled by.

use std::borrow::Cow;
use std::fmt;

/// Elements nested deeper are refused.
const DEPTH_MAX: usize = 100;
/// A tag with its attributes is no longer, in octets.
const TAG_MAX: usize = 256 << 10;
/// Namespace declarations in force at once.
const BINDINGS_MAX: usize = 1000;

/// Why a document is read no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XmlError {
    /// It declares a document type.
    DocumentType,
    /// It is not well-formed.
    Malformed,
    /// Nested too deep, or a tag too long.
    TooLarge,
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DocumentType => "XML with a document type, which is refused: entities could be anything",
            Self::Malformed => "XML that is not well-formed",
            Self::TooLarge => "XML nested too deep or with a tag too long",
        })
    }
}
impl std::error::Error for XmlError {}

/// What comes next.
#[derive(Debug)]
pub enum Event<'a> {
    /// An element begins.
    Start(Tag<'a>),
    /// The innermost open element ends.
    End,
    /// Text, or a piece of it: entities resolved, perhaps cut in the middle of a character.
    Text(&'a [u8]),
}

/// A start tag.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'a> {
    /// The namespace of its name; empty for none.
    pub namespace: &'a [u8],
    /// Its name without the prefix.
    pub local: &'a [u8],
    attributes: &'a [u8],
}

impl Tag<'_> {
    /// The value of the attribute with this name, which has no prefix.
    pub fn attribute(&self, name: &[u8]) -> Option<String> {
        let (_, value) = attributes(self.attributes).flatten().find(|(key, _)| *key == name)?;
        Some(String::from_utf8_lossy(&decode(value)?).into_owned())
    }
}

/// The reader.
#[derive(Debug, Default)]
pub struct Xml {
    buffer: Vec<u8>,
    skipping: Option<Skip>,
    /// Names of the open elements as written, one after another, and where each begins.
    open: Vec<u8>,
    starts: Vec<usize>,
    bindings: Vec<Binding>,
    seen_root: bool,
    begun: bool,
}

#[derive(Debug)]
struct Binding {
    depth: usize,
    prefix: Vec<u8>,
    uri: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Skip {
    Comment,
    Instruction,
    CharacterData,
}

impl Skip {
    fn end(self) -> &'static [u8] {
        match self {
            Self::Comment => b"-->",
            Self::Instruction => b"?>",
            Self::CharacterData => b"]]>",
        }
    }
}

impl Xml {
    /// At the beginning of a document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads on.
    ///
    /// # Errors
    /// Where the document is refused; nothing may be pushed after that.
    pub fn push(&mut self, chunk: &[u8], mut on: impl FnMut(Event<'_>)) -> Result<(), XmlError> {
        for piece in chunk.chunks(64 << 10) {
            self.buffer.extend_from_slice(piece);
            let buffer = std::mem::take(&mut self.buffer);
            let read = self.read(&buffer, &mut on)?;
            self.buffer = buffer;
            self.buffer.drain(..read);
            if self.buffer.len() > TAG_MAX {
                return Err(XmlError::TooLarge);
            }
        }
        Ok(())
    }

    /// Says whether the document is complete.
    ///
    /// # Errors
    /// Where it breaks off.
    pub fn finish(self) -> Result<(), XmlError> {
        let rest = self.buffer.trim_ascii().is_empty() && self.skipping.is_none();
        if rest && self.seen_root && self.starts.is_empty() { Ok(()) } else { Err(XmlError::Malformed) }
    }

    /// Reads as far as it goes; gives how far.
    fn read(&mut self, buffer: &[u8], on: &mut impl FnMut(Event<'_>)) -> Result<usize, XmlError> {
        let mut at = 0;
        if !self.begun {
            // A byte order mark has three octets.
            if buffer.len() < 3 {
                return Ok(0);
            }
            self.begun = true;
            at = if buffer.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        }
        while let Some(rest) = buffer.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(skip) = self.skipping {
                let end = memchr::memmem::find(rest, skip.end());
                // What may be the beginning of the end stays.
                let length = end.unwrap_or_else(|| rest.len().saturating_sub(skip.end().len() - 1));
                if skip == Skip::CharacterData && length > 0 {
                    on(Event::Text(rest.get(..length).unwrap_or(&[])));
                }
                at += length;
                match end {
                    Some(_) => at += skip.end().len(),
                    None => break,
                }
                self.skipping = None;
                continue;
            }
            if rest.first() != Some(&b'<') {
                let end = memchr::memchr(b'<', rest);
                let mut text = rest.get(..end.unwrap_or(rest.len())).unwrap_or(&[]);
                if end.is_none() {
                    // An entity cut in two waits for its other half.
                    let tail = text.get(text.len().saturating_sub(12)..).unwrap_or(&[]);
                    if let Some(back) = memchr::memrchr(b'&', tail)
                        && !tail.get(back..).unwrap_or(&[]).contains(&b';')
                    {
                        text = text.get(..text.len() - (tail.len() - back)).unwrap_or(&[]);
                    }
                }
                if !text.is_empty() {
                    let decoded = decode(text).ok_or(XmlError::Malformed)?;
                    if !self.starts.is_empty() {
                        on(Event::Text(&decoded));
                    } else if !decoded.trim_ascii().is_empty() {
                        return Err(XmlError::Malformed);
                    }
                }
                at += text.len();
                if end.is_none() {
                    break;
                }
                continue;
            }
            let starts: &[(&[u8], Skip)] =
                &[(b"<!--", Skip::Comment), (b"<?", Skip::Instruction), (b"<![CDATA[", Skip::CharacterData)];
            if let Some((start, skip)) = starts.iter().find(|(start, _)| rest.starts_with(start)) {
                self.skipping = Some(*skip);
                at += start.len();
                continue;
            }
            if rest.starts_with(b"<!") {
                if rest.len() < 9 {
                    break;
                }
                let doctype = rest.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"<!DOCTYPE"));
                return Err(if doctype { XmlError::DocumentType } else { XmlError::Malformed });
            }
            let Some(length) = tag_length(rest) else {
                if rest.len() > TAG_MAX {
                    return Err(XmlError::TooLarge);
                }
                break;
            };
            if length > TAG_MAX {
                return Err(XmlError::TooLarge);
            }
            let inner = rest.get(1..length - 1).unwrap_or(&[]);
            match inner.strip_prefix(b"/") {
                Some(name) => self.close(name.trim_ascii(), on)?,
                None => self.open(inner, on)?,
            }
            at += length;
        }
        Ok(at)
    }

    fn open(&mut self, inner: &[u8], on: &mut impl FnMut(Event<'_>)) -> Result<(), XmlError> {
        let (inner, empty) = match inner.strip_suffix(b"/") {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        if self.starts.len() >= DEPTH_MAX {
            return Err(XmlError::TooLarge);
        }
        if self.starts.is_empty() && std::mem::replace(&mut self.seen_root, true) {
            return Err(XmlError::Malformed);
        }
        let length = inner.iter().position(u8::is_ascii_whitespace).unwrap_or(inner.len());
        let (name, rest) = inner.split_at(length);
        if name.is_empty() {
            return Err(XmlError::Malformed);
        }
        self.starts.push(self.open.len());
        self.open.extend_from_slice(name);
        let depth = self.starts.len();
        for attribute in attributes(rest) {
            let (key, value) = attribute.ok_or(XmlError::Malformed)?;
            let prefix = if key == b"xmlns" { Some(&[][..]) } else { key.strip_prefix(b"xmlns:") };
            if let Some(prefix) = prefix {
                if self.bindings.len() >= BINDINGS_MAX {
                    return Err(XmlError::TooLarge);
                }
                let uri = decode(value).ok_or(XmlError::Malformed)?.into_owned();
                self.bindings.push(Binding { depth, prefix: prefix.to_vec(), uri });
            }
        }
        let (prefix, local) = match memchr::memchr(b':', name) {
            Some(colon) => (name.get(..colon).unwrap_or(&[]), name.get(colon + 1..).unwrap_or(&[])),
            None => (&[][..], name),
        };
        let bound = self.bindings.iter().rev().find(|binding| binding.prefix == prefix);
        let namespace = bound.map_or(&[][..], |binding| &binding.uri);
        on(Event::Start(Tag { namespace, local, attributes: rest }));
        if empty { self.shut(on) } else { Ok(()) }
    }

    fn close(&mut self, name: &[u8], on: &mut impl FnMut(Event<'_>)) -> Result<(), XmlError> {
        let start = *self.starts.last().ok_or(XmlError::Malformed)?;
        if self.open.get(start..) != Some(name) {
            return Err(XmlError::Malformed);
        }
        self.shut(on)
    }

    fn shut(&mut self, on: &mut impl FnMut(Event<'_>)) -> Result<(), XmlError> {
        let depth = self.starts.len();
        let start = self.starts.pop().ok_or(XmlError::Malformed)?;
        self.open.truncate(start);
        while self.bindings.last().is_some_and(|binding| binding.depth >= depth) {
            self.bindings.pop();
        }
        on(Event::End);
        Ok(())
    }
}

/// The length of the tag that begins here, up to the `>` outside of quotes.
fn tag_length(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, octet) in bytes.iter().enumerate() {
        match (quote, octet) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*octet),
            (Some(open), octet) if open == *octet => quote = None,
            _ => {}
        }
    }
    None
}

/// Name and raw value of each attribute; `None` once for what is none.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        let first = attribute(rest);
        rest = first.map_or(&[], |(_, after)| after);
        Some(first.map(|(pair, _)| pair))
    })
}

/// The attribute that stands first, and what follows it.
#[allow(clippy::type_complexity, reason = "a pair and the rest")]
fn attribute(bytes: &[u8]) -> Option<((&[u8], &[u8]), &[u8])> {
    let equals = memchr::memchr(b'=', bytes)?;
    let name = bytes.get(..equals)?.trim_ascii();
    let after = bytes.get(equals + 1..)?.trim_ascii_start();
    let (quote, value) = after.split_first()?;
    let end = memchr::memchr(*quote, value).filter(|_| matches!(quote, b'"' | b'\''))?;
    (!name.is_empty()).then_some(((name, value.get(..end)?), value.get(end + 1..)?))
}

/// Text with its entities resolved; `None` where one is not of the standard's.
fn decode(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'&', text).is_none() {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest) {
        out.extend_from_slice(rest.get(..at)?);
        rest = rest.get(at + 1..)?;
        let end = rest.iter().take(12).position(|octet| *octet == b';')?;
        let character = match rest.get(..end)? {
            b"lt" => '<',
            b"gt" => '>',
            b"amp" => '&',
            b"quot" => '"',
            b"apos" => '\'',
            [b'#', b'x', digits @ ..] => reference(digits, 16)?,
            [b'#', digits @ ..] => reference(digits, 10)?,
            _ => return None,
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = rest.get(end + 1..)?;
    }
    out.extend_from_slice(rest);
    Some(Cow::Owned(out))
}

fn reference(digits: &[u8], radix: u32) -> Option<char> {
    char::from_u32(u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(document: &[u8], chunk: usize) -> Result<String, XmlError> {
        let mut xml = Xml::new();
        let mut out = String::new();
        let mut in_text = false;
        for piece in document.chunks(chunk) {
            xml.push(piece, |event| {
                let text = matches!(event, Event::Text(_));
                if in_text && !text {
                    out.push(')');
                }
                match event {
                    Event::Start(tag) => {
                        let show = String::from_utf8_lossy;
                        out.push_str(&format!("<{}|{}", show(tag.namespace), show(tag.local)));
                        out.push_str(
                            &tag.attribute(b"a").map_or(String::new(), |value| format!(" a={value}")),
                        );
                        out.push('>');
                    }
                    Event::End => out.push('/'),
                    Event::Text(text) => {
                        if !in_text {
                            out.push('(');
                        }
                        out.push_str(&String::from_utf8_lossy(text));
                    }
                }
                in_text = text;
            })?;
        }
        xml.finish()?;
        Ok(out)
    }

    fn check(document: &str, expected: Result<&str, XmlError>) {
        for chunk in [1, 2, 7, 100_000] {
            let found = events(document.as_bytes(), chunk);
            assert_eq!(found.as_deref().map_err(|error| *error), expected, "{document} by {chunk}");
        }
    }

    #[test]
    fn documents() {
        check("<x/>", Ok("<|x>/"));
        check("\u{feff}<?xml version='1.0'?><!-- <y> --> <x a='1'> b </x>\n", Ok("<|x a=1>( b )/"));
        check("<p:x xmlns:p='u&amp;v' xmlns=\"d\"><y a='>\"'/></p:x>", Ok("<u&v|x><d|y a=>\">//"));
        check("<x xmlns='o'><y xmlns='i'/><y/></x>", Ok("<o|x><i|y>/<o|y>//"));
        check("<x>a&lt;&#65;&#x42;<![CDATA[<c>&]]>d</x>", Ok("<|x>(a<AB<c>&d)/"));
        check("<x>&lol;</x>", Err(XmlError::Malformed));
        check("<!DOCTYPE lolz [<!ENTITY lol 'lol'>]><x/>", Err(XmlError::DocumentType));
        check("<x><!doctype y></x>", Err(XmlError::DocumentType));
        for broken in
            ["", "x", "<x>", "<x></y>", "</x>", "<x/><y/>", "<x/>text", "<x", "<x a>", "< x/>", "<x>&"]
        {
            check(broken, Err(XmlError::Malformed));
        }
    }

    #[test]
    fn bounds() {
        check(&"<x>".repeat(DEPTH_MAX + 1), Err(XmlError::TooLarge));
        let mut xml = Xml::new();
        let long = format!("<x a='{}", "y".repeat(TAG_MAX * 4));
        assert_eq!(xml.push(long.as_bytes(), |_| {}), Err(XmlError::TooLarge));
        // Text and comments of any length need no memory.
        let mut xml = Xml::new();
        let text = "<x><!--".to_owned() + &"y".repeat(TAG_MAX * 4) + "-->" + &"z".repeat(TAG_MAX * 4);
        assert_eq!(xml.push(text.as_bytes(), |_| {}), Ok(()));
        assert!(xml.buffer.len() < 100);
    }
}
