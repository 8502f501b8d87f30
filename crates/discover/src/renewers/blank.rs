//! A command line as it may be shown: what it does stays readable, values that may be secrets do not.
//!
//! Too much is blanked rather than too little; nothing is decided from what is left.

/// What stands where a value stood.
const BLANK: &str = "…";

/// Options with one of these in their name are followed by a secret, or by where one lies.
const SECRET: &[&str] = &["token", "key", "hmac", "secret", "pass", "pwd", "credential"];

/// Options of curl that are followed by a name and a password, or by a header; so are those for what it sends.
const CURL: &[&str] = &["-u", "--user", "--proxy-user", "-H", "--header"];

/// The line with the value of every `NAME=value` blanked, that of every option that tells a secret, and names and
/// passwords in addresses.
pub(super) fn blanked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    // The quote before the word, if any: it goes on to the next one like it.
    let mut quote = None;
    while let Some(first) = rest.chars().next() {
        if is_edge(first) {
            quote = matches!(first, '"' | '\'').then_some(first);
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = rest.find(|c: char| is_edge(c) || c == '=').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        out.push_str(word);
        rest = after;
        let option = word.starts_with('-');
        let secret = option && tells_secret(word);
        if let Some(value) = after.strip_prefix('=').filter(|_| secret || !option && is_name(word)) {
            out.push('=');
            out.push_str(BLANK);
            rest = &value[value_len(value, quote)..];
        } else if let Some(value) = after.strip_prefix('=') {
            out.push('=');
            rest = value;
        } else if secret {
            // Behind a quote that ends the option: `"--hmac" "x"`.
            let space = after.len() - after.trim_start_matches([' ', '\t', '"', '\'']).len();
            let opening = after[..space].chars().next_back().filter(|c| matches!(c, '"' | '\''));
            let value = &after[space..];
            if space > 0 && !value.is_empty() && !is_option(value) {
                out.push_str(&after[..space]);
                out.push_str(BLANK);
                rest = &value[value_len(value, opening)..];
            }
        }
    }
    without_logins(&out)
}

/// Does a word begin or end here?
fn is_edge(c: char) -> bool {
    c.is_whitespace() || ";&|()<>`\"'?{}".contains(c)
}

fn is_name(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '+'))
}

fn tells_secret(option: &str) -> bool {
    let lower = option.to_ascii_lowercase();
    CURL.contains(&option) || option.starts_with("--data") || SECRET.iter().any(|part| lower.contains(part))
}

/// Is this another option rather than a value? An octet string in Base64 may begin with one dash.
fn is_option(value: &str) -> bool {
    let word = value.split(is_edge).next().unwrap_or("");
    word.starts_with("--") || word.len() == 2 && word.starts_with('-')
}

/// How long a value is, in octets: up to the end of the word, or of the quote in which it stands.
fn value_len(value: &str, within: Option<char>) -> usize {
    let (mut quote, mut escaped) = (within, false);
    for (at, c) in value.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            _ if c == '\\' => escaped = true,
            Some(open) if c == open && within.is_some() => return at,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c.is_whitespace() || ";&|".contains(c) => return at,
            None => {}
        }
    }
    value.len()
}

/// `https://name:password@host` without the name and the password.
fn without_logins(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let host = after.find(|c: char| is_edge(c) || c == '/').unwrap_or(after.len());
        rest = after;
        if let Some(at) = after[..host].rfind('@') {
            out.push_str(BLANK);
            rest = &after[at..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        assert_eq!(blanked(line), expected, "{line}");
        assert_eq!(blanked(expected), expected, "twice");
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        check(
            "0 3 * * * CLOUDFLARE_DNS_API_TOKEN=abc lego --eab --kid 1 --hmac s3cret -d a.test renew",
            "0 3 * * * CLOUDFLARE_DNS_API_TOKEN=… lego --eab --kid 1 --hmac … -d a.test renew",
        );
        check("MAILTO=root", "MAILTO=…");
        check("A='x y' B=\"q 'r' s\" C=a\\ b lego renew", "A=… B=… C=… lego renew");
        check("env \"TOKEN=a b\" lego", "env \"TOKEN=…\" lego");
        check("sh -c 'cd /x; TOKEN=s lego renew'", "sh -c 'cd /x; TOKEN=… lego renew'");
        check("export CF_Token=\"abc\"; acme.sh --cron", "export CF_Token=…; acme.sh --cron");
        check("x --api-token=abc --Secret-Id \"a b\" renew", "x --api-token=… --Secret-Id \"…\" renew");
        check("x -password pass:abc --eab-hmac-key 'k' go", "x -password … --eab-hmac-key '…' go");
        check("x --hmac -Qz9_ go", "x --hmac … go");
        check(
            "lego renew && curl -u a:b https://h.test/?token=z",
            "lego renew && curl -u … https://h.test/?token=…",
        );
        check("curl --data-raw '{\"k\": 1}' x", "curl --data-raw '…' x");
        check("curl -H \"Authorization: Bearer z\" x", "curl -H \"…\" x");
        check("wget https://me:pw@h.test/x -O -", "wget https://…@h.test/x -O -");
        // What never closes hides the rest.
        check("TOKEN='abc def lego renew", "TOKEN=…");
        check("x --hmac", "x --hmac");
    }

    #[test]
    fn what_is_none_stays() {
        for line in [
            "0 */12 * * * root test -x /usr/bin/certbot -a \\! -d /run/systemd/system && certbot -q renew",
            "5 5 * * * /home/me/.acme.sh/acme.sh --cron > /dev/null 2>&1",
            "certbot renew --reuse-key --quiet --deploy-hook=\"systemctl reload nginx\"",
            "certbot renew --reuse-key -q",
            "perl -e 'sleep int(rand(43200))' && certbot -q renew",
            "größe — 日本 & x",
            "",
        ] {
            check(line, line);
        }
    }
}
