//! Follows the graph of a model: which shapes flow into and out of each layer.
//!
//! Pure. Runs after `config` has parsed the layers; the rule of one layer is in `output_shape`. A sequential model
//! is followed in its order, a functional one by its calls. What nothing determines stays unknown.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::config::{FlowShape, Layer};
use super::output_shape;

/// One use of a layer in the graph of a functional model.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    /// Tensors it takes, in the order of the arguments.
    pub inputs: Vec<Argument>,
    /// Whether an attention layer is asked for its scores too.
    pub scores: bool,
}

/// A tensor that is passed to a layer.
#[derive(Debug, Clone, Default)]
pub(super) struct Argument {
    /// Name of the layer that makes it.
    layer: String,
    /// Which use of that layer.
    call: usize,
    /// Which of its outputs.
    output: usize,
    /// The argument's name, if it was passed by name.
    keyword: Option<String>,
    /// Its shape, where the file states it (Keras 3).
    shape: Option<FlowShape>,
}

/// What a layer takes in one call, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// Shapes in the order of the arguments, with the name of those passed by name.
    pub shapes: Vec<(Option<String>, Option<FlowShape>)>,
    /// Whether an attention layer is asked for its scores too.
    pub scores: bool,
}

impl Inputs {
    /// One input without a name.
    pub fn of(shape: FlowShape) -> Self {
        Self { shapes: vec![(None, Some(shape))], scores: false }
    }

    /// The argument of that name, or at that position among those without a name.
    pub fn argument(&self, name: &str, position: usize) -> Option<&FlowShape> {
        let named = self.shapes.iter().find(|(keyword, _)| keyword.as_deref() == Some(name));
        named
            .or_else(|| self.shapes.iter().filter(|(keyword, _)| keyword.is_none()).nth(position))
            .and_then(|(_, shape)| shape.as_ref())
    }

    /// The first input.
    pub fn first(&self) -> Option<&FlowShape> {
        self.shapes.first().and_then(|(_, shape)| shape.as_ref())
    }

    /// All inputs, if every one is known.
    pub fn all(&self) -> Option<Vec<&FlowShape>> {
        self.shapes.iter().map(|(_, shape)| shape.as_ref()).collect()
    }
}

/// What flows through a layer, and through the layers inside it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// What it takes in its first call.
    pub inputs: Inputs,
    /// What it makes; `None` when that is not known or differs from call to call.
    pub outputs: Option<Vec<FlowShape>>,
    /// The same of its children, one for one.
    pub children: Vec<Flow>,
}

/// Of a layer that nothing is known to flow through.
pub(super) const UNKNOWN: &Flow =
    &Flow { inputs: Inputs { shapes: Vec::new(), scores: false }, outputs: None, children: Vec::new() };

/// Rules that may be applied to one model. A model of the field has thousands of layers; nested models that call
/// each other with new shapes would otherwise cost a power of their depth.
const RULES: u32 = 1_000_000;

/// How often the calls of one model are gone through until nothing new is found: calls stand nearly in order.
const PASSES: usize = 50;

/// Follows the whole model.
pub(super) fn follow(model: &Layer) -> Flow {
    let mut budget = RULES;
    run(model, Inputs::default(), &mut budget)
}

fn run(layer: &Layer, inputs: Inputs, budget: &mut u32) -> Flow {
    let Some(left) = budget.checked_sub(1) else { return Flow { inputs, ..Flow::default() } };
    *budget = left;
    match layer.class.as_str() {
        _ if layer.is_model && is_sequential(layer) => run_sequential(layer, &inputs, budget),
        _ if layer.is_model => run_functional(layer, &inputs, budget),
        "InputLayer" => {
            let outputs =
                declared(&layer.config).or_else(|| inputs.first().cloned()).map(|shape| vec![shape]);
            Flow { inputs, outputs, children: Vec::new() }
        }
        "TimeDistributed" => run_over_time(layer, inputs, budget),
        "Bidirectional" | "SpectralNormalization" => {
            let children: Vec<Flow> = layer
                .children
                .iter()
                .map(|child| run(child, inputs.first().cloned().map(Inputs::of).unwrap_or_default(), budget))
                .collect();
            let outputs = children.first().and_then(|inner| {
                let inner = inner.outputs.as_ref()?;
                if layer.class == "Bidirectional" {
                    output_shape::both_directions(&layer.config, inner)
                } else {
                    Some(inner.clone())
                }
            });
            Flow { inputs, outputs, children }
        }
        _ => {
            let outputs = if layer.is_operation { None } else { output_shape::rule(layer, &inputs) };
            Flow { inputs, outputs, children: Vec::new() }
        }
    }
}

