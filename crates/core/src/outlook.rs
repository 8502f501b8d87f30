//! Whether something will be renewed before it ends, as far as anybody can know: what the forecast believes, and why.
//!
//! A belief has a reason: a renewer's own plan while it is well, what became of the predecessors, or that the thing is
//! published anew all the time. What is late already is believed of nobody. It decides nothing that is told today.

use crate::UnixTime;
use crate::deadline::Ladder;
use crate::dossier::AssetView;
use crate::inventory::AssetKind;
use crate::renewers::Cause;

/// What is expected of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It is renewed at about this instant.
    Renews {
        /// When.
        at: UnixTime,
        /// By what: `certbot`, `as its 3 predecessors were`, ...
        by: String,
    },
    /// Somebody publishes it anew all the time: a list, a staple, a signature over a zone.
    Republished {
        /// When half of its time is over.
        at: UnixTime,
    },
    /// Something was to renew it, and will not: why.
    Stuck(String),
    /// Nothing is known that would.
    ByHand,
}

impl Outlook {
    /// The word used in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Renews { .. } => "renews",
            Self::Republished { .. } => "republished",
            Self::Stuck(_) => "stuck",
            Self::ByHand => "by-hand",
        }
    }

    /// In a few words; nothing to say of what a person has to do.
    pub fn words(&self) -> String {
        let day = |at: &UnixTime| at.date();
        match self {
            Self::Renews { at, by } => format!("expected to be renewed on {} ({by})", day(at)),
            Self::Republished { at } => format!("published anew all the time, next by {}", day(at)),
            Self::Stuck(why) => format!("was to be renewed by itself, and is not: {why}"),
            Self::ByHand => String::new(),
        }
    }

    /// When it is replaced, if it is expected to be.
    pub fn replaced(&self) -> Option<UnixTime> {
        match self {
            Self::Renews { at, .. } | Self::Republished { at } => Some(*at),
            Self::Stuck(_) | Self::ByHand => None,
        }
    }
}

/// So many renewals in time make a habit.
const HABIT: usize = 2;

/// What was left of each predecessor, in seconds, when the next one began; `lives` in any order.
pub fn habit(lives: &[(UnixTime, UnixTime)]) -> Vec<i64> {
    let mut lives = lives.to_vec();
    lives.sort_unstable();
    lives.dedup_by_key(|life| life.0);
    lives.windows(2).map(|pair| pair[0].1.0.saturating_sub(pair[1].0.0)).collect()
}

/// When one that lives from `begin` to `end` is to be replaced as its predecessors were, and when it is late; `left`: see
/// [`habit`]. `None` where they had no habit: too few, one that came too late, parallel ones (of a farm, of two kinds of key),
/// deployments that have a new one made whenever they please; and where the usual warning comes first.
pub fn due_by_habit(begin: UnixTime, end: UnixTime, left: &[i64]) -> Option<(UnixTime, UnixTime)> {
    let life = end.0.saturating_sub(begin.0);
    let (least, most) = (*left.iter().min()?, *left.iter().max()?);
    if left.len() < HABIT || least <= 0 || most > life / 2 || most - least > life / 6 {
        return None;
    }
    let mut sorted = left.to_vec();
    sorted.sort_unstable();
    let due = end.plus(-sorted[sorted.len() / 2]);
    let late = end.plus((life / 30).max(3600) - least);
    (late < end.plus(-Ladder::for_leaf(life).warning)).then_some((due, late))
}

