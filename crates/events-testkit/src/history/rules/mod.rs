//! The rules, a file each.

mod after_ack;
mod attempts;
mod duplicate;
mod fence;
mod lost;
mod order;
mod overlap;
mod recovered;
mod rest;
mod unexpected;
mod wake;

use super::view::View;
use super::{Expect, Report};

/// Checks every rule.
pub(super) fn check_all(view: &View<'_>, expect: &Expect, report: &mut Report) {
    lost::check(view, expect, report);
    unexpected::check(view, report);
    recovered::check(view, expect, report);
    overlap::check(view, report);
    after_ack::check(view, expect, report);
    fence::check(view, report);
    attempts::check(view, expect, report);
    duplicate::check(view, report);
    wake::check(view, expect, report);
    if expect.in_order {
        order::check(view, report);
    }
    rest::check(view, expect, report);
}
