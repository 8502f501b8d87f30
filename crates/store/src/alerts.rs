//! Alerts, messages on their way, acknowledgement links, the audit trail.

use notafter_core::UnixTime;
use notafter_core::alert::{Alert, Delivery, Outgoing, State};

use crate::db::{Conn, Result, Row, args, corrupt, other};
use crate::observations::intern::next_id;
use crate::places::{fit, hash48};
use crate::{Store, StoreError};

/// One line of the audit trail: who did what to what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct AuditLine {
    pub at: UnixTime,
    pub who: String,
    /// `alert-told`, `acknowledged`, `retired`, `owner-set`, `restored`, ...
    pub what: String,
    /// What it was done to: an alert (`a17`), an asset, a place.
    pub subject: String,
    pub detail: String,
}

/// A single-use link that acknowledges alerts: the SHA-256 of its secret, and until when it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct NewLink {
    pub hash: [u8; 32],
    pub ends: UnixTime,
    /// Alerts that it is for besides the one it is kept with.
    pub beside: Vec<i64>,
}

/// What is kept of a telling: the alert as it stands now, the messages that follow, their links, lines of the trail.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Telling {
    pub alert: Alert,
    pub messages: Vec<Outgoing>,
    pub links: Vec<NewLink>,
    pub lines: Vec<AuditLine>,
}

/// What became of a single-use link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// For these alerts.
    For(Vec<i64>),
    /// It was used already.
    Used,
    /// It has ended, or was revoked.
    Ended,
    /// There never was such a link.
    Unknown,
}