/// What is expected of this one. `left`: see [`habit`], the present one's beginning included.
pub fn outlook(view: &AssetView<'_>, left: &[i64], now: UnixTime) -> Outlook {
    let (Some(begin), Some(end)) = (view.asset.not_before, view.asset.not_after) else {
        return Outlook::ByHand;
    };
    let life = end.0.saturating_sub(begin.0);
    if let Some((one, due, late)) = view.changes(now).filter(|(one, ..)| !one.left_behind) {
        let at = due.max(now);
        return match Cause::of(one, view, at) {
            Cause::Unknown if now < late => Outlook::Renews { at, by: one.renewal.tool.clone() },
            cause => Outlook::Stuck(cause.words(one.renewal)),
        };
    }
    match view.asset.kind {
        AssetKind::Crl | AssetKind::OcspResponse | AssetKind::DnssecSignature | AssetKind::SignedMetadata => {
            // Past half of its time it is late, and nobody knows that it still comes.
            let half = begin.plus(life / 2);
            if now < half { Outlook::Republished { at: half } } else { Outlook::ByHand }
        }
        AssetKind::Certificate if left.len() >= HABIT && left.iter().all(|left| *left > 0) => {
            let mut sorted = left.to_vec();
            sorted.sort_unstable();
            let usual = sorted[sorted.len() / 2].min(life);
            let at = end.plus(-usual);
            if now > at.plus((life / 6).max(1)) {
                return Outlook::Stuck(format!("its {} predecessors had been renewed by {at}", left.len()));
            }
            Outlook::Renews { at: at.max(now), by: format!("as its {} predecessors were", left.len()) }
        }
        _ => Outlook::ByHand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fingerprint;
    use crate::inventory::{Asset, BytesAt};
    use crate::rules::scene::{NOW, days};
    use notafter_pki::time::DAY;

    fn check(kind: AssetKind, lives: (i64, i64), left: &[i64], expected: &dyn Fn(Outlook) -> bool) {
        let asset = Asset {
            id: Fingerprint([3; 32]),
            kind,
            bytes: BytesAt { offset: 0, length: 0 },
            not_before: Some(days(lives.1 - lives.0)),
            not_after: Some(days(lives.1)),
            key: None,
        };
        let left: Vec<i64> = left.iter().map(|d| d * DAY).collect();
        let is = outlook(&AssetView::bare(&asset, Vec::new()), &left, NOW);
        assert!(expected(is.clone()), "{kind:?} {lives:?} {left:?}: {is:?}");
    }

    #[test]
    fn by_habit_and_by_kind() {
        let renews = |on: i64| move |o: Outlook| matches!(o, Outlook::Renews { at, .. } if at == days(on));
        check(AssetKind::Certificate, (90, 60), &[30, 31, 29], &renews(30));
        check(AssetKind::Certificate, (90, 25), &[30, 30], &renews(0));
        check(AssetKind::Certificate, (90, 10), &[30, 30], &|o| matches!(o, Outlook::Stuck(_)));
        // Once in time is no habit, and one that came too late is none.
        check(AssetKind::Certificate, (90, 60), &[30], &|o| o == Outlook::ByHand);
        check(AssetKind::Certificate, (90, 60), &[30, -1, 30], &|o| o == Outlook::ByHand);
        check(AssetKind::Crl, (10, 7), &[], &|o| o == Outlook::Republished { at: days(2) });
        check(AssetKind::Crl, (10, 3), &[], &|o| o == Outlook::ByHand);
        check(AssetKind::Domain, (365, 3), &[], &|o| o == Outlook::ByHand);
    }

    #[test]
    fn late_by_habit() {
        let late = |life: i64, left: &[f64]| {
            let left: Vec<i64> = left.iter().map(|days| (days * DAY as f64) as i64).collect();
            let end = UnixTime(1000 * DAY);
            let late = due_by_habit(end.plus(-life * DAY), end, &left)?.1;
            Some((end.0 - late.0) as f64 / DAY as f64)
        };
        assert_eq!(late(90, &[30.0, 31.0, 29.0]), Some(26.0));
        assert_eq!(late(6, &[3.0, 2.5]), Some(2.3));
        // Once; too late once; a farm; whenever it pleases; not before the usual warning.
        for left in
            [&[30.0][..], &[30.0, -1.0], &[89.0, 89.0], &[89.0, 30.0, 89.0], &[40.0, 24.0], &[20.0, 20.0]]
        {
            assert_eq!(late(90, left), None, "{left:?}");
        }
    }

    #[test]
    fn what_was_left_of_predecessors() {
        let life = |from: i64, until: i64| (UnixTime(from), UnixTime(until));
        assert_eq!(habit(&[life(60, 150), life(0, 90), life(125, 215)]), [30, 25]);
        assert_eq!(habit(&[life(0, 90), life(0, 90)]), Vec::<i64>::new());
    }
}
