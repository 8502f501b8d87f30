//! The table of a `files` target, and what of it a preset fills.
//!
//! Checked before anything is touched: forms that contradict each other, paths that are none, accounts that are not
//! there. What a form holds is `render.rs`'s business.

use std::path::{Path, PathBuf};

use notafter_pki::fingerprint::{hex, sha256};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::guard::account;
use super::render::Goods;
use super::store::is_component;
use crate::deployers::command::{Argv, check_argv};
use crate::deployers::keystore::password::Kind;
use crate::deployers::presets;
use crate::secret::Secret;
use crate::settings::{self, Span};

/// `kind = "files"`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::deployers) struct Settings {
    /// The server that reads them, by name (`nginx`, `postfix`, ...): fills what is not given.
    pub(super) preset: Option<String>,
    /// The certificate, PEM, with the intermediates after it; alone where `chain` is given too.
    pub(super) certificate: Option<PathBuf>,
    /// The private key, PEM.
    pub(super) key: Option<PathBuf>,
    /// The intermediates alone, PEM.
    pub(super) chain: Option<PathBuf>,
    /// The certificate and the intermediates, PEM.
    pub(super) fullchain: Option<PathBuf>,
    /// Key, certificate and intermediates in one file, PEM.
    pub(super) combined: Option<PathBuf>,
    /// What comes first in `combined`: `key-first` (the default) or `certificate-first`.
    #[serde(default)]
    pub(super) combined_order: Order,
    /// The certificate alone, DER.
    pub(super) der: Option<PathBuf>,
    /// Certificate and intermediates without the key, PKCS#7 (RFC 2315): DER where the path ends with `.p7c` or `.der`,
    /// else PEM.
    pub(super) pkcs7: Option<PathBuf>,
    /// A PKCS#12 file: `{ path = "...", password = { file = "..." }, form = "modern", alias = "..." }`.
    pub(super) pkcs12: Option<Pkcs12>,
    /// A Java keystore: `{ path = "...", password = { file = "..." }, alias = "..." }`. Its other entries are kept.
    pub(super) jks: Option<Jks>,
    /// How the key is written in PEM: `pkcs8` (the default), `pkcs1` (RSA) or `sec1` (elliptic curves).
    #[serde(default)]
    pub(super) key_format: KeyForm,
    /// Who owns the files, by name or number. Default: who owns what is there, else who runs this.
    pub(super) owner: Option<String>,
    /// Their group. Default: that of what is there.
    pub(super) group: Option<String>,
    /// The mode of the files that hold the key, such as `0640`. Default: that of what is there, else `0600`.
    pub(super) mode: Option<String>,
    /// A command that says whether the server would start with what is in place, as an argument list. Where it fails,
    /// the old files are put back.
    pub(super) check: Option<Vec<String>>,
    /// The command that makes the server read them, as an argument list.
    pub(super) reload: Option<Vec<String>>,
    /// How long `check` may take. Default `30s`.
    pub(super) check_timeout: Option<Span>,
    /// How long `reload` may take. Default `1m`.
    pub(super) reload_timeout: Option<Span>,
    /// `in-place` (the default), or `generations`: every path is FOLDER/current/FILE, and `current` is a link that is
    /// renamed.
    pub(super) layout: Option<Layout>,
    /// HAProxy's stats socket (`stats socket ... level admin`): the new pair is given to the running process too.
    pub(super) haproxy_socket: Option<PathBuf>,
    /// Other servers that read the same files: `[{ preset = "postfix" }]`, or `check` and `reload` of their own.
    #[serde(default)]
    pub(super) also: Vec<Also>,
}

