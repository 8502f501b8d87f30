//! The account at a CA (RFC 8555 section 7.3): found or made, kept, given another key, taken over from another client.
//!
//! The key is kept before the CA hears of it, so that whoever is killed in between asks again with the same key and finds
//! the account. Which of two keys is in force after a broken-off key change is not remembered but asked.

use std::path::Path;

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::issuance::KeyType;
use notafter_core::joints::Cx;
use notafter_pki::name::printable;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::document::Directory;
use super::jws::{self, By, b64, unb64};
use super::key::AccountKey;
use super::wire::{Answer, Trouble};
use super::{Acme, import};
use crate::text::cut;

/// How often we begin anew because somebody else changed what is kept.
const TRIES: usize = 8;

/// An account that the CA knows.
pub(crate) struct Account {
    pub(crate) key: AccountKey,
    /// Its address: the `kid` of every request.
    pub(crate) url: String,
}

impl Account {
    /// As the one who signs.
    pub(crate) fn by(&self) -> By<'_> {
        By::Account(&self.key, &self.url)
    }
}

/// What is kept of an account. Whoever implements `Keep` seals it.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Kept {
    /// PKCS#8, base64url.
    key: KeyText,
    /// Where the CA has it; none: not asked yet.
    pub(crate) url: Option<String>,
    /// A key that shall take its place, kept before it was announced.
    next: Option<KeyText>,
    /// The CA knew it once. Until then another kind of key may be configured in its place.
    #[serde(default)]
    known: bool,
    #[serde(default)]
    contact: Vec<String>,
    /// The terms of service that were agreed to.
    #[serde(default)]
    pub(crate) terms: Option<String>,
}

/// A key as text that is wiped when it is dropped.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
struct KeyText(String);

impl Drop for KeyText {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// What an import found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The file the key was in.
    pub file: std::path::PathBuf,
    /// The account at the CA.
    pub account: String,
}

impl Kept {
    fn of(key: &AccountKey) -> Result<Self, Fault> {
        Ok(Self { key: written(key)?, url: None, next: None, known: false, contact: Vec::new(), terms: None })
    }

    /// The key.
    pub(crate) fn key(&self) -> Result<AccountKey, Fault> {
        unwritten(&self.key)
    }
}

fn written(key: &AccountKey) -> Result<KeyText, Fault> {
    let pkcs8 = key.to_pkcs8().map_err(|said| Fault::new(FaultKind::System, said))?;
    Ok(KeyText(b64(&pkcs8)))
}

fn unwritten(text: &KeyText) -> Result<AccountKey, Fault> {
    let bytes = unb64(&text.0).map(Zeroizing::new);
    bytes.and_then(|der| AccountKey::from_der(&der).ok()).ok_or_else(|| {
        Fault::new(FaultKind::System, "the account key that is kept cannot be read")
            .retry(Retry::Never)
            .hint("restore the data folder from a backup, or import the account key anew")
    })
}

impl Acme {
    fn account_name(&self) -> String {
        format!("{}account", self.prefix)
    }

    /// What is kept now.
    pub(crate) fn kept_account(&self) -> Result<Option<(Vec<u8>, Kept)>, Fault> {
        let Some(bytes) = self.keep.kept(&self.account_name())? else { return Ok(None) };
        let kept = serde_json::from_slice(&bytes).map_err(|_| {
            Fault::new(FaultKind::System, "what is kept of the ACME account cannot be read")
                .retry(Retry::Never)
                .hint("restore the data folder from a backup")
        })?;
        Ok(Some((bytes, kept)))
    }

    fn keep_account(&self, before: Option<&[u8]>, kept: &Kept) -> Result<bool, Fault> {
        let bytes = serde_json::to_vec(kept).map_err(|e| Fault::new(FaultKind::System, e.to_string()))?;
        self.keep.keep(&self.account_name(), before, &Zeroizing::new(bytes))
    }

    /// The account: kept, else found by its key, else made.
    pub(crate) async fn account(&self, cx: &Cx) -> Result<Account, Fault> {
        let _one = self.one_at_a_time.lock().await;
        self.account_alone(cx).await
    }

