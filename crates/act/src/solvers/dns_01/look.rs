//! Is the record there? Every server of the zone is asked at every address, and none of them through a resolver: a CA asks
//! any of them, and one that is behind is one failed validation.
//!
//! A server that does not answer, or not for this zone, is no reason to wait, because a CA goes on to the next one; that it
//! is so is said.

use std::fmt::Write as _;

use notafter_pki::dns::{Data, kind};
use tokio::task::JoinSet;

use super::ask::ask;
use super::walk::{Server, code};

/// What one server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// The record is there.
    Has,
    /// The zone is there, the record is not.
    Lacks,
    /// It is of no use: in a few words.
    Away(String),
}

/// What all of them say.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) servers: Vec<(Server, Sight)>,
    /// What could not be asked, in words.
    pub(super) missing: Vec<String>,
}

/// Asks them all at once.
pub(super) async fn look(place: &str, value: &str, servers: Vec<Server>, missing: Vec<String>) -> View {
    let mut asked = JoinSet::new();
    for (n, server) in servers.into_iter().enumerate() {
        let (place, value) = (place.to_owned(), value.to_owned());
        asked.spawn(async move {
            let sight = one(&server, &place, &value).await;
            (n, server, sight)
        });
    }
    let mut all = asked.join_all().await;
    all.sort_by_key(|(n, ..)| *n);
    View { servers: all.into_iter().map(|(_, server, sight)| (server, sight)).collect(), missing }
}

async fn one(server: &Server, place: &str, value: &str) -> Sight {
    let answer = match ask(server.address, place, kind::TXT, false).await {
        Ok(answer) => answer,
        Err(why) => return Sight::Away(why),
    };
    if !matches!(answer.code, 0 | 3) {
        return Sight::Away(format!("{} answers {}", server.address, code(answer.code)));
    }
    if !answer.authoritative {
        return Sight::Away(format!("{} does not have the zone", server.address));
    }
    let has = answer.answers.iter().any(|record| {
        record.owner == place && matches!(&record.data, Data::Txt(text) if text == value.as_bytes())
    });
    if has { Sight::Has } else { Sight::Lacks }
}

impl View {
    fn count(&self, wanted: &Sight) -> usize {
        self.servers.iter().filter(|(_, sight)| sight == wanted).count()
    }

    /// Does whoever asks see it? At least one server has it, and none is behind.
    pub(super) fn is_visible(&self) -> bool {
        self.count(&Sight::Has) > 0 && self.count(&Sight::Lacks) == 0
    }

    /// Does any server have it?
    pub(super) fn is_anywhere(&self) -> bool {
        self.count(&Sight::Has) > 0
    }

    /// Did any server answer for the zone?
    pub(super) fn is_answered(&self) -> bool {
        self.servers.iter().any(|(_, sight)| !matches!(sight, Sight::Away(_)))
    }

    /// `2 of 3 addresses have it; ns3.example.com (192.0.2.3:53) does not; ns4.example.com has no address`.
    pub(super) fn said(&self) -> String {
        let mut out = format!("{} of {} name servers have it", self.count(&Sight::Has), self.servers.len());
        for (server, sight) in &self.servers {
            if *sight == Sight::Lacks {
                let _ = write!(out, "; {server} does not");
            }
        }
        out + &self.absent()
    }

    /// `; 192.0.2.3:53 did not answer within 5 s`: who is of no use.
    pub(super) fn absent(&self) -> String {
        let away = self.servers.iter().filter_map(|(_, sight)| match sight {
            Sight::Away(why) => Some(why.as_str()),
            _ => None,
        });
        away.chain(self.missing.iter().map(String::as_str)).fold(String::new(), |mut out, why| {
            let _ = write!(out, "; {why}");
            out
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(sights: &[Sight]) -> View {
        let server = |n| Server { name: Some(format!("ns{n}.test")), address: ([127, 0, 0, n], 53).into() };
        let servers = sights.iter().cloned().enumerate().map(|(n, sight)| (server(n as u8 + 1), sight));
        View { servers: servers.collect(), missing: vec!["ns9.test has no address".to_owned()] }
    }

    #[test]
    fn one_that_is_behind_is_enough_to_wait_and_one_that_is_gone_is_not() {
        let away = || Sight::Away("127.0.0.3:53 by UDP: refused".to_owned());
        for (sights, visible) in [
            (&[Sight::Has, Sight::Has][..], true),
            (&[Sight::Has, Sight::Lacks], false),
            (&[Sight::Has, away()], true),
            (&[away(), away()], false),
            (&[Sight::Lacks], false),
            (&[], false),
        ] {
            assert_eq!(view(sights).is_visible(), visible, "{sights:?}");
        }
        let said = view(&[Sight::Has, Sight::Lacks, away()]).said();
        assert_eq!(
            said,
            "1 of 3 name servers have it; ns2.test (127.0.0.2:53) does not; 127.0.0.3:53 by UDP: refused; \
             ns9.test has no address"
        );
    }
}
