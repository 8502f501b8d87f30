//! Names that a server has given away already: of two blocks for one name at one address the first is asked, and what
//! the other says of it is never used. nginx warns of it ("conflicting server name") and goes on, Apache says nothing.

use std::collections::HashMap;

use notafter_core::observation::Reason;

use super::{At, Listen, Name, Reading};

/// So many names with stars are remembered for each address.
const STARS_MAX: usize = 1000;

/// What was given away so far.
#[derive(Default)]
pub(super) struct Taken {
    of: HashMap<Listen, Spot>,
    /// Does the first name that fits win, stars included, as in Apache? Else only the same name is taken.
    in_order: bool,
}

#[derive(Default)]
struct Spot {
    names: HashMap<Name, At>,
    stars: Vec<(String, At)>,
}

impl Taken {
    /// The first name that fits wins.
    pub(super) fn in_order() -> Self {
        Self { in_order: true, ..Self::default() }
    }

    /// The names that are left for a block at one address; they are its own from now on. What was taken is said, once a
    /// block: by the first of `said`.
    pub(super) fn take(
        &mut self,
        reading: &mut Reading<'_>,
        listen: Listen,
        names: &[Name],
        at: &At,
        said: &mut bool,
    ) -> Vec<Name> {
        let spot = self.of.entry(listen).or_default();
        let mut left = Vec::with_capacity(names.len());
        let mut own = Vec::new();
        for name in names {
            let star = || {
                let stars = spot.stars.iter().filter(|_| self.in_order);
                stars.filter(|(end, _)| name.as_str().ends_with(end.as_str())).map(|(_, by)| by).next()
            };
            match spot.names.get(name).or_else(star) {
                Some(by) if by != at => {
                    if !*said {
                        let why = format!(
                            "{} at {listen} is answered by {by} already: what is configured here for it is never used",
                            name.as_str()
                        );
                        reading.blind(at, Reason::Malformed, why);
                    }
                    *said = true;
                }
                _ => {
                    left.push(name.clone());
                    own.push(name);
                }
            }
        }
        for name in own {
            if let (Name::Wildcard(text), true) = (name, spot.stars.len() < STARS_MAX)
                && let Some(end) = text.strip_prefix('*')
            {
                spot.stars.push((end.to_owned(), at.clone()));
            }
            spot.names.insert(name.clone(), at.clone());
        }
        left
    }
}
