//! Which plane of a tensor is looked at: two axes, and an index for each of the others.

use egui::{ComboBox, Role, Slider, Ui, WidgetInfo};

use crate::analysis::slice::Plane;

/// A choice of two axes and the position along the others.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::ui) struct SlicePicker {
    dims: Vec<u64>,
    row_axis: Option<usize>,
    column_axis: Option<usize>,
    fixed: Vec<u64>,
}

impl SlicePicker {
    /// The axes that show most at first: the last two, or for kernels of a convolution outputs and inputs. A vector runs
    /// down.
    pub(in crate::ui) fn new(dims: &[u64]) -> Self {
        let (row_axis, column_axis) = match dims {
            [] => (None, None),
            [_] => (Some(0), None),
            dims => {
                // The two longest axes, in their order; of equals the later ones.
                let mut axes: Vec<usize> = (0..dims.len()).collect();
                axes.sort_by_key(|&axis| (std::cmp::Reverse(dims[axis]), std::cmp::Reverse(axis)));
                (Some(axes[0].min(axes[1])), Some(axes[0].max(axes[1])))
            }
        };
        Self { dims: dims.to_vec(), row_axis, column_axis, fixed: vec![0; dims.len()] }
    }

    /// A vector that runs across: a picture of one line has room at the side, not below.
    pub(in crate::ui) fn lying(dims: &[u64]) -> Self {
        Self { dims: dims.to_vec(), row_axis: None, column_axis: Some(0), fixed: vec![0; dims.len()] }
    }

    /// Rows and columns of the plane.
    pub(in crate::ui) fn extent(&self) -> (u64, u64) {
        let along = |axis: Option<usize>| axis.and_then(|axis| self.dims.get(axis)).copied().unwrap_or(1);
        (along(self.row_axis), along(self.column_axis))
    }

    /// A part of the plane.
    pub(in crate::ui) fn plane(&self, rows: std::ops::Range<u64>, columns: std::ops::Range<u64>) -> Plane {
        Plane {
            row_axis: self.row_axis,
            column_axis: self.column_axis,
            fixed: self.fixed.clone(),
            rows,
            columns,
        }
    }

    /// The index of a place in the plane, as Python writes it.
    pub(in crate::ui) fn index(&self, row: u64, column: u64) -> String {
        let at = |axis: usize| match Some(axis) {
            axis if axis == self.row_axis => row,
            axis if axis == self.column_axis => column,
            _ => self.fixed.get(axis).copied().unwrap_or(0),
        };
        let parts: Vec<String> = (0..self.dims.len()).map(|axis| at(axis).to_string()).collect();
        format!("[{}]", parts.join(", "))
    }

    /// A part of the plane, as Python writes it.
    pub(in crate::ui) fn python(
        &self,
        rows: &std::ops::Range<u64>,
        columns: &std::ops::Range<u64>,
    ) -> String {
        let along = |axis: usize| {
            let (part, whole) = match Some(axis) {
                axis if axis == self.row_axis => (rows, self.extent().0),
                axis if axis == self.column_axis => (columns, self.extent().1),
                _ => return self.fixed.get(axis).copied().unwrap_or(0).to_string(),
            };
            if *part == (0..whole) { ":".to_owned() } else { format!("{}:{}", part.start, part.end) }
        };
        let parts: Vec<String> = (0..self.dims.len()).map(along).collect();
        let plane = format!("values[{}]", parts.join(", "));
        // numpy keeps the axes in their order.
        if self.row_axis.is_some() && self.row_axis > self.column_axis && self.column_axis.is_some() {
            plane + ".T"
        } else {
            plane
        }
    }

    /// Draws the choices; nothing for tensors of two dimensions or fewer, which have one plane only.
    pub(in crate::ui) fn ui(&mut self, ui: &mut Ui) {
        if self.dims.len() < 3 {
            return;
        }
        ui.horizontal_wrapped(|ui| {
            let before = (self.row_axis, self.column_axis);
            axis_ui(ui, &self.dims, "Rows", &mut self.row_axis);
            axis_ui(ui, &self.dims, "Columns", &mut self.column_axis);
            // The axis that was taken from the other one is swapped, so that there are always two.
            if self.row_axis == self.column_axis {
                if self.row_axis == before.0 {
                    self.row_axis = before.1;
                } else {
                    self.column_axis = before.0;
                }
            }
        });
        for axis in 0..self.dims.len() {
            let length = self.dims[axis];
            if Some(axis) == self.row_axis || Some(axis) == self.column_axis || length < 2 {
                continue;
            }
            ui.horizontal(|ui| {
                let label = ui.label(format!("Axis {axis}"));
                ui.spacing_mut().slider_width = (ui.available_width() - 90.0).clamp(60.0, 260.0);
                let slider = Slider::new(&mut self.fixed[axis], 0..=length - 1);
                ui.add(slider).labelled_by(label.id);
            });
        }
    }
}

fn axis_ui(ui: &mut Ui, dims: &[u64], name: &str, chosen: &mut Option<usize>) {
    let text = |axis: usize| format!("axis {axis} ({})", dims.get(axis).copied().unwrap_or(1));
    let selected = chosen.map_or_else(|| "–".to_owned(), text);
    ui.label(name);
    let menu = ComboBox::from_id_salt(name).width(96.0).selected_text(&selected).show_ui(ui, |ui| {
        for axis in 0..dims.len() {
            if ui.selectable_label(*chosen == Some(axis), text(axis)).clicked() {
                *chosen = Some(axis);
            }
        }
    });
    menu.response.widget_info(|| {
        WidgetInfo::labeled(Role::ComboBox, true, format!("{name} of the slice: {selected}"))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_axes_are_shown_first() {
        let axes = |dims: &[u64]| {
            let picker = SlicePicker::new(dims);
            (picker.row_axis, picker.column_axis)
        };
        assert_eq!(axes(&[64, 3, 7, 7]), (Some(0), Some(3)));
        assert_eq!(axes(&[3, 3, 64, 128]), (Some(2), Some(3)));
        assert_eq!(axes(&[10]), (Some(0), None));
        assert_eq!(SlicePicker::new(&[2, 3, 4]).index(1, 2), "[0, 1, 2]");
    }

    #[test]
    fn a_part_is_written_as_python_writes_it() {
        let mut picker = SlicePicker::new(&[2, 3, 4]);
        assert_eq!(picker.python(&(0..3), &(1..2)), "values[0, :, 1:2]");
        (picker.row_axis, picker.column_axis) = (Some(2), Some(0));
        assert_eq!(picker.python(&(0..4), &(0..2)), "values[:, 0, :].T");
        assert_eq!(SlicePicker::lying(&[7]).python(&(0..1), &(2..5)), "values[2:5]");
    }
}
