//! Histories: what several processes did to a queue, recorded as they did it and checked after.
//!
//! Each process records to a file of its own through a [`Recorder`], one JSON object a line, and
//! may be killed at any moment: an operation without a whole line of its end has an unknown
//! outcome. The test reads the files into a [`History`], adds what it did itself, such as kills,
//! and what lies in the tables at last, and has it checked. The rules, named H1 to H11:
//!
//! | Rule | Broken when |
//! | --- | --- |
//! | [`Rule::Lost`] | a stored event is neither acknowledged nor in the tables |
//! | [`Rule::Unexpected`] | an event is delivered that nobody published so |
//! | [`Rule::Recovered`] | a publish of unknown outcome is stored in part |
//! | [`Rule::Overlap`] | an event is delivered while somebody else holds it |
//! | [`Rule::AfterAck`] | an event is delivered although its ack was recorded |
//! | [`Rule::Fence`] | a claim does not raise the fence, or a late verdict is recorded |
//! | [`Rule::Attempts`] | attempts are not the claims without the releases |
//! | [`Rule::Duplicate`] | a second delivery has no cause |
//! | [`Rule::Wake`] | a consumer waits beside an event that it could have |
//! | [`Rule::Order`] | a consumer sees first deliveries in another order than that of commits |
//! | [`Rule::Rest`] | the tables at last are not what was done to them |
//!
//! Nothing here knows a database. A check is one pass over sorted records: `O(n log n)`.

mod answer;
mod clock;
mod expect;
mod hold;
mod load;
mod naming;
mod pairing;
mod record;
mod recorder;
mod report;
mod rules;
#[cfg(test)]
mod tests;
mod view;

pub use answer::{Answer, Delivered, Outcome, Recorded};
pub use clock::Moment;
pub use expect::Expect;
pub use load::{History, Lines};
pub use record::{Op, Record, Row, Sent, State, Verdict, What, hash};
pub use recorder::{Call, Held, Recorder};
pub use report::{Cause, Percentiles, Report, Rule};
