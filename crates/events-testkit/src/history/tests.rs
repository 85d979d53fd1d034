//! The checker is checked: one bad history for each rule, which breaks that rule and no other, and
//! a good one with every oddity that is allowed.

mod bad;
mod good;
mod story;
