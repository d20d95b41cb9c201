//! Reads a tree along the shape: every mistake is noted, and what it stands on is left out.

use serde_json::{Map, Value};

use super::form;
use super::mistake::{self, Mistakes, Wrong, shown, suggestion};
use super::path::Path;
use super::shape::{Field, List, Scalar, Shape};
use super::tree::{Content, Entry, Node};

/// `node` as JSON that its type accepts, mistaken parts left out; `None` when nothing of it is left.
pub fn read(node: &Node, shape: &Shape, mistakes: &mut Mistakes) -> Option<Value> {
    Reader { mistakes }.value(node, shape, &Path::Root, None)
}

struct Reader<'a> {
    mistakes: &'a mut Mistakes,
}

// === impl Reader ===

impl Reader<'_> {
    fn value(&mut self, node: &Node, shape: &Shape, path: &Path<'_>, fix: Option<&str>) -> Option<Value> {
        if node.is_null() && shape.nullable {
            return Some(Value::Null);
        }
        match (&node.content, &shape.scalar, &shape.list, &shape.mapping) {
            // A section of which every line is commented out.
            (_, _, _, Some(fields)) if node.is_null() => self.mapping(node, &[], fields, path),
            (Content::Mapping(entries), _, _, Some(fields)) => self.mapping(node, entries, fields, path),
            (Content::List(items), _, Some(list), _) => self.list(node, items, list, path),
            (Content::Scalar { text, plain }, Some(scalar), _, _) if !node.is_null() => {
                match value(text, *plain, scalar) {
                    Ok(value) => Some(value),
                    Err(mut wrong) => {
                        if let Some(fix) = fix {
                            fix.clone_into(&mut wrong.fix);
                        }
                        self.wrong(node, path, wrong)
                    }
                }
            }
            _ => {
                let problem = format!("{} is expected, found {}", shape.expected(), node.kind());
                let fix = fix.map_or_else(|| advice(node, shape), str::to_owned);
                self.wrong(node, path, Wrong::new(problem, fix))
            }
        }
    }

    fn mapping(&mut self, node: &Node, entries: &[Entry], fields: &[Field], path: &Path<'_>) -> Option<Value> {
        let mut map = Map::new();
        for entry in entries {
            let Some(field) = fields.iter().find(|field| field.name == entry.key) else {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                let wrong = Wrong::new("unknown field", suggestion(&entry.key, &names));
                self.mistakes.add(&entry.place, &path.field(&entry.key).to_string(), wrong);
                continue;
            };
            if let Some(value) = self.value(&entry.value, &field.shape, &path.field(&field.name), field.fix.as_deref())
            {
                map.entry(field.name.as_str()).or_insert(value);
            }
        }
        for field in fields.iter().filter(|field| field.required) {
            if !entries.iter().any(|entry| entry.key == field.name) {
                let wrong = Wrong::new("is missing", format!("add `{}: ..`", field.name));
                self.mistakes.add(&node.place, &path.field(&field.name).to_string(), wrong);
            }
        }
        Some(Value::Object(map))
    }

    fn list(&mut self, node: &Node, items: &[Node], list: &List, path: &Path<'_>) -> Option<Value> {
        if (items.len() as u64) < list.min {
            let wrong = Wrong::new("the list is empty", "write at least one entry, or remove the field");
            return self.wrong(node, path, wrong);
        }
        let mut values = Vec::with_capacity(items.len());
        let mut whole = true;
        for (at, item) in items.iter().enumerate() {
            match self.value(item, &list.items, &path.item(at), None) {
                Some(value) => values.push(value),
                // An empty section, so that those after it keep their numbers.
                None if list.items.mapping.is_some() => values.push(Value::Object(Map::new())),
                None => whole = false,
            }
        }
        whole.then_some(Value::Array(values))
    }

    fn wrong(&mut self, node: &Node, path: &Path<'_>, wrong: Wrong) -> Option<Value> {
        self.mistakes.add(&node.place, &path.to_string(), wrong);
        None
    }
}

fn value(text: &str, plain: bool, scalar: &Scalar) -> Result<Value, Wrong> {
    match scalar {
        Scalar::Form(name) => (form::named(name).check)(text).map(|()| text.into()),
        Scalar::Words(words) if words.iter().any(|word| word == text) => Ok(text.into()),
        Scalar::Words(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let problem = format!("{} is not {}", shown(text), mistake::list(&words));
            Err(Wrong::new(problem, suggestion(text, &words)))
        }
        Scalar::Boolean => match text {
            "true" if plain => Ok(true.into()),
            "false" if plain => Ok(false.into()),
            _ => {
                Err(Wrong::new(format!("{} is not true or false", shown(text)), "write true or false, without quotes"))
            }
        },
        Scalar::Integer { min, max } => match text.parse::<u64>() {
            Ok(number) if (*min..=*max).contains(&number) => Ok(number.into()),
            _ => Err(Wrong::new(
                format!("{} is not a number from {min} to {max}", shown(text)),
                "write a whole number of that range, digits only",
            )),
        },
    }
}

fn advice(node: &Node, shape: &Shape) -> String {
    match &node.content {
        _ if node.is_null() => "write a value, or leave the field out for its default".to_owned(),
        Content::Mapping(_) if matches!(shape.scalar, Some(Scalar::Form(_))) => {
            "write one value; a text that begins with { needs quotes".to_owned()
        }
        _ => format!("write {}", shape.expected()),
    }
}
