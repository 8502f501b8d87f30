"""Sample data for the preview: one invented house on 21 November 2026, with hostile and foreign names in it."""
import datetime as dt
import itertools
import random

NOW = dt.datetime(2026, 11, 21, 15, 4, tzinfo=dt.timezone.utc)
HOSTILE = "<img src=x onerror=alert(1)>"
BIDI = "invoice-\u202egpj.exe.example.com"
SHOWN = "invoice-\\u{202e}gpj.exe.example.com"  # what pki::name::printable makes of it
LONG = "a-very-long-name-that-someone-generated-" + "x1f9-" * 28 + "edge.example.com"


COUNT = itertools.count(1)


def name(full):
    if len(full) <= 28:
        return {"full": full, "head": full, "tail": ""}
    cut = min(16, len(full) // 3)
    return {"full": full, "head": full[:-cut], "tail": full[-cut:]}


def day(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.timezone.utc)


def stamp(words, iso=""):
    return {"words": words, "iso": iso or "2026-11-21T15:00:00Z"}


def when(text):
    d = day(text)
    return stamp(f"{d.day} {d:%b %Y}", d.isoformat().replace("+00:00", "Z"))


def link(words="", href=""):
    return {"words": words, "href": href}


def chip(words, href="/inventory", on=False, count="", title=""):
    return {"words": words, "href": href, "on": on, "count": count, "title": title}


def row(number, unit, tone, full, owner, words, todo, todo_tone="plain", auto=False, href="/asset.html"):
    return {"left": {"number": number, "unit": unit, "tone": tone}, "name": name(full), "href": href, "owner": owner,
            "place_words": words, "todo": {"words": todo, "tone": todo_tone, "auto": auto}, "copy": "sha256:7f3a91c2" + "0" * 52 + "e04b"}


PAGES = [("/today.html", "Today"), ("/inventory.html", "Inventory"), ("/findings.html", "Findings"), ("/forecast.html", "Forecast"),
         ("/sources.html", "Sources"), ("/alerts.html", "Alerts"), ("/status.html", "Status")]


def frame(title, here="", query="", banners=(), signed_in=False, refresh=0, freshness=None, alerts="2"):
    return {
        "title": title, "query": query, "refresh_seconds": refresh, "signed_in": signed_in,
        "csrf": "b3f1c2" if signed_in else "", "assets": "assets", "version": "0.2.0",
        "as_of": stamp("21 Nov 2026, 15:04 UTC", "2026-11-21T15:04:00Z"), "banners": list(banners),
        "nav": [{"href": h, "words": w, "here": w == (here or title), "count": alerts if w == "Alerts" else "", "count_title": "nobody has acknowledged these"} for h, w in PAGES],
        "freshness": freshness if freshness is not None else [
            {"tone": "proven", "words": "1,204 places looked at 4 min ago", "href": "/sources.html"},
            {"tone": "stale", "words": "3 sources stale, 41 places not seen", "href": "/sources.html"}],
    }


def banner(tone, title, text, href="", words=""):
    return {"tone": tone, "title": title, "text": text, "href": href, "link": words}


STALE = banner("stale", "3 sources are stale.", "What they would show is not known: agent dc2 has been silent since Thursday 06:12.", "/sources.html", "Which, and why")
NOBODY = banner("now", "No channel is set up.", "Alerts reach only this page and the log.", "/sources.html", "How to set one up")
UNDELIVERED = banner("now", "2 alerts were not delivered.", "smtp.example.com:587 refuses the password since 14:02.", "/alerts.html", "See them")
CLOCK = banner("soon", "The clock jumped 61 days ahead at 14:58.", "Nothing is sent until two time sources agree.")
READONLY = banner("now", "The database is read-only: no space left on the disk.", "Looking goes on; nothing new is remembered.")

ROWS = [
    row("3", "days", "now", "idp-signing.example.com", "Identity", "token signer · 1 place, on no port · everyone signs in through it", "nobody has acknowledged; goes to J. Adeyemi at 16:00", "now"),
    row("9", "days", "now", "*.svc.example.com", "", "15 places: 12 ports, 3 files · wildcard, private CA", "nobody renews it", "now"),
    row("12", "days", "soon", "smtp.example.com", "Mail", "smtp://mail.example.com:25 and 2 more", "acknowledged by M. Okafor, due Thu 3 Dec"),
    row("14", "days", "soon", HOSTILE, "Web", "tls://10.0.3.77:8443 · self-signed, CN only", "replace it by hand", "soon"),
    row("19", "days", "plain", "api.example.com", "Web", "6 places · Let's Encrypt, certbot on web-2", "renews itself about 25 Nov", "plain", True),
    row("22", "days", "soon", "shop.example.com", "Web", "1 of 3 ports serves the old one; the new file is on disk since 03:12", "reload nginx on web-3", "soon"),
    row("31", "days", "plain", "example.org", "Platform", "domain registration · the registrar says it renews", "renews itself about 22 Dec", "plain", True),
    row("38", "days", "plain", LONG, "Edge", "tls://10.0.9.4:443 · 41 names", "renews itself about 9 Dec", "plain", True),
    row("44", "days", "plain", "пошта.example.ua", "Mail", "imap://mail-ua:143", "renews itself about 16 Dec", "plain", True),
    row("–", "unseen", "stale", "vpn.dc2.example.com", "Network", "not seen since Thu 19 Nov: agent dc2 is silent", "ended 3 Dec when last seen", "stale"),
]


def quiet_merged(weeks):
    """Weeks in which only renewals by themselves fall are one line."""
    out = []
    for w in weeks:
        if out and not (w["act"] or w["note"] or out[-1]["act"] or out[-1]["note"]):
            many = lambda t: int(t.split()[0]) if t else 0
            out[-1] |= {"words": out[-1]["words"].split(" – ")[0] + " – " + w["words"].split(" – ")[1], "auto": f"{many(out[-1]['auto']) + many(w['auto'])} renew"}
        else:
            out.append(dict(w))
    return out


def horizon():
    rnd = random.Random(4)
    base, days = 150, 120
    x = lambda d: d / days * 98 + 1
    pins = []
    def pin(d, many, places, act, tone, title):
        pins.append({"x": x(d), "y": base - 16 - int(min(many, 42) ** .62 * 9.5), "r": min(11, 3.2 + places ** .5 * .95), "act": act, "tone": tone,
                     "title": title, "href": f"/inventory.html?day={d}"})
    for d in range(5, 120):
        if rnd.random() < .46 and d != 79:
            n = rnd.choice([1, 1, 1, 2, 2, 3, 5, 9])
            pin(d, n, n * rnd.choice([1, 2, 3]), False, "plain", f"in {d} days: {n} renew by themselves")
    pin(79, 40, 58, False, "plain", "9 Feb 2027: 40 renew by themselves in 58 places, one CA account, one DNS token")
    for d, n, p, tone, t in [(3, 1, 1, "now", "24 Nov: idp-signing.example.com, 1 place"), (9, 1, 15, "now", "30 Nov: *.svc.example.com, 15 places, nobody renews it"),
                             (12, 1, 3, "soon", "3 Dec: smtp.example.com, 3 places"), (22, 1, 4, "soon", "13 Dec: shop.example.com"), (31, 2, 4, "plain", "22 Dec: 2 to renew by hand, in the freeze"),
                             (84, 1, 2, "plain", "13 Feb: partner-edi.example.net"), (103, 3, 5, "plain", "4 Mar: 3 to renew by hand")]:
        pin(d, n + 2, p, True, tone, t)
    get = lambda d, act: [p for p in pins if abs(p["x"] - x(d)) < .01 and p["act"] == act][0]
    def label(d, act, who, words):
        p = get(d, act)
        return {"x": p["x"], "y": p["y"] - 6, "dx": int(p["r"]) + 7, "anchor": "", "name": who, "words": words}
    labels = [label(9, True, "*.svc.example.com", "15 places, nobody renews it"), label(79, False, "40 on one Tuesday", "one CA account, one DNS token")]
    labels[0]["y"] = 66
    get(9, True)["y"] = 72
    weeks = []
    notes = {0: "idp-signing.example.com", 1: "*.svc.example.com, smtp.example.com", 3: "shop.example.com · freeze from 15 Dec", 4: "inside the year-end freeze", 11: "40 on Tue 9 Feb: one CA account, one DNS token", 16: "from 15 Mar: at most 100 days"}
    acts = {0: ("1 to do", "now"), 1: ("2 to do", "now"), 3: ("1 to do", "soon"), 4: ("2 to do", "plain"), 12: ("1 to do", "plain"), 14: ("3 to do", "plain")}
    for w in range(17):
        a = NOW + dt.timedelta(days=7 * w)
        b = a + dt.timedelta(days=6)
        n = sum(1 for p in pins if not p["act"] and w * 7 <= (p["x"] - 1) / 98 * days < w * 7 + 7)
        weeks.append({"words": f"{a.day} {a:%b} – {b.day} {b:%b}", "href": "/inventory.html", "act": acts.get(w, ("", ""))[0],
                      "tone": acts.get(w, ("", "plain"))[1], "auto": f"{n * 2 + (38 if w == 11 else 0)} renew" if n else "", "note": notes.get(w, "")})
    ticks = [{"x": x(d), "label": t, "anchor": a, "minor": False} for d, t, a in
             [(0, "today", ""), (30, "21 Dec", "middle"), (60, "20 Jan", "middle"), (90, "19 Feb", "middle"), (120, "21 Mar", "end")]]
    return {"title": "The next 120 days", "alternative": "Time line of the next 120 days: 10 on which a person must act, 171 that renew by themselves; the list below says the same",
            "height": 178, "base": base,
            "bands": [{"x": x(24), "width": x(45) - x(24), "label": "year-end freeze, 15 Dec to 5 Jan", "title": "Nobody changes anything from 15 Dec to 5 Jan: year-end freeze"}],
            "rules": [{"x": x(114), "label": "15 Mar 2027: 100-day limit", "title": "From 15 Mar 2027 public CAs may issue for at most 100 days (CA/Browser Forum SC-081v3)", "anchor": "end", "dx": -6}],
            "ticks": ticks, "pins": pins, "labels": labels, "weeks": quiet_merged(weeks)}


BARS = [{"label": "owned", "percent": 91, "words": "1,703 of 1,871 have an owner", "href": "/inventory.html"},
        {"label": "automated", "percent": 84, "words": "1,572 renew without a person", "href": "/inventory.html"},
        {"label": "proven", "percent": 79, "words": "1,478 seen working since their last renewal", "href": "/inventory.html"},
        {"label": "reached", "percent": 98, "words": "3,371 of 3,412 places, within their interval", "href": "/sources.html"}]


def today(**extra):
    view = {
        "frame": frame("Today", **extra),
        "headline": "Two things will break before 1 December, and one of them has no owner.",
        "subline": "1,871 assets in 3,412 places, of which 41 could not be seen · 1,572 renew by themselves · judged 21 Nov 2026, 15:04 UTC",
        "horizon": horizon(), "lapses": ROWS, "lapses_more": link("all 37 within 60 days", "/inventory.html"), "lapses_none": "Nothing that was seen lapses in the next 60 days.",
        "news": [
            {"tone": "now", "kind": "renewed-not-loaded", "words": "shop.example.com on web-3", "full": "shop.example.com", "href": "/asset.html", "detail": "serves 7f3a… until 13 Dec; the file holds a1:09… until 19 Feb"},
            {"tone": "soon", "kind": "unmonitored-endpoint", "words": "beta.example.com:8443", "full": "beta.example.com:8443", "href": "/asset.html", "detail": "in the CT log since 06:40, in no list of ours"},
            {"tone": "plain", "kind": "renewal-changed", "words": "partner-api: client authentication is gone", "full": "partner-api.example.net", "href": "/asset.html", "detail": "the partner at edi.example.net demands it"},
            {"tone": "soon", "kind": "name-mismatch", "words": BIDI, "full": BIDI, "href": "/asset.html", "detail": "served at tls://10.0.3.80:443"}],
        "news_more": link("all 6", "/findings.html"), "news_none": "Nothing new since yesterday, as far as could be seen.",
        "blind": [{"words": "37 keystores without a password", "detail": "/opt/app on 4 hosts", "href": "/sources.html"},
                  {"words": "10.8.0.0/22 unreachable since Thursday", "detail": "agent dc2 is silent", "href": "/sources.html"},
                  {"words": "2 registries publish no date", "detail": "enter it by hand", "href": "/sources.html"}],
        "blind_more": link("all 41 places", "/sources.html"), "blind_none": "Every place was seen within its interval.", "progress": BARS}
    return view


def starting():
    look = lambda words, detail, tone="plain", busy=False: {"words": words, "detail": detail, "tone": tone, "busy": busy}
    return {
        "frame": frame("Today", refresh=2, freshness=[{"tone": "plain", "words": "first look, 4 s so far", "href": "/sources.html"}], alerts="", banners=[banner("soon", "No channel is set up.", "Alerts reach only this page and the log.", "/sources.html", "How to set one up")]),
        "headline": "Looking for the first time: 14 certificates so far, one of them lapses within 30 days.",
        "subline": "Nothing here is complete yet. This page loads itself again every 2 seconds until the first look is done.",
        "so_far": "14 assets in 19 places",
        "lapses": [row("11", "days", "soon", "intranet.example.com", "", "file:///etc/nginx/tls/intranet.pem and localhost:443", "nobody is known to renew it", "soon"),
                   row("64", "days", "plain", "mail.example.com", "", "file:///etc/letsencrypt/live/mail/fullchain.pem", "certbot.timer is active", "plain", True),
                   row("2", "years", "plain", "snakeoil", "", "file:///etc/ssl/certs/ssl-cert-snakeoil.pem", "nothing was seen to use it", "stale")],
        "lapses_none": "Nothing yet.",
        "looking": [look("Ports of this machine", "done: 9 open, 4 speak TLS"), look("/etc/ssl, /etc/pki", "done: 2 own certificates; 142 roots of the system left aside"),
                    look("/etc/letsencrypt, /etc/nginx, /etc/postfix", "1,240 files read", "plain", True), look("/var/lib, /opt", "waiting", "stale")],
        "steps": [{"words": "Watch a host that matters", "detail": "", "command": "notafter watch www.example.com --notify mail:you@example.com"},
                  {"words": "Sign in here", "detail": "The terminal that started Notafter shows a link that works once.", "command": ""},
                  {"words": "Write a configuration", "detail": "Every line is explained in it.", "command": "notafter config init"}]}


def inventory(error=False):
    issuers = {"a": "R11, Let's Encrypt", "b": "Example Internal Issuing CA 2, Example GmbH"}
    rows = []
    for n, r in enumerate(ROWS):
        rows.append({k: r[k] for k in ("left", "name", "href", "owner", "place_words", "todo", "copy")} | {
            "kind": "domain" if r["name"]["full"] == "example.org" else "certificate", "ends": when(f"2026-12-{n + 3:02}"),
            "issuer_name": name(issuers["b" if n in (1, 3, 9) else "a"]), "key": "RSA 2048" if n % 3 == 1 else "ECDSA P-256"})
    query = "expires<60d" if not error else "expire<60d"
    return {
        "frame": frame("Inventory", query=query, signed_in=True, banners=[STALE]),
        "headline": "37 assets lapse within 60 days; 4 of them need a person.",
        "subline": "Out of 1,871. 41 places could not be seen, so there may be more.",
        "query_error": "`expire` is not known." if error else "", "query_hint": "Did you mean `expires`?" if error else "",
        "examples": [chip(q, title=t) for q, t in [("expires<30d owner:none", "lapses within 30 days and nobody answers for it"), ("issuer:\"Let's Encrypt\"", ""), ("name:*.example.com", ""), ("location:10.0.0.0/24", ""), ("path:/etc/nginx/**", ""), ("kind:crl", ""), ("finding:key-exposed", ""), ("is:unseen", "")]],
        "chips": [chip("expired", count="3"), chip("within 30 days", count="12"), chip("within 60 days", on=True, count="37"), chip("no owner", count="168"), chip("by hand", count="299"), chip("not seen", count="41"), chip("certificates", count="1,820"), chip("domains", count="23"), chip("revocation lists", count="6")],
        "views": [chip("Monday meeting", title="expires<60d"), chip("Partner EDI", title="name:*.edi.example.net")],
        "count": "37 assets", "coverage": "3,371 of 3,412 places seen",
        "exports": [{"words": w, "href": "/export", "download": True} for w in ("CSV", "XLSX", "JSON")] + [{"words": "iCalendar", "href": "/export", "download": True}],
        "rows": rows, "rows_none": "Nothing matches. 41 places could not be seen, so this is not proof that there is nothing.",
        "pager": {"before": "", "after": "/inventory.html?after=x", "words": "10 of 37"}, "can_save": True}


def finding(kind="renewed-not-loaded", severity="warning", tone="soon", who="shop.example.com", owner="Web", summary=None, hint=None, places="tls://10.0.3.13:443?sni=shop.example.com"):
    return {"id": f"fbecc843{next(COUNT):08x}", "kind": kind, "kind_href": "/findings.html", "severity": severity, "tone": tone, "name": name(who), "href": "/asset.html", "owner": owner,
            "summary": summary or "web-3 still serves the old certificate; the new one lies on its disk since 03:12.", "hint": hint or "Reload nginx on web-3: systemctl reload nginx.", "breaks": "15 servers on 15 hosts; shop.example.com; service shop. Mending takes minutes (F0, a reload or a switch)", "place_words": places, "when": "22 days left · first seen today, 03:40"}


def deliveries(bad=False):
    out = [{"to": "web@example.com", "channel": "mail", "event": "alert", "at": stamp("20 Nov, 03:41"), "state": "delivered: 250 queued as 4C1F", "tone": "plain"},
           {"to": "web@example.com", "channel": "mail", "event": "reminder", "at": stamp("today, 09:00"), "state": "delivered: 250 queued as 51A0", "tone": "plain"}]
    if bad:
        out.append({"to": "platform@example.com", "channel": "mail", "event": "escalation", "at": stamp("today, 14:02"), "state": "not delivered, 4 tries: 535 authentication failed. Next try 15:17", "tone": "now"})
    return out


def alert(ident, r, state, tone, summary, step, nxt, can=True, bad=False, told=None):
    d = deliveries(bad)
    return {"id": ident, "row": [r], "state": state, "tone": tone, "summary": summary, "hint": "Renew it, install it at every place listed, and look again", "breaks": "15 servers on 15 hosts; shop.example.com; service shop. Mending takes minutes (F0, a reload or a switch)", "step": step, "next": nxt, "told": told or ("3 messages, 1 not delivered" if bad else "2 messages, all delivered"), "trouble": bad,
            "deliveries": [] if told else d, "can_act": can, "snooze_earliest": "2026-11-22", "snooze_latest": "2026-11-23" if ident == "a17" else "2026-11-29" if ident == "a15" else "2026-12-12", "snooze_latest_words": "23 Nov" if ident == "a17" else "29 Nov" if ident == "a15" else "12 Dec", "command": f"notafter ack {ident}"}


ALERTS = [
    alert("a17", ROWS[0], "Open for 6 h", "now", "The certificate that signs tokens expires; every sign-in fails then.", "step 4 of 4: 3 days left", "goes to J. Adeyemi at 16:00 if nobody acknowledges", bad=True),
    alert("a15", ROWS[1], "Open for 2 days", "now", "One certificate in 15 places expires and nothing is known to renew it.", "step 3 of 4: critical, 9 days left", "goes to Platform at 17:30 if nobody acknowledges", told="Nobody was told: no channel is set up for the owner of last resort"),
    alert("a12", ROWS[2], "Acknowledged by M. Okafor on 19 Nov: “new one is ordered”", "plain", "The mail server's certificate expires.", "step 2 of 4: 14 days left", "asked again on 28 Nov if it is still there", can=False)]


def asset(hostile=False):
    title = HOSTILE if hostile else "shop.example.com"
    def point(x, label, title_, anchor="middle", above=False, strong=False, cls="axis", dx=0):
        return {"x": x, "class": cls, "y1": 34 if above else 40, "y2": 60 if above else 70, "y": 26 if above else 86, "label": label, "anchor": anchor, "dx": dx, "strong": strong, "title": title_}
    def place(loc, shows, words, tone, looked, proof, ptone, stale=False):
        return {"name": name(loc), "href": "/place.html", "stale": stale, "shows": shows, "shows_words": words, "shows_tone": tone, "looked": stamp(looked), "proof": proof, "proof_tone": ptone}
    def kin(full, words, label="", cls="", tone="", href="/asset.html"):
        return {"name": name(full), "href": href, "label": label, "words": words, "class": cls, "tone": tone}
    return {
        "frame": frame(title, here="Inventory", signed_in=not hostile), "kind": "certificate", "owner": "" if hostile else "Web", "owner_href": "/inventory.html",
        "id": "sha256:7f3a91c2" + "4" * 52 + "e04b", "id_short": "sha256:7f3a91c2…e04b", "name": name(LONG if hostile else title),
        "subline": f"Issued by {HOSTILE} · RSA 1024 · nobody renews it" if hostile else "Let's Encrypt R11 · ECDSA P-256 · renewed by certbot on web-2 · superseded by a1:09…, which one place does not serve yet",
        "causes": [{"tone": "now" if hostile else "soon", "severity": "critical" if hostile else "warning", "kind": "renewed-not-loaded", "summary": "web-3 still serves the old certificate; the new one lies on its disk since 03:12." if not hostile else f"{HOSTILE} is served under the name {SHOWN}.",
                    "hint": "Reload nginx there. The process started on 11 May and has not read the file since.", "breaks": "15 servers on 15 hosts; shop.example.com; service shop. Mending takes minutes (F0, a reload or a switch)", "command": "systemctl reload nginx"}],
        "life": {"words": "90 days, 22 left", "alternative": "Issued 14 Sep 2026, successor 20 Nov, today 21 Nov, ends 13 Dec 2026", "passed": 75.6,
                 "steps": [{"x": 66.7, "tone": "", "title": "planned renewal: 30 days left"}, {"x": 77.8, "tone": "soon", "title": "warning: 20 days left"}, {"x": 90, "tone": "now", "title": "critical: 9 days left"}, {"x": 95.6, "tone": "now", "title": "every day: 4 days left"}],
                 "points": [point(0, "issued 14 Sep", "issued 14 Sep 2026", ""), point(74.4, "successor 20 Nov", "successor a1:09… issued 20 Nov 2026", "end", True, dx=-4), point(75.6, "today, 22 days left", "today, 21 Nov 2026: 22 days left", "middle", False, True, "today"), point(100, "ends 13 Dec", "ends 13 Dec 2026, 03:12 UTC", "end")]},
        "places": [place("tls://10.0.3.11:443?sni=shop.example.com", "a1:09…", "the new one", "plain", "4 min ago", "possession verified", "proven"), place("tls://10.0.3.12:443?sni=shop.example.com", "a1:09…", "the new one", "plain", "4 min ago", "possession verified", "proven"),
                   place("tls://10.0.3.13:443?sni=shop.example.com", "7f3a…", "this one, old", "now", "4 min ago", "possession verified", "proven"), place("file:///srv/web-3/etc/nginx/tls/shop.pem#1", "a1:09…", "the new one", "plain", "11 min ago", "key file beside it fits", "plain"),
                   place("tls://10.8.0.40:443?sni=shop.example.com", "7f3a…", "when last seen", "stale", "Thu 19 Nov", "unseen since 19 Nov: timeout", "stale", True)],
        "places_words": "5 places, 1 of them not seen since Thursday", "places_more": link(),
        "findings": [finding(), finding("chain-incomplete", "warning", "soon", summary="tls://10.0.3.12:443 does not send the intermediate R11.", hint="Use fullchain.pem in ssl_certificate.", places="tls://10.0.3.12:443?sni=shop.example.com"),
                     finding("name-mismatch", "info", "plain", who=BIDI, owner="", summary=f"Served under {SHOWN}, which is none of its names.", hint="Ask who pointed that name here.")],
        "findings_words": "3 open", "findings_none": "None is open.",
        "alerts": [alert("a19", ROWS[5], "Open for 11 h", "now", "One of three ports serves the old certificate.", "step 1 of 4: seen", "reminder on 30 Nov if nobody acknowledges")], "alerts_none": "None was ever sent.",
        "chains": [{"words": "by tls://10.0.3.11:443?sni=shop.example.com and 11 more", "links": [kin(title, "until 13 Dec 2026", cls="this"), kin("R11, Let's Encrypt", "until 12 Mar 2027 · not sent by one place", tone="soon"), kin("ISRG Root X1", "in every store, until 4 Jun 2035 · not sent, as it should be", cls="off")]}], "chains_more": "",
        "line": [kin("a1:09…", "20 Nov 2026 to 18 Feb 2027", "newest"), kin("7f3a…", "14 Sep to 13 Dec 2026", "this one", "this"), kin("c4:77…", "16 Jul to 14 Oct 2026"), kin("", "on 2 Nov 2024, 04:00 to 07:00 UTC", "lapsed for 3 hours", "bad", "now", ""), kin("19:e2…", "4 Aug to 2 Nov 2024")], "line_words": "11 since 2024, 1 lapse",
        "facts": [{"label": l, "value": v, "code": c} for l, v, c in [("Subject", "CN=shop.example.com" if not hostile else f"CN={HOSTILE}", False), ("Names", "shop.example.com, www.shop.example.com, " + SHOWN, False), ("Issuer name", "CN=R11,O=Let's Encrypt,C=US", False), ("Not before", "2026-09-14T03:12:41Z", False), ("Not after", "2026-12-13T03:12:40Z", False),
                  ("Serial", "04ab5e77c0ffee2291", True), ("SHA-256", "7f3a91c2" + "4" * 52 + "e04b", True), ("Key", "ECDSA P-256", False), ("Key id", "sha256:91aa" + "7" * 60, True), ("Signature", "sha256WithRSAEncryption", False), ("Purposes", "serverAuth", False)]],
        "problems_words": "1 oddity in its encoding", "problems": ["serial-too-long: the serial has 21 octets (RFC 5280 4.1.2.2)"] if hostile else [],
        "history": [{"words": w, "at": stamp(a), "by": b, "tone": t} for w, a, b, t in [("Alert a19 sent to web@example.com", "today, 03:41", "", "plain"), ("renewed-not-loaded found at tls://10.0.3.13:443", "today, 03:40", "source web ports", "now"), ("Superseded by a1:09…", "20 Nov, 03:12", "certbot on web-2", "plain"), ("Owner set to Web", "15 Sep, 10:02", "rule name:*.example.com", "plain"), ("First seen at tls://10.0.3.11:443", "14 Sep, 03:40", "source web ports", "plain")]]}


def place(unseen=False):
    loc = "tls://10.8.0.40:443?sni=vpn.dc2.example.com" if unseen else "tls://10.0.3.13:443?sni=shop.example.com"
    span = lambda x, w, lane, tone, title: {"x": x, "width": w, "y": lane, "tone": tone, "title": title}
    interval = lambda short, who, a, b, then, tone="": {"name": name(who), "href": "/asset.html" if short else "", "short": short, "copy": "sha256:" + short if short else "", "from": when(a), "until": when(b), "then": then, "tone": tone}
    return {
        "frame": frame(loc, here="Inventory", signed_in=not unseen), "kind": "TLS port, seen from this host", "owner": "Web", "owner_href": "/inventory.html", "name": name(loc),
        "subline": "Not seen since Thursday 19 Nov, 06:12. What stands below is what it showed then." if unseen else "Looked at 4 min ago; next look in 56 min", "seen_tone": "stale" if unseen else "plain",
        "unseen": [{"tone": "stale", "reason": "timeout", "words": "Nothing answered in 5 s, at 51 looks in a row.", "detail": "agent dc2: connect to 10.8.0.40 port 443 timed out. Unreachable is not gone: after 7 days its owner is asked."}] if unseen else [],
        "causes": [] if unseen else [{"tone": "soon", "severity": "warning", "kind": "renewed-not-loaded", "summary": "It serves the old certificate; the new one lies on its disk since 03:12.", "hint": "Reload nginx on web-3.", "command": "systemctl reload nginx"}],
        "now_title": "Showed when last seen, 19 Nov" if unseen else "Shows now",
        "shows": [row("–", "unseen", "stale", "vpn.dc2.example.com", "Network", "leaf · sha256:55d0… · ended 3 Dec", "ask the owner of dc2", "stale")] if unseen else [row("22", "days", "soon", "shop.example.com", "Web", "leaf · sha256:7f3a… · until 13 Dec 2026 · possession verified", "reload nginx on web-3", "soon"), row("111", "days", "plain", "R11, Let's Encrypt", "Web", "intermediate · until 12 Mar 2027", "changes with the next renewal", "plain", True)],
        "shows_none": "Nothing was ever seen here.",
        "before_none": "",
        "timeline": {"words": "one row for each asset, 12 months", "alternative": "Four certificates since January 2026, not seen for 2 days in May", "height": 92, "base": 70,
                     "ticks": [{"x": x, "label": l, "anchor": a, "minor": False} for x, l, a in [(0, "Dec 2025", ""), (25, "Mar", "middle"), (50, "Jun", "middle"), (75, "Sep", "middle"), (100, "today", "end")]],
                     "spans": [span(0, 17, 50, "plain", "19:e2… until 2 Feb"), span(17, 26, 34, "plain", "88:1c… 2 Feb to 3 May"), span(43, .8, 34, "gap", "not seen 3 to 5 May"), span(43.8, 30, 18, "plain", "c4:77… until 14 Sep"), span(73.8, 26.2, 2, "soon", "7f3a… since 14 Sep")]},
        "intervals": [interval("7f3a…", "shop.example.com", "2026-09-14", "2026-11-21", "still there, superseded elsewhere", "soon"), interval("c4:77…", "shop.example.com", "2026-05-05", "2026-09-14", "renewed 30 days before its end"), interval("", "not seen", "2026-05-03", "2026-05-05", "refused", "stale"), interval("88:1c…", "shop.example.com", "2026-02-02", "2026-05-03", "renewed 2 days before its end"), interval("19:e2…", HOSTILE, "2025-12-01", "2026-02-02", "lapsed for 3 hours", "now")],
        "findings": [] if unseen else [finding()], "findings_words": "1 open", "findings_none": "None is open.",
        "facts": [{"label": l, "value": v, "code": c} for l, v, c in [("Protocol", "TLSv1.3", False), ("Possession", "verified", False), ("Asks for client certificates from", "no CA", False), ("Process", "nginx, pid 812, nginx.service", False), ("File", "file:///srv/web-3/etc/nginx/tls/shop.pem", True), ("Vantage", "this host", False), ("Source", "web ports", False)]],
        "history": [{"words": w, "at": stamp(a), "by": b, "tone": t} for w, a, b, t in [("renewed-not-loaded", "today, 03:40", "source web ports", "now"), ("nginx started", "11 May, 08:00", "process list", "plain"), ("First seen", "1 Dec 2025", "source web ports", "plain")]],
        "retire": {"title": "Is it gone for good?", "words": "Retiring ends its alerts. It is written into the audit, listed, and undone by the next sighting.", "can": True, "action": "/places/retire", "command": "notafter retire 'tls://10.0.3.13:443?sni=shop.example.com' --reason '…'"}}


def findings():
    group = lambda sev, tone, kind, doc, count, items, more=link(): {"severity": sev, "tone": tone, "kind": kind, "doc": doc, "count": count, "findings": items, "more": more}
    return {"frame": frame("Findings", banners=[UNDELIVERED, CLOCK]), "headline": "61 findings are open: 3 critical, 19 warnings, 39 to know of.", "subline": "6 are new since yesterday. Judged on 3,371 of 3,412 places.",
            "filters": [{"label": "severity", "chips": [chip("all", on=True, count="61"), chip("critical", count="3"), chip("warning", count="19"), chip("info", count="39")]}, {"label": "owner", "chips": [chip("all", on=True), chip("Web", count="22"), chip("Identity", count="2"), chip("none", count="14")]},
                        {"label": "kind", "chips": [chip("all", on=True)] + [chip(k, count=c) for k, c in [("expires-soon", "12"), ("key-exposed", "9"), ("chain-incomplete", "6"), ("renewed-not-loaded", "1"), ("cannot-read", "37")]]}],
            "groups": [group("warning", "soon", "renewed-not-loaded", "The file has a newer certificate than the endpoint serves: it was not reloaded.", "1", [finding()]),
                       group("critical", "now", "token-signer-expires", "The key or certificate that signs tokens expires.", "2", [finding("token-signer-expires", "critical", "now", who="idp-signing.example.com", owner="Identity", summary="The certificate that signs tokens expires on 24 Nov; every sign-in fails then.", hint="Publish the next signing key in the metadata now; partners need a day to read it.", places="https://idp.example.com/metadata"), finding("token-signer-expires", "critical", "now", who=HOSTILE, owner="", summary=f"{HOSTILE} expires.", hint=f"Look at {LONG}.", places="file:///etc/x")]),
                       group("warning", "soon", "key-exposed", "A private key can be read by others.", "9", [finding("key-exposed", "warning", "soon", who=LONG, owner="Edge", summary="/srv/keys/edge.key can be read by every user (mode 0644).", hint="chmod 600 /srv/keys/edge.key, then replace the key: it may have been copied.", places="9 places on 4 hosts")], link("8 more", "/findings.html")),
                       group("info", "plain", "cannot-read", "Something that should be readable is not, so nothing is known about it.", "37", [finding("cannot-read", "info", "stale", who="", owner="Platform", summary="37 keystores in /opt/app do not open: no password is known.", hint="Name a file with passwords in the source: password_file.", places="37 places on 4 hosts")])],
            "groups_none": "Nothing is wrong in what was seen."}


def forecast():
    rnd = random.Random(8)
    base, height, scale = 176, 200, 2.6
    bars = []
    for w in range(57):
        a = NOW + dt.timedelta(days=7 * w)
        auto, act = rnd.randint(8, 30) + (30 if w == 11 else 0), rnd.choice([0, 0, 1, 1, 2, 3, 6])
        if w == 0: act = 1
        ah, oh = int(act * scale), int(auto * scale)
        bars.append({"x": 3 + w * 97 / 57, "width": 97 / 57 * .72, "act_y": base - ah, "act_height": ah, "auto_y": base - ah - oh, "auto_height": oh, "tone": "now" if w < 2 else "soon" if w < 4 else "plain",
                     "title": f"Week of {a.day} {a:%b}: {act} to do, {auto} renew", "href": "/inventory.html", "words": f"{a.day} {a:%b %Y}", "act": act, "auto": auto, "note": "year-end freeze" if w in (4, 5) else "40 on one Tuesday: one CA account" if w == 11 else ""})
    x = lambda d: 3 + d / 400 * 97
    rule = lambda d, l, t, anchor="", dx=5: {"x": x(d), "label": l, "title": t, "anchor": anchor, "dx": dx}
    return {"frame": frame("Forecast"), "headline": "400 days bring 1,140 renewals; 71 of them wait for a person.", "subline": "Worst week: 8 Feb 2027, with 61. What is not seen is not in here: 41 places.",
            "spans": [chip("30 days"), chip("90 days"), chip("400 days", on=True)],
            "chart": {"title": "Lapses by week", "alternative": "Lapses by week for 400 days; the table below has the numbers", "period": "Week of", "height": height, "base": base,
                      "lines": [{"y": base - int(n * scale), "label": str(n)} for n in (20, 40, 60)], "rules": [rule(81, "10 Feb: 64 days at Let's Encrypt", "Let's Encrypt's default becomes 64 days", "end", -5), rule(114, "15 Mar: 100-day limit", "CA/Browser Forum SC-081v3")],
                      "ticks": [{"x": x(d), "label": l, "anchor": a, "minor": m} for d, l, a, m in [(0, "today", "", False), (71, "Feb 2027", "middle", True), (130, "Apr", "middle", False), (191, "Jun", "middle", True), (253, "Aug", "middle", False), (314, "Oct", "middle", True), (400, "26 Dec", "end", False)]], "bars": bars},
            "lapses": [r for r in ROWS if not r["todo"]["auto"]][:6], "lapses_more": link("all 71", "/inventory.html"), "lapses_none": "Everything in this span renews by itself.",
            "load": [{"words": w, "since": s, "per_week": p, "by_hand": h, "tone": t} for w, s, p, h, t in [("as today", "mean of the last 90 days", "19.9", "1.2", "plain"), ("100 days", "from 15 Mar 2027", "41.5", "6.6", "soon"), ("47 days", "from 15 Mar 2029", "88.2", "14.0", "now")]],
            "load_words": "If every public certificate lived as long as the rules of the day allow, renewed at two thirds", "load_advice": "The 94 that are renewed by hand today would take 14 renewals a week. Automating the 22 of Web alone halves that.",
            "dates": [{"words": "10 Feb 2027: 64 days at Let's Encrypt", "detail": "212 of ours; a renewal fixed at 60 days then has 4 days left", "href": ""}, {"words": "1 Mar 2027: client authentication ends", "detail": "DigiCert; 3 of ours are used to sign in as a client", "href": ""}, {"words": "15 Mar 2027: at most 100 days", "detail": "public CAs; 318 of ours live longer", "href": ""}]}


def sources():
    spot = lambda l, d: {"name": name(l), "href": "/place.html", "detail": d}
    src = lambda i, n, k, t, st, tone, last, nxt, found, cov, pc, blind=(), err="", busy=False: {"id": i, "name": n, "kind": k, "targets": t, "state": st, "tone": tone, "busy": busy, "last_success": stamp(last), "next": stamp(nxt), "found": found, "coverage": cov, "coverage_percent": pc, "coverage_class": "done" if tone == "stale" else "fill", "error": err, "blind": list(blind), "blind_none": "Nothing was left unseen."}
    return {"frame": frame("Sources"), "headline": "8 of 11 sources are fresh; 41 places could not be seen.", "subline": "Silence is never green: a source that has not succeeded within its interval is grey, and so is all it showed.",
            "sources": [src("dc2", "agent dc2", "network", "10.8.0.0/22, ports common", "stale: silent since Thu 19 Nov, 06:12", "stale", "Thu 19 Nov, 06:12", "when the agent reports", "388 assets when last seen", "0 of 1,022 reached", 0, [{"words": "1,022 addresses: timeout", "hint": "Is the agent running? On its host: systemctl status notafter-agent.", "places": [spot("tls://10.8.0.40:443?sni=vpn.dc2.example.com", "timed out after 5 s")], "more": link("1,021 more", "/inventory.html")}], "No report for 2 days 8 h; it should come every hour."),
                        src("web", "web ports", "network", "10.0.3.0/24, ports 443 and 8443", "fresh", "proven", "4 min ago", "in 56 min", "212 assets in 340 places", "340 of 340 open ports reached; 168 closed", 100),
                        src("files", "files of this host", "files", "/etc, /opt, /srv", "looking now", "proven", "5 h ago", "now", "96 assets in 230 places", "212,004 of 212,041 files read", 98, [{"words": "37 keystores: wrong-password", "hint": "Name a file with passwords in the source: password_file.", "places": [spot("file:///opt/app/" + "deep/" * 12 + HOSTILE + ".jks", "no password fits"), spot("file:///opt/app/b/store.p12", "no password fits")], "more": link("35 more", "/inventory.html")}, {"words": "1 folder: permission-denied", "hint": "Run it with CAP_DAC_READ_SEARCH, or exclude the folder.", "places": [spot("file:///srv/vault", "EACCES")], "more": link()}], busy=True),
                        src("ct", "CT of example.com", "ct", "example.com and below", "fresh", "proven", "22 min ago", "in 38 min", "61 names", "2 of 2 logs read", 100)]}


def status(state="trouble", export=False):
    def service(n, st, tone, nxt, ntone, bad, looked="4 min ago", good="4 min ago", words=""):
        days = []
        for d in range(90):
            t, what = bad.get(d, ("proven", "seen good"))
            h = {"proven": 26, "soon": 26, "now": 26, "stale": 9, "gap": 26}[t] if t != "now" else 26
            a = NOW - dt.timedelta(days=89 - d)
            days.append({"x": d * 100 / 90, "width": 100 / 90 - .25, "y": 27 - h, "height": h, "tone": t, "part": 9 if t == "stale" and d == 12 else 0, "title": f"{a.day} {a:%b}: {what}"})
        return {"name": n, "state": st, "tone": tone, "days": days, "strip_words": words, "looked": stamp(looked), "good": stamp(good), "next": nxt, "next_tone": ntone}
    stale = {d: ("stale", "not looked at") for d in (87, 88, 89)}
    svcs = [service("Sign-in", "good, lapses in 3 days", "soon", "next lapse 24 Nov, nobody has acknowledged", "now", {88: ("soon", "good, lapses soon"), 89: ("soon", "good, lapses soon")}, words="Good on 90 of 90 days; lapses soon since 20 Nov."),
            service("Shop", "good", "proven", "next lapse 13 Dec, renewed already", "", {41: ("now", "expired certificate served for 3 h"), 12: ("stale", "not looked at")}, words="Good on 88 of 90 days. Broken for 3 h on 4 Oct; not looked at on 5 Sep."),
            service("VPN, data centre 2", "not known", "stale", "ended 3 Dec when last seen", "stale", stale, "Thu 19 Nov, 06:12", "Thu 19 Nov, 06:12", "Good on 87 days; not looked at since 19 Nov."),
            service("Mail <img src=x onerror=alert(1)>", "good", "proven", "next lapse 3 Dec", "", {}, words="Good on 90 of 90 days.")]
    return {"title": "Example services", "stylesheet": "notafter.css" if export else "assets/notafter.css", "script": "status.js", "valid_until": "2126-11-21T15:19:00Z", "valid_words": "If this is older than 15 min, nothing here is known: it was written 21 Nov 2026, 15:04 UTC.", "headline": "Three of four services are seen to be good; one is not known.", "subline": "What stands here was observed, never typed in. Grey is not known.",
            "banners": [banner("stale", "The VPN in data centre 2 has not been looked at since Thursday.", "It may be good or broken.")] if not export else [], "services": svcs, "from": "24 Aug",
            "legend": "Full green: every place of the service was seen good. Amber: good, but something lapses soon. Red: seen broken. Low grey: nobody looked.", "version": "0.2.0", "as_of": stamp("21 Nov 2026, 15:04 UTC", "2026-11-21T15:04:00Z")}


def bare(title):
    return {"title": title, "assets": "assets", "version": "0.2.0", "as_of": stamp("21 Nov 2026, 15:04 UTC")}


def pages():
    yield "today.html", "today.html", "TodayView", today()
    yield "today-banners.html", "today.html", "TodayView", today(banners=[NOBODY, READONLY, CLOCK, STALE])
    calm = today()
    calm |= {"headline": "Nothing that was seen lapses without a renewal before 20 January.", "lapses": [], "news": [], "blind": [], "blind_more": link(), "news_more": link(), "lapses_more": link()}
    yield "today-calm.html", "today.html", "TodayView", calm
    yield "starting.html", "starting.html", "StartingView", starting()
    yield "inventory.html", "inventory.html", "InventoryView", inventory()
    yield "inventory-error.html", "inventory.html", "InventoryView", inventory(True) | {"rows": []}
    yield "asset.html", "asset.html", "AssetView", asset()
    yield "asset-hostile.html", "asset.html", "AssetView", asset(True)
    yield "place.html", "place.html", "PlaceView", place()
    yield "place-unseen.html", "place.html", "PlaceView", place(True)
    yield "findings.html", "findings.html", "FindingsView", findings()
    yield "forecast.html", "forecast.html", "ForecastView", forecast()
    yield "sources.html", "sources.html", "SourcesView", sources()
    states = [chip("not resolved", on=True, count="3"), chip("open", count="2"), chip("acknowledged", count="1"), chip("snoozed", count="0"), chip("resolved", count="118")]
    for file, signed in (("alerts.html", True), ("alerts-read-only.html", False)):
        yield file, "alerts.html", "AlertsView", {"frame": frame("Alerts", signed_in=signed, banners=[UNDELIVERED]), "headline": "Two alerts wait for someone; one message did not arrive.", "subline": "Each step is told once. Quiet in between is meant.", "states": states, "alerts": ALERTS, "alerts_none": "No alert is open.", "pager": {"before": "", "after": "/alerts.html?before=a12", "words": "3 of 121"}}
    ack = {"bare": bare("Acknowledge"), "headline": "You are about to say: I have this.", "subline": "Alert a15, for Platform, sent 19 Nov.", "rows": [ROWS[1], ROWS[3]], "more": "and 13 more places", "can_act": True, "action": "/ack/Zx81…", "meaning": "It stops the reminders and the escalation. It does not stop the date: if it is still there on 28 Nov, you are asked again. This link works once.", "command": ""}
    yield "acknowledge.html", "acknowledge.html", "AcknowledgeView", ack
    yield "acknowledge-used.html", "acknowledge.html", "AcknowledgeView", ack | {"headline": "This link was used on 20 Nov, 09:12.", "subline": "M. Okafor has alert a15. Nothing was changed now.", "rows": [], "more": "", "can_act": False, "command": "notafter ack a15"}
    yield "signin.html", "signin.html", "SigninView", {"bare": bare("Sign in"), "headline": "Sign in to this Notafter", "subline": "The link works once and signs this browser in for 30 days. Nothing else is asked.", "can_act": True, "action": "/sign-in/x", "command": ""}
    yield "signin-used.html", "signin.html", "SigninView", {"bare": bare("Sign in"), "headline": "This link was already used.", "subline": "If that was not you, make a new token: the old one stops working at once.", "can_act": False, "action": "", "command": "notafter sign-in"}
    home = [link("Today", "/today.html"), link("Inventory", "/inventory.html")]
    yield "404.html", "problem.html", "ProblemView", {"bare": bare("Not found"), "status": "404", "headline": "There is nothing here.", "detail": f"No asset or page is called {HOSTILE}.", "hint": "search for a part of its name.", "instance": "", "links": home}
    yield "problem.html", "problem.html", "ProblemView", {"bare": bare("Not available"), "status": "503", "headline": "The inventory cannot be read just now.", "detail": "The database has been locked for 60 s by another process.", "hint": "see which process holds it: notafter doctor.", "instance": "req-7c1f", "links": home}
    yield "status.html", "status.html", "StatusView", status()
    yield "status-export.html", "status.html", "StatusView", status(export=True)
