//! Who may do what: the one gate in front of every page, the API, the metrics.
//!
//! Being on loopback is no right: any page in any browser can send requests there. So the Host must be ours
//! (DNS rebinding), a foreign Origin is refused, and whatever changes state needs the token, or a session with
//! its CSRF token. The rules are a pure function over what a request says of itself; [`guard`] reads the request,
//! asks the store for the session, and dresses every answer in the security headers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use axum::middleware::Next;

use crate::app::App;
use crate::parts;
use crate::problem::Problem;
use crate::session::{COOKIE, csrf_of, same};

/// A request's body may have so many bytes.
pub(crate) const BODY_MAX: usize = 64 * 1024;

const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                   form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Who asks, for those who answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nobody in particular.
    #[default]
    Stranger,
    /// Whoever has the token.
    Token,
    /// A browser that was signed in; its CSRF token.
    Browser(String),
}

impl Caller {
    /// The CSRF token for the forms of a page, "" when there is nobody to sign them.
    pub(crate) fn csrf(&self) -> &str {
        match self {
            Self::Browser(csrf) => csrf,
            Self::Stranger | Self::Token => "",
        }
    }

    /// May it see what strangers may not?
    pub(crate) fn is_known(&self) -> bool {
        *self != Self::Stranger
    }

    /// How the audit trail calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Stranger => "a link",
            Self::Token => "token",
            Self::Browser(_) => "signed-in browser",
        }
    }
}

/// Marks an answer that is not to be compressed: what is secret in it could be guessed from its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uncompressed;

/// The names that we answer to, and what is free to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// Further hosts, in lower case, without port.
    pub(crate) hosts: Vec<String>,
    /// `host[:port]` of the public address, in lower case.
    pub(crate) public: Option<String>,
    pub(crate) open_reads: bool,
    pub(crate) status_public: bool,
}

/// What a request says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    /// The Host header, or the authority of an absolute request line. `None`: none, or several.
    pub(crate) host: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
    pub(crate) fetch_site: Option<&'a str>,
}

/// What the gate wants of the caller before a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Anyone may.
    Nothing,
    /// Token or session.
    Known,
    /// Token, or session and its CSRF token.
    Proof,
}

impl Rules {
    /// Looks at a request before anything of it is believed.
    pub(crate) fn look(&self, asked: &Asked<'_>) -> Result<Needs, Problem> {
        let host = asked.host.filter(|h| !h.is_empty()).map(str::to_ascii_lowercase);
        let Some(host) = host else {
            return Err(Problem::bad("The request has no single Host header."));
        };
        if !self.is_ours(&host) {
            let shown = notafter_pki::name::printable(&host);
            let misdirected = StatusCode::MISDIRECTED_REQUEST;
            return Err(Problem::new(
                misdirected,
                "This server does not go by that name.",
                format!("The request was for the host {shown}."),
            )
            .hint("set server.public_url, or add the name to server.hosts in notafter.toml"));
        }
        let reads = [Method::GET, Method::HEAD].contains(asked.method);
        let changes = [Method::POST, Method::PUT, Method::DELETE].contains(asked.method);
        if !reads && !changes {
            return Err(Problem::of_status(StatusCode::METHOD_NOT_ALLOWED));
        }
        let foreign = || {
            Problem::new(
                StatusCode::FORBIDDEN,
                "The request came from another site.",
                "A page of another site, or another port, may not ask here.",
            )
        };
        match asked.origin {
            // Our own forms say "null", because our pages ask for no referrer; a hidden frame of another site
            // says so too. The fetch metadata tells them apart, and where there is none the CSRF token does.
            None | Some("null") => {}
            Some(origin) if self.is_same(origin, &host) => {}
            Some(_) => return Err(foreign()),
        }
        if changes && !matches!(asked.fetch_site, None | Some("same-origin" | "none")) {
            return Err(foreign());
        }
        let own_secret = ["/ack/", "/sign-in/"].iter().any(|p| asked.path.starts_with(p));
        if own_secret {
            return Ok(Needs::Nothing);
        }
        if changes {
            return Ok(Needs::Proof);
        }
        let always = ["/healthz", "/readyz"].contains(&asked.path)
            || asked.path.starts_with("/assets/")
            // Calendar programs send no token: the link has a secret of its own, which opens this alone.
            || asked.path.starts_with("/calendar/")
            || (asked.path == "/status" && self.status_public);
        Ok(if self.open_reads || always { Needs::Nothing } else { Needs::Known })
    }

