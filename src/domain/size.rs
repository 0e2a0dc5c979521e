//! Amounts of data as people write them: `500B`, `10MB`, `4GiB`.

/// Reads a whole number and one unit: `B`, `KB` to `TB` (thousands) or `KiB` to `TiB` (1024s); bytes. `None` for anything
/// else, and for what is past 2^63.
#[must_use]
pub fn parse_size(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: i64 = number.parse().ok()?;
    number.checked_mul(match unit {
        "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_unit_and_nothing_else() {
        assert_eq!(parse_size("500B"), Some(500));
        assert_eq!(parse_size("10MB"), Some(10_000_000));
        assert_eq!(parse_size("4GiB"), Some(4 << 30));
        for wrong in ["", "B", "10", "10 MB", "-1B", "1.5MB", "10mb", "99999999TiB", "é"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