    async fn account_alone(&self, cx: &Cx) -> Result<Account, Fault> {
        let contact = self.settings.contacts().unwrap_or_default();
        for _ in 0..TRIES {
            let Some((bytes, mut kept)) = self.kept_account()? else {
                self.keep_account(None, &Kept::of(&self.first_key()?)?)?;
                continue;
            };
            if kept.next.is_some() {
                self.settle(cx, &mut kept).await?;
                self.keep_account(Some(&bytes), &kept)?;
                continue;
            }
            let key = kept.key()?;
            match &kept.url {
                None if !kept.known && self.is_of_another_kind(&key) => {
                    self.keep_account(Some(&bytes), &Kept::of(&self.first_key()?)?)?;
                }
                None => {
                    let (url, terms, made) = self.register(cx, &key, &contact).await?;
                    (kept.url, kept.terms, kept.known) = (Some(url), terms, true);
                    // One that was found has the contact of whoever made it: ours is told in the next round.
                    kept.contact = if made { contact.clone() } else { Vec::new() };
                    self.keep_account(Some(&bytes), &kept)?;
                }
                Some(url) if kept.contact != contact => {
                    let payload = json!({ "contact": contact });
                    let sent = self.ca.post(cx, url, By::Account(&key, url), Some(&payload)).await;
                    sent.map_err(|t| {
                        t.fault("the CA does not take the contact of the account", cx.clock.now())
                    })?;
                    kept.contact.clone_from(&contact);
                    self.keep_account(Some(&bytes), &kept)?;
                }
                Some(url) => return Ok(Account { url: url.clone(), key }),
            }
        }
        Err(Fault::new(
            FaultKind::Unreachable,
            "the ACME account is being changed by somebody else at the same time",
        ))
    }

    /// Was the kind of key changed before any CA took it? One that the CA refused must not stay for ever.
    fn is_of_another_kind(&self, key: &AccountKey) -> bool {
        let kind = self.settings.account_key_type.unwrap_or(KeyType::EcdsaP256);
        self.settings.account_key.is_none() && key.algorithm() != AccountKey::algorithm_of(kind)
    }

    /// The key of an account that is not kept yet.
    fn first_key(&self) -> Result<AccountKey, Fault> {
        let wrong = |said: String| {
            let (what, hint) = said.split_once("\nhint: ").unwrap_or((&said, "see `account_key`"));
            Fault::new(FaultKind::Invalid, format!("`account_key`: {what}")).hint(hint)
        };
        if let Some(path) = &self.settings.account_key {
            let mut found = import::candidates(path, self.ca.address()).map_err(wrong)?;
            return match found.len() {
                1 => Ok(found.remove(0).key),
                count => Err(wrong(format!(
                    "{} holds {count} account keys\nhint: name the file of the right one",
                    path.display()
                ))),
            };
        }
        let kind = self.settings.account_key_type.unwrap_or(KeyType::EcdsaP256);
        AccountKey::generate(kind).map_err(|said| Fault::new(FaultKind::System, said))
    }

