//! Mistakes in a configuration, and what is said of them.

use super::*;

fn check(text: &str, says: &str) {
    let config = crate::config::parse(text).unwrap();
    let sheet = Sheet { file: None, text: text.to_owned(), config };
    let error = sheet.setup(&[]).err().unwrap_or_default();
    assert!(error.contains(says), "{text}\n-> {error}");
}

#[test]
fn mistakes_are_explained_with_their_line() {
    check("\n[[source]]\nkind = 'netwok'\n", "line 3: source `netwok`: no kind of source is called `netwok`");
    check("[[source]]\nkind = 'k8s'\n", "hint: not in this version");
    check("[[source]]\nkind = 'network'\ntargets = ['10.0.0.0/99']\n", "line 3: source");
    check("[[source]]\nkind = 'network'\ntargets = ['a.test']\nevery = 'often'\n", "90s, 5m, 6h or 30d");
    check("[[owner]]\nname = 'web'\nnotify = ['mail']\n", "add a [[notifier]] with name = \"mail\"");
    check("[[owner]]\nname = 'web'\nescalate_to = 'wep'\n", "did you mean `web`?");
    check("[[owner]]\nname = 'web'\nmatch = ['nam:x']\n", "line 3: owner `web`");
    check("[[notifier]]\nname = 'm'\nkind = 'emial'\n", "did you mean `email`?");
    check("[[service]]\nname = 's'\nplaces = ['nmae:x']\n", "did you mean `name`?");
    check("[server]\ndigest = 'someday'\n", "line 2: digest = \"someday\"");
    check("[server]\ngone_after = 'never'\n", "line 2: gone_after = \"never\"");
    check("\n[heartbeat]\nurl = 'http://127.0.0.1:9/'\nevery = 'often'\n", "line 4: heartbeat: every");
    check("\n[heartbeat]\nurl = 'gopher://x'\n", "line 2: heartbeat");
    check("\n[server]\nlisten = 'here'\n", "line 3: listen = \"here\"");
    check(
        "[[source]]\nkind = 'local'\npaths = ['/etc']\n",
        "line 2: source `local`: local is what listens here",
    );
    check("[[source]]\nkind = 'network'\ntargets = ['a.test']\nrate = 0\n", "rate = 0");
    check("[[source]]\nkind = 'network'\nname = 'watch x'\n", "line 3: source `watch x`");
    check("[[owner]]\nname = 'web'\ncriticality = 'hgih'\n", "line 3: owner `web`: criticality");
    check(
        "[[service]]\nname = 's'\nplaces = ['a']\n[[service]]\nname = 's'\nplaces = ['b']\n",
        "line 5: service `s`: there are two of this name",
    );
    let mail = "[[notifier]]\nname = 'm'\nkind = 'email'\nserver = 'x'\nfrom = 'a@b.test'\n";
    check(&format!("{mail}tls = 'tsl'\n"), "did you mean `tls`?");
    check(&format!("{mail}usr = 'x'\n"), "did you mean `user`?");
}

#[test]
fn what_holds_everywhere_is_checked_without_a_source() {
    for (text, says) in [
        ("[server]\nresolver = 'x'\n", "line 2: `x` is no address of a DNS server\nhint: write 127.0.0.1"),
        ("[scan]\nexclude = [\n'/srv',\n'@/nonexistent']\n", "line 4: cannot read /nonexistent"),
        ("[scan]\nexclude = ['127.0.0.0/99']\n", "line 2: `127.0.0.0/99` is neither"),
        ("[server]\nroots = [\n'/nonexistent.pem']\n", "line 3: roots: cannot read /nonexistent.pem"),
    ] {
        check(text, says);
        check(&format!("{text}[[source]]\nkind = 'files'\npaths = ['/etc/ssl']\n"), says);
    }
    let sheet = Sheet { file: None, text: String::new(), config: Config::default() };
    assert_eq!(sheet.setup(&[]).unwrap().sources[0].name, "this-host");
}