    fn is_ours(&self, host: &str) -> bool {
        let (name, port) = split(host);
        if port.is_some_and(|p| p.parse::<u16>().is_err()) {
            return false;
        }
        is_loopback(name)
            || self.hosts.iter().any(|h| h == name)
            || self.public.as_deref().is_some_and(|public| split(public).0 == name)
    }

    /// Is this origin the one the request was sent to, or the public one?
    fn is_same(&self, origin: &str, host: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let default = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return false,
        };
        let authority = authority.to_ascii_lowercase();
        let plain = |a: &str| a.strip_suffix(default).unwrap_or(a).to_owned();
        let authority = plain(&authority);
        authority == plain(host) || self.public.as_deref().is_some_and(|p| plain(p) == authority)
    }
}

/// `host`, `host:port`, `[::1]:port`: the name without brackets' outside, and the port.
fn split(host: &str) -> (&str, Option<&str>) {
    let end = host.rfind(']').unwrap_or(0);
    match host.get(end..).and_then(|rest| rest.find(':')) {
        Some(at) => (host.get(..end + at).unwrap_or(host), host.get(end + at + 1..)),
        None => (host, None),
    }
}

fn is_loopback(name: &str) -> bool {
    let six = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    name == "localhost"
        || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || six.and_then(|n| n.parse::<Ipv6Addr>().ok()).is_some_and(|ip| ip.is_loopback())
}

/// The authority of an address as the configuration has it: `https://certs.example.com:8443/x`.
pub(crate) fn authority_of(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    rest.split(['/', '?', '#']).next().filter(|a| !a.is_empty()).map(str::to_ascii_lowercase)
}

/// A header that stands there once.
fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    all.next().is_none().then(|| first.to_str().ok()).flatten()
}

/// The host a request is for: the request line's, where it names one, and the header's must not differ.
fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let header = single(headers, &header::HOST);
    match uri.authority() {
        Some(authority) => Some(authority.as_str()).filter(|a| header.is_none_or(|h| h == *a)),
        None => header,
    }
}

/// The value of our cookie.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = all.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// The gate: in front of everything, and behind everything.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let headers = request.headers().clone();
    let path = request.uri().path().to_owned();
    let answer = match admit(&app, request).await {
        Ok(request) => {
            let signed_in = matches!(request.extensions().get(), Some(Caller::Browser(_)));
            let mut answer = next.run(request).await;
            let secret = ["/ack/", "/sign-in/"].iter().any(|p| path.starts_with(p));
            if signed_in || secret {
                answer.extensions_mut().insert(Uncompressed);
            }
            answer
        }
        Err(problem) => {
            let mut answer = problem.answer(&headers, |p| app.problem_page(p));
            if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
                // RFC 9110 section 15.5.6 wants one, whoever said no.
                answer.headers_mut().insert(header::ALLOW, crate::api::allow(&path));
            }
            answer
        }
    };
    dress(&app, &headers, answer)
}

/// Lets a request in, with its [`Caller`] attached, or says why not.
async fn admit(app: &Arc<App>, mut request: Request) -> Result<Request, Problem> {
    let headers = request.headers();
    let asked = Asked {
        method: request.method(),
        path: request.uri().path(),
        host: host_of(request.uri(), headers),
        origin: headers.get(header::ORIGIN).map(|v| v.to_str().unwrap_or("?")),
        fetch_site: headers.get("sec-fetch-site").map(|v| v.to_str().unwrap_or("?")),
    };
    let needs = app.rules.look(&asked)?;
    let caller = caller(app, headers).await?;
    match (needs, &caller) {
        (Needs::Nothing, _) | (_, Caller::Token) | (Needs::Known, Caller::Browser(_)) => {}
        (Needs::Known | Needs::Proof, Caller::Stranger) => return Err(sign_in()),
        (Needs::Proof, Caller::Browser(csrf)) => {
            let csrf = csrf.clone();
            request = check_csrf(request, &csrf).await?;
        }
    }
    request.extensions_mut().insert(caller);
    Ok(request)
}

