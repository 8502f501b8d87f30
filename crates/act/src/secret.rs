//! Secrets as the configuration file names them: where one lies, never what it is.
//!
//! A [`Secret`] is a reference. It is read when a provider is built, so that a missing one is an error at
//! the start and not at three in the morning, and read again at every use, so that a rotated file needs no
//! restart. What was read is wiped from memory when it is dropped, and no type here prints or serialises
//! it. It does not fetch from a vault: that joins as one more form of the reference.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

/// Text that is wiped when it is dropped.
pub type Wiped = Zeroizing<String>;

/// Nothing that is used as a password, token or URL is longer; a mistaken path to a log file is.
const BYTES_MAX: u64 = 64 * 1024;

/// How to write one, for every message that needs to say it.
const FORMS: &str = r#"{ env = "NAME" }, { file = "/path" } or { credential = "name" }"#;

/// Where a secret lies: `{ env = "X" }`, `{ file = "/path" }` or `{ credential = "name" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret(Reference);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reference {
    Env(String),
    File(PathBuf),
    Credential(String),
}

impl Secret {
    /// The secret in this file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Reference::File(path.into()))
    }

    /// Reads it where it lies now.
    ///
    /// # Errors
    /// A sentence that names the place, never the content.
    pub fn read(&self) -> Result<Wiped, String> {
        self.read_from(|name| std::env::var_os(name))
    }

    fn read_from(&self, env: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Wiped, String> {
        let text = match &self.0 {
            Reference::Env(name) => {
                let value = env(name).ok_or_else(|| {
                    format!(
                        "the environment variable {name} is not set, so there is no secret\n\
                         hint: set it for the service, or keep the secret in a file: {{ file = \"/path\" }}"
                    )
                })?;
                let value = value.into_string();
                Wiped::new(value.map_err(|_| format!("the environment variable {name} is not UTF-8"))?)
            }
            Reference::File(path) => read_file(path)?,
            Reference::Credential(name) => {
                let folder = env("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    format!(
                        "the credential {name} was asked for, and systemd gave no credentials\n\
                         hint: add LoadCredential={name}:/path to the unit, or use {{ file = \"/path\" }}"
                    )
                })?;
                read_file(&Path::new(&folder).join(name))?
            }
        };
        // An editor ends a file with a line break; no secret does.
        let bare = text.strip_suffix('\n').map_or(&text[..], |t| t.strip_suffix('\r').unwrap_or(t));
        if bare.is_empty() {
            return Err(format!("{self} is empty"));
        }
        Ok(Wiped::new(bare.to_owned()))
    }

    /// A name that cannot leave the credentials' folder (systemd.exec(5): a single file name).
    fn credential<E: de::Error>(name: String) -> Result<Self, E> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(E::custom(format!(
                "`{}` is no name of a credential: it is a plain file name",
                name.escape_debug()
            )));
        }
        Ok(Self(Reference::Credential(name)))
    }
}

fn read_file(path: &Path) -> Result<Wiped, String> {
    let failed = |error: std::io::Error| {
        format!(
            "the secret in {} cannot be read: {error}\n\
             hint: the account that runs notafter must be able to read it, and nobody else",
            path.display()
        )
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut text = Wiped::new(String::new());
    let read = file.by_ref().take(BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > BYTES_MAX {
        return Err(format!("{} is longer than {BYTES_MAX} bytes: it holds no secret", path.display()));
    }
    Ok(text)
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reference::Env(name) => write!(f, "the environment variable {name}"),
            Reference::File(path) => write!(f, "the file {}", path.display()),
            Reference::Credential(name) => write!(f, "the credential {name}"),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(Form)? {
            MaybeSecret::Secret(secret) => Ok(secret),
            // The text itself is not repeated: the message may end in a log.
            MaybeSecret::Plain(_) => Err(de::Error::custom(format!(
                "a secret is written where others can read it; this file holds only where it lies\n\
                 hint: write {FORMS}"
            ))),
        }
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let form = |key: &str, doc: &str| {
            json_schema!({
                "type": "object",
                "properties": { key: { "type": "string", "description": doc } },
                "required": [key],
                "additionalProperties": false
            })
        };
        json_schema!({
            "description": "Where a secret lies.",
            "oneOf": [
                form("env", "The name of an environment variable."),
                form("file", "The path of a file; a line break at its end is left out."),
                form("credential", "The name of a systemd credential (`LoadCredential=`)."),
            ]
        })
    }
}

/// A value that often is a secret (a webhook's URL), and may be written plainly all the same. It is
/// treated as a secret either way.
#[derive(Clone, PartialEq, Eq)]
pub enum MaybeSecret {
    /// Where it lies.
    Secret(Secret),
    /// What it is.
    Plain(Wiped),
}

impl MaybeSecret {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that names the place, never the content.
    pub fn read(&self) -> Result<Wiped, String> {
        match self {
            Self::Secret(secret) => secret.read(),
            Self::Plain(text) => Ok(text.clone()),
        }
    }
}

impl From<&str> for MaybeSecret {
    fn from(text: &str) -> Self {
        Self::Plain(Wiped::new(text.to_owned()))
    }
}

impl fmt::Debug for MaybeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(secret) => secret.fmt(f),
            Self::Plain(_) => f.write_str("(hidden)"),
        }
    }
}

