//! The shape of a configuration, made from the JSON Schema of [`super::written`], which is thereby the only
//! description that reader, environment variables and reference share.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::form;
use super::mistake::list;
use super::written::Document;

/// What may stand at one place: any of the alternatives that are given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    pub scalar: Option<Scalar>,
    pub list: Option<Box<List>>,
    pub mapping: Option<Vec<Field>>,
    pub nullable: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// In a form of [`super::form`].
    Form(String),
    Words(Vec<String>),
    Integer {
        min: u64,
        max: u64,
    },
    Boolean,
}

#[derive(Debug, Clone, PartialEq)]
pub struct List {
    pub items: Shape,
    pub min: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub shape: Shape,
    pub required: bool,
    /// As JSON has it.
    pub default: Option<Value>,
    pub meaning: String,
    /// What to say of every mistake here, where that is more than the shape can say.
    pub fix: Option<String>,
}

/// A field that is no section, by its whole path.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf<'a> {
    /// `webhook.limits.max_body`, `policies[].name`.
    pub path: String,
    /// A leaf that is a list, or stands in one, has no variable.
    pub variable: Option<String>,
    pub field: &'a Field,
}

pub const PREFIX: &str = "REHEARSAL_";

static SHAPE: LazyLock<Shape> = LazyLock::new(|| Shape::of(&schema()));

/// The JSON Schema of a configuration file.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Document>().to_value();
    drop_section_defaults(&mut schema);
    schema
}

/// The shape of a configuration file.
pub fn shape() -> &'static Shape {
    &SHAPE
}

/// Every leaf, in the order of the types.
pub fn leaves() -> Vec<Leaf<'static>> {
    let mut leaves = Vec::new();
    SHAPE.collect_leaves("", true, &mut leaves);
    leaves
}

/// A section's default repeats those of its fields, and one of `null` says nothing.
fn drop_section_defaults(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("default").is_some_and(|default| default.is_null() || default.is_object()) {
                map.remove("default");
            }
            map.values_mut().for_each(drop_section_defaults);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_section_defaults),
        _ => {}
    }
}

// === impl Shape ===

impl Shape {
    fn of(schema: &Value) -> Self {
        let mut shape = Self::default();
        if let Some(schema) = schema.as_object() {
            shape.add(schema);
        }
        shape
    }

    fn add(&mut self, schema: &Map<String, Value>) {
        for key in ["anyOf", "oneOf"] {
            let alternatives = schema.get(key).and_then(Value::as_array).into_iter().flatten();
            alternatives.filter_map(Value::as_object).for_each(|alternative| self.add(alternative));
        }
        if let Some(form) = text(schema, "x-form") {
            self.scalar = Some(Scalar::Form(form));
        } else if let Some(word) = schema.get("const") {
            self.add_words(std::slice::from_ref(word));
        } else if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            self.add_words(words);
        } else {
            types(schema).for_each(|kind| self.add_type(kind, schema));
        }
        self.nullable |= types(schema).any(|kind| kind == "null");
    }

    fn add_words(&mut self, words: &[Value]) {
        for word in words {
            let word = match word {
                Value::Null => {
                    self.nullable = true;
                    continue;
                }
                Value::String(word) => word.clone(),
                other => other.to_string(),
            };
            match &mut self.scalar {
                Some(Scalar::Words(known)) => known.push(word),
                _ => self.scalar = Some(Scalar::Words(vec![word])),
            }
        }
    }

    fn add_type(&mut self, kind: &str, schema: &Map<String, Value>) {
        let number = |key, otherwise| schema.get(key).and_then(Value::as_u64).unwrap_or(otherwise);
        match kind {
            // The store holds numbers as signed ones.
            "integer" => {
                self.scalar = Some(Scalar::Integer {
                    min: number("minimum", 0),
                    max: number("maximum", i64::MAX.unsigned_abs()),
                });
            }
            "boolean" => self.scalar = Some(Scalar::Boolean),
            "array" => {
                let items = schema.get("items").map(Self::of).unwrap_or_default();
                self.list = Some(Box::new(List { items, min: number("minItems", 0) }));
            }
            "object" => {
                let required = schema.get("required").and_then(Value::as_array);
                let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
                let fields = fields.map(|(name, schema)| {
                    let required = required.is_some_and(|names| names.iter().any(|required| required == name));
                    Field::of(name, schema, required)
                });
                self.mapping = Some(fields.collect());
            }
            _ => {}
        }
    }

    fn collect_leaves(&'static self, path: &str, named: bool, leaves: &mut Vec<Leaf<'static>>) {
        for field in self.mapping.iter().flatten() {
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let section_list = field.shape.list.as_ref().filter(|list| list.items.mapping.is_some());
            if field.shape.scalar.is_some() || field.shape.list.is_some() {
                let named = named && field.shape.list.is_none();
                let variable = named.then(|| format!("{PREFIX}{}", path.to_uppercase().replace('.', "_")));
                leaves.push(Leaf { path: path.clone(), variable, field });
            }
            // One section, or a list of such: its fields are those of the list.
            if section_list.is_none_or(|list| list.items.mapping != field.shape.mapping) {
                field.shape.collect_leaves(&path, named, leaves);
            }
            if let Some(list) = section_list {
                list.items.collect_leaves(&format!("{path}[]"), false, leaves);
            }
        }
    }

    /// What may be written, for a person.
    pub fn expected(&self) -> String {
        let mut parts = Vec::new();
        match &self.scalar {
            Some(Scalar::Form(form)) => parts.push(form::named(form).what.to_owned()),
            Some(Scalar::Words(words)) => parts.extend(words.iter().cloned()),
            Some(Scalar::Integer { .. }) => parts.push("a number".to_owned()),
            Some(Scalar::Boolean) => parts.push("true or false".to_owned()),
            None => {}
        }
        if self.list.is_some() {
            parts.push("a list".to_owned());
        }
        if self.mapping.is_some() {
            parts.push("a mapping".to_owned());
        }
        list(&parts.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

// === impl Field ===

impl Field {
    fn of(name: &str, schema: &Value, required: bool) -> Self {
        let keyword = |key| schema.as_object().and_then(|schema| text(schema, key));
        Self {
            name: name.to_owned(),
            shape: Shape::of(schema),
            required,
            default: schema.get("default").cloned(),
            // A line break in a doc comment is only where the line was full.
            meaning: keyword("description").unwrap_or_default().replace('\n', " "),
            fix: keyword("x-fix"),
        }
    }
}

fn text(schema: &Map<String, Value>, key: &str) -> Option<String> {
    schema.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn types(schema: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let kinds = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.as_slice(),
        Some(kind) => std::slice::from_ref(kind),
        None => &[],
    };
    kinds.iter().filter_map(Value::as_str)
}