#[test]
fn somebody_called_operator_keeps_their_channels() {
    let two = "[[notifier]]\nname = 'a'\nkind = 'exec'\ncommand = ['/bin/true']\n\
               [[notifier]]\nname = 'b'\nkind = 'exec'\ncommand = ['/bin/true']\n";
    for (owner, expected) in [
        ("[[owner]]\nname = 'operator'\nnotify = ['b']\nescalate_after = '2h'\n", vec!["b"]),
        ("[[owner]]\nname = 'operator'\n", vec!["a", "b"]),
        ("", vec!["a", "b"]),
    ] {
        let text = format!("{two}{owner}");
        let config = crate::config::parse(&text).unwrap();
        let setup = Sheet { file: None, text, config }.setup(&[]).unwrap();
        let person = &setup.people[&setup.last_resort];
        assert_eq!(person.notify.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), expected, "{owner}");
        assert_eq!(person.escalate_after.is_some(), owner.contains("2h"));
    }
}

#[test]
fn whoever_listens_to_the_world_needs_https() {
    let web = |text: &str| {
        let config = crate::config::parse(text).unwrap();
        Sheet { file: None, text: text.to_owned(), config }.web(None)
    };
    assert!(web("[server]\nlisten = '0.0.0.0:4747'\n").unwrap_err().contains("in the clear"));
    let open =
        web("[server]\nlisten = '0.0.0.0:1'\npublic_url = 'https://a.test/'\nbehind_proxy = true\n").unwrap();
    assert!(!open.open_reads);
    assert_eq!(open.public_url.as_deref(), Some("https://a.test"));
    assert!(web("").unwrap().open_reads);
    for (text, open) in [
        ("behind_proxy = true\n", false),
        ("public_url = 'https://a.test'\n", false),
        ("public_url = 'http://localhost:4747/'\n", true),
        ("public_url = 'http://[::1]:4747'\n", true),
        ("public_url = 'https://127.0.0.1.a.test'\n", false),
        ("public_url = 'https://a.test'\nbehind_proxy = true\nopen_reads = true\n", true),
    ] {
        assert_eq!(web(&format!("[server]\n{text}")).unwrap().open_reads, open, "{text}");
    }
    let changed = web("").unwrap().changed(
        &web("[server]\nopen_reads = false\npublic_url = 'http://localhost'\n[[service]]\nname = 's'\n\
              places = ['a']\npublic = true\n")
        .unwrap(),
    );
    assert_eq!(changed, ["public_url", "open_reads", "public of a [[service]]"]);
}

#[test]
fn what_is_watched_is_the_watchers() {
    for (target, location, names, is_theirs) in [
        ("a.test", "tls://127.0.0.1:443?sni=a.test", vec!["a.test"], true),
        ("a.test:8443", "tls://127.0.0.1:8443?sni=a.test", vec![], true),
        ("10.0.0.0/24:443", "tls://10.0.0.9:443", vec![], true),
        ("10.0.0.0/24", "tls://10.0.1.9:443", vec![], false),
        ("smtp://10.0.0.9:25", "smtp://10.0.0.9:25", vec![], true),
        ("/etc/ssl", "file:///etc/ssl/a/b.pem#1", vec![], true),
        ("/srv/api.p12", "file:///srv/api.p12#1", vec![], true),
        ("/srv/api.p12", "file:///srv/api.p12.old", vec![], false),
        ("10.0.0.3-10.0.0.50:1-1024", "tls://10.0.0.50:443", vec![], true),
        ("10.0.0.3-10.0.0.50:1-1024", "tls://10.0.0.51:443", vec![], false),
        ("10.0.0.3-50", "tls://10.0.0.2:443", vec![], false),
        ("[2001:db8::7]:443", "tls://[2001:db8::7]:443", vec![], true),
        ("localhost", "tls://127.0.0.1:8443", vec![], true),
        ("domain:example.com", "file:///x", vec!["example.com"], true),
        ("ct:example.com", "file:///x", vec!["a.b.example.com"], true),
        ("zone:example.com@10.0.0.1", "file:///x", vec!["badexample.com"], false),
    ] {
        let owner = Owner { name: "w".into(), matches: theirs(target), default: false, needs_days: None };
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let location = notafter_core::location::Location::parse(location).unwrap();
        let found = notafter_core::owner::owner_of(std::slice::from_ref(&owner), &names, &[location]);
        assert_eq!(found.is_some(), is_theirs, "{target}");
    }
}

