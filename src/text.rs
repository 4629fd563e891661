//! Numbers and names for people: 1.2 M parameters, 4.7 MiB, 3.1e-4; escaping of control characters.

/// An exact count with thousands separators: `25,962`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rounded count: `835`, `25,962`, `1.2 M`, `7.2 B`. Exact below 100,000.
pub fn short_count(value: u64) -> String {
    match value {
        0..100_000 => count(value),
        100_000..1_000_000 => format!("{:.0} k", value as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", value as f64 / 1e6),
        _ => format!("{:.2} B", value as f64 / 1e9),
    }
}

/// A size in bytes: `512 B`, `4.7 MiB`.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1024.0;
    let mut unit = 0;
    while scaled >= 1023.95 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

/// A measured value with four significant digits: `0.0247`, `-3.1e-4`, `1.234e6`.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+∞" } else { "−∞" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return "0".to_owned();
    }
    if (1e-3..1e6).contains(&magnitude) {
        let decimals = (3 - magnitude.log10().floor() as i32).clamp(0, 7) as usize;
        let text = format!("{value:.decimals$}");
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        };
    }
    let text = format!("{value:.3e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        None => text,
    }
}

/// An exact count that may be negative: `-1,200`.
pub fn count_signed(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", count(value.unsigned_abs()))
}

/// Year, month and day of a moment given in seconds since 1970, and the seconds of the day; UTC.
///
/// Source: "days from civil" of Howard Hinnant, <https://howardhinnant.github.io/date_algorithms.html>.
fn civil(seconds: f64) -> Option<(i64, i64, i64, i64)> {
    // Years 1 to 9999, which is what logs mean by seconds.
    if !(-62_135_596_800.0..253_402_300_800.0).contains(&seconds) {
        return None;
    }
    let whole = seconds.floor() as i64;
    let (days, rest) = (whole.div_euclid(86_400), whole.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some((year, month, day, rest))
}

/// A moment in seconds since 1970 as date and time: `2024-05-31 17:08`; UTC.
pub fn date_time(seconds: f64) -> String {
    civil(seconds).map_or_else(String::new, |(year, month, day, rest)| {
        format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", rest / 3600, rest / 60 % 60)
    })
}

/// A moment along an axis that spans `span` seconds: the day where it spans days, otherwise the time; UTC.
pub fn time_of_day(seconds: f64, span: f64) -> String {
    civil(seconds).map_or_else(String::new, |(_, month, day, rest)| {
        if span > 3.0 * 86_400.0 {
            format!("{month:02}-{day:02}")
        } else {
            format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
        }
    })
}

/// Text from a file, safe for a terminal and for a line: control and bidirectional-override characters are written as `\u{…}`,
/// and so is the one that stands for what is no text, for which fonts have no sign.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let steers = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffd}');
        if c.is_control() || steers {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sizes_are_for_people() {
        assert_eq!(count(25_962), "25,962");
        assert_eq!(short_count(11_689_512), "11.7 M");
        assert_eq!((bytes(512), bytes(4_928_307)), ("512 B".to_owned(), "4.7 MiB".to_owned()));
    }

    #[test]
    fn numbers_keep_four_significant_digits() {
        for (value, text) in
            [(0.0247, "0.0247"), (-0.00031, "-3.1e-4"), (1_234_567.0, "1.235e6"), (448.0, "448"), (0.0, "0")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn moments_are_dates() {
        assert_eq!(date_time(0.0), "1970-01-01 00:00");
        assert_eq!(date_time(1_709_208_000.0), "2024-02-29 12:00");
        assert_eq!((time_of_day(3661.0, 10.0), date_time(f64::NAN)), ("01:01:01".to_owned(), String::new()));
    }

    #[test]
    fn names_from_files_cannot_steer_the_terminal() {
        assert_eq!(escape("a\u{1b}[2Jb\u{202e}"), "a\\u{1b}[2Jb\\u{202e}");
    }
}
