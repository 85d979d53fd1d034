//! Spans that nobody wants cost no memory. Alone in its binary, because it counts allocations.

use std::hint::black_box;

use allocation_counter::measure;
use events_core::{
    ChannelName, EventId, EventMessage, GroupName, NewEvent, Pending, Receipt, Settlement,
    Timestamp, Verdict, spans,
};
use serde_json::json;

#[test]
fn without_a_subscriber_no_span_allocates() {
    let channel = ChannelName::new("orders").unwrap();
    let group = GroupName::new("billing").unwrap();
    let events = [NewEvent::new("orders", 1)];
    let id = EventId::new();
    let mut message = EventMessage::new(id, channel.clone(), json!(1), Timestamp::now());
    let here = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    message.metadata = json!({"traceparent": here}).as_object().cloned();
    let settlements = [Settlement {
        event_id: id,
        receipt: Receipt::Untracked,
        verdict: Verdict::Ack,
    }];
    let ready = Pending::ready(Ok(7));
    let counted = measure(|| {
        let publish = spans::publish("poll_queue", &events);
        let answer = ready.in_span(publish, |_, _| panic!("nobody wants it"));
        assert_eq!(answer.wait().unwrap(), 7);
        for _ in 0..100 {
            let handle = spans::handle("poll_queue", Some(&group), &message);
            handle.in_scope(|| black_box(1));
            spans::handled(&handle, "ok", None);
            black_box(spans::claim("poll_queue", &channel, None, 8));
            black_box(spans::settle("poll_queue", &settlements));
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