    /// The account of this key, if the CA knows one (RFC 8555 section 7.3.1).
    pub(crate) async fn find(&self, cx: &Cx, key: &AccountKey) -> Result<Option<String>, Trouble> {
        let directory = self.ca.directory(cx).await?;
        let payload = json!({ "onlyReturnExisting": true });
        match self.ca.post(cx, &directory.new_account, By::Key(key), Some(&payload)).await {
            Ok(answer) => Ok(Some(account_url(&answer)?)),
            // A CA that wants a binding may say so even to a question.
            Err(trouble) if trouble.is("accountDoesNotExist") || trouble.is("externalAccountRequired") => {
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Where the CA has our account, as far as that can be known without making one.
    pub(crate) async fn own_url(&self, cx: &Cx) -> Option<String> {
        let kept = self.kept_account().ok().flatten().map(|(_, kept)| kept);
        if let Some(url) = kept.as_ref().and_then(|kept| kept.url.clone()) {
            return Some(url);
        }
        let key = match kept {
            Some(kept) => kept.key().ok(),
            None => self.settings.account_key.as_ref().and_then(|_| self.first_key().ok()),
        };
        self.find(cx, &key?).await.ok().flatten()
    }

    /// The address of the account of this key, the terms of service, and whether it was made just now.
    async fn register(
        &self,
        cx: &Cx,
        key: &AccountKey,
        contact: &[String],
    ) -> Result<(String, Option<String>, bool), Fault> {
        let now = cx.clock.now();
        let directory = self.ca.directory(cx).await?;
        let terms = directory.meta.terms_of_service.clone();
        let found = self.find(cx, key).await;
        if let Some(url) = found.map_err(|t| t.fault("the CA does not answer for the account", now))? {
            return Ok((url, terms, false));
        }
        let payload = self.new_account(key, contact, &directory)?;
        let sent = self.ca.post(cx, &directory.new_account, By::Key(key), Some(&payload)).await;
        let answer = sent.map_err(|t| t.fault("the CA makes no account", now))?;
        Ok((account_url(&answer)?, terms, true))
    }

    /// The request for a new account (RFC 8555 section 7.3).
    fn new_account(
        &self,
        key: &AccountKey,
        contact: &[String],
        directory: &Directory,
    ) -> Result<Value, Fault> {
        let mut payload = json!({});
        if let Some(terms) = &directory.meta.terms_of_service {
            if self.settings.agree_tos == Some(false) {
                let said = format!(
                    "no account is made, because the terms of service at {} are not agreed to",
                    cut(&printable(terms), 200)
                );
                return Err(Fault::new(FaultKind::Invalid, said)
                    .hint("read them; to agree, leave out agree_tos or set it to true"));
            }
            payload["termsOfServiceAgreed"] = json!(true);
        }
        if !contact.is_empty() {
            payload["contact"] = json!(contact);
        }
        match &self.settings.eab {
            Some(eab) => {
                let secret = eab.key().map_err(|said| {
                    let (what, hint) = said.split_once("\nhint: ").unwrap_or((&said, "see `eab`"));
                    Fault::new(FaultKind::Invalid, what).hint(hint)
                })?;
                payload["externalAccountBinding"] =
                    jws::external_binding(&eab.kid, &secret, &directory.new_account, key);
            }
            None if directory.meta.external_account_required => {
                return Err(Fault::new(FaultKind::Invalid, "the CA makes accounts only for those it knows, and no `eab` is set")
                    .hint("set eab = { kid = \"...\", hmac = { file = \"...\" } } to what the CA's own page gave you"));
            }
            None => {}
        }
        Ok(payload)
    }

    /// The CA no longer knows this account: it is looked for, or made, anew with the same key.
    pub(crate) fn forget(&self, account: &Account) -> Result<(), Fault> {
        if let Some((bytes, mut kept)) = self.kept_account()?
            && kept.url.as_deref() == Some(&account.url)
        {
            kept.url = None;
            self.keep_account(Some(&bytes), &kept)?;
        }
        Ok(())
    }

    /// Gives the account another key (RFC 8555 section 7.3.5). The new key is kept before the CA hears of it.
    ///
    /// # Errors
    /// When the CA does not take it; the old key is then in force.
    pub async fn roll_over(&self, cx: &Cx, kind: Option<KeyType>) -> Result<(), Fault> {
        let _one = self.one_at_a_time.lock().await;
        let account = self.account_alone(cx).await?;
        let directory = self.ca.directory(cx).await?;
        let Some(url) = &directory.key_change else {
            return Err(Fault::new(FaultKind::Invalid, "this CA has no way to change the key of an account")
                .hint("make a new account: import another key"));
        };
        let kind = kind.or(self.settings.account_key_type).unwrap_or(KeyType::EcdsaP256);
        let next = AccountKey::generate(kind).map_err(|said| Fault::new(FaultKind::System, said))?;
        let Some((bytes, mut kept)) = self.kept_account()? else { return Err(changed()) };
        kept.next = Some(written(&next)?);
        if !self.keep_account(Some(&bytes), &kept)? {
            return Err(changed());
        }
        let inner = json!({ "account": account.url, "oldKey": account.key.jwk() });
        let inner = jws::sign(By::Key(&next), None, url, Some(&inner))
            .map_err(|said| Fault::new(FaultKind::System, said))?;
        let sent = self.ca.post(cx, url, account.by(), Some(&inner)).await;
        let Some((bytes, mut kept)) = self.kept_account()? else { return Err(changed()) };
        match sent {
            Ok(_) => {
                if let Some(next) = kept.next.take() {
                    kept.key = next;
                }
            }
            Err(trouble) => {
                // A refusal settles it. Where nothing came back, whoever needs the account next asks which key is in force.
                if let Trouble::Problem(problem) = &trouble
                    && problem.status < 500
                {
                    kept.next = None;
                    self.keep_account(Some(&bytes), &kept)?;
                }
                return Err(trouble.fault("the CA does not take the new account key", cx.clock.now()));
            }
        }
        if self.keep_account(Some(&bytes), &kept)? { Ok(()) } else { Err(changed()) }
    }

    /// Finds out which key is in force after a key change that nobody saw the end of.
    async fn settle(&self, cx: &Cx, kept: &mut Kept) -> Result<(), Fault> {
        let Some(next) = kept.next.take() else { return Ok(()) };
        let found = self.find(cx, &unwritten(&next)?).await;
        let found = found
            .map_err(|t| t.fault("the CA does not say which account key is in force", cx.clock.now()))?;
        if found.is_some() {
            kept.key = next;
            kept.url = found;
        }
        Ok(())
    }

    /// Goes on with the account of another client: a key file (PEM; certbot's JWK), or a folder of certbot's, acme.sh's
    /// or lego's. The CA is asked, and nothing is kept unless it knows the key.
    ///
    /// # Errors
    /// When there is no such key, the CA does not know it, or there is an account already.
    pub async fn import_account(&self, cx: &Cx, path: &Path) -> Result<Imported, Fault> {
        let _one = self.one_at_a_time.lock().await;
        let invalid = |said: String| {
            let (what, hint) = said
                .split_once("\nhint: ")
                .unwrap_or((&said, "name certbot's, acme.sh's or lego's folder, or the key file itself"));
            Fault::new(FaultKind::Invalid, what).hint(hint)
        };
        let found = import::candidates(path, self.ca.address()).map_err(invalid)?;
        let before = self.kept_account()?;
        for candidate in &found {
            let asked = self.find(cx, &candidate.key).await;
            let Some(url) =
                asked.map_err(|t| t.fault("the CA does not say whether it knows the key", cx.clock.now()))?
            else {
                continue;
            };
            let imported = Imported { file: candidate.file.clone(), account: url.clone() };
            let mut kept = Kept::of(&candidate.key)?;
            if let Some((_, old)) = &before {
                if old.key()?.thumbprint() == candidate.key.thumbprint() {
                    return Ok(imported);
                }
                if let Some(old) = &old.url {
                    return Err(invalid(format!(
                        "there is an account at this CA already: {old}\nhint: one account a CA is kept; go on with it, or start from a new data folder"
                    )));
                }
            }
            kept.terms = self.ca.directory(cx).await?.meta.terms_of_service.clone();
            (kept.url, kept.known) = (Some(url), true);
            let bytes = before.as_ref().map(|(bytes, _)| &bytes[..]);
            return if self.keep_account(bytes, &kept)? { Ok(imported) } else { Err(changed()) };
        }
        Err(invalid(format!(
            "the CA at {} knows none of the {} account keys in {}\nhint: is it the right CA? Staging has accounts of its own",
            self.ca.address(),
            found.len(),
            path.display()
        )))
    }

    /// The same without asking the CA: whether it knows the key shows at the first order. An account with another key is
    /// never replaced.
    ///
    /// # Errors
    /// When there is no such key, or there is an account already.
    pub async fn import_unasked(&self, file: &Path) -> Result<(), Fault> {
        let _one = self.one_at_a_time.lock().await;
        let wrong =
            |said: String| Fault::new(FaultKind::Invalid, said).hint("name the file of the account key");
        let mut found = import::candidates(file, self.ca.address()).map_err(wrong)?;
        let Some(candidate) = found.pop().filter(|_| found.is_empty()) else {
            return Err(wrong(format!("{} holds several account keys", file.display())));
        };
        let before = self.kept_account()?;
        if let Some((_, old)) = &before {
            if old.key()?.thumbprint() == candidate.key.thumbprint() {
                return Ok(());
            }
            if let Some(url) = &old.url {
                return Err(wrong(format!("there is an account at this CA already: {url}")));
            }
        }
        // Known, so that no key of another kind is made in its place before the CA was asked.
        let kept = Kept { known: true, ..Kept::of(&candidate.key)? };
        let bytes = before.as_ref().map(|(bytes, _)| &bytes[..]);
        if self.keep_account(bytes, &kept)? { Ok(()) } else { Err(changed()) }
    }
}

fn changed() -> Fault {
    Fault::new(FaultKind::Unreachable, "the ACME account was changed by somebody else at the same time")
}

/// The address of an account (RFC 8555 section 7.3), if it can be used.
fn account_url(answer: &Answer) -> Result<String, Fault> {
    let status = serde_json::from_slice::<Value>(&answer.body).ok();
    let status = status.as_ref().and_then(|json| json["status"].as_str()).unwrap_or("valid");
    if status != "valid" {
        return Err(Fault::new(
            FaultKind::Refused,
            format!("the account at the CA is {}", cut(&printable(status), 40)),
        )
        .retry(Retry::Never)
        .hint("make a new account: start with another account key"));
    }
    answer.header("location").filter(|url| url.len() <= 2_048).map(str::to_owned).ok_or_else(|| {
        Fault::new(FaultKind::Unreachable, "the CA did not say where the account is (RFC 8555 section 7.3)")
    })
}
