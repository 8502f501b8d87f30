//! What the configuration says of how much things matter: `criticality` of owners, and services.
//!
//! The words are checked where the rest of the file is (`config.rs`, `config/plan.rs`); here is only what the blast radius
//! takes from them. Of a service's places, those that name a name, a network, a location, a path or an owner count.

use notafter_core::blast::{Criticality, Stake, Stakes};
use notafter_core::owner::Match;
use notafter_core::query::{Query, Test};

use super::{Config, ServiceTable};

/// All of it.
pub(crate) fn stakes(config: &Config) -> Stakes {
    let critical = config.owner.iter().filter_map(|table| {
        let word = table.criticality.as_deref().and_then(Criticality::named)?;
        Some((table.name.get_ref().clone(), word))
    });
    Stakes { criticality: critical.collect(), services: config.service.iter().map(stake).collect() }
}

fn stake(table: &ServiceTable) -> Stake {
    let mut out = Stake {
        name: table.name.get_ref().clone(),
        public: table.public,
        places: Vec::new(),
        owners: Vec::new(),
    };
    let terms = table.places.iter().filter_map(|text| Query::parse(text).ok()).flat_map(|query| query.terms);
    for term in terms.filter(|term| !term.not) {
        match term.test {
            Test::Name(pattern) => out.places.push(Match::Name(pattern)),
            Test::Network(base, bits) => out.places.push(Match::Network(base, bits)),
            Test::Location(prefix) => out.places.push(Match::Location(prefix)),
            Test::Path(pattern) => out.places.push(Match::Path(pattern)),
            Test::Owner(Some(name)) => out.owners.push(name),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use notafter_core::location::Location;

    #[test]
    fn services_and_owners() {
        let text = "[[owner]]\nname = 'shop'\ncriticality = 'high'\n[[owner]]\nname = 'web'\n\
                    [[service]]\nname = 'login'\nplaces = ['name:login.a.test', 'location:10.0.3.0/24', 'owner:sso']\npublic = true\n";
        let stakes = stakes(&crate::config::parse(text).unwrap());
        assert_eq!(stakes.criticality.len(), 1);
        assert_eq!(stakes.criticality["shop"], Criticality::High);
        let [login] = stakes.services.as_slice() else { panic!("{stakes:?}") };
        assert_eq!((login.public, login.owners.as_slice()), (true, &["sso".to_owned()][..]));
        for (place, mine) in [
            ("tls://10.9.9.9:443?sni=login.a.test", true),
            ("tls://10.0.3.7:443", true),
            ("tls://10.0.4.7:443", false),
        ] {
            let place = Location::parse(place).unwrap();
            assert_eq!(login.places.iter().any(|m| m.covers(&[], &place)), mine, "{place}");
        }
    }
}
