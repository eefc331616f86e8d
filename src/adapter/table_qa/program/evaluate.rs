//! Walking a program's syntax tree.

use std::cmp::Ordering;
use std::collections::HashMap;

use tree_sitter::Node;

use super::value::Value;
use super::{arithmetic, builtins};

/// Nodes a program can visit.
const MAX_STEPS: usize = 20_000;
/// Expressions inside expressions.
const MAX_DEPTH: usize = 64;

/// A running program: its text and its variables.
pub(super) struct Machine<'a> {
    code: &'a str,
    variables: HashMap<&'a str, Value>,
    steps: usize,
    depth: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(code: &'a str) -> Self {
        Self {
            code,
            variables: HashMap::new(),
            steps: 0,
            depth: 0,
        }
    }

    /// Runs a module: what it leaves in `ans`, an empty text where it leaves nothing there.
    pub(super) fn run(mut self, module: Node<'a>) -> Option<Value> {
        for statement in parts(module) {
            match statement.kind() {
                "expression_statement" => self.statement(statement)?,
                _ => return None,
            }
        }
        Some(
            self.variables
                .remove("ans")
                .unwrap_or_else(|| Value::Text("".into())),
        )
    }

    fn statement(&mut self, statement: Node<'a>) -> Option<()> {
        match parts(statement).as_slice() {
            [only] => match only.kind() {
                "assignment" => self.assign(*only).map(drop),
                "augmented_assignment" => self.augment(*only),
                _ => self.value(*only).map(drop),
            },
            // `a, b` on a line of its own.
            several => several
                .iter()
                .try_for_each(|part| self.value(*part).map(drop)),
        }
    }

    /// `name = value`, `name = other = value`.
    fn assign(&mut self, assignment: Node<'a>) -> Option<Value> {
        self.deeper(|machine| {
            let name = machine.name(field(assignment, "left")?)?;
            if assignment.child_by_field_name("type").is_some() {
                return None;
            }
            let right = field(assignment, "right")?;
            let value = match right.kind() {
                "assignment" => machine.assign(right)?,
                _ => machine.value(right)?,
            };
            machine.variables.insert(name, value.clone());
            Some(value)
        })
    }

    /// `name += number`. On a list Python would change it for all who hold it, which values here
    /// cannot.
    fn augment(&mut self, assignment: Node<'a>) -> Option<()> {
        let name = self.name(field(assignment, "left")?)?;
        let operator = self
            .text(field(assignment, "operator")?)?
            .strip_suffix('=')?;
        let right = self.value(field(assignment, "right")?)?;
        let left = self
            .variables
            .get(name)
            .filter(|left| left.items().is_none())?;
        let value = arithmetic::binary(operator, left, &right)?;
        self.variables.insert(name, value);
        Some(())
    }

    fn value(&mut self, node: Node<'a>) -> Option<Value> {
        self.deeper(|machine| machine.expression(node))
    }

    fn expression(&mut self, node: Node<'a>) -> Option<Value> {
        match node.kind() {
            "integer" => integer(self.text(node)?).map(Value::Int),
            "float" => self
                .text(node)?
                .replace('_', "")
                .parse()
                .ok()
                .map(Value::Float),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "none" => Some(Value::None),
            "identifier" => self.variables.get(self.text(node)?).cloned(),
            "string" => self
                .string(node)
                .and_then(|text| arithmetic::text(std::iter::once(text.as_str()))),
            "concatenated_string" => {
                let texts = parts(node)
                    .into_iter()
                    .map(|part| self.string(part))
                    .collect::<Option<Vec<_>>>()?;
                arithmetic::text(texts.iter().map(String::as_str))
            }
            "list" => self.values(node).map(|items| Value::List(items.into())),
            "tuple" | "expression_list" => {
                self.values(node).map(|items| Value::Tuple(items.into()))
            }
            "parenthesized_expression" => self.value(only(node)?),
            "unary_operator" => {
                let value = self.value(field(node, "argument")?)?;
                arithmetic::unary(self.text(field(node, "operator")?)?, &value)
            }
            "not_operator" => Some(Value::Bool(
                !self.value(field(node, "argument")?)?.is_true(),
            )),
            "binary_operator" => {
                let (left, right) = (
                    self.value(field(node, "left")?)?,
                    self.value(field(node, "right")?)?,
                );
                arithmetic::binary(self.text(field(node, "operator")?)?, &left, &right)
            }
            "boolean_operator" => self.boolean(node),
            "comparison_operator" => self.comparison(node),
            "conditional_expression" => match parts(node).as_slice() {
                [yes, condition, no] => {
                    let condition = self.value(*condition)?.is_true();
                    self.value(if condition { *yes } else { *no })
                }
                _ => None,
            },
            "subscript" => self.index(node),
            "call" => self.call(node),
            _ => None,
        }
    }

    fn values(&mut self, node: Node<'a>) -> Option<Vec<Value>> {
        parts(node)
            .into_iter()
            .map(|part| self.value(part))
            .collect()
    }

    fn boolean(&mut self, node: Node<'a>) -> Option<Value> {
        let left = self.value(field(node, "left")?)?;
        let is_and = self.text(field(node, "operator")?)? == "and";
        if left.is_true() == is_and {
            self.value(field(node, "right")?)
        } else {
            Some(left)
        }
    }

    /// `a < b <= c`, each operand evaluated once, up to the first that does not hold.
    fn comparison(&mut self, node: Node<'a>) -> Option<Value> {
        let mut cursor = node.walk();
        let children: Vec<Node<'a>> = node
            .children(&mut cursor)
            .filter(|child| !child.is_extra())
            .collect();
        let (first, rest) = children.split_first()?;
        let mut left = self.value(*first)?;
        for pair in rest.chunks(2) {
            let [operator, right] = pair else { return None };
            let right = self.value(*right)?;
            if !self.compare(operator.kind(), &left, &right)? {
                return Some(Value::Bool(false));
            }
            left = right;
        }
        Some(Value::Bool(true))
    }

    fn compare(&mut self, operator: &str, left: &Value, right: &Value) -> Option<bool> {
        // NaN has no order, which is no error.
        let ordered = |holds: fn(Ordering) -> bool| match left.order(right) {
            Some(order) => Some(holds(order)),
            None => (left.number().is_some() && right.number().is_some()).then_some(false),
        };
        match operator {
            "==" => left.equals(right),
            "!=" => Some(!left.equals(right)?),
            "<" => ordered(Ordering::is_lt),
            "<=" => ordered(Ordering::is_le),
            ">" => ordered(Ordering::is_gt),
            ">=" => ordered(Ordering::is_ge),
            "in" => self.contains(right, left),
            "not in" => Some(!self.contains(right, left)?),
            _ => None,
        }
    }

    fn contains(&mut self, whole: &Value, part: &Value) -> Option<bool> {
        if let (Value::Text(whole), Value::Text(part)) = (whole, part) {
            return Some(whole.contains(&**part));
        }
        let items = whole.items()?;
        self.spend(items.len())?;
        Some(
            items
                .iter()
                .map(|item| item.equals(part))
                .collect::<Option<Vec<_>>>()?
                .contains(&true),
        )
    }

    /// `items[index]`, from the end where the index is negative.
    fn index(&mut self, node: Node<'a>) -> Option<Value> {
        let mut cursor = node.walk();
        let [index] = node
            .children_by_field_name("subscript", &mut cursor)
            .collect::<Vec<_>>()
            .try_into()
            .ok()?;
        let whole = self.value(field(node, "value")?)?;
        let index = self.value(index)?.int()?;
        let position = |length: usize| {
            let index = if index < 0 {
                index.checked_add(i128::try_from(length).ok()?)?
            } else {
                index
            };
            usize::try_from(index).ok()
        };
        match &whole {
            Value::Text(text) => {
                let letter = text.chars().nth(position(text.chars().count())?)?;
                Some(Value::Text(letter.to_string().into()))
            }
            whole => {
                let items = whole.items()?;
                items.get(position(items.len())?).cloned()
            }
        }
    }

    fn call(&mut self, node: Node<'a>) -> Option<Value> {
        let function = self.name(field(node, "function")?)?;
        let arguments = field(node, "arguments")?;
        if arguments.kind() != "argument_list" || self.variables.contains_key(function) {
            return None;
        }
        let (mut values, mut reversed) = (Vec::new(), None);
        for argument in parts(arguments) {
            if argument.kind() != "keyword_argument" {
                values.push(self.value(argument)?);
            } else if self.text(field(argument, "name")?)? == "reverse" && reversed.is_none() {
                reversed = Some(self.value(field(argument, "value")?)?.is_true());
            } else {
                return None;
            }
        }
        let items = values
            .iter()
            .filter_map(Value::items)
            .map(<[Value]>::len)
            .sum();
        self.spend(items)?;
        builtins::call(function, &values, reversed)
    }

    /// A string literal's text; f-strings and byte strings are none.
    fn string(&mut self, node: Node<'a>) -> Option<String> {
        let mut text = String::new();
        let mut raw = false;
        for part in parts(node) {
            match (part.kind(), self.text(part)?) {
                ("string_start", start) => match start.trim_end_matches(['\'', '"']) {
                    "" | "u" | "U" => {}
                    "r" | "R" => raw = true,
                    _ => return None,
                },
                ("string_content", content) if raw => text.push_str(content),
                ("string_content", content) => unescape(content, &mut text)?,
                ("string_end", _) => {}
                _ => return None,
            }
        }
        Some(text)
    }

    fn name(&self, node: Node<'a>) -> Option<&'a str> {
        if node.kind() == "identifier" {
            self.text(node)
        } else {
            None
        }
    }

    fn text(&self, node: Node<'a>) -> Option<&'a str> {
        self.code.get(node.byte_range())
    }

    fn deeper<T>(&mut self, evaluate: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.spend(1)?;
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH {
            None
        } else {
            evaluate(self)
        };
        self.depth -= 1;
        value
    }

    fn spend(&mut self, steps: usize) -> Option<()> {
        self.steps = self.steps.saturating_add(steps);
        (self.steps <= MAX_STEPS).then_some(())
    }
}

/// A node's named children, comments aside.
fn parts(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .filter(|child| !child.is_extra())
        .collect()
}

fn only(node: Node<'_>) -> Option<Node<'_>> {
    match parts(node).as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

fn field<'a>(node: Node<'a>, name: &str) -> Option<Node<'a>> {
    node.child_by_field_name(name)
}

/// `12`, `1_000`, `0x1f`; not `012`, which Python refuses, nor `3j`.
fn integer(text: &str) -> Option<i128> {
    let text = text.to_ascii_lowercase().replace('_', "");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return i128::from_str_radix(digits, radix).ok();
        }
    }
    let padded = text.starts_with('0') && text.bytes().any(|digit| digit != b'0');
    if padded { None } else { text.parse().ok() }
}

/// Replaces the escapes of a string literal; an unknown one stays as it is.
fn unescape(content: &str, out: &mut String) -> Option<()> {
    let mut rest = content.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next()? {
            '\n' => {}
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            c @ ('\\' | '\'' | '"') => out.push(c),
            c @ ('x' | 'u' | 'U') => {
                let length = match c {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let digits: String = rest.by_ref().take(length).collect();
                out.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
            }
            '0'..='7' | 'a' | 'b' | 'f' | 'v' | 'N' => return None,
            c => out.extend(['\\', c]),
        }
    }
    Some(())
}