#[test]
fn a_mistake_stands_on_its_own_line_and_all_are_said() {
    let text = "[[notifier]]\nname = 'mail'\nkind = 'email'\nserver = 'x'\nfrom = 'a@b.test'\npasword = 'x'\n\
                [[source]]\nkind = 'network'\ntargets = [\n  'a.test',\n  '10.0.0.0/99',\n]\nprots = [443]\n\
                [[source]]\nkind = 'network'\ntargets = ['10.0.0.0/99']\nevery = '1h'\n\
                [[owner]]\nname = 'web'\nnotify = ['mail:web@a.test']\nmatch = ['name:a.test', 'nam:x']\n\
                [[owner]]\nname = 'boss'\nescalate_to = 'boss'\ndefault = true\n\
                [[owner]]\nname = 'other'\ndefault = true\n\
                [[service]]\nname = 's'\nplaces = ['a.test', 'nmae:x']\n";
    let config = crate::config::parse(text).unwrap();
    let mistakes = Sheet { file: None, text: text.to_owned(), config }.mistakes();
    let expected = [
        ("line 6: notifier `mail`", "did you mean `password`"),
        ("line 13: source `network`", "did you mean `ports`"),
        ("line 16: source `network", "10.0.0.0/99"),
        ("line 21: owner `web`", "`nam` is not known"),
        ("line 24: owner `boss`: escalate_to", "boss"),
        ("line 28: owner `other`", "boss is the owner of last resort already"),
        ("line 31: service `s`", "did you mean `name`"),
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for ((line, says), mistake) in expected.iter().zip(&mistakes) {
        assert!(mistake.starts_with(line) && mistake.contains(says), "{line}: {mistake}");
    }
}

#[test]
fn an_address_is_checked_by_its_channel() {
    let mail = "[[notifier]]\nname = 'mail'\nkind = 'email'\nserver = 'x'\nfrom = 'a@b.test'\n\
                [[notifier]]\nname = 'chat'\nkind = 'slack'\nurl = { env = 'NOT_SET_HERE' }\n\
                [[notifier]]\nname = 'push'\nkind = 'ntfy'\n";
    let owner = |notify: &str| format!("{mail}[[owner]]\nname = 'web'\nnotify = [\"{notify}\"]\n");
    let said = |notify: &str| {
        let text = owner(notify);
        let config = crate::config::parse(&text).unwrap();
        // No secret is asked for.
        Sheet { file: None, text, config }.mute_setup(&[]).err().unwrap_or_default()
    };
    for right in ["mail:a@b.test", "mail:a@b.test,c@d.test", "chat", "push:certs"] {
        assert_eq!(said(right), "", "{right}");
    }
    for (wrong, says) in [
        ("mail:notanaddress", "`notanaddress` is no mail address"),
        ("mail:x@y.z, ", "is no mail address"),
        ("mail", "there is nobody to write to"),
        ("mail:evil@x\\nBcc: a@b", "is no mail address"),
        ("chat:here", "it takes no address"),
        ("push", "there is no `topic`"),
        ("push:a b", "is no address for it"),
    ] {
        let said = said(wrong);
        assert!(said.contains("line 15: owner `web`: notify: ") && said.contains(says), "{wrong}: {said}");
        assert!(said.lines().count() <= 2, "{said}");
    }
}

#[test]
fn whoever_watches_hears_that_watching_stopped() {
    let mail = "[[notifier]]\nname = 'mail'\nkind = 'email'\nserver = 'x'\nfrom = 'a@b.test'\n";
    let chat = "[[notifier]]\nname = 'push'\nkind = 'ntfy'\ntopic = 'certs'\n";
    let me = vec![("mail".to_owned(), Some("me@b.test".to_owned()))];
    // A mail server alone reaches nobody: it has no address. Whoever watches one thing is not told of all the rest.
    for (text, last) in
        [(mail.to_owned(), vec![]), (format!("{mail}{chat}"), vec![("push".to_owned(), None)])]
    {
        let config = crate::config::parse(&text).unwrap();
        let notify = Some("mail:me@b.test".to_owned());
        let watch = Watch { targets: vec!["a.test".into()], every: 3600, notify };
        let setup = Sheet { file: None, text, config }.mute_setup(&[watch]).unwrap();
        assert_eq!(setup.people[LAST_RESORT].notify, last);
        let watched = setup.sources.iter().find(|source| source.name == "watch a.test").unwrap();
        assert_eq!(setup.people[watched.owner.as_ref().unwrap()].notify, me);
    }
}
