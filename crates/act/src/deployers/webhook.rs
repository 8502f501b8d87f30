//! A service that is told over HTTP: what was issued, signed, and the key only where that is asked for.
//!
//! The signatures are those of the webhook notifier. The id of a message is the certificate's name and generation: a
//! receiver that has seen it need not write again, and makes sure that what it has is in use. Any answer of 200 to 299 says that it is installed. It is asked to go
//! back only where the configuration says that it can: a 200 from one that does not know the word would be a false word.

use base64::Engine as _;
use notafter_core::deployment::{Bundle, Check, Receipt};
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::joints::{BoxFuture, Cx, Deployer};
use notafter_core::location::Location;
use notafter_core::{Fingerprint, UnixTime};
use notafter_pki::certificate::Certificate;
use notafter_pki::container::pem;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::environment::names;
use super::files::{Goods, KeyForm, secret};
use super::{BuildCx, Built, back, keystore};
use crate::http::{Client, ClientSettings, HeaderName, HeaderValue, Request, Url, address, place};
use crate::notifiers::{signatures, signing_key};
use crate::secret::{MaybeSecret, Secret};
use crate::settings;

pub(super) const NAME: &str = "webhook";
pub(super) const DOC: &str =
    "An HTTP service: certificate and chain as JSON, signed; the key only if asked for.";

/// `kind = "webhook"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where to send to. Treated as a secret.
    url: MaybeSecret,
    /// A token for `Authorization: Bearer`.
    token: Option<Secret>,
    /// Signs every request: `webhook-id`, `webhook-timestamp` and `webhook-signature` by Standard Webhooks, and
    /// `X-Notafter-Signature: sha256=HEX`, the HMAC-SHA256 of the body.
    secret: Option<Secret>,
    /// Send the private key too? Only over https. Default `false`.
    #[serde(default)]
    send_key: bool,
    /// Does the service know the event `roll-back`, and put the one before in use again? Default `false`: it is not asked.
    #[serde(default)]
    roll_back: bool,
}

pub(super) fn schema() -> Value {
    settings::joined::<Settings, ClientSettings>()
}

pub(super) fn build(table: Value, cx: &BuildCx) -> Built {
    let (settings, shared): (Settings, ClientSettings) = settings::read_joined(table)?;
    if cx.installs || matches!(settings.url, MaybeSecret::Plain(_)) {
        let url = settings.url()?;
        if settings.send_key && url.scheme() != "https" {
            return Err(format!(
                "`send_key` would send the private key unencrypted to {}\nhint: use https://, or leave send_key out",
                place(&url)
            ));
        }
    }
    if cx.installs {
        settings.token.as_ref().map(Secret::read).transpose()?;
        settings.secret.as_ref().map(|s| signing_key(&s.read()?)).transpose()?;
    }
    Ok(Box::new(Webhook { client: Client::new(&shared, &cx.roots)?, settings }))
}

impl Settings {
    fn url(&self) -> Result<Url, String> {
        address("url", &self.url.read()?)
    }
}

struct Webhook {
    settings: Settings,
    client: Client,
}

impl Webhook {
    fn document(&self, goods: &Goods) -> Result<Value, Fault> {
        let text =
            |ders: &[Vec<u8>]| ders.iter().map(|der| pem::encode("CERTIFICATE", der)).collect::<String>();
        let leaf = Certificate::parse(goods.leaf()).ok();
        let mut document = json!({
            "event": "deploy",
            "certificate": goods.name,
            "generation": goods.generation,
            "names": leaf.as_ref().map(names).unwrap_or_default(),
            "fingerprint": Fingerprint::of(goods.leaf()).to_string(),
            "not_after": leaf.as_ref().and_then(Certificate::not_after).map(|t| t.to_string()),
            "certificate_pem": text(goods.chain.get(..1).unwrap_or(&[])),
            "chain_pem": text(goods.rest()),
        });
        if self.settings.send_key {
            let key = keystore::key_pem(goods.key.expose(), KeyForm::Pkcs8)?;
            document["key_pem"] = json!(String::from_utf8_lossy(&key));
        }
        Ok(document)
    }

