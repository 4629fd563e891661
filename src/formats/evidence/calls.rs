//! What one pickle imports, and what it would call and with what.

use std::collections::HashMap;

use super::Examiner;
use super::expression::{arguments, shown};
use crate::formats::containers::pickle::{self, Call, Graph, Node, NodeId, Trick};
use crate::model::{Import, LoadCall, Oddity, ReadError};
use crate::raw::ByteSource;

/// Calls of one target that are kept with their arguments.
const SHOWN_CALLS: usize = 4;

/// Targets whose calls are kept, of one stream.
const TARGETS: usize = 2000;

impl Examiner<'_> {
    pub(super) fn import(
        &mut self,
        module: &str,
        name: &str,
        count: u64,
        offset: Option<u64>,
        place: &str,
    ) -> usize {
        let key = (module.to_owned(), name.to_owned(), place.to_owned());
        if let Some(&index) = self.imported.get(&key) {
            if let Some(import) = self.evidence.imports.get_mut(index) {
                import.count = import.count.saturating_add(count);
            }
            return index;
        }
        let index = self.evidence.imports.len();
        self.imported.insert(key, index);
        let import = Import {
            module: module.to_owned(),
            name: name.to_owned(),
            count,
            offset,
            place: place.to_owned(),
        };
        self.evidence.imports.push(import);
        index
    }

    /// An import that no pickle makes, but a configuration.
    pub(super) fn named_import(&mut self, module: &str, name: &str, place: &str) {
        self.import(module, name, 1, None, place);
    }

    /// Everything that one pickle imports and calls, and what is in its byte strings.
    pub(super) fn graph(&mut self, graph: &Graph, source: &ByteSource, place: &str) -> Result<(), ReadError> {
        let imports: Vec<usize> = graph
            .globals()
            .iter()
            .map(|global| self.import(&global.module, &global.name, global.count, Some(global.offset), place))
            .collect();
        for global in graph.globals() {
            if global.module == "copyreg" && global.name.starts_with("extension ") {
                let text = format!("{} names something that the loading program registered", global.name);
                self.evidence.observe(Oddity::ExtensionCode, place, Some(global.offset), text);
            }
        }
        for &(trick, offset) in graph.tricks() {
            let (kind, text) = match trick {
                Trick::AltersGlobal(id) => {
                    (Oddity::AlteredGlobal, format!("attributes of {} itself are set", shown(graph, id)))
                }
                Trick::ComputedName(id) => (
                    Oddity::ComputedName,
                    format!("{} is imported, a name that is computed while loading", shown(graph, id)),
                ),
            };
            self.evidence.observe(kind, place, Some(offset), text);
        }
        self.calls(graph, &imports, place);
        self.nested(graph, source, place)
    }

    fn calls(&mut self, graph: &Graph, imports: &[usize], place: &str) {
        // Position in the evidence of each target's calls.
        let mut known: HashMap<usize, usize> = HashMap::new();
        for call in graph.calls() {
            let Some(target) = class_of(graph, call.callable) else {
                if graph.call(call.callable).is_some() {
                    self.computed_call(graph, call, place);
                }
                continue;
            };
            let import = graph.global_index(target).and_then(|index| imports.get(index)).copied();
            let Some(import) = import else { continue };
            self.attribute(graph, call, target, place);
            let place_of = known.get(&import).copied();
            if let Some(entry) = place_of.and_then(|index| self.evidence.calls.get_mut(index)) {
                entry.count = entry.count.saturating_add(1);
                if entry.arguments.len() < SHOWN_CALLS {
                    entry.arguments.push(arguments(graph, call.args, call.keywords));
                }
            } else if known.len() < TARGETS {
                known.insert(import, self.evidence.calls.len());
                let target = graph.global(target).map(pickle::Global::full_name).unwrap_or_default();
                self.call(graph, call, target, Some(import), place);
            }
        }
    }

    fn call(&mut self, graph: &Graph, call: &Call, target: String, import: Option<usize>, place: &str) {
        self.evidence.calls.push(LoadCall {
            target,
            import,
            opcode: call.opcode,
            arguments: vec![arguments(graph, call.args, call.keywords)],
            count: 1,
            offset: call.offset,
            place: place.to_owned(),
        });
    }

    /// `getattr(M.N, "x")` names `M.N.x`, as an import by itself would.
    fn attribute(&mut self, graph: &Graph, call: &Call, target: NodeId, place: &str) {
        let Some(global) = graph.global(target) else { return };
        if !(matches!(global.module.as_str(), "builtins" | "__builtin__") && global.name == "getattr") {
            return;
        }
        let &[of, name, ..] = graph.items(call.args).unwrap_or_default() else { return };
        if let (Some(of), Some(name)) = (graph.global(of), graph.text(name)) {
            let name = format!("{}.{name}", of.name);
            self.import(&of.module, &name, 1, Some(call.offset), place);
        }
    }

    /// A call of what another call would give.
    fn computed_call(&mut self, graph: &Graph, call: &Call, place: &str) {
        let target = shown(graph, call.callable);
        // What stands at the bottom of the chain of calls; a cycle ends with the count.
        let mut root = call.callable;
        for _ in 0..64 {
            match graph.call(root) {
                Some(inner) => root = inner.callable,
                None => break,
            }
        }
        let by = graph.global(root).map(|global| (global.module.as_str(), global.name.as_str()));
        let is_attribute = matches!(
            by,
            Some(
                ("builtins" | "__builtin__", "getattr")
                    | ("operator" | "_operator", "attrgetter" | "methodcaller")
            )
        );
        let kind = if is_attribute { Oddity::AttributeCall } else { Oddity::ComputedCall };
        let given = arguments(graph, call.args, call.keywords);
        self.evidence.observe(kind, place, Some(call.offset), format!("{target}{given} would be called"));
        if self.evidence.calls.len() < TARGETS {
            self.call(graph, call, target, None, place);
        }
    }
}

/// The class or function that a callable stands for, where that is written down: directly, or inside the persistent
/// id by which old PyTorch files name a class together with its source.
pub(super) fn class_of(graph: &Graph, callable: NodeId) -> Option<NodeId> {
    match graph.node(callable) {
        Node::Global(_) => Some(callable),
        Node::Persistent(inner) => {
            graph.items(inner)?.iter().copied().find(|&item| matches!(graph.node(item), Node::Global(_)))
        }
        _ => None,
    }
}
