//! `GET /api/v1/openapi.json`: the API as an OpenAPI document, made of the list that is routed and of the types that are
//! written.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Call;
use super::endpoint::{Endpoint, Gives};
use crate::web::query::described::Described;

const PATH: &str = "/api/v1/openapi.json";

/// Where a document keeps the types that it names.
const SCHEMAS: &str = "/components/schemas";

static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| serde_json::to_string(&document(&super::endpoints())).expect("plain data"));

/// An error as every address gives it.
#[derive(JsonSchema)]
#[schemars(rename = "Error")]
#[expect(dead_code, reason = "it is only described: src/web/error.rs writes it")]
struct ErrorShape {
    error: Wrong,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is only described: src/web/error.rs writes it")]
struct Wrong {
    /// What of the address is wrong; `null`: nothing of it.
    parameter: Option<String>,
    message: String,
}

pub fn endpoint() -> Endpoint {
    Endpoint::json::<Map<String, Value>>(PATH, "This document.", &[], get(show))
}

async fn show(_: Call) -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

fn document(endpoints: &[Endpoint]) -> Value {
    let mut schemas =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into()).into_generator();
    let error = schemas.subschema_for::<ErrorShape>();
    let failed = json!({
        "description": "What is wrong, and with which parameter.",
        "content": {"application/json": {"schema": error}},
    });
    let paths: Map<String, Value> = endpoints
        .iter()
        .map(|endpoint| (endpoint.path.to_owned(), json!({"get": operation(endpoint, &failed, &mut schemas)})))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Rehearsal",
            "description": "What the report's pages show, for programs. Only read: GET and HEAD.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(endpoint: &Endpoint, failed: &Value, schemas: &mut SchemaGenerator) -> Value {
    let places = endpoint
        .places()
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let asked = endpoint.parameters.iter().map(|name| {
        let Described { says, schema, is_required } = Described::of(name, endpoint.path).expect("a test asks for each");
        json!({"name": name, "in": "query", "description": says, "required": is_required, "schema": schema})
    });
    let content: Map<String, Value> = match &endpoint.gives {
        Gives::Json(schema) => {
            [("application/json".to_owned(), json!({"schema": schema(schemas)}))].into_iter().collect()
        }
        Gives::Files(media_types) => {
            media_types.iter().map(|one| ((*one).to_owned(), json!({"schema": {"type": "string"}}))).collect()
        }
    };
    json!({
        "operationId": endpoint.name(),
        "summary": endpoint.says,
        "parameters": places.chain(asked).collect::<Vec<_>>(),
        "responses": {"200": {"description": "Found.", "content": content}, "default": failed},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_of_every_address_is_described() {
        for endpoint in super::super::endpoints() {
            for name in &endpoint.parameters {
                assert!(Described::of(name, endpoint.path).is_some(), "{name} of {}", endpoint.path);
            }
        }
    }

    #[test]
    fn no_two_types_or_addresses_have_one_name() {
        let document = document(&super::super::endpoints());
        let schemas = document["components"]["schemas"].as_object().expect("types");
        // The second of a name gets a number.
        let numbered: Vec<_> =
            schemas.keys().filter(|name| name.ends_with(|char: char| char.is_ascii_digit())).collect();
        assert!(numbered.is_empty(), "{numbered:?}");
        assert!(schemas.contains_key("Decision") && schemas.contains_key("Error"), "{:?}", schemas.keys());
        let mut names: Vec<_> = super::super::endpoints().iter().map(Endpoint::name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