fn sign_in() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "Sign in first.",
        "This needs the access token, or a browser that was signed in.",
    )
    .hint("the terminal that started notafter serve shows a link that works once; programs send the token as Authorization: Bearer")
}

async fn caller(app: &Arc<App>, headers: &HeaderMap) -> Result<Caller, Problem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let token = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        // A wrong token is said, also where none is needed: else a script believes that its token works.
        return match token {
            Some((_, token)) if app.access.is_token(token.trim()) => Ok(Caller::Token),
            _ => Err(sign_in()),
        };
    }
    let Some(session) = cookie(headers).map(str::to_owned) else { return Ok(Caller::Stranger) };
    let csrf = csrf_of(&session);
    let access = Arc::clone(&app.access);
    let known = tokio::task::spawn_blocking(move || access.is_session(&session)).await;
    match known {
        Ok(Ok(true)) => Ok(Caller::Browser(csrf)),
        Ok(Ok(false)) => Ok(Caller::Stranger),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Problem::of_status(StatusCode::INTERNAL_SERVER_ERROR)),
    }
}

/// Reads the form for its `csrf`, or the header `X-CSRF-Token`, and puts the body back.
async fn check_csrf(request: Request, expected: &str) -> Result<Request, Problem> {
    let (head, body) = request.into_parts();
    let bytes =
        to_bytes(body, BODY_MAX).await.map_err(|_| Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE))?;
    let field = match parts::boundary(&head.headers) {
        Some(boundary) => parts::field(&parts::parts(&bytes, &boundary), "csrf"),
        // The token is hex: nothing in it is ever percent-encoded.
        None => bytes.split(|b| *b == b'&').find_map(|pair| pair.strip_prefix(b"csrf=")),
    };
    let given = head.headers.get("x-csrf-token").map(HeaderValue::as_bytes).or(field);
    if given.is_some_and(|given| same(given, expected.as_bytes())) {
        return Ok(Request::from_parts(head, Body::from(bytes)));
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "The form is not of this session.",
        "It was made before you signed in here, or by another page.",
    )
    .hint("load the page again and repeat it"))
}