    async fn send(&self, id: &str, document: &Value, key: Option<&[u8]>, now: UnixTime) -> Result<(), Fault> {
        let mut request = Request::json(self.settings.url().map_err(secret)?, document).secret_path();
        if let Some(key) = key {
            // An answer that repeats the request must not put the key into a log: not a line of it.
            let text = base64::engine::general_purpose::STANDARD.encode(key);
            text.as_bytes().chunks(64).for_each(|line| request.cover.add(&String::from_utf8_lossy(line)));
        }
        if let Some(token) = &self.settings.token {
            let token = token.read().map_err(secret)?;
            request.secret_header(crate::http::AUTHORIZATION, "Bearer ", &token)?;
        }
        if let Some(own) = &self.settings.secret {
            let key = own.read().and_then(|s| signing_key(&s)).map_err(secret)?;
            for (name, value) in signatures(&key, id, now.0, &request.body) {
                let value = HeaderValue::from_str(&value)
                    .map_err(|_| Fault::new(FaultKind::Invalid, "the message has no id"))?;
                request.headers.push((HeaderName::from_static(name), value));
            }
        }
        self.client.send(&request, now).await.map(drop)
    }
}

/// An id fit for a header.
fn id(name: &str, generation: u64, event: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().take(150).map(fit).collect();
    format!("{name}-{generation}-{event}")
}

impl Deployer for Webhook {
    fn places(&self) -> Vec<Location> {
        Vec::new()
    }

    fn deploy<'a>(&'a self, cx: &'a Cx, bundle: &'a Bundle) -> BoxFuture<'a, Result<Receipt, Fault>> {
        Box::pin(async move {
            let now = cx.clock.now();
            let goods = Goods::of(bundle, now)?;
            let document = self.document(&goods)?;
            let plain =
                self.settings.send_key.then(|| keystore::plain_pkcs8(goods.key.expose())).transpose()?;
            let id = id(&goods.name, goods.generation, "deploy");
            self.send(&id, &document, plain.as_ref().map(|k| k.as_slice()), now).await?;
            // What the service had before it does not say.
            let undo = back::undo(&goods, self.settings.roll_back);
            Ok(Receipt { generation: goods.generation, before: None, undo })
        })
    }

    fn roll_back<'a>(&'a self, cx: &'a Cx, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            if !self.settings.roll_back {
                return Err(back::none().hint(
                    "set roll_back = true where the service knows the event, or install the one before by hand",
                ));
            }
            let now = cx.clock.now();
            back::may(receipt, now)?;
            let taken = back::Taken::of(receipt);
            let before = receipt.before.as_ref();
            let document = json!({
                "event": "roll-back",
                "certificate": taken.name,
                "generation": receipt.generation,
                "names": taken.names,
                "fingerprint": taken.fingerprint,
                "before": before.map(|b| json!({
                    "fingerprint": b.fingerprint, "not_after": UnixTime(b.not_after).to_string(),
                })),
            });
            self.send(&id(&taken.name, receipt.generation, "roll-back"), &document, None, now).await
        })
    }

    fn rehearse<'a>(&'a self, _: &'a Cx) -> BoxFuture<'a, Vec<Check>> {
        Box::pin(async move {
            let read = self.settings.url().and_then(|url| {
                self.settings.token.as_ref().map(Secret::read).transpose()?;
                self.settings.secret.as_ref().map(|s| signing_key(&s.read()?)).transpose()?;
                Ok(url)
            });
            let sent = match read {
                Ok(url) => Check::works(
                    "webhook",
                    format!("{} is set and its secrets can be read; nothing was sent", place(&url)),
                ),
                Err(why) => {
                    let fault = secret(why);
                    Check::fails("webhook", fault.to_string(), fault.hint.clone().unwrap_or_default())
                }
            };
            std::iter::once(sent).chain((!self.settings.roll_back).then(back::said)).collect()
        })
    }
}