impl Store {
    /// Alerts that are not resolved.
    ///
    /// # Errors
    /// The store's.
    pub fn open_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.db.read(|c| {
            let rows =
                c.query("SELECT body, version FROM alert WHERE state <> 'resolved' ORDER BY number", &[])?;
            rows.into_iter().map(read_alert).collect()
        })
    }

    /// Alerts in one state (`None`: any), newest change first; `after` is the number to go on after.
    ///
    /// # Errors
    /// The store's.
    pub fn alerts(
        &self,
        state: Option<State>,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Alert>, StoreError> {
        self.db.read(|c| {
            // The newest change first: go on below the change of the one that was last.
            let last = match after {
                Some(number) => c.first("SELECT changed FROM alert WHERE number = $1", args![number])?,
                None => None,
            };
            let (changed, number) = match (last, after) {
                (Some(row), Some(number)) => (row.int(0)?, number),
                _ => (i64::MAX, i64::MAX),
            };
            let rows = c.query(
                "SELECT body, version FROM alert
                 WHERE (changed < $1 OR (changed = $1 AND number < $2)) AND (state = $3 OR $3 = '')
                 ORDER BY changed DESC, number DESC LIMIT $4",
                args![changed, number, state.map_or("", State::as_str), limit],
            )?;
            rows.into_iter().map(read_alert).collect()
        })
    }

    /// One alert.
    ///
    /// # Errors
    /// The store's.
    pub fn alert(&self, number: i64) -> Result<Option<Alert>, StoreError> {
        self.db.read(|c| {
            let row = c.first("SELECT body, version FROM alert WHERE number = $1", args![number])?;
            row.map(read_alert).transpose()
        })
    }

    /// The alert that a finding belongs to, the newest if there were several.
    ///
    /// # Errors
    /// The store's.
    pub fn alert_of(&self, finding: &str) -> Result<Option<Alert>, StoreError> {
        self.db.read(|c| {
            let row = c.first(
                "SELECT a.body, a.version FROM alert_member m JOIN alert a ON a.number = m.alert
                 WHERE m.finding = $1 ORDER BY a.number DESC LIMIT 1",
                args![finding],
            )?;
            row.map(read_alert).transpose()
        })
    }

    /// The lowest alert number that was never used.
    ///
    /// # Errors
    /// The store's.
    pub fn next_alert_number(&self) -> Result<i64, StoreError> {
        self.db.read(|c| c.one("SELECT coalesce(max(number), 0) + 1 FROM alert", &[])?.int(0))
    }

    /// Keeps an alert with the messages that follow from it, all or nothing. `false`: it was changed by somebody else
    /// since it was loaded (its `version`), and nothing was kept. A message whose id is known is not written twice.
    ///
    /// # Errors
    /// The store's.
    pub fn tell(
        &self,
        alert: &Alert,
        messages: &[Outgoing],
        audit: &[AuditLine],
    ) -> Result<bool, StoreError> {
        self.tell_with(alert, messages, &[], audit)
    }

    /// The same, with the acknowledgement links that stand in the messages: kept with them or not at all.
    ///
    /// # Errors
    /// The store's.
    pub fn tell_with(
        &self,
        alert: &Alert,
        messages: &[Outgoing],
        links: &[NewLink],
        audit: &[AuditLine],
    ) -> Result<bool, StoreError> {
        self.db.write(|c| {
            if !is_as_loaded(c, alert, &[])? {
                return Ok(false);
            }
            keep_alert(c, alert, messages, links, audit)?;
            Ok(true)
        })
    }

    /// The same for several alerts that are told in one message: all of them or none.
    ///
    /// # Errors
    /// The store's.
    pub fn tell_all(&self, tellings: &[Telling]) -> Result<bool, StoreError> {
        // What ends makes room for what begins with the same cause.
        let mut tellings: Vec<&Telling> = tellings.iter().collect();
        tellings.sort_by_key(|one| one.alert.state != State::Resolved);
        let ending = tellings.iter().filter(|one| one.alert.state == State::Resolved);
        let ending: Vec<i64> = ending.map(|one| one.alert.number).collect();
        self.db.write(|c| {
            for one in &tellings {
                if !is_as_loaded(c, &one.alert, &ending)? {
                    return Ok(false);
                }
            }
            for one in &tellings {
                keep_alert(c, &one.alert, &one.messages, &one.links, &one.lines)?;
            }
            Ok(true)
        })
    }

    /// Puts messages that belong to no alert on their way (a digest, a test).
    ///
    /// # Errors
    /// The store's.
    pub fn send(&self, messages: &[Outgoing]) -> Result<(), StoreError> {
        self.db.write(|c| put_messages(c, messages))
    }

    /// Messages to be tried now, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub fn outgoing_due(&self, now: UnixTime, limit: usize) -> Result<Vec<Outgoing>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                "SELECT body FROM outbox WHERE state IN ('pending', 'late') AND next <= $1 ORDER BY next, number LIMIT $2",
                args![now, limit],
            )?;
            rows.into_iter().map(read_message).collect()
        })
    }

    /// The number of the last line of the audit: it grows with every deed, of whichever process.
    ///
    /// # Errors
    /// The store's.
    pub fn last_deed(&self) -> Result<i64, StoreError> {
        self.db.read(|c| {
            let row = c.one("SELECT max(id) FROM audit", &[])?;
            Ok(row.maybe_int(0)?.unwrap_or(0))
        })
    }

    /// When the next message is due.
    ///
    /// # Errors
    /// The store's.
    pub fn next_outgoing(&self) -> Result<Option<UnixTime>, StoreError> {
        self.db.read(|c| {
            let row = c.one("SELECT min(next) FROM outbox WHERE state IN ('pending', 'late')", &[])?;
            Ok(row.maybe_int(0)?.map(UnixTime))
        })
    }

    /// Keeps what became of a delivery, and the messages that are sent instead (a second channel). Once it is over, the
    /// secret of the link that stood in it is nobody's business any more and is not kept.
    ///
    /// # Errors
    /// The store's.
    pub fn delivered(&self, message: &Outgoing, instead: &[Outgoing]) -> Result<(), StoreError> {
        self.delivered_with(message, instead, &[], &[])
    }

    /// The same with the links that stand in the messages, each with the alert it is kept with, and with lines of the
    /// trail.
    ///
    /// # Errors
    /// The store's.
    pub fn delivered_with(
        &self,
        message: &Outgoing,
        instead: &[Outgoing],
        links: &[(i64, NewLink)],
        lines: &[AuditLine],
    ) -> Result<(), StoreError> {
        self.db.write(|c| {
            for (alert, link) in links {
                put_link(c, link, *alert)?;
            }
            for line in lines {
                audit(c, line)?;
            }
            let body = match message.delivery {
                Delivery::Sent | Delivery::Failed => message_json(&without_link(message))?,
                Delivery::Pending | Delivery::Late => message_json(message)?,
            };
            c.execute(
                "UPDATE outbox SET state = $2, next = $3, body = $4 WHERE id = $1",
                args![&*fit(&message.id), message.delivery.as_str(), message.next, &body],
            )?;
            put_messages(c, instead)
        })
    }

    /// Deliveries, newest first: of one alert, or all.
    ///
    /// # Errors
    /// The store's.
    pub fn outgoing(&self, alert: Option<i64>, limit: usize) -> Result<Vec<Outgoing>, StoreError> {
        self.db.read(|c| {
            let rows = match alert {
                Some(alert) => c.query(
                    "SELECT body FROM outbox
                     WHERE number IN (SELECT number FROM outbox WHERE alert = $1
                                      UNION SELECT o.number FROM outbox_beside b JOIN outbox o ON o.id = b.id
                                            WHERE b.alert = $1)
                     ORDER BY number DESC LIMIT $2",
                    args![alert, limit],
                )?,
                None => c.query("SELECT body FROM outbox ORDER BY number DESC LIMIT $1", args![limit])?,
            };
            rows.into_iter().map(read_message).collect()
        })
    }

    /// Messages that were given up for good and are about an alert that is not over.
    ///
    /// # Errors
    /// The store's.
    pub fn given_up(&self) -> Result<Vec<Outgoing>, StoreError> {
        self.db.read(|c| {
            let rows = c.query(
                "SELECT o.body FROM outbox o WHERE o.state = 'failed' AND o.number IN
                   (SELECT m.number FROM alert a JOIN outbox m ON m.alert = a.number WHERE a.state <> 'resolved'
                    UNION SELECT m.number FROM alert a JOIN outbox_beside b ON b.alert = a.number
                          JOIN outbox m ON m.id = b.id WHERE a.state <> 'resolved')
                 ORDER BY o.number",
                &[],
            )?;
            rows.into_iter().map(read_message).collect()
        })
    }

    /// Keeps the SHA-256 of a single-use secret that acknowledges an alert until `ends`.
    ///
    /// # Errors
    /// The store's.
    pub fn put_link(&self, hash: &[u8; 32], alert: i64, ends: UnixTime) -> Result<(), StoreError> {
        self.db.write(|c| put_link(c, &NewLink { hash: *hash, ends, beside: Vec::new() }, alert))
    }

    /// Looks a link up; with `take` it is used up by that.
    ///
    /// # Errors
    /// The store's.
    pub fn link(&self, hash: &[u8; 32], take: bool, now: UnixTime) -> Result<Link, StoreError> {
        let look = |c: &mut Conn<'_>| {
            let row =
                c.first("SELECT alert, ends, used, beside FROM ack_link WHERE hash = $1", args![&hash[..]])?;
            let Some(mut row) = row else { return Ok(Link::Unknown) };
            Ok(match (row.maybe_int(2)?, row.int(1)?) {
                (Some(_), _) => Link::Used,
                (None, ends) if ends <= now.0 => Link::Ended,
                _ => Link::For(link_alerts(&mut row)?),
            })
        };
        if !take {
            return self.db.read(look);
        }
        self.db.write(|c| {
            let found = look(c)?;
            if let Link::For(_) = found {
                c.execute("UPDATE ack_link SET used = $2 WHERE hash = $1", args![&hash[..], now])?;
            }
            Ok(found)
        })
    }

    /// Gives back a link that was taken at `taken`: what it should do was not done.
    ///
    /// # Errors
    /// The store's.
    pub fn give_link_back(&self, hash: &[u8; 32], taken: UnixTime) -> Result<(), StoreError> {
        self.db.write(|c| {
            c.execute(
                "UPDATE ack_link SET used = NULL WHERE hash = $1 AND used = $2",
                args![&hash[..], taken],
            )?;
            Ok(())
        })
    }

    /// Writes a line into the audit trail. Each line carries the hash of the one before it.
    ///
    /// # Errors
    /// The store's.
    pub fn audit(&self, line: &AuditLine) -> Result<(), StoreError> {
        self.db.write(|c| audit(c, line))
    }

    /// The audit trail, newest first: about one subject, or all; `before` is the row number to go on below.
    ///
    /// # Errors
    /// The store's.
    pub fn audit_lines(
        &self,
        subject: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(i64, AuditLine)>, StoreError> {
        let lines = self.audit_chain(subject, before, limit)?;
        Ok(lines.into_iter().map(|(id, line, _)| (id, line)).collect())
    }

    /// The same, each with its hash: what anybody needs to follow the chain.
    ///
    /// # Errors
    /// The store's.
    pub fn audit_chain(
        &self,
        subject: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(i64, AuditLine, Vec<u8>)>, StoreError> {
        let wanted = notafter_pki::name::printable(subject.unwrap_or(""));
        self.db.read(|c| {
            let rows = c.query(
                "SELECT id, at, who, what, subject, detail, hash FROM audit
                 WHERE id < $1 AND ((subject_hash = $2 AND subject = $3) OR $4 = 1) ORDER BY id DESC LIMIT $5",
                args![
                    before.unwrap_or(i64::MAX),
                    hash48(wanted.as_bytes()),
                    &wanted,
                    subject.is_none(),
                    limit
                ],
            )?;
            rows.into_iter().map(|mut row| Ok((row.int(0)?, read_line(&mut row)?, row.blob(6)?))).collect()
        })
    }

    /// Follows the chain of hashes through the whole audit trail; the number of the first row that is missing or does not fit.
    ///
    /// # Errors
    /// The store's.
    pub fn audit_broken_at(&self) -> Result<Option<i64>, StoreError> {
        self.db.read(|c| {
            let mut expected = (1, [0; 32]);
            let mut broken = None;
            c.each(
                "SELECT id, at, who, what, subject, detail, hash FROM audit ORDER BY id",
                &[],
                |mut row| {
                    if broken.is_some() {
                        return Ok(());
                    }
                    let (id, hash) = (row.int(0)?, row.blob(6)?);
                    let line = read_line(&mut row)?;
                    let right = chained(&expected.1, id, &line);
                    if id == expected.0 && hash == right {
                        expected = (id + 1, right);
                    } else {
                        broken = Some(id.min(expected.0));
                    }
                    Ok(())
                },
            )?;
            // The end is written down apart, so that lines cut off at the end are missed, too.
            let end = audit_end(c)?;
            Ok(broken.or((expected.0 <= end).then_some(expected.0)))
        })
    }
}

/// Did nobody change this alert since it was loaded, or open another one for the same cause? One of `ending` is none.
fn is_as_loaded(c: &mut Conn<'_>, alert: &Alert, ending: &[i64]) -> Result<bool> {
    let known = c.first("SELECT version FROM alert WHERE number = $1", args![alert.number])?;
    if known.map(|row| row.int(0)).transpose()?.unwrap_or(0) != alert.version {
        return Ok(false);
    }
    let beside = c.first(
        "SELECT number FROM alert WHERE joined = $1 AND state <> 'resolved' AND number <> $2",
        args![&*fit(&alert.group), alert.number],
    )?;
    let beside = beside.map(|row| row.int(0)).transpose()?;
    Ok(alert.state == State::Resolved || beside.is_none_or(|number| ending.contains(&number)))
}

/// An alert as it stands now, with what follows from it.
fn keep_alert(
    c: &mut Conn<'_>,
    alert: &Alert,
    messages: &[Outgoing],
    links: &[NewLink],
    audit: &[AuditLine],
) -> Result<()> {
    let body = serde_json::to_string(alert).map_err(|e| other(format!("an alert: {e}")))?;
    let changed = [alert.told, alert.resolved, alert.hold.as_ref().map(|h| h.at), Some(alert.opened)];
    let changed = changed.into_iter().flatten().max().unwrap_or(alert.opened);
    c.execute(
        "INSERT INTO alert (number, version, joined, owner, state, changed, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (number) DO UPDATE SET version = excluded.version, joined = excluded.joined,
           owner = excluded.owner, state = excluded.state, changed = excluded.changed, body = excluded.body",
        args![
            alert.number,
            alert.version + 1,
            &*fit(&alert.group),
            &alert.owner,
            alert.state.as_str(),
            changed,
            &body
        ],
    )?;
    c.execute("DELETE FROM alert_member WHERE alert = $1", args![alert.number])?;
    let members: Vec<_> = alert.members.keys().map(|f| vec![f.into(), alert.number.into()]).collect();
    c.execute_many("INSERT INTO alert_member (finding, alert) VALUES ($1, $2)", &members)?;
    put_messages(c, messages)?;
    for link in links {
        put_link(c, link, alert.number)?;
    }
    for line in audit {
        self::audit(c, line)?;
    }
    Ok(())
}

fn read_alert(mut row: Row) -> Result<Alert> {
    let body = row.text(0)?;
    let mut alert: Alert =
        serde_json::from_str(&body).map_err(|e| corrupt(format!("an alert cannot be read: {e}")))?;
    alert.version = row.int(1)?;
    Ok(alert)
}

fn read_message(mut row: Row) -> Result<Outgoing> {
    serde_json::from_str(&row.text(0)?).map_err(|e| corrupt(format!("a message cannot be read: {e}")))
}

fn message_json(message: &Outgoing) -> Result<String> {
    serde_json::to_string(message).map_err(|e| other(format!("a message: {e}")))
}

fn without_link(message: &Outgoing) -> Outgoing {
    let mut bare = message.clone();
    bare.notice.acknowledge_url = None;
    bare
}

/// The alerts of a row of `alert, ends, used, beside`.
fn link_alerts(row: &mut Row) -> Result<Vec<i64>> {
    let mut alerts = vec![row.int(0)?];
    if let Some(beside) = row.maybe_text(3)? {
        let beside: Vec<i64> =
            serde_json::from_str(&beside).map_err(|e| corrupt(format!("a link cannot be read: {e}")))?;
        alerts.extend(beside);
    }
    Ok(alerts)
}

fn put_link(c: &mut Conn<'_>, link: &NewLink, alert: i64) -> Result<()> {
    let beside = match link.beside.as_slice() {
        [] => None,
        some => Some(serde_json::to_string(some).map_err(|e| other(format!("a link: {e}")))?),
    };
    c.execute(
        "INSERT INTO ack_link (hash, alert, ends, beside) VALUES ($1, $2, $3, $4) ON CONFLICT (hash) DO NOTHING",
        args![&link.hash[..], alert, link.ends, beside.as_deref()],
    )?;
    Ok(())
}

/// A message whose id is known is on its way already.
fn put_messages(c: &mut Conn<'_>, messages: &[Outgoing]) -> Result<()> {
    for message in messages {
        let number = next_id(c, "outbox")?;
        let body = message_json(message)?;
        c.execute(
            "INSERT INTO outbox (id, number, alert, state, next, body) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO NOTHING",
            args![&*fit(&message.id), number, message.alert, message.delivery.as_str(), message.next, &body],
        )?;
        let id = fit(&message.id);
        let beside: Vec<_> =
            message.beside.iter().map(|alert| vec![(*alert).into(), (&*id).into()]).collect();
        c.execute_many(
            "INSERT INTO outbox_beside (alert, id) VALUES ($1, $2) ON CONFLICT (alert, id) DO NOTHING",
            &beside,
        )?;
    }
    Ok(())
}

fn read_line(row: &mut Row) -> Result<AuditLine> {
    Ok(AuditLine {
        at: UnixTime(row.int(1)?),
        who: row.text(2)?,
        what: row.text(3)?,
        subject: row.text(4)?,
        detail: row.text(5)?,
    })
}

/// The number of the last line that was ever written.
fn audit_end(c: &mut Conn<'_>) -> Result<i64> {
    let end = c.first("SELECT count FROM total WHERE name = 'audit'", &[])?;
    Ok(end.map(|row| row.int(0)).transpose()?.unwrap_or(0))
}

/// A line into the trail, in the transaction of what it is about: no deed without its line.
pub(crate) fn audit(c: &mut Conn<'_>, line: &AuditLine) -> Result<()> {
    let last = c.first("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1", &[])?;
    let (last, before) = match last {
        Some(mut row) => (row.int(0)?, row.blob(1)?),
        None => (0, vec![0; 32]),
    };
    // Lines that were cut off at the end leave a gap that no line after them closes.
    let id = last.max(audit_end(c)?) + 1;
    let clean = |text: &str| notafter_pki::name::printable(text);
    let line = AuditLine {
        at: line.at,
        who: clean(&line.who),
        what: clean(&line.what),
        subject: clean(&line.subject),
        detail: clean(&line.detail),
    };
    let hash = chained(&before, id, &line);
    c.execute(
        "INSERT INTO audit (id, at, who, what, subject_hash, subject, detail, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![
            id,
            line.at,
            &line.who,
            &line.what,
            hash48(line.subject.as_bytes()),
            &line.subject,
            &line.detail,
            &hash[..]
        ],
    )?;
    c.execute(
        "INSERT INTO total (name, count) VALUES ('audit', $1)
         ON CONFLICT (name) DO UPDATE SET count = excluded.count",
        args![id],
    )?;
    Ok(())
}

/// SHA-256 over the hash before, and each field with its length in front, so that no two lines read alike.
fn chained(before: &[u8], id: i64, line: &AuditLine) -> [u8; 32] {
    let mut bytes = before.to_vec();
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&line.at.0.to_be_bytes());
    for field in [&line.who, &line.what, &line.subject, &line.detail] {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field.as_bytes());
    }
    notafter_pki::fingerprint::sha256(&bytes)
}
