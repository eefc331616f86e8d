//! Times as dates.

use std::time::{SystemTime, UNIX_EPOCH};

/// Days from 0000-03-01, where the years of this calculation begin, to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
const DAYS_OF_400_YEARS: u64 = 146_097;

/// The minute of `time` in UTC, as `2026-11-30 10:42`; `None` before 1970.
pub(super) fn format_utc(time: SystemTime) -> Option<String> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let (days, minutes) = (seconds / 86_400 + DAYS_TO_1970, seconds % 86_400 / 60);
    // Howard Hinnant's `civil_from_days`: years begin in March, so that a leap day is the last one.
    let day_of_era = days % DAYS_OF_400_YEARS;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = days / DAYS_OF_400_YEARS * 400 + year_of_era + u64::from(month <= 2);
    Some(format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}",
        minutes / 60,
        minutes % 60
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (951_868_800, "2000-03-01 00:00"),
            (1_709_251_140, "2024-02-29 23:59"),
            (1_796_035_320, "2026-11-30 10:42"),
            (4_107_542_400, "2100-03-01 00:00"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(format_utc(time).as_deref(), Some(date));
        }
        assert_eq!(format_utc(UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
