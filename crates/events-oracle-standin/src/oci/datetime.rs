//! Timestamps: descriptors of a calendar's and a clock's numbers.

use std::ffi::c_int;

use super::handle::{self, Moment};
use super::{Pointer, SUCCESS, answer, text};
use crate::OraError;

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the day that comes and goes is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Microseconds since 1970 in UTC.
pub(crate) fn micros(moment: &Moment) -> i64 {
    let day = days(moment.year.into(), moment.month.into(), moment.day.into());
    let seconds = day * 86_400
        + i64::from(moment.hour) * 3600
        + (i64::from(moment.minute) - i64::from(moment.offset)) * 60
        + i64::from(moment.second);
    seconds * 1_000_000 + i64::from(moment.nanosecond / 1000)
}

/// The moment, in UTC, of microseconds since 1970.
pub(crate) fn moment(micros: i64) -> Moment {
    let (year, month, day) = date(micros.div_euclid(86_400_000_000));
    let of_day = micros.rem_euclid(86_400_000_000);
    let part = |number: i64| u8::try_from(number).unwrap_or(0);
    Moment {
        year: i16::try_from(year).unwrap_or(i16::MAX),
        month: part(month),
        day: part(day),
        hour: part(of_day / 3_600_000_000),
        minute: part(of_day / 60_000_000 % 60),
        second: part(of_day / 1_000_000 % 60),
        nanosecond: u32::try_from(of_day % 1_000_000 * 1000).unwrap_or(0),
        offset: 0,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIDateTimeConstruct(
    _handle: Pointer,
    error: Pointer,
    descriptor: Pointer,
    year: i16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    nanosecond: u32,
    zone: *const u8,
    zone_length: usize,
) -> c_int {
    answer(error, || {
        // SAFETY: the caller passes a text such as `+02:00` and its length, or none.
        let zone = unsafe { text(zone, zone_length) };
        let offset = minutes(&zone)
            .ok_or_else(|| OraError::new(1882, format_args!("timezone region {zone} not found")))?;
        handle::timestamp(descriptor, |moment| {
            *moment = Moment {
                year,
                month,
                day,
                hour,
                minute,
                second,
                nanosecond,
                offset,
            };
        })?;
        Ok(SUCCESS)
    })
}

fn minutes(zone: &str) -> Option<i32> {
    if zone.is_empty() {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let size = hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?;
    Some(if zone.starts_with('-') { -size } else { size })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIDateTimeGetDate(
    _handle: Pointer,
    error: Pointer,
    descriptor: Pointer,
    year: *mut i16,
    month: *mut u8,
    day: *mut u8,
) -> c_int {
    answer(error, || {
        let moment = handle::timestamp(descriptor, |moment| *moment)?;
        // SAFETY: the caller passes places for the numbers.
        unsafe {
            *year = moment.year;
            *month = moment.month;
            *day = moment.day;
        }
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIDateTimeGetTime(
    _handle: Pointer,
    error: Pointer,
    descriptor: Pointer,
    hour: *mut u8,
    minute: *mut u8,
    second: *mut u8,
    nanosecond: *mut u32,
) -> c_int {
    answer(error, || {
        let moment = handle::timestamp(descriptor, |moment| *moment)?;
        // SAFETY: the caller passes places for the numbers.
        unsafe {
            *hour = moment.hour;
            *minute = moment.minute;
            *second = moment.second;
            *nanosecond = moment.nanosecond;
        }
        Ok(SUCCESS)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OCIDateTimeGetTimeZoneOffset(
    _handle: Pointer,
    error: Pointer,
    descriptor: Pointer,
    hours: *mut i8,
    minutes: *mut i8,
) -> c_int {
    answer(error, || {
        let offset = handle::timestamp(descriptor, |moment| moment.offset)?;
        // SAFETY: the caller passes places for the numbers.
        unsafe {
            *hours = i8::try_from(offset / 60).unwrap_or(0);
            *minutes = i8::try_from(offset % 60).unwrap_or(0);
        }
        Ok(SUCCESS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_back() {
        for micros_since in [
            0,
            1,
            -1,
            951_782_400_000_000,
            1_732_489_200_123_456,
            -86_400_000_001,
        ] {
            assert_eq!(micros(&moment(micros_since)), micros_since);
        }
    }

    #[test]
    fn a_leap_day_has_its_date() {
        let leap = moment(951_782_400_000_000);
        assert_eq!((leap.year, leap.month, leap.day), (2000, 2, 29));
    }

    #[test]
    fn an_offset_is_taken_off() {
        let mut noon = moment(43_200_000_000);
        noon.offset = minutes("+02:00").unwrap();
        assert_eq!(micros(&noon), 43_200_000_000 - 7_200_000_000);
        assert_eq!(minutes("-05:30"), Some(-330));
    }
}
