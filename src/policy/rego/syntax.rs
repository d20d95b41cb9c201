//! What the text of a module names: its calls, and what it reads of `data` and `input`.

use regorus::Value;
use regorus::unstable::{Expr, ExprRef, Literal, Module, Query, Rule, RuleBody, RuleHead, Span};

/// `name(..)`, as it is written.
#[derive(Debug)]
pub struct Call<'m> {
    /// `sprintf`, `regex.match`, `helpers.is_ours`.
    pub name: String,
    pub span: &'m Span,
}

/// `data.a.b[..]` or `input.a.b`, as far as its steps are constants.
#[derive(Debug)]
pub struct Reference<'m> {
    /// `data` or `input`, or the name of an import, first.
    pub path: Vec<String>,
    pub span: &'m Span,
}

/// Everything that a module names.
#[derive(Debug, Default)]
pub struct Names<'m> {
    pub calls: Vec<Call<'m>>,
    pub references: Vec<Reference<'m>>,
}

/// The kinds of a rule, as far as its result's shape follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One value, or none.
    Complete,
    /// `deny[x]`, `deny contains x`.
    Set,
    /// `deny[x] = y`.
    Object,
    Function,
}

// === impl Names ===

impl<'m> Names<'m> {
    pub fn of(module: &'m Module) -> Self {
        let mut names = Self::default();
        for rule in &module.policy {
            names.rule(rule);
        }
        names
    }

    fn rule(&mut self, rule: &'m Rule) {
        match rule {
            Rule::Spec { head, bodies, .. } => {
                self.head(head);
                bodies.iter().for_each(|body| self.body(body));
            }
            Rule::Default { args, value, .. } => {
                args.iter().for_each(|argument| self.expression(argument));
                self.expression(value);
            }
        }
    }

    fn head(&mut self, head: &'m RuleHead) {
        match head {
            RuleHead::Compr { refr, assign, .. } => {
                self.keys(refr);
                self.optional(assign.as_ref().map(|assign| &assign.value));
            }
            RuleHead::Set { refr, key, .. } => {
                self.keys(refr);
                self.optional(key.as_ref());
            }
            RuleHead::Func { args, assign, .. } => {
                args.iter().for_each(|argument| self.expression(argument));
                self.optional(assign.as_ref().map(|assign| &assign.value));
            }
        }
    }

    /// The keys of a head, `x` and `y` of `deny[x][y]`: its own name is no reference.
    fn keys(&mut self, head: &'m ExprRef) {
        match &**head {
            Expr::RefBrack { refr, index, .. } => {
                self.keys(refr);
                self.expression(index);
            }
            Expr::RefDot { refr, .. } => self.keys(refr),
            _ => {}
        }
    }

    fn body(&mut self, body: &'m RuleBody) {
        self.optional(body.assign.as_ref().map(|assign| &assign.value));
        self.query(&body.query);
    }

    fn query(&mut self, query: &'m Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    self.optional(key.as_ref());
                    self.expression(value);
                    self.expression(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr),
                Literal::Every { domain, query, .. } => {
                    self.expression(domain);
                    self.query(query);
                }
            }
            for modifier in &statement.with_mods {
                self.expression(&modifier.r#as);
            }
        }
    }

    fn optional(&mut self, expression: Option<&'m ExprRef>) {
        if let Some(expression) = expression {
            self.expression(expression);
        }
    }

    fn expression(&mut self, expression: &'m ExprRef) {
        match &**expression {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expression),
            Expr::Call { fcn, params, .. } => {
                if let Some(path) = constant_path(fcn) {
                    self.calls.push(Call { name: path.join("."), span: start(fcn) });
                }
                params.iter().for_each(|parameter| self.expression(parameter));
            }
            other => children(other, &mut |child| self.any(child)),
        }
    }

    fn any(&mut self, child: Child<'m>) {
        match child {
            Child::Expression(expression) => self.expression(expression),
            Child::Query(query) => self.query(query),
        }
    }

    fn reference(&mut self, expression: &'m ExprRef) {
        let mut path = Vec::new();
        self.walk_reference(expression, &mut path);
        if !path.is_empty() {
            self.references.push(Reference { path, span: start(expression) });
        }
    }

    /// The constant steps from the root on; false once one is not constant.
    fn walk_reference(&mut self, expression: &'m ExprRef, path: &mut Vec<String>) -> bool {
        match &**expression {
            Expr::Var { value, .. } => {
                path.extend(text(value));
                true
            }
            Expr::RefDot { refr, field, .. } => {
                let constant = self.walk_reference(refr, path);
                if constant {
                    path.extend(text(&field.1));
                }
                constant
            }
            Expr::RefBrack { refr, index, .. } => {
                let constant = self.walk_reference(refr, path);
                match &**index {
                    Expr::String { value, .. } | Expr::RawString { value, .. } => {
                        if constant {
                            path.extend(text(value));
                        }
                        constant
                    }
                    _ => {
                        self.expression(index);
                        false
                    }
                }
            }
            _ => {
                self.expression(expression);
                false
            }
        }
    }
}