/// Another server that reads the same files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Also {
    /// The server, by name: fills what is not given.
    preset: Option<String>,
    /// See `check` above.
    check: Option<Vec<String>>,
    /// See `reload` above.
    reload: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::deployers) enum Order {
    #[default]
    KeyFirst,
    CertificateFirst,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::deployers) enum KeyForm {
    /// RFC 5958.
    #[default]
    Pkcs8,
    /// RFC 8017 appendix A.1.2.
    Pkcs1,
    /// RFC 5915.
    Sec1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Layout {
    InPlace,
    Generations,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pkcs12 {
    /// The file.
    pub(super) path: PathBuf,
    /// Its password. It has to open what is there. Default: the well-known one (`changeit`, or an empty one) that opens what is
    /// there; a new file needs one.
    pub(super) password: Option<Secret>,
    /// `modern` (AES-256, HMAC-SHA256; the default) or `legacy` (3DES, SHA-1), for what is older than about 2018.
    #[serde(default)]
    pub(super) form: Strength,
    /// The friendly name of the key. Default: that of what is there, else the certificate's name.
    pub(super) alias: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::deployers) enum Strength {
    #[default]
    Modern,
    Legacy,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Jks {
    /// The file.
    pub(super) path: PathBuf,
    /// Its password, which is also that of the key in it. It has to open what is there. Default: the well-known one
    /// (`changeit`, or an empty one) that opens what is there; a new file needs one.
    pub(super) password: Option<Secret>,
    /// The alias of the key. Default: that of the only key that is there, else the certificate's name.
    pub(super) alias: Option<String>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Key,
    Certificate,
    Chain,
    Fullchain,
    Combined,
    Der,
    Pkcs7,
    Pkcs12,
    Jks,
}

impl Form {
    /// Its name in a generation; those of certbot's lineages where it has one.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Key => "privkey.pem",
            Self::Certificate => "cert.pem",
            Self::Chain => "chain.pem",
            Self::Fullchain => "fullchain.pem",
            Self::Combined => "combined.pem",
            Self::Der => "cert.der",
            Self::Pkcs7 => "chain.p7b",
            Self::Pkcs12 => "keystore.p12",
            Self::Jks => "keystore.jks",
        }
    }

    pub(super) fn holds_key(self) -> bool {
        matches!(self, Self::Key | Self::Combined | Self::Pkcs12 | Self::Jks)
    }
}

impl Settings {
    /// Reads and checks a table.
    pub(super) fn open(table: Value) -> Result<Self, String> {
        let mut settings: Self = settings::read(table, &Self::schema())?;
        if let Some(name) = settings.preset.clone() {
            settings.fill(presets::find(&name)?);
        }
        for n in 0..settings.also.len() {
            let Some(name) = settings.also.get(n).and_then(|also| also.preset.clone()) else { continue };
            let (check, reload) = settings.commands(presets::find(&name)?);
            if let Some(also) = settings.also.get_mut(n) {
                also.check = also.check.take().or(check);
                also.reload = also.reload.take().or(reload);
            }
        }
        settings.check()?;
        Ok(settings)
    }

    pub(in crate::deployers) fn schema() -> Value {
        settings::schema::<Self>()
    }

    /// Fills what is not given.
    fn fill(&mut self, preset: &presets::Preset) {
        if self.forms().is_empty() {
            for (setting, path) in preset.paths {
                match *setting {
                    "certificate" => self.certificate = Some(path.into()),
                    "key" => self.key = Some(path.into()),
                    _ => self.combined = Some(path.into()),
                }
            }
        }
        let (check, reload) = self.commands(preset);
        self.check = self.check.take().or(check);
        self.reload = self.reload.take().or(reload);
    }

    /// What a preset runs for these files.
    fn commands(&self, preset: &presets::Preset) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let path =
            |path: &Option<PathBuf>| path.as_deref().unwrap_or(Path::new("")).to_string_lossy().into_owned();
        let (certificate, key) = (path(&self.certificate), path(&self.key));
        let word = |word: &str| match word {
            "{certificate}" => certificate.clone(),
            "{key}" => key.clone(),
            word => word.to_owned(),
        };
        let argv =
            |words: &[&str]| (!words.is_empty()).then(|| words.iter().map(|w| word(w)).collect::<Vec<_>>());
        (argv(preset.check), argv(preset.reload))
    }

    fn check(&self) -> Result<(), String> {
        let forms = self.forms();
        if forms.is_empty() {
            let reads = self.preset.as_deref().and_then(|name| presets::find(name).ok());
            let reads = reads.map(|p| format!(": {} reads {}", p.name, p.reads)).unwrap_or_default();
            return Err(format!(
                "a target of kind files has no file\nhint: set `certificate` and `key`, or `combined`, `pkcs12`, `jks`{reads}"
            ));
        }
        for (index, (_, path)) in forms.iter().enumerate() {
            let shown = path.display().to_string().escape_debug().to_string();
            let dots = path.components().any(|c| matches!(c, std::path::Component::ParentDir));
            if !path.is_absolute() || path.file_name().is_none() || dots || shown.contains("\\0") {
                return Err(format!(
                    "`{shown}` is no absolute path to a file\nhint: it begins with / and has no .. in it"
                ));
            }
            if forms.iter().take(index).any(|(_, other)| other == path) {
                return Err(format!(
                    "{shown} is named twice\nhint: key and certificate in one file are `combined`"
                ));
            }
        }
        if self.layout() == Layout::Generations {
            self.base()?;
        }
        let own = [&self.check, &self.reload];
        for argv in own.into_iter().chain(self.also.iter().flat_map(|a| [&a.check, &a.reload])).flatten() {
            check_argv(argv)?;
        }
        if self.haproxy_socket.is_some() && self.combined.is_none() {
            return Err("`haproxy_socket` needs `combined`, the file that HAProxy knows the pair by\n\
                        hint: combined = \"/etc/haproxy/certs/api.pem\""
                .to_owned());
        }
        self.mode_bits()?;
        self.owner_ids()?;
        Ok(())
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout.unwrap_or(Layout::InPlace)
    }

    /// What is written where; the key first, because its folder is the better guarded one.
    pub(super) fn forms(&self) -> Vec<(Form, PathBuf)> {
        let plain = [
            (Form::Key, &self.key),
            (Form::Combined, &self.combined),
            (Form::Certificate, &self.certificate),
            (Form::Fullchain, &self.fullchain),
            (Form::Chain, &self.chain),
            (Form::Der, &self.der),
            (Form::Pkcs7, &self.pkcs7),
        ];
        let mut forms: Vec<_> =
            plain.into_iter().filter_map(|(form, path)| Some((form, path.clone()?))).collect();
        forms.extend(self.pkcs12.iter().map(|p| (Form::Pkcs12, p.path.clone())));
        forms.extend(self.jks.iter().map(|j| (Form::Jks, j.path.clone())));
        forms.sort_by_key(|(form, _)| !form.holds_key());
        forms
    }

    /// Which of them have a password that is set, and where it lies.
    pub(super) fn passwords(&self) -> impl Iterator<Item = (Form, &Path, &Secret)> {
        let pkcs12 =
            self.pkcs12.iter().filter_map(|p| Some((Form::Pkcs12, p.path.as_path(), p.password.as_ref()?)));
        pkcs12
            .chain(self.jks.iter().filter_map(|j| Some((Form::Jks, j.path.as_path(), j.password.as_ref()?))))
    }

    /// The kind of a keystore, and the password that is set for it. `None`: it is no keystore.
    pub(super) fn keystore(&self, form: Form) -> Option<(Kind, Option<&Secret>)> {
        match form {
            Form::Pkcs12 => Some((Kind::Pkcs12, self.pkcs12.as_ref()?.password.as_ref())),
            Form::Jks => Some((Kind::Jks, self.jks.as_ref()?.password.as_ref())),
            _ => None,
        }
    }

    /// With `layout = "generations"`: the folder that `current` is in.
    pub(super) fn base(&self) -> Result<PathBuf, String> {
        let wrong = |path: &Path| {
            format!(
                "with layout = \"generations\" every path has the form FOLDER/current/FILE, and {} has not\n\
                 hint: certificate = \"/etc/ssl/notafter/api/current/cert.pem\"; the server is told the same path",
                path.display().to_string().escape_debug()
            )
        };
        let mut base: Option<PathBuf> = None;
        for (_, path) in self.forms() {
            let current = path.parent().filter(|p| p.file_name().is_some_and(|n| n == "current"));
            let folder = current.and_then(Path::parent).ok_or_else(|| wrong(&path))?;
            if base.as_deref().is_some_and(|b| b != folder) || folder.file_name().is_none() {
                return Err(wrong(&path));
            }
            if !path.file_name().and_then(|n| n.to_str()).is_some_and(is_component) {
                return Err(wrong(&path));
            }
            base = Some(folder.to_owned());
        }
        base.ok_or_else(|| wrong(Path::new("")))
    }

    pub(super) fn mode_bits(&self) -> Result<Option<u32>, String> {
        let Some(text) = &self.mode else { return Ok(None) };
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode & 0o400 == 0 || mode > 0o777 => {
                Err(format!("`mode` is {text}, which its owner could not read"))
            }
            Ok(mode) if mode & 0o007 != 0 => Err(format!(
                "`mode` is {text}, which gives the key to everybody\nhint: 0600, or 0640 with a `group`"
            )),
            Ok(mode) => Ok(Some(mode)),
            Err(_) => {
                Err(format!("`mode` is `{}`, which is no mode\nhint: mode = \"0640\"", text.escape_debug()))
            }
        }
    }

    /// The numbers of `owner` and `group`.
    pub(super) fn owner_ids(&self) -> Result<(Option<u32>, Option<u32>), String> {
        let id = |table: &str, name: &Option<String>| name.as_deref().map(|n| account(table, n)).transpose();
        Ok((id("/etc/passwd", &self.owner)?, id("/etc/group", &self.group)?))
    }

    /// The checks of every server that reads the files.
    pub(super) fn check_commands(&self) -> impl Iterator<Item = Argv<'_>> {
        let timeout = self.check_timeout.unwrap_or(Span::seconds(30)).0;
        let all = std::iter::once(&self.check).chain(self.also.iter().map(|also| &also.check));
        all.filter_map(move |argv| argv.as_deref().map(|argv| Argv { argv, timeout }))
    }

    /// The reloads of every server that reads the files.
    pub(super) fn reload_commands(&self) -> impl Iterator<Item = Argv<'_>> {
        let timeout = self.reload_timeout.unwrap_or(Span::seconds(60)).0;
        let all = std::iter::once(&self.reload).chain(self.also.iter().map(|also| &also.reload));
        all.filter_map(move |argv| argv.as_deref().map(|argv| Argv { argv, timeout }))
    }

    /// What the files are made from, in one line that tells two apart. Keystores have salts: made twice they differ.
    pub(super) fn made_from(&self, goods: &Goods) -> String {
        let mut all = self.source().into_bytes();
        for der in &goods.chain {
            all.extend(sha256(der));
        }
        hex(&sha256(&all))
    }

    /// What the files depend on besides the bundle. Where secrets lie is in it, and no secret.
    fn source(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            (&self.owner, &self.group, &self.mode),
            self.forms(),
            self.combined_order,
            self.key_format,
            self.pkcs12.as_ref().map(|p| (&p.form, &p.alias)),
            self.jks.as_ref().map(|j| &j.alias)
        )
    }
}
