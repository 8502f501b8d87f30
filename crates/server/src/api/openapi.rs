//! The OpenAPI document (3.1), made from the table of operations and the schemas.
//!
//! Not derived from the structs: those of `core::document` may know nothing of HTTP, and a macro would see
//! types where a promise has bounds and formats. Instead tests hold answers against the schemas, and
//! requests are checked by the very table that is printed here. The file that is checked in is compared.

use serde_json::{Map, Value, json};

use super::schemas;
use super::table::{self, Answer, OPERATIONS, Operation, PLAIN, Param, Place, Shape};

/// The whole document.
pub(crate) fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let item = paths.entry(operation.path.to_owned()).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(operation.method.to_owned(), described(operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Notafter",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What will stop working because a date passes, and who is told. Times are RFC 3339 \
                UTC. Lists are pages: go on with `after` = the `next` of the answer before. Errors are problem \
                documents (RFC 9457).",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": super::BASE}],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The access token that `notafter serve` made at its first start. Reading \
                        needs it only where `open_reads` is off.",
                },
            },
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut responses = Map::new();
    let good = match operation.answer {
        Answer::One(name) => reference(name),
        Answer::List(name) => json!({
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": reference(name)},
                "next": {"type": ["string", "null"], "description": "The `after` of the next page."},
            },
            "required": ["items", "next"],
            "additionalProperties": false,
        }),
    };
    let words = match operation.status {
        202 => "Taken on.",
        _ => "Done.",
    };
    responses.insert(
        operation.status.to_string(),
        json!({"description": words, "content": {"application/json": {"schema": good}}}),
    );
    let usual: &[u16] = &[400, 401, 403, 405, 421, 500, 503];
    for status in usual.iter().chain(operation.also) {
        responses.insert(
            status.to_string(),
            json!({
                "description": meaning(*status),
                "content": {"application/problem+json": {"schema": reference("Problem")}},
            }),
        );
    }
    let mut out = json!({
        "operationId": operation.id,
        "summary": operation.doc,
        "responses": responses,
    });
    let Some(object) = out.as_object_mut() else { return out };
    if !operation.params.is_empty() {
        object.insert("parameters".to_owned(), operation.params.iter().map(parameter).collect());
    }
    if let Some(body) = operation.body {
        object.insert(
            "requestBody".to_owned(),
            json!({"required": true, "content": {"application/json": {"schema": reference(body)}}}),
        );
    }
    if operation.method == "post" {
        object.insert("security".to_owned(), json!([{"token": []}]));
    }
    out
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be understood.",
        401 => "A token is needed, or the one that was sent is not ours.",
        403 => "The request came from another site.",
        404 => "There is no such thing.",
        405 => "This cannot be done here.",
        409 => "This cannot be done now, or more than one thing is meant.",
        413 => "The body is too large.",
        415 => "The body is not JSON.",
        421 => "The Host is not a name of this server.",
        503 => "The memory or the server is not ready; later it may be.",
        _ => "Something went wrong in the server.",
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn parameter(param: &Param) -> Value {
    let mut out = json!({
        "name": param.name,
        "in": match param.place {
            Place::Path => "path",
            Place::Query => "query",
        },
        "required": param.required,
        "description": param.doc,
        "schema": shape(param),
    });
    if let (Shape::Kinds, Some(object)) = (param.shape, out.as_object_mut()) {
        object.insert("style".to_owned(), "form".into());
        object.insert("explode".to_owned(), false.into());
    }
    out
}

fn shape(param: &Param) -> Value {
    let mut out = match param.shape {
        Shape::Text { least, most, format } => {
            let mut text = json!({"type": "string", "maxLength": most, "pattern": PLAIN});
            if let Some(object) = text.as_object_mut() {
                if least > 0 {
                    object.insert("minLength".to_owned(), least.into());
                }
                if let Some(format) = format {
                    object.insert("format".to_owned(), format.into());
                }
            }
            text
        }
        Shape::AssetPrefix => json!({"type": "string", "pattern": "^(sha256:)?[0-9A-Fa-f]{2,64}$"}),
        Shape::AssetId => json!({"type": "string", "pattern": "^(sha256:)?[0-9A-Fa-f]{64}$"}),
        Shape::FindingId => json!({"type": "string", "pattern": "^[0-9a-f]{16}$"}),
        Shape::AlertId => json!({"type": "string", "pattern": "^(a?[1-9][0-9]{0,17}|[0-9a-f]{16})$"}),
        Shape::Row => json!({"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}),
        Shape::Word(words) => json!({"type": "string", "enum": words}),
        Shape::Kinds => json!({
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "enum": table::kinds()},
        }),
        Shape::Number { least, most } => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Time => json!({
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}],
        }),
    };
    if let (Some(usual), Some(object)) = (param.usual, out.as_object_mut()) {
        let value = usual.parse::<i64>().map_or_else(|_| Value::from(usual), Value::from);
        object.insert("default".to_owned(), value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file that is checked in is the document, and users' tools may be made from it.
    #[test]
    fn the_checked_in_document_is_the_one_that_is_served() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let made = serde_json::to_string_pretty(&document()).unwrap() + "\n";
        if std::env::var_os("NOTAFTER_UPDATE").is_some() {
            std::fs::write(file, &made).unwrap();
        }
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            kept == made,
            "openapi.json is not what the table says: NOTAFTER_UPDATE=1 cargo test openapi"
        );
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name} is described nowhere");
        }
        for name in schemas.keys() {
            assert!(text.contains(&format!("#/components/schemas/{name}\"")), "{name} is used nowhere");
        }
    }

    #[test]
    fn operations_have_ids_of_their_own_and_their_path_parameters() {
        let mut ids: Vec<_> = OPERATIONS.iter().map(|o| o.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), OPERATIONS.len());
        for operation in OPERATIONS {
            let in_path = operation.params.iter().filter(|p| p.place == Place::Path).count();
            assert_eq!(operation.path.matches('{').count(), in_path, "{}", operation.path);
            assert!(operation.params.iter().all(|p| p.place == Place::Query || p.required));
        }
    }
}