enum Child<'m> {
    Expression(&'m ExprRef),
    Query(&'m Query),
}

/// What stands inside an expression that is no call and no reference.
fn children<'m>(expression: &'m Expr, visit: &mut dyn FnMut(Child<'m>)) {
    let mut each = |expressions: &[&'m ExprRef]| expressions.iter().for_each(|one| visit(Child::Expression(one)));
    match expression {
        Expr::Array { items, .. } | Expr::Set { items, .. } => each(&items.iter().collect::<Vec<_>>()),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| each(&[key, value])),
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            each(&[term]);
            visit(Child::Query(query));
        }
        Expr::ObjectCompr { key, value, query, .. } => {
            each(&[key, value]);
            visit(Child::Query(query));
        }
        Expr::UnaryExpr { expr, .. } => each(&[expr]),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => each(&[lhs, rhs]),
        Expr::Membership { key, value, collection, .. } => {
            key.iter().for_each(|key| each(&[key]));
            each(&[value, collection]);
        }
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. }
        | Expr::Call { .. }
        | Expr::RefDot { .. }
        | Expr::RefBrack { .. } => {}
    }
}

/// Where a path begins: the engine's own span of it is that of its last step.
pub fn start(expression: &Expr) -> &Span {
    match expression {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => start(refr),
        other => other.span(),
    }
}

/// `a.b["c"]` as its steps; `None` where one is no constant.
pub fn constant_path(expression: &Expr) -> Option<Vec<String>> {
    match expression {
        Expr::Var { value, .. } => Some(vec![text(value)?]),
        Expr::RefDot { refr, field, .. } => {
            let mut path = constant_path(refr)?;
            path.push(text(&field.1)?);
            Some(path)
        }
        Expr::RefBrack { refr, index, .. } => {
            let (Expr::String { value, .. } | Expr::RawString { value, .. }) = &**index else { return None };
            let mut path = constant_path(refr)?;
            path.push(text(value)?);
            Some(path)
        }
        _ => None,
    }
}

/// The name of a rule, under its package, and its kind.
pub fn declared(rule: &Rule) -> Option<(Vec<String>, Kind)> {
    match rule {
        Rule::Default { refr, args, .. } => {
            Some((constant_path(refr)?, if args.is_empty() { Kind::Complete } else { Kind::Function }))
        }
        Rule::Spec { head, .. } => match head {
            RuleHead::Func { refr, .. } => Some((constant_path(refr)?, Kind::Function)),
            RuleHead::Set { refr, .. } => Some((constant_path(refr)?, Kind::Set)),
            RuleHead::Compr { refr, .. } => match constant_path(refr) {
                Some(path) => Some((path, Kind::Complete)),
                None => Some((constant_prefix(refr)?, Kind::Object)),
            },
        },
    }
}

fn constant_prefix(expression: &Expr) -> Option<Vec<String>> {
    let mut inner = expression;
    loop {
        if let Some(path) = constant_path(inner) {
            return Some(path);
        }
        match inner {
            Expr::RefBrack { refr, .. } | Expr::RefDot { refr, .. } => inner = refr,
            _ => return None,
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_string().ok().map(|text| text.to_string())
}
