//! What tests need: the conformance suite, the checker of histories, throwaway servers, and a proxy
//! that breaks connections.
//!
//! The suite says what every backend must do, once. A backend is added with one line in the tests package:
//!
//! ```ignore
//! events_testkit::conformance!(sqlite_file, Ok(events_testkit::Harness::sqlite_file()));
//! ```
//!
//! A case asks the backend for its capabilities and either runs or says why it does not apply.
//! Numbers like 7 or X24 in a case's text are those of `docs/src/contributing/conformance.md`.
//!
//! This crate is for this workspace's tests and is not published.

mod cancel;
pub mod cases;
mod harness;
pub mod history;
pub mod kernel;
pub mod model;
pub mod oracle;
pub mod postgres;
pub mod process;
pub mod proxy;
mod seed;
mod skip;
pub mod sqlite;
pub mod strace;
pub mod suspect;
pub mod valgrind;

pub use cancel::cancel_at;
pub use harness::{
    Harness, Outcome, attempt, fails_with, next, nothing_within, pass, recorded, run, run_durable,
};
pub use seed::seed;
pub use skip::{Missing, cycles, long};

/// Makes one test of each case for a harness.
#[macro_export]
macro_rules! conformance {
    ($name:ident, $harness:expr) => {
        mod $name {
            fn harness() -> Result<$crate::Harness, $crate::Missing> {
                $harness
            }
            $crate::each_case!();
        }
    };
}

/// The single list of cases. Those of `run_durable` are about what is stored.
#[doc(hidden)]
#[macro_export]
macro_rules! each_case {
    () => {
        $crate::each_case! { @tests
            run publish: lifecycle metadata_survives batch_keeps_order_and_ids
                a_batch_of_a_thousand_is_one_and_in_order batch_of_nothing
                batch_with_one_bad_name_stores_nothing any_json_value_is_delivered_equal
                bad_input_is_refused_with_value_and_rule what_cannot_be_honoured_is_refused
                channels_are_separate first_deliveries_follow_the_order_of_publishing;
            run options: a_delayed_event_is_invisible_until_due higher_priority_first
                an_id_published_twice_is_stored_once an_expired_event_becomes_a_dead_letter
                an_event_that_expires_in_the_buffer_is_not_delivered
                many_expired_events_are_not_delivered;
            run_durable settle: nack_brings_it_back attempts_count_claims an_ack_is_recorded_once
                nack_after_ack_does_not_resurrect ack_by_id_needs_a_holder
                an_expired_hold_that_nobody_overtook_is_recorded
                an_overtaken_hold_changes_nothing never_makes_a_dead_letter
                the_last_reason_is_kept
                retention_zero_deletes_on_ack acked_events_go_after_retention
                extend_keeps_the_hold a_receipt_of_another_database_changes_nothing
                a_lost_hold_is_not_mistaken_for_an_earlier_event a_requeued_event_has_a_new_hold;
            run_durable lease: an_ended_lease_brings_the_event_back
                dropping_a_stream_counts_no_attempt a_slow_handler_runs_once
                a_poison_event_dies_while_others_flow
                an_event_whose_lease_ended_is_claimed_alone prefetched_events_stay_held;
            run listen: handled_acked_stopped a_panic_fails_only_its_event concurrency_is_used
                stop_lets_the_handler_finish stop_from_inside_the_handler
                without_auto_ack_the_handler_decides counters_are_exact_under_eight_listeners
                stop_ends_a_wait_at_once;
            run_durable polling: the_poll_interval_of_the_call_wins;
            run_durable retries: an_error_brings_it_back_and_the_listener_goes_on
                a_timeout_fails_the_event;
            run transient: every_subscription_gets_every_event nothing_is_settled
                what_is_published_right_after_listen_arrives a_slow_consumer_is_told_what_it_missed
                a_failed_event_is_gone_and_the_listener_goes_on;
            run groups: each_group_gets_every_event_and_members_compete
                a_group_gets_what_is_published_after_it an_id_held_by_two_groups_is_ambiguous;
            run_durable admin: stats_count_each_state dead_letters_are_listed_requeued_and_purged;
            run figures: health_names_the_database telemetry_counts_one_publish_and_one_ack;
            run close: a_closed_stream_ends_at_once shutdown_ends_waits_and_refuses_calls
                shutdown_is_idempotent shutdown_gives_back_what_was_not_handed_over;
            run blocking: the_same_lifecycle the_same_attempts_and_outcomes the_same_counters
                a_listener_thread_shares_the_database close_from_another_thread_ends_a_wait
                refused_inside_a_runtime;
        }
    };
    (@tests $($run:ident $module:ident: $($case:ident)+;)+) => {
        $(mod $module {
            $(
                #[test]
                fn $case() {
                    $crate::$run(
                        concat!(module_path!(), "::", stringify!($case)),
                        super::harness(),
                        $crate::cases::$module::$case,
                    );
                }
            )+
        })+
    };
}