impl<'de> Deserialize<'de> for MaybeSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Form)
    }
}

impl JsonSchema for MaybeSecret {
    fn schema_name() -> Cow<'static, str> {
        "MaybeSecret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<Secret>();
        json_schema!({ "anyOf": [{ "type": "string" }, secret] })
    }
}

/// Reads either form.
struct Form;

impl<'de> Visitor<'de> for Form {
    type Value = MaybeSecret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORMS)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<MaybeSecret, E> {
        Ok(text.into())
    }

    // A password of digits alone must not come back in serde's own words: "invalid type: integer `1234`".
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<MaybeSecret, E> {
        Err(de::Error::custom(format!("a secret has one of three forms: {FORMS}")))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<MaybeSecret, E> {
        self.visit_u64(0)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<MaybeSecret, E> {
        self.visit_u64(0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MaybeSecret, A::Error> {
        let wrong = || de::Error::custom(format!("a secret has exactly one of three forms: {FORMS}"));
        let (key, value) = map.next_entry::<String, String>()?.ok_or_else(wrong)?;
        if map.next_key::<String>()?.is_some() || value.is_empty() {
            return Err(wrong());
        }
        Ok(MaybeSecret::Secret(match key.as_str() {
            "env" => Secret(Reference::Env(value)),
            "file" => Secret(Reference::File(value.into())),
            "credential" => Secret::credential(value)?,
            _ => return Err(wrong()),
        }))
    }
}

/// The secrets in one message, so that they can be covered wherever they come back: in a preview, in an
/// answer that repeats the request, in an error.
#[derive(Default)]
pub struct Cover(Vec<Wiped>);

impl Cover {
    /// Remembers one more. Very short ones are left out: to cover every `a` helps nobody.
    pub fn add(&mut self, secret: &str) {
        if secret.len() >= 4 {
            self.0.push(Wiped::new(secret.to_owned()));
        }
    }

    /// The text with `***` for each of them, the longest first.
    pub fn mask(&self, text: &str) -> String {
        let mut all: Vec<&str> = self.0.iter().map(|s| s.as_str()).collect();
        all.sort_by_key(|s| std::cmp::Reverse(s.len()));
        all.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value, variables: &[(&str, &str)]) -> Result<String, String> {
        let secret: Secret = serde_json::from_value(value).map_err(|e| e.to_string())?;
        let env = |name: &str| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, v)| std::ffi::OsString::from(*v))
        };
        secret.read_from(env).map(|s| s.to_string())
    }

    #[test]
    fn three_forms_are_read() {
        let folder = notafter_lab::Lab::new("secret");
        let path = folder.path().join("password");
        std::fs::write(&path, "s3cret word\r\n").unwrap();
        let folder = folder.path().to_str().unwrap();
        assert_eq!(read(json!({"env": "A"}), &[("A", "x y")]).unwrap(), "x y");
        assert_eq!(read(json!({"file": path}), &[]).unwrap(), "s3cret word");
        let systemd = [("CREDENTIALS_DIRECTORY", folder)];
        assert_eq!(read(json!({"credential": "password"}), &systemd).unwrap(), "s3cret word");
        std::fs::write(&path, "rotated").unwrap();
        assert_eq!(read(json!({"file": path}), &[]).unwrap(), "rotated");
    }

    #[test]
    fn everything_else_is_refused_without_repeating_it() {
        for (value, sign) in [
            (json!("hunter2"), "hint: write { env"),
            (json!({"env": "A", "file": "hunter2"}), "exactly one"),
            (json!({}), "exactly one"),
            (json!({"password": "hunter2"}), "exactly one"),
            (json!({"env": "HUNTER"}), "HUNTER is not set"),
            (json!({"file": "/nonexistent/hunter"}), "hint: the account"),
            (json!({"credential": "../etc/passwd"}), "plain file name"),
            (json!({"credential": "x"}), "LoadCredential=x"),
            (json!(1_234_567), "three forms: { env"),
            (json!(-1), "three forms"),
            (json!(1.5), "three forms"),
        ] {
            let error = read(value, &[]).unwrap_err();
            assert!(
                error.contains(sign) && !error.contains("hunter2") && !error.contains("1234567"),
                "{error}"
            );
        }
        assert!(read(json!({"env": "A"}), &[("A", "")]).unwrap_err().contains("is empty"));
    }

    #[test]
    fn nothing_prints_it() {
        let plain: MaybeSecret = serde_json::from_value(json!("https://x.example/hunter2")).unwrap();
        assert_eq!(format!("{plain:?}"), "(hidden)");
        assert_eq!(*plain.read().unwrap(), "https://x.example/hunter2");
        let mut cover = Cover::default();
        cover.add("hunter2");
        cover.add("hunter2-and-more");
        assert_eq!(cover.mask("a hunter2-and-more b hunter2 c"), "a *** b *** c");
    }
}
