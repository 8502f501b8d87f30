//! Words of people, made comparable: small letters without accents.

/// Small letters, without accents; everything else as it is. `Gültig bis:` becomes `gultig bis:`.
pub(crate) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'à'..='å' | 'ā' | 'ă' | 'ą' => out.push('a'),
            'æ' => out.push_str("ae"),
            'ç' | 'ć' | 'č' => out.push('c'),
            'è'..='ë' | 'ē' | 'ę' | 'ě' => out.push('e'),
            'ì'..='ï' | 'ī' | 'ı' => out.push('i'),
            'ñ' | 'ń' | 'ň' => out.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => out.push('o'),
            'œ' => out.push_str("oe"),
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => out.push('u'),
            'ý' | 'ÿ' => out.push('y'),
            'ß' => out.push_str("ss"),
            'ś' | 'š' | 'ş' => out.push('s'),
            'ź' | 'ż' | 'ž' => out.push('z'),
            'ł' => out.push('l'),
            // Letters with their accents beside them.
            '\u{300}'..='\u{36f}' => {}
            c if c.is_whitespace() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The words of a text alone, joined by one blank: `Cert. Expiry-Date (UTC)` becomes `cert expiry date utc`.
pub(crate) fn bare(text: &str) -> String {
    let folded = fold(text);
    let words: Vec<_> = folded.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn comparable() {
        for (text, expected) in [
            ("Gültig bis:", "gultig bis"),
            ("Cert. Expiry-Date\n(UTC)", "cert expiry date utc"),
            ("Émetteur", "emetteur"),
            ("E\u{301}metteur", "emetteur"),
            ("E-Mail", "e mail"),
            ("not_after", "not after"),
        ] {
            assert_eq!(super::bare(text), expected);
        }
    }
}