fn is_sequential(layer: &Layer) -> bool {
    layer.class == "Sequential" || layer.config.is_array()
}

fn run_over_time(layer: &Layer, inputs: Inputs, budget: &mut u32) -> Flow {
    let step = inputs.first().filter(|shape| shape.len() > 1).map(|shape| {
        let mut step = shape.clone();
        let time = step.remove(1);
        (step, time)
    });
    let (Some(inner), Some((step, time))) = (layer.children.first(), step) else {
        return Flow { inputs, ..Flow::default() };
    };
    let inner = run(inner, Inputs::of(step), budget);
    let outputs = inner.outputs.as_ref().and_then(|outputs| {
        let mut outputs = outputs.clone();
        for output in &mut outputs {
            if output.is_empty() {
                return None;
            }
            output.insert(1, time);
        }
        Some(outputs)
    });
    Flow { inputs, outputs, children: vec![inner] }
}

/// The input that a sequential model states for itself.
fn declared_input(model: &Layer) -> Option<FlowShape> {
    model.children.first().and_then(|first| declared(&first.config)).or_else(|| model.input_shape.clone())
}

fn run_sequential(model: &Layer, inputs: &Inputs, budget: &mut u32) -> Flow {
    let mut previous = inputs.first().cloned().or_else(|| declared_input(model));
    let start = previous.clone();
    let mut children = Vec::with_capacity(model.children.len());
    for child in &model.children {
        if child.class == "InputLayer" {
            let outputs = previous.clone().map(|shape| vec![shape]);
            children.push(Flow { outputs, ..Flow::default() });
            continue;
        }
        let given = previous.or_else(|| child.input_shape.clone());
        let mut flow = run(child, given.map(Inputs::of).unwrap_or_default(), budget);
        previous = match flow.outputs.as_deref() {
            Some([single]) => Some(single.clone()),
            _ => None,
        };
        flow = with_own_flow(child, flow, budget);
        children.push(flow);
    }
    let outputs = previous.filter(|_| !model.children.is_empty()).map(|shape| vec![shape]);
    Flow { inputs: start.map(Inputs::of).unwrap_or_default(), outputs, children }
}

/// A nested model that states its own inputs shows the shapes of these inside, whatever it is called with.
fn with_own_flow(child: &Layer, called: Flow, budget: &mut u32) -> Flow {
    let own = own_inputs(child);
    let same = called.inputs.shapes.iter().map(|(_, shape)| shape).eq(&own);
    if !child.is_model || same || own.iter().all(Option::is_none) {
        return called;
    }
    let own = run(child, Inputs::default(), budget);
    Flow { children: own.children, ..called }
}

/// The inputs that a model states for itself.
fn own_inputs(model: &Layer) -> Vec<Option<FlowShape>> {
    if is_sequential(model) {
        return vec![declared_input(model)];
    }
    input_names(&model.config)
        .iter()
        .map(|name| declared(&model.children.iter().find(|child| child.name == *name)?.config))
        .collect()
}

/// The layers of a functional model that take its inputs, in their order.
/// Keras 2: `[["a", 0, 0], …]`; Keras 3 also `["a", 0, 0]`, and dictionaries of these.
fn input_names(config: &Json) -> Vec<String> {
    references(config.get("input_layers")).into_iter().map(|argument| argument.layer).collect()
}

fn references(json: Option<&Json>) -> Vec<Argument> {
    let mut call = Call::default();
    if let Some(json) = json {
        gather(json, None, &mut call);
    }
    call.inputs
}

