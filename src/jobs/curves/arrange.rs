//! Checkpoints of the same training and way of naming, in the order in which they were written.

use std::path::PathBuf;

use super::{CheckpointSeries, GatherOptions, Gathered, Opened};
use crate::analysis::name_pattern::{NamePattern, skeleton};
use crate::analysis::series::{order, series_across};

/// Groups checkpoints by their training, reads their names, orders them, and makes series of their numbers.
pub(super) fn arrange(opened: Vec<Opened>, options: &GatherOptions, gathered: &mut Gathered) {
    let mut groups: Vec<(String, PathBuf, String, Vec<Opened>)> = Vec::new();
    for checkpoint in opened {
        let mut checkpoint = checkpoint;
        for series in &mut checkpoint.inside.series {
            checkpoint.place.run.clone_into(&mut series.run);
            checkpoint.place.path.clone_into(&mut series.source);
        }
        gathered.series.append(&mut checkpoint.inside.series);
        if let Some(mut record) = checkpoint.inside.best.take() {
            checkpoint.place.path.clone_into(&mut record.source);
            gathered.records.push(record);
        }
        if !checkpoint.inside.has_model {
            continue;
        }
        let fits =
            options.pattern.as_ref().is_some_and(|pattern| pattern.numbers(&checkpoint.place.name).is_some());
        let key = if fits { String::new() } else { skeleton(&checkpoint.place.name) };
        let place = &checkpoint.place;
        let group = groups
            .iter_mut()
            .find(|(run, folder, other, _)| *run == place.run && *folder == place.folder && *other == key);
        match group {
            Some((.., members)) => members.push(checkpoint),
            None => groups.push((place.run.clone(), place.folder.clone(), key, vec![checkpoint])),
        }
    }
    join_strays(&mut groups);
    for (run, folder, _, group) in groups {
        let names: Vec<&str> = group.iter().map(|one| one.place.name.as_str()).collect();
        let mut shapes: Vec<(String, usize)> = Vec::new();
        for name in &names {
            let shape = skeleton(name);
            match shapes.iter_mut().find(|(other, _)| *other == shape) {
                Some((_, count)) => *count += 1,
                None => shapes.push((shape, 1)),
            }
        }
        let most = shapes
            .iter()
            .rev()
            .max_by_key(|(_, count)| *count)
            .map(|(shape, _)| shape.clone())
            .unwrap_or_default();
        let alike: Vec<&str> = names.iter().copied().filter(|name| skeleton(name) == most).collect();
        let pattern = options
            .pattern
            .clone()
            .filter(|pattern| names.iter().any(|name| pattern.numbers(name).is_some()))
            .or_else(|| NamePattern::detect(&alike));
        let mut series = CheckpointSeries {
            run,
            paths: Vec::new(),
            members: Vec::new(),
            bytes: Vec::new(),
            order: order(&[]),
            pattern,
        };
        for mut one in group {
            let fitting = series.pattern.as_ref().and_then(|pattern| pattern.numbers(&one.member.name));
            // A name of its own shape may still say what its numbers are.
            let own = || NamePattern::detect(&[one.place.name.as_str()])?.numbers(&one.place.name);
            one.member.in_name = fitting.or_else(own).unwrap_or_default();
            series.paths.push(one.place.path);
            series.members.push(one.member);
            series.bytes.push(one.bytes);
        }
        series.order = order(&series.members);
        if series.members.len() > 1 {
            for mut across in series_across(&series.members, &series.order) {
                series.run.clone_into(&mut across.run);
                folder.clone_into(&mut across.source);
                gathered.series.push(across);
            }
        }
        gathered.checkpoints.push(series);
    }
}

/// Puts single files of a folder (`best.pt`, `last.ckpt`) into the largest series beside them.
fn join_strays(groups: &mut Vec<(String, PathBuf, String, Vec<Opened>)>) {
    let mut index = 0;
    while index < groups.len() {
        let (run, folder, _, members) = &groups[index];
        let largest = groups
            .iter()
            .enumerate()
            .filter(|(other, group)| *other != index && group.0 == *run && group.1 == *folder)
            .max_by_key(|(other, group)| (group.3.len(), std::cmp::Reverse(*other)))
            .map(|(other, _)| other);
        match largest {
            Some(target) if members.len() == 1 && groups[target].3.len() >= members.len() => {
                let (.., mut strays) = groups.remove(index);
                let target = if target > index { target - 1 } else { target };
                groups[target].3.append(&mut strays);
            }
            _ => index += 1,
        }
    }
}
