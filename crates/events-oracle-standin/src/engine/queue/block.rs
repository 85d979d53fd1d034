//! Anonymous blocks of the shapes that we ship, read into statements, blocks and handlers.

use std::collections::HashMap;

use crate::OraError;

/// A block and the exceptions that it names.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) exceptions: HashMap<String, i32>,
    pub(super) body: Vec<Node>,
}

/// A part of a block.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    Statement(String),
    Block {
        body: Vec<Node>,
        /// Names of exceptions with what is done for them.
        handlers: Vec<(Vec<String>, Vec<Node>)>,
    },
}

/// A statement, type or name that is not known here: as loud as Oracle's compiler.
pub(super) fn refused(what: &str) -> OraError {
    OraError::new(
        6550,
        format_args!("PLS-00103: the stand-in does not understand: {what}"),
    )
}

/// A package or type that the session may not use.
pub(super) fn undeclared(name: &str) -> OraError {
    OraError::new(
        6550,
        format_args!("line 1, column 7: PLS-00201: identifier '{name}' must be declared"),
    )
}

/// A call as its procedure, upper case, and its named arguments; `None` for other statements.
pub(super) fn call(text: &str) -> Option<(String, Vec<(String, String)>)> {
    let (procedure, rest) = text.split_once('(')?;
    if !procedure.to_ascii_uppercase().starts_with("DBMS_AQ") {
        return None;
    }
    let arguments = split(rest.strip_suffix(')')?, ',')
        .into_iter()
        .map(|argument| {
            let (name, expression) = argument.split_once("=>")?;
            Some((name.trim().to_owned(), expression.trim().to_owned()))
        })
        .collect::<Option<_>>()?;
    Some((procedure.trim().to_ascii_uppercase(), arguments))
}

/// Splits at a character that is neither in a literal nor in parentheses.
pub(super) fn split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut depth) = (false, 0);
    for c in text.chars() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if c == at && !quoted && depth == 0 {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
        .into_iter()
        .map(|part| part.trim().to_owned())
        .collect()
}

impl Block {
    /// Reads a block whose white space is single spaces and which has no comments.
    pub(super) fn parse(text: &str) -> Result<Self, OraError> {
        let (declared, body) = match text.strip_prefix("DECLARE ") {
            Some(rest) => rest.split_once(" BEGIN ").ok_or_else(|| refused(text))?,
            None => (
                "",
                text.strip_prefix("BEGIN ").ok_or_else(|| refused(text))?,
            ),
        };
        let mut pieces = split(body, ';').into_iter().peekable();
        let node = Node::block(&mut pieces)?;
        if pieces.any(|piece| !piece.is_empty()) {
            return Err(refused("text after the block"));
        }
        Ok(Self {
            exceptions: exceptions(declared)?,
            body: vec![node],
        })
    }
}

/// The numbers of declared exceptions; other declarations must be of types that we use.
fn exceptions(declared: &str) -> Result<HashMap<String, i32>, OraError> {
    let mut found = HashMap::new();
    for declaration in split(declared, ';') {
        if let Some(rest) = declaration.strip_prefix("PRAGMA EXCEPTION_INIT(") {
            let (name, number) = rest
                .strip_suffix(')')
                .and_then(|rest| rest.split_once(','))
                .ok_or_else(|| refused(&declaration))?;
            let number: i32 = number.trim().parse().map_err(|_| refused(&declaration))?;
            found.insert(name.trim().to_owned(), -number);
            continue;
        }
        let kind = declaration
            .split_once(' ')
            .map_or("", |(_, kind)| kind.trim());
        let known = [
            "EXCEPTION",
            "JSON",
            "CLOB",
            "RAW(16)",
            "RAW(32767)",
            "DBMS_AQ.ENQUEUE_OPTIONS_T",
            "DBMS_AQ.DEQUEUE_OPTIONS_T",
            "DBMS_AQ.MESSAGE_PROPERTIES_T",
        ];
        if !declaration.is_empty() && !known.contains(&kind) {
            return Err(refused(&declaration));
        }
    }
    Ok(found)
}

type Pieces = std::iter::Peekable<std::vec::IntoIter<String>>;

impl Node {
    /// The rest of a block whose BEGIN was read, up to its END.
    fn block(pieces: &mut Pieces) -> Result<Self, OraError> {
        let body = Self::list(pieces)?;
        let mut handlers = Vec::new();
        while let Some(piece) = pieces.next() {
            if piece == "END" {
                return Ok(Self::Block { body, handlers });
            }
            let piece = piece.strip_prefix("EXCEPTION ").unwrap_or(&piece);
            let (names, first) = piece
                .strip_prefix("WHEN ")
                .and_then(|rest| rest.split_once(" THEN "))
                .ok_or_else(|| refused(piece))?;
            let mut done = vec![Self::Statement(first.to_owned())];
            done.extend(Self::list(pieces)?);
            let names = names.split(" OR ").map(|name| name.trim().to_owned());
            handlers.push((names.collect(), done));
        }
        Err(refused("a block without END"))
    }

    /// Statements up to a handler or the end, neither of which is taken.
    fn list(pieces: &mut Pieces) -> Result<Vec<Self>, OraError> {
        let mut nodes = Vec::new();
        while let Some(piece) = pieces.peek_mut() {
            if piece == "END" || piece.starts_with("EXCEPTION ") || piece.starts_with("WHEN ") {
                break;
            }
            if let Some(first) = piece.strip_prefix("BEGIN ") {
                *piece = first.to_owned();
                nodes.push(Self::block(pieces)?);
            } else if let Some(statement) = pieces.next() {
                nodes.push(Self::Statement(statement));
            }
        }
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_block_with_a_handler() {
        let text = "DECLARE e EXCEPTION; PRAGMA EXCEPTION_INIT(e, -25228); BEGIN :a := 1; BEGIN \
                    :b := ';'; EXCEPTION WHEN e OR f THEN NULL; END; END;";
        let block = Block::parse(text).unwrap();
        assert_eq!(block.exceptions["e"], 25228);
        let statement = |text: &str| Node::Statement(text.to_owned());
        let inner = Node::Block {
            body: vec![statement(":b := ';'")],
            handlers: vec![(
                vec!["e".to_owned(), "f".to_owned()],
                vec![statement("NULL")],
            )],
        };
        let outer = Node::Block {
            body: vec![statement(":a := 1"), inner],
            handlers: Vec::new(),
        };
        assert_eq!(block.body, [outer]);
    }

    #[test]
    fn a_call_has_its_arguments() {
        let (procedure, arguments) =
            call("DBMS_AQADM.ADD_SUBSCRIBER(queue_name => 'A', subscriber => f('x, y', NULL))")
                .unwrap();
        assert_eq!(procedure, "DBMS_AQADM.ADD_SUBSCRIBER");
        assert_eq!(arguments[1].1, "f('x, y', NULL)");
        assert!(call(":a := 1").is_none());
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in [
            "SELECT 1",
            "BEGIN NULL;",
            "DECLARE x VARCHAR2(9); BEGIN NULL; END;",
        ] {
            assert_eq!(Block::parse(text).unwrap_err().code, 6550, "{text}");
        }
    }
}