fn run_functional(model: &Layer, inputs: &Inputs, budget: &mut u32) -> Flow {
    let position: HashMap<&str, usize> =
        model.children.iter().enumerate().map(|(index, child)| (child.name.as_str(), index)).collect();
    let names = input_names(&model.config);
    let own = own_inputs(model);
    let given: Vec<Option<FlowShape>> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            inputs.argument(name, index).cloned().or_else(|| own.get(index).cloned().flatten())
        })
        .collect();
    let skipped = skipped_calls(model, &position);
    let call_of = |from: usize, call: usize| call.checked_sub(skipped.get(from).copied().unwrap_or(0));
    // What the file states holds for the inputs that the model was made with.
    let as_stated = given == own;
    let mut results: Vec<Vec<Option<Vec<FlowShape>>>> =
        model.children.iter().map(|child| vec![None; child.calls.len().max(1)]).collect();
    let mut stated: HashMap<(usize, usize, usize), &FlowShape> = HashMap::new();
    for argument in model.children.iter().flat_map(|child| &child.calls).flat_map(|call| &call.inputs) {
        if let (true, Some(shape), Some(&index)) =
            (as_stated, &argument.shape, position.get(argument.layer.as_str()))
        {
            stated.insert((index, call_of(index, argument.call).unwrap_or(0), argument.output), shape);
        }
    }
    let mut flows: Vec<Flow> = model.children.iter().map(|_| Flow::default()).collect();
    for (index, child) in model.children.iter().enumerate().filter(|(_, child)| child.class == "InputLayer") {
        let shape = match names.iter().position(|name| *name == child.name) {
            Some(place) => given.get(place).cloned().flatten(),
            None => declared(&child.config),
        };
        if let (Some(shape), Some(result)) =
            (shape, results.get_mut(index).and_then(|calls| calls.first_mut()))
        {
            *result = Some(vec![shape]);
        }
    }
    for _ in 0..PASSES {
        let mut progressed = false;
        for (index, child) in model.children.iter().enumerate() {
            for (number, call) in child.calls.iter().enumerate() {
                let known = |index: usize, number: usize| {
                    results.get(index).and_then(|calls| calls.get(number)?.as_ref())
                };
                if child.class == "InputLayer" || known(index, number).is_some() {
                    continue;
                }
                let mut taken = Inputs { shapes: Vec::with_capacity(call.inputs.len()), scores: call.scores };
                for argument in &call.inputs {
                    let Some(&from) = position.get(argument.layer.as_str()) else { continue };
                    let shape = call_of(from, argument.call).and_then(|call| {
                        let outputs = known(from, call);
                        outputs
                            .and_then(|outputs| outputs.get(argument.output))
                            .or_else(|| stated.get(&(from, call, argument.output)).copied())
                    });
                    taken.shapes.push((argument.keyword.clone(), shape.cloned()));
                }
                if taken.first().is_none()
                    && let (Some(shape), [_] | []) =
                        (child.input_shape.as_ref().filter(|_| as_stated), taken.shapes.as_slice())
                {
                    taken = Inputs { scores: call.scores, ..Inputs::of(shape.clone()) };
                }
                if taken.shapes.iter().all(|(_, shape)| shape.is_none()) {
                    continue;
                }
                let flow = run(child, taken, budget);
                let found = flow.outputs.clone().or_else(|| stated_outputs(&stated, index, number));
                if found.is_some() {
                    progressed = true;
                    if let Some(result) = results.get_mut(index).and_then(|calls| calls.get_mut(number)) {
                        *result = found;
                    }
                }
                if number == 0
                    && let Some(slot) = flows.get_mut(index)
                {
                    *slot = flow;
                }
            }
        }
        if !progressed {
            break;
        }
    }
    let outputs: Option<Vec<FlowShape>> = references(model.config.get("output_layers"))
        .iter()
        .map(|output| {
            let index = *position.get(output.layer.as_str())?;
            let call = call_of(index, output.call)?;
            let known =
                results.get(index)?.get(call)?.as_ref().and_then(|outputs| outputs.get(output.output));
            known.or_else(|| stated.get(&(index, call, output.output)).copied()).cloned()
        })
        .collect();
    let mut children = Vec::with_capacity(flows.len());
    for ((flow, calls), (index, child)) in
        flows.into_iter().zip(&results).zip(model.children.iter().enumerate())
    {
        let first = calls.first().cloned().flatten().or_else(|| stated_outputs(&stated, index, 0));
        let agree = calls.iter().all(|call| *call == first) || calls.len() == 1;
        let flow = Flow { outputs: first.filter(|_| agree), ..flow };
        children.push(with_own_flow(child, flow, budget));
    }
    let inputs = Inputs { shapes: given.into_iter().map(|shape| (None, shape)).collect(), scores: false };
    Flow { inputs, outputs: outputs.filter(|outputs| !outputs.is_empty()), children }
}

