//! The JSON schema of `notafter.toml`: the tables' own, with each kind of source, notifier, issuer and target spelled out.
//!
//! What a kind takes is known to its provider, and the tables only hold "the rest". Here both are put together, so that
//! an editor refuses what the program would refuse: an unknown kind, an unknown key.

use notafter_act::deployers::DEPLOYERS;
use notafter_act::issuers::ISSUERS;
use notafter_act::notifiers::NOTIFIERS;
use notafter_discover::sources::SOURCES;
use serde_json::{Map, Value, json};

use super::Config;
use super::plan::{LIKE_FILES, NETWORK};

/// The whole of it.
pub(crate) fn whole() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    let notifier = schema["$defs"]["NotifierTable"].clone();
    let source = schema["$defs"]["SourceTable"].clone();
    let mut defs = Map::new();
    let notifiers = spelled(&notifier, NOTIFIERS.iter().map(|k| (k.name, (k.settings)())), &mut defs);
    let (issuer, target) = (schema["$defs"]["IssuerTable"].clone(), schema["$defs"]["TargetTable"].clone());
    let issuers = spelled(&issuer, ISSUERS.iter().map(|k| (k.name, (k.settings)())), &mut defs);
    let targets = spelled(&target, DEPLOYERS.iter().map(|k| (k.name, (k.settings)())), &mut defs);
    let mut sources = Vec::new();
    let usual = &source["properties"];
    for name in NETWORK.iter().chain(["local", "files"].iter()).chain(LIKE_FILES) {
        sources.push(closed(&source, name, usual.as_object().cloned().unwrap_or_default(), &Value::Null));
    }
    for kind in SOURCES {
        let mut own = usual.as_object().cloned().unwrap_or_default();
        own.extend(
            kind.keys.iter().map(|key| ((*key).to_owned(), usual.get(key).cloned().unwrap_or(json!(true)))),
        );
        sources.push(closed(&source, kind.name, own, &Value::Null));
    }
    if let Some(known) = schema["$defs"].as_object_mut() {
        known.extend(defs);
    }
    schema["$defs"]["NotifierTable"] = one_of(&notifier, notifiers);
    schema["$defs"]["IssuerTable"] = one_of(&issuer, issuers);
    schema["$defs"]["TargetTable"] = one_of(&target, targets);
    schema["$defs"]["SourceTable"] = one_of(&source, sources);
    schema
}

/// A table for each kind of provider, with the settings that it has.
fn spelled<'a>(
    table: &Value,
    kinds: impl Iterator<Item = (&'a str, Value)>,
    defs: &mut Map<String, Value>,
) -> Vec<Value> {
    kinds
        .map(|(kind, mut own)| {
            let required = own["required"].clone();
            // What a kind defines for itself gets its name in front: two may mean different things by one word.
            renamed(&mut own, kind);
            if let Some(Value::Object(parts)) = own.get_mut("$defs").map(Value::take) {
                defs.extend(parts.into_iter().map(|(name, part)| (format!("{kind}.{name}"), part)));
            }
            let own = own["properties"].as_object().cloned().unwrap_or_default();
            closed(table, kind, own, &required)
        })
        .collect()
}

fn one_of(table: &Value, kinds: Vec<Value>) -> Value {
    json!({ "description": table["description"], "type": "object", "required": ["kind"], "oneOf": kinds })
}

/// A table of one kind: the keys of every such table, its own, and no others.
fn closed(table: &Value, kind: &str, own: Map<String, Value>, required: &Value) -> Value {
    let mut properties = table["properties"].as_object().cloned().unwrap_or_default();
    properties.extend(own);
    properties.insert("kind".to_owned(), json!({ "const": kind }));
    let lists = [&table["required"], required];
    let required: Vec<Value> = lists.into_iter().filter_map(Value::as_array).flatten().cloned().collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Leads every reference of a kind's schema to where its definitions are put.
fn renamed(value: &mut Value, kind: &str) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get_mut("$ref")
                && let Some(name) = to.strip_prefix("#/$defs/")
            {
                *to = format!("#/$defs/{kind}.{name}");
            }
            map.values_mut().for_each(|v| renamed(v, kind));
        }
        Value::Array(list) => list.iter_mut().for_each(|v| renamed(v, kind)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_kind_is_there() {
        let schema = whole();
        let mut open = vec![&schema];
        let mut seen = 0;
        while let Some(value) = open.pop() {
            if let Some(to) = value.get("$ref").and_then(Value::as_str) {
                seen += 1;
                let name = to.strip_prefix("#/$defs/").unwrap_or_default();
                assert!(schema["$defs"].get(name).is_some(), "{to}");
            }
            match value {
                Value::Object(map) => open.extend(map.values()),
                Value::Array(list) => open.extend(list),
                _ => {}
            }
        }
        assert!(seen > 20, "{seen}");
        for (table, kinds) in [
            ("NotifierTable", NOTIFIERS.iter().map(|k| k.name).collect::<Vec<_>>()),
            ("SourceTable", SOURCES.iter().map(|k| k.name).chain(["network", "files", "local"]).collect()),
        ] {
            let known = schema["$defs"][table]["oneOf"].as_array().unwrap();
            for kind in kinds {
                assert!(known.iter().any(|one| one["properties"]["kind"]["const"] == kind), "{kind}");
            }
            assert!(known.iter().all(|one| one["additionalProperties"] == false));
        }
    }
}
