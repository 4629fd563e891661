//! Areas of a treemap: rectangles in proportion to sizes, as square as the order allows.
//!
//! Method: M. Bruls, K. Huizing, J. J. van Wijk, "Squarified Treemaps" (2000).

/// A rectangle: left, top, width, height.
pub type Area = [f32; 4];

/// Areas for sizes in descending order that fill `width` by `height`. Sizes of zero get empty areas.
pub fn areas(sizes: &[u64], width: f32, height: f32) -> Vec<Area> {
    let total: f64 = sizes.iter().map(|&size| size as f64).sum();
    let mut areas = vec![[0.0; 4]; sizes.len()];
    if total <= 0.0 || width <= 0.0 || height <= 0.0 {
        return areas;
    }
    let scale = f64::from(width) * f64::from(height) / total;
    let wanted: Vec<f64> = sizes.iter().map(|&size| size as f64 * scale).collect();
    let (mut left, mut top, mut wide, mut tall) = (0.0, 0.0, f64::from(width), f64::from(height));
    let mut start = 0;
    while start < wanted.len() {
        // A row along the shorter side grows as long as its worst rectangle gets squarer.
        let side = f64::min(wide, tall).max(1e-9);
        let (mut end, mut sum) = (start + 1, wanted[start]);
        while end < wanted.len() {
            let with = sum + wanted[end];
            if worst(wanted[start], wanted[end], with, side)
                > worst(wanted[start], wanted[end - 1], sum, side)
            {
                break;
            }
            sum = with;
            end += 1;
        }
        let thick = sum / side;
        let mut along = 0.0;
        for (area, want) in areas[start..end].iter_mut().zip(&wanted[start..end]) {
            let long = if sum > 0.0 { want / sum * side } else { 0.0 };
            let place = if wide >= tall {
                [left, top + along, thick, long]
            } else {
                [left + along, top, long, thick]
            };
            *area = place.map(|value| value as f32);
            along += long;
        }
        if wide >= tall {
            left += thick;
            wide = (wide - thick).max(0.0);
        } else {
            top += thick;
            tall = (tall - thick).max(0.0);
        }
        start = end;
    }
    areas
}

/// The worst ratio of sides in a row with these largest and smallest areas.
fn worst(largest: f64, smallest: f64, sum: f64, side: f64) -> f64 {
    let (side, sum) = (side * side, sum * sum);
    if smallest <= 0.0 { f64::INFINITY } else { (side * largest / sum).max(sum / (side * smallest)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_fill_the_whole_in_proportion_and_do_not_overlap() {
        let sizes = [600, 600, 400, 300, 200, 200, 100, 0];
        let areas = areas(&sizes, 600.0, 400.0);
        for (area, size) in areas.iter().zip(sizes) {
            let wanted = size as f32 * 100.0;
            assert!((area[2] * area[3] - wanted).abs() < 1.0, "{area:?} is not {wanted}");
            assert!(area[0] + area[2] <= 600.1 && area[1] + area[3] <= 400.1);
        }
        for (index, a) in areas.iter().enumerate() {
            for b in &areas[index + 1..] {
                let wide = (a[0] + a[2]).min(b[0] + b[2]) - a[0].max(b[0]);
                let tall = (a[1] + a[3]).min(b[1] + b[3]) - a[1].max(b[1]);
                assert!(wide < 0.01 || tall < 0.01 || b[2] == 0.0, "{a:?} overlaps {b:?}");
            }
        }
    }
}