/// How many calls of each layer are counted but not listed: Keras 2 counts the making of a nested model as its first.
fn skipped_calls(model: &Layer, position: &HashMap<&str, usize>) -> Vec<usize> {
    let mut skipped = vec![0usize; model.children.len()];
    let outputs = references(model.config.get("output_layers"));
    let inner = model.children.iter().flat_map(|child| &child.calls).flat_map(|call| &call.inputs);
    for argument in inner.chain(&outputs) {
        let Some(&index) = position.get(argument.layer.as_str()) else { continue };
        if let (Some(child), Some(count)) = (model.children.get(index), skipped.get_mut(index))
            && child.is_model
        {
            *count = (*count).max((argument.call.saturating_add(1)).saturating_sub(child.calls.len()));
        }
    }
    skipped
}

/// The outputs of a call whose shapes the layers behind it state.
fn stated_outputs(
    stated: &HashMap<(usize, usize, usize), &FlowShape>,
    layer: usize,
    call: usize,
) -> Option<Vec<FlowShape>> {
    let outputs: Vec<FlowShape> =
        (0..).map_while(|output| stated.get(&(layer, call, output)).copied().cloned()).collect();
    (!outputs.is_empty()).then_some(outputs)
}

/// The shape that a configuration states: of its input, batch included.
fn declared(config: &Json) -> Option<FlowShape> {
    ["batch_shape", "batch_input_shape"].iter().find_map(|key| from_json(config.get(*key)?))
}

/// A shape in JSON: numbers, and null for a dimension that is not fixed.
pub(super) fn from_json(json: &Json) -> Option<FlowShape> {
    let items = json.as_array()?;
    if items.len() > crate::raw::limits::RANK {
        return None;
    }
    items
        .iter()
        .map(|item| match item {
            Json::Null => Some(None),
            number => number.as_u64().map(Some),
        })
        .collect()
}

/// The calls that an entry of a functional model lists.
///
/// Keras 2: `[[["dense", 0, 0, {keyword arguments}], …], …]`, with call and output numbers; in keyword arguments
/// tensors are lists of the same form. Keras 3: `[{"args": […], "kwargs": {…}}]`, tensors as objects with a `keras_history`.
/// Source: `process_node` in `keras/src/models/functional.py` and in `keras/engine/functional.py` of Keras 2.
pub(super) fn calls(json: &Json) -> Vec<Call> {
    let Some(nodes) = json.get("inbound_nodes").and_then(Json::as_array) else { return Vec::new() };
    nodes
        .iter()
        .map(|node| {
            let mut call = Call::default();
            gather(node, None, &mut call);
            call
        })
        .collect()
}

/// Collects the tensors inside a JSON value, whose depth `serde_json` bounds.
fn gather(value: &Json, keyword: Option<&str>, call: &mut Call) {
    let reference = |items: &[Json]| match items {
        [Json::String(layer), number, output, ..] => Some((
            layer.clone(),
            usize::try_from(number.as_u64()?).ok()?,
            usize::try_from(output.as_u64()?).ok()?,
        )),
        _ => None,
    };
    let keyword_of = |keyword: Option<&str>| keyword.map(str::to_owned);
    match value {
        Json::Object(entries) => {
            let config = entries.get("config");
            let history = config.and_then(|config| config.get("keras_history")).and_then(Json::as_array);
            if let Some((layer, number, output)) = history.and_then(|items| reference(items)) {
                let shape = config.and_then(|config| config.get("shape")).and_then(from_json);
                call.inputs.push(Argument {
                    layer,
                    call: number,
                    output,
                    keyword: keyword_of(keyword),
                    shape,
                });
                return;
            }
            for (key, value) in entries {
                call.scores |= key == "return_attention_scores" && value.as_bool() == Some(true);
                let inner =
                    if matches!(key.as_str(), "args" | "kwargs") { keyword } else { keyword.or(Some(key)) };
                gather(value, inner, call);
            }
        }
        Json::Array(items) => {
            if let Some((layer, number, output)) = reference(items) {
                let argument =
                    Argument { layer, call: number, output, keyword: keyword_of(keyword), shape: None };
                call.inputs.push(argument);
                for further in items.iter().skip(3) {
                    gather(further, None, call);
                }
            } else {
                for item in items {
                    gather(item, keyword, call);
                }
            }
        }
        _ => {}
    }
}