/// Puts the security headers on an answer, and words on an answer that has none.
fn dress(app: &App, asked: &HeaderMap, mut answer: Response<Body>) -> Response<Body> {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let said = ["text/html", "application/problem+json", "application/json"];
    // The plain words of an extractor (4xx) are for programmers; those of a health check (5xx) are the answer.
    let has_words =
        said.iter().any(|k| kind.starts_with(k)) || (status.is_server_error() && !kind.is_empty());
    if (status.is_client_error() || status.is_server_error()) && !has_words {
        let allow = answer.headers().get(header::ALLOW).cloned();
        answer = Problem::of_status(status).answer(asked, |p| app.problem_page(p));
        if let Some(allow) = allow {
            answer.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(open_reads: bool) -> Rules {
        Rules {
            hosts: vec!["notafter.lan".into()],
            public: Some("certs.example.com".into()),
            open_reads,
            status_public: true,
        }
    }

    fn look(
        rules: &Rules,
        method: &Method,
        path: &str,
        host: &str,
        origin: &str,
        site: &str,
    ) -> Result<Needs, u16> {
        let some = |text| Some(text).filter(|t: &&str| !t.is_empty());
        let asked = Asked { method, path, host: some(host), origin: some(origin), fetch_site: some(site) };
        rules.look(&asked).map_err(|p| p.status.as_u16())
    }

    #[test]
    fn whose_host() {
        let rules = rules(true);
        for (host, expected) in [
            ("127.0.0.1:4747", true),
            ("127.9.9.9", true),
            ("[::1]:4747", true),
            ("[::1]", true),
            ("localhost:1", true),
            ("LOCALHOST", true),
            ("certs.example.com", true),
            ("certs.example.com:8443", true),
            ("notafter.lan:4747", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1@evil.example", false),
            ("2130706433", false),
            ("0x7f.1", false),
            ("[::ffff:127.0.0.1]", false),
            ("10.0.0.1:4747", false),
            ("localhost:x", false),
            ("localhost:4747:1", false),
        ] {
            let got = look(&rules, &Method::GET, "/", host, "", "");
            assert_eq!(got.is_ok(), expected, "{host}: {got:?}");
            assert!(expected || got == Err(421), "{host}");
        }
        assert_eq!(look(&rules, &Method::GET, "/", "", "", ""), Err(400));
    }

    #[test]
    fn whose_origin() {
        let rules = rules(true);
        let here = "localhost:4747";
        for (method, origin, site, expected) in [
            (Method::GET, "", "", true),
            (Method::GET, "", "cross-site", true), // a link in a mail
            (Method::GET, "http://localhost:4747", "", true),
            (Method::GET, "http://localhost:3000", "", false),
            (Method::GET, "https://evil.example", "cross-site", false),
            (Method::POST, "http://localhost:4747", "same-origin", true),
            (Method::POST, "https://certs.example.com", "", true),
            (Method::POST, "https://certs.example.com:443", "", true),
            (Method::POST, "null", "same-origin", true), // our own form under no-referrer
            (Method::POST, "null", "", true),            // the same over plain http; CSRF decides
            (Method::POST, "null", "cross-site", false),
            (Method::POST, "", "cross-site", false),
            (Method::POST, "", "same-site", false),
            (Method::POST, "http://localhost:3000", "same-site", false),
            (Method::POST, "http://localhost:4747.evil.example", "", false),
            (Method::POST, "file://", "", false),
        ] {
            let got = look(&rules, &method, "/views", here, origin, site);
            assert_eq!(got.is_ok(), expected, "{method} {origin} {site}");
            assert!(expected || got == Err(403));
        }
    }

    #[test]
    fn who_may_what() {
        use Needs::{Known, Nothing, Proof};
        for (method, path, open, closed) in [
            (Method::GET, "/", Nothing, Known),
            (Method::HEAD, "/inventory", Nothing, Known),
            (Method::GET, "/metrics", Nothing, Known),
            (Method::GET, "/api/v1/assets", Nothing, Known),
            (Method::GET, "/healthz", Nothing, Nothing),
            (Method::GET, "/readyz", Nothing, Nothing),
            (Method::GET, "/status", Nothing, Nothing),
            (Method::GET, "/assets/x/notafter.css", Nothing, Nothing),
            (Method::GET, "/calendar/web.ics", Nothing, Nothing),
            (Method::POST, "/calendar/web.ics", Proof, Proof),
            (Method::GET, "/ack/abc", Nothing, Nothing),
            (Method::POST, "/ack/abc", Nothing, Nothing),
            (Method::POST, "/sign-in/abc", Nothing, Nothing),
            (Method::POST, "/alerts/a1/acknowledge", Proof, Proof),
            (Method::POST, "/status", Proof, Proof),
            (Method::POST, "/healthz", Proof, Proof),
            (Method::PUT, "/api/v1/x", Proof, Proof),
            (Method::DELETE, "/api/v1/x", Proof, Proof),
            (Method::GET, "/healthzz", Nothing, Known),
            (Method::GET, "/ack", Nothing, Known),
        ] {
            for (is_open, expected) in [(true, open), (false, closed)] {
                let got = look(&rules(is_open), &method, path, "localhost", "", "");
                assert_eq!(got, Ok(expected), "{method} {path} {is_open}");
            }
        }
        for method in [Method::OPTIONS, Method::TRACE, Method::CONNECT, Method::PATCH] {
            assert_eq!(look(&rules(true), &method, "/", "localhost", "", ""), Err(405), "{method}");
        }
        let private = Rules { status_public: false, ..rules(false) };
        assert_eq!(look(&private, &Method::GET, "/status", "localhost", "", ""), Ok(Known));
    }

    #[test]
    fn cookies_and_authorities() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=1; notafter=ab12; b=2"));
        assert_eq!(cookie(&headers), Some("ab12"));
        assert_eq!(
            authority_of("https://Certs.example.com:8443/x").as_deref(),
            Some("certs.example.com:8443")
        );
        assert_eq!(authority_of("certs.example.com"), None);
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert_eq!(host_of(&Uri::from_static("/"), &headers), Some("localhost"));
        assert_eq!(host_of(&Uri::from_static("http://evil.example/"), &headers), None);
        headers.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert_eq!(host_of(&Uri::from_static("/"), &headers), None);
    }
}
