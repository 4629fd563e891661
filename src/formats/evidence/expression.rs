//! Values of a pickle as short text: what a call would be given.

use std::fmt::Write as _;

use crate::formats::containers::pickle::{Content, Graph, Node, NodeId};

/// Characters of one text.
const TEXT: usize = 120;
/// Characters of the whole.
const WHOLE: usize = 240;
/// Items of a container, and containers inside one another.
const ITEMS: usize = 6;
const DEPTH: usize = 4;

/// One value, shortened.
pub fn shown(graph: &Graph, id: NodeId) -> String {
    let mut text = String::new();
    write_value(graph, id, DEPTH, &mut text);
    shorten(text, WHOLE)
}

/// The arguments of a call in parentheses, shortened.
pub fn arguments(graph: &Graph, args: NodeId, keywords: Option<NodeId>) -> String {
    let mut text = String::from("(");
    if let Some(items) = graph.items(args) {
        write_items(graph, items, DEPTH, &mut text);
    } else {
        text.push('*');
        write_value(graph, args, DEPTH, &mut text);
    }
    if let Some(keywords) = keywords.filter(|&id| graph.entries(id).is_none_or(|entries| !entries.is_empty()))
    {
        text.push_str(", **");
        write_value(graph, keywords, DEPTH, &mut text);
    }
    text.push(')');
    shorten(text, WHOLE)
}

fn shorten(text: String, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn write_items(graph: &Graph, items: &[NodeId], depth: usize, text: &mut String) {
    for (index, &item) in items.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        if index >= ITEMS || text.len() > 4 * WHOLE {
            let _ = write!(text, "… {} more", items.len() - index);
            return;
        }
        write_value(graph, item, depth, text);
    }
}

fn write_value(graph: &Graph, id: NodeId, depth: usize, text: &mut String) {
    if depth == 0 {
        text.push('…');
        return;
    }
    let depth = depth - 1;
    let _ = match graph.node(id) {
        Node::None => write!(text, "None"),
        Node::Bool(flag) => write!(text, "{}", if flag { "True" } else { "False" }),
        Node::Int(value) => write!(text, "{value}"),
        Node::Float(value) => write!(text, "{value}"),
        Node::BigInt(_) => write!(text, "{}", shorten(graph.digits(id).unwrap_or("?").to_owned(), 40)),
        Node::Text(_) => {
            let whole = graph.text(id).unwrap_or_default();
            let short: String = whole.chars().take(TEXT).collect();
            write!(text, "{short:?}{}", if short.len() < whole.len() { "…" } else { "" })
        }
        Node::Blob(_) | Node::Range(_) => match graph.content(id) {
            Some(Content::Held(bytes)) if bytes.len() <= 48 => write!(text, "b\"{}\"", bytes.escape_ascii()),
            Some(Content::Held(bytes)) => write!(text, "{} bytes", bytes.len()),
            Some(Content::Range(_, len)) => write!(text, "{len} bytes"),
            None => Ok(()),
        },
        Node::Tuple(_) | Node::List(_) | Node::Set(_) => {
            let (open, close) = match graph.node(id) {
                Node::Tuple(_) => ('(', ')'),
                Node::List(_) => ('[', ']'),
                _ => ('{', '}'),
            };
            text.push(open);
            write_items(graph, graph.items(id).unwrap_or_default(), depth, text);
            text.push(close);
            Ok(())
        }
        Node::Dict(_) => {
            let entries = graph.entries(id).unwrap_or_default().as_chunks::<2>().0;
            text.push('{');
            for (index, &[key, value]) in entries.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                if index >= ITEMS || text.len() > 4 * WHOLE {
                    let _ = write!(text, "… {} more", entries.len() - index);
                    break;
                }
                write_value(graph, key, depth, text);
                text.push_str(": ");
                write_value(graph, value, depth, text);
            }
            text.push('}');
            Ok(())
        }
        Node::Global(_) => match graph.global(id) {
            Some(global) => write!(text, "{}", global.full_name()),
            None => Ok(()),
        },
        Node::Call(_) => {
            if let Some(call) = graph.call(id) {
                write_value(graph, call.callable, depth, text);
                text.push('(');
                match graph.items(call.args) {
                    Some(items) => write_items(graph, items, depth, text),
                    None => write_value(graph, call.args, depth, text),
                }
                text.push(')');
            }
            Ok(())
        }
        Node::Persistent(inner) => {
            text.push_str("persistent ");
            write_value(graph, inner, depth, text);
            Ok(())
        }
    };
}
